-- Spark and dbt find the same users, with the same orders and revenue.
with aggregates as (
    select
        user_key,
        first_seen_at,
        last_seen_at,
        event_count,
        order_count,
        revenue_amount as gross_revenue_amount
    from {{ source("raw", "agg_users") }}
),

marts as (
    select
        user_key,
        first_seen_at,
        last_seen_at,
        event_count,
        order_count,
        gross_revenue_amount
    from {{ ref("int_users_aggregated") }}
)

select
    coalesce(marts.user_key, aggregates.user_key) as user_key,
    marts.first_seen_at as marts_first_seen_at,
    aggregates.first_seen_at as aggregates_first_seen_at,
    marts.last_seen_at as marts_last_seen_at,
    aggregates.last_seen_at as aggregates_last_seen_at,
    marts.event_count as marts_event_count,
    aggregates.event_count as aggregates_event_count,
    marts.order_count as marts_order_count,
    aggregates.order_count as aggregates_order_count,
    marts.gross_revenue_amount as marts_gross_revenue_amount,
    aggregates.gross_revenue_amount as aggregates_gross_revenue_amount
from marts
full outer join aggregates
    on marts.user_key = aggregates.user_key
where
    marts.first_seen_at is distinct from aggregates.first_seen_at
    or marts.last_seen_at is distinct from aggregates.last_seen_at
    or marts.event_count is distinct from aggregates.event_count
    or marts.order_count is distinct from aggregates.order_count
    or marts.gross_revenue_amount is distinct from aggregates.gross_revenue_amount
