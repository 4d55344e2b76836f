with dates as (
    select date_day
    from {{ ref("dim_dates") }}
),

visitor_days as (
    select
        event_date,
        count(distinct visitor_id) as visitor_count,
        count(distinct user_key) as user_count,
        sum(event_count) as event_count
    from {{ ref("int_visitor_days_aggregated") }}
    where {{ is_counted() }}
    group by event_date
),

new_users as (
    select
        first_seen_date,
        count(*) as new_user_count
    from {{ ref("int_users_aggregated") }}
    group by first_seen_date
),

sessions as (
    select
        session_date,
        count(*) as session_count,
        count(*) filter (where is_bounce) as bounce_session_count,
        count(*) filter (where product_view_count > 0) as product_view_session_count,
        count(*) filter (where add_to_cart_count > 0) as add_to_cart_session_count,
        count(*) filter (where checkout_start_count > 0) as checkout_session_count,
        count(*) filter (where is_converted) as converted_session_count
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }}
    group by session_date
),

orders as (
    select
        order_date,
        count(*) as order_count,
        sum(item_quantity) as item_quantity,
        sum(gross_amount) as gross_revenue_amount
    from {{ ref("fct_orders") }}
    where {{ is_counted() }}
    group by order_date
),

refunds as (
    select
        refund_date,
        sum(refund_amount) as refund_amount
    from {{ ref("fct_refunds") }}
    where {{ is_counted() }}
    group by refund_date
),

carts as (
    select
        cart_date,
        count(*) filter (where is_abandoned) as abandoned_cart_count,
        sum(lost_revenue_amount) as lost_revenue_amount
    from {{ ref("fct_carts") }}
    where {{ is_counted() }}
    group by cart_date
),

days as (
    select
        dates.date_day as metric_date,
        coalesce(visitor_days.event_count, 0) as event_count,
        coalesce(visitor_days.visitor_count, 0) as visitor_count,
        coalesce(visitor_days.user_count, 0) as user_count,
        coalesce(new_users.new_user_count, 0) as new_user_count,
        coalesce(sessions.session_count, 0) as session_count,
        coalesce(sessions.bounce_session_count, 0) as bounce_session_count,
        coalesce(sessions.product_view_session_count, 0) as product_view_session_count,
        coalesce(sessions.add_to_cart_session_count, 0) as add_to_cart_session_count,
        coalesce(sessions.checkout_session_count, 0) as checkout_session_count,
        coalesce(sessions.converted_session_count, 0) as converted_session_count,
        coalesce(orders.order_count, 0) as order_count,
        coalesce(orders.item_quantity, 0) as item_quantity,
        coalesce(orders.gross_revenue_amount, 0) as gross_revenue_amount,
        coalesce(refunds.refund_amount, 0) as refund_amount,
        coalesce(carts.abandoned_cart_count, 0) as abandoned_cart_count,
        coalesce(carts.lost_revenue_amount, 0) as lost_revenue_amount
    from dates
    left join visitor_days
        on dates.date_day = visitor_days.event_date
    left join new_users
        on dates.date_day = new_users.first_seen_date
    left join sessions
        on dates.date_day = sessions.session_date
    left join orders
        on dates.date_day = orders.order_date
    left join refunds
        on dates.date_day = refunds.refund_date
    left join carts
        on dates.date_day = carts.cart_date
),

final as (
    select
        metric_date,
        cast(event_count as bigint) as event_count,
        visitor_count,
        user_count,
        new_user_count,
        session_count,
        bounce_session_count,
        product_view_session_count,
        add_to_cart_session_count,
        checkout_session_count,
        converted_session_count,
        order_count,
        cast(item_quantity as bigint) as item_quantity,
        cast(gross_revenue_amount as numeric(24, 4)) as gross_revenue_amount,
        cast(refund_amount as numeric(24, 4)) as refund_amount,
        cast(gross_revenue_amount - refund_amount as numeric(24, 4)) as net_revenue_amount,
        abandoned_cart_count,
        cast(lost_revenue_amount as numeric(24, 4)) as lost_revenue_amount,
        cast(converted_session_count / nullif(cast(session_count as numeric), 0) as numeric(9, 6))
            as conversion_rate,
        cast(gross_revenue_amount / nullif(order_count, 0) as numeric(24, 4))
            as average_order_amount
    from days
)

select * from final
