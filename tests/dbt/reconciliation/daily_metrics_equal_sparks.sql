-- Spark and dbt count the same on each day. A day without events has no aggregate.
with aggregates as (
    select
        metric_date,
        event_count,
        visitor_count,
        session_count,
        order_count,
        revenue_amount as gross_revenue_amount
    from {{ source("raw", "agg_daily_metrics") }}
),

marts as (
    select
        metric_date,
        event_count,
        visitor_count,
        session_count,
        order_count,
        gross_revenue_amount
    from {{ ref("fct_daily_metrics") }}
    where event_count > 0
)

select
    coalesce(marts.metric_date, aggregates.metric_date) as metric_date,
    marts.event_count as marts_event_count,
    aggregates.event_count as aggregates_event_count,
    marts.visitor_count as marts_visitor_count,
    aggregates.visitor_count as aggregates_visitor_count,
    marts.session_count as marts_session_count,
    aggregates.session_count as aggregates_session_count,
    marts.order_count as marts_order_count,
    aggregates.order_count as aggregates_order_count,
    marts.gross_revenue_amount as marts_gross_revenue_amount,
    aggregates.gross_revenue_amount as aggregates_gross_revenue_amount
from marts
full outer join aggregates
    on marts.metric_date = aggregates.metric_date
where
    marts.event_count is distinct from aggregates.event_count
    or marts.visitor_count is distinct from aggregates.visitor_count
    or marts.session_count is distinct from aggregates.session_count
    or marts.order_count is distinct from aggregates.order_count
    or marts.gross_revenue_amount is distinct from aggregates.gross_revenue_amount
