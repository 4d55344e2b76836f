-- What is counted in the hours of a day is what is counted on the day.
with hours as (
    select
        metric_date,
        sum(event_count) as event_count,
        sum(session_count) as session_count,
        sum(converted_session_count) as converted_session_count,
        sum(order_count) as order_count,
        sum(gross_revenue_amount) as gross_revenue_amount
    from {{ ref("fct_hourly_metrics") }}
    group by metric_date
),

days as (
    select * from {{ ref("fct_daily_metrics") }}
)

select days.metric_date
from days
left join hours
    on days.metric_date = hours.metric_date
where
    days.event_count is distinct from hours.event_count
    or days.session_count is distinct from hours.session_count
    or days.converted_session_count is distinct from hours.converted_session_count
    or days.order_count is distinct from hours.order_count
    or days.gross_revenue_amount is distinct from hours.gross_revenue_amount
