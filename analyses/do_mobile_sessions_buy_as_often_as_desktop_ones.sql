-- Do sessions on phones buy as often as those on desktops, or could it be chance?
-- Each rate stands with twice its standard error: where two ranges overlap, the difference may be
-- chance.
with devices as (
    select
        device_type,
        count(*) as session_count,
        count(case when is_converted then 1 end) as converted_session_count,
        sum(gross_revenue_amount) as gross_revenue_amount
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }}
    group by device_type
),

rates as (
    select
        *,
        {{ rate("converted_session_count", "session_count") }} as conversion_rate
    from devices
)

select
    device_type,
    session_count,
    converted_session_count,
    conversion_rate,
    round(
        conversion_rate - 2 * sqrt(conversion_rate * (1 - conversion_rate) / session_count), 6
    ) as lowest_likely_rate,
    round(
        conversion_rate + 2 * sqrt(conversion_rate * (1 - conversion_rate) / session_count), 6
    ) as highest_likely_rate,
    round(gross_revenue_amount / session_count, 4) as revenue_per_session_amount
from rates
order by session_count desc, device_type asc
