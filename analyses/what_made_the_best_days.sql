-- Were the best days made by more sessions, by sessions that buy more, or by dearer orders?
-- Each figure against that of the median day: 2 is twice as much.
with days as (
    select
        metric_date,
        session_count,
        conversion_rate,
        average_order_amount,
        gross_revenue_amount,
        {{ rate("new_user_count", "user_count") }} as new_user_rate
    from {{ ref("fct_daily_metrics") }}
    where session_count > 0
),

medians as (
    select
        percentile_cont(0.5) within group (order by session_count) as session_count,
        percentile_cont(0.5) within group (order by conversion_rate) as conversion_rate,
        percentile_cont(0.5) within group (order by average_order_amount) as average_order_amount,
        percentile_cont(0.5) within group (order by new_user_rate) as new_user_rate
    from days
)

select
    days.metric_date,
    days.gross_revenue_amount,
    round(cast(days.session_count / medians.session_count as numeric), 2) as session_ratio,
    round(cast(days.conversion_rate / nullif(medians.conversion_rate, 0) as numeric), 2)
        as conversion_ratio,
    round(cast(days.average_order_amount / medians.average_order_amount as numeric), 2)
        as order_amount_ratio,
    round(cast(days.new_user_rate / nullif(medians.new_user_rate, 0) as numeric), 2)
        as new_user_ratio
from days
cross join medians
order by days.gross_revenue_amount desc, days.metric_date asc
