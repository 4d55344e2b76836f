-- Each metric that can be added up has, over all days, the sum that its fact table gives.
with days as (
    select
        sum(event_count) as event_count,
        sum(new_user_count) as user_count,
        sum(session_count) as session_count,
        sum(order_count) as order_count,
        sum(item_quantity) as item_quantity,
        sum(gross_revenue_amount) as gross_revenue_amount,
        sum(refund_amount) as refund_amount,
        sum(abandoned_cart_count) as abandoned_cart_count,
        sum(lost_revenue_amount) as lost_revenue_amount
    from {{ ref("fct_daily_metrics") }}
),

events as (
    select count(*) as event_count
    from {{ ref("fct_events") }}
    where {{ is_counted() }}
),

users as (
    select count(*) as user_count
    from {{ ref("int_users_aggregated") }}
),

sessions as (
    select count(*) as session_count
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }}
),

orders as (
    select
        count(*) as order_count,
        sum(item_quantity) as item_quantity,
        sum(gross_amount) as gross_revenue_amount
    from {{ ref("fct_orders") }}
    where {{ is_counted() }}
),

refunds as (
    select sum(refund_amount) as refund_amount
    from {{ ref("fct_refunds") }}
    where {{ is_counted() }}
),

carts as (
    select
        count(*) filter (where is_abandoned) as abandoned_cart_count,
        sum(lost_revenue_amount) as lost_revenue_amount
    from {{ ref("fct_carts") }}
    where {{ is_counted() }}
),

differences as (
    select
        coalesce(days.event_count, 0) - coalesce(events.event_count, 0) as event_count,
        coalesce(days.user_count, 0) - coalesce(users.user_count, 0) as user_count,
        coalesce(days.session_count, 0) - coalesce(sessions.session_count, 0) as session_count,
        coalesce(days.order_count, 0) - coalesce(orders.order_count, 0) as order_count,
        coalesce(days.item_quantity, 0) - coalesce(orders.item_quantity, 0) as item_quantity,
        coalesce(days.gross_revenue_amount, 0) - coalesce(orders.gross_revenue_amount, 0)
            as gross_revenue_amount,
        coalesce(days.refund_amount, 0) - coalesce(refunds.refund_amount, 0) as refund_amount,
        coalesce(days.abandoned_cart_count, 0) - coalesce(carts.abandoned_cart_count, 0)
            as abandoned_cart_count,
        coalesce(days.lost_revenue_amount, 0) - coalesce(carts.lost_revenue_amount, 0)
            as lost_revenue_amount
    from days
    cross join events
    cross join users
    cross join sessions
    cross join orders
    cross join refunds
    cross join carts
)

select *
from differences
where
    event_count <> 0
    or user_count <> 0
    or session_count <> 0
    or order_count <> 0
    or item_quantity <> 0
    or gross_revenue_amount <> 0
    or refund_amount <> 0
    or abandoned_cart_count <> 0
    or lost_revenue_amount <> 0
