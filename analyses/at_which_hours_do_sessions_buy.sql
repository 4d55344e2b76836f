-- At which hours of the day do sessions start, and at which do they buy?
-- When to send the newsletter, and when not to take the shop down.
with sessions as (
    select
        extract(hour from started_at at time zone '{{ var("reporting_timezone") }}') as start_hour,
        is_converted,
        gross_revenue_amount
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }}
)

select
    start_hour,
    count(*) as session_count,
    {{ rate("count(*)", "sum(count(*)) over ()") }} as session_share_rate,
    count(case when is_converted then 1 end) as converted_session_count,
    {{ rate("count(case when is_converted then 1 end)", "count(*)") }} as conversion_rate,
    sum(gross_revenue_amount) as gross_revenue_amount
from sessions
group by start_hour
order by start_hour
