-- Spark and dbt find the same sessions, bots included.
with aggregates as (
    select
        session_id,
        visitor_id,
        user_key,
        started_at,
        ended_at,
        event_count,
        product_view_count,
        add_to_cart_count,
        order_count,
        is_bot
    from {{ source("raw", "agg_sessions") }}
),

marts as (
    select
        session_id,
        visitor_id,
        user_key,
        started_at,
        ended_at,
        event_count,
        product_view_count,
        add_to_cart_count,
        order_count,
        is_bot
    from {{ ref("fct_sessions") }}
)

select
    coalesce(marts.session_id, aggregates.session_id) as session_id,
    marts.visitor_id as marts_visitor_id,
    aggregates.visitor_id as aggregates_visitor_id,
    marts.user_key as marts_user_key,
    aggregates.user_key as aggregates_user_key,
    marts.started_at as marts_started_at,
    aggregates.started_at as aggregates_started_at,
    marts.ended_at as marts_ended_at,
    aggregates.ended_at as aggregates_ended_at,
    marts.event_count as marts_event_count,
    aggregates.event_count as aggregates_event_count,
    marts.product_view_count as marts_product_view_count,
    aggregates.product_view_count as aggregates_product_view_count,
    marts.add_to_cart_count as marts_add_to_cart_count,
    aggregates.add_to_cart_count as aggregates_add_to_cart_count,
    marts.order_count as marts_order_count,
    aggregates.order_count as aggregates_order_count,
    marts.is_bot as marts_is_bot,
    aggregates.is_bot as aggregates_is_bot
from marts
full outer join aggregates
    on marts.session_id = aggregates.session_id
where
    marts.visitor_id is distinct from aggregates.visitor_id
    or marts.user_key is distinct from aggregates.user_key
    or marts.started_at is distinct from aggregates.started_at
    or marts.ended_at is distinct from aggregates.ended_at
    or marts.event_count is distinct from aggregates.event_count
    or marts.product_view_count is distinct from aggregates.product_view_count
    or marts.add_to_cart_count is distinct from aggregates.add_to_cart_count
    or marts.order_count is distinct from aggregates.order_count
    or marts.is_bot is distinct from aggregates.is_bot
