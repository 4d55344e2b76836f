with product_days as (
    select * from {{ ref("int_product_days_aggregated") }}
),

cart_sessions as (
    select
        session_id,
        metric_date,
        product_id
    from {{ ref("int_product_sessions_aggregated") }}
    where add_to_cart_count > 0 and {{ is_counted() }}
),

order_items as (
    select
        order_key,
        product_id,
        session_id,
        order_date,
        quantity,
        gross_amount
    from {{ ref("fct_order_items") }}
    where {{ is_counted() }}
),

orders_per_session as (
    select
        order_date as metric_date,
        product_id,
        session_id,
        count(distinct order_key) as order_count,
        sum(quantity) as purchased_quantity,
        sum(coalesce(gross_amount, 0)) as gross_revenue_amount
    from order_items
    group by order_date, product_id, session_id
),

-- Events and orders are summed up apart, so that the many sessions without an order meet none.
stacked as (
    select
        metric_date,
        product_id,
        view_count,
        add_to_cart_count,
        remove_from_cart_count,
        0 as order_count,
        0 as purchased_quantity,
        0 as gross_revenue_amount,
        view_session_count,
        cart_session_count,
        view_to_cart_session_count,
        0 as cart_to_purchase_session_count
    from product_days
    union all
    select
        orders_per_session.metric_date,
        orders_per_session.product_id,
        0 as view_count,
        0 as add_to_cart_count,
        0 as remove_from_cart_count,
        sum(orders_per_session.order_count) as order_count,
        sum(orders_per_session.purchased_quantity) as purchased_quantity,
        sum(orders_per_session.gross_revenue_amount) as gross_revenue_amount,
        0 as view_session_count,
        0 as cart_session_count,
        0 as view_to_cart_session_count,
        count(cart_sessions.session_id) as cart_to_purchase_session_count
    from orders_per_session
    left join cart_sessions
        on
            orders_per_session.session_id = cart_sessions.session_id
            and orders_per_session.metric_date = cart_sessions.metric_date
            and orders_per_session.product_id = cart_sessions.product_id
    group by orders_per_session.metric_date, orders_per_session.product_id
),

days_aggregated as (
    select
        metric_date,
        product_id,
        cast(sum(view_count) as bigint) as view_count,
        cast(sum(add_to_cart_count) as bigint) as add_to_cart_count,
        cast(sum(remove_from_cart_count) as bigint) as remove_from_cart_count,
        cast(sum(order_count) as bigint) as order_count,
        cast(sum(purchased_quantity) as bigint) as purchased_quantity,
        cast(sum(gross_revenue_amount) as numeric(24, 4)) as gross_revenue_amount,
        cast(sum(view_session_count) as bigint) as view_session_count,
        cast(sum(cart_session_count) as bigint) as cart_session_count,
        cast(sum(view_to_cart_session_count) as bigint) as view_to_cart_session_count,
        cast(sum(cart_to_purchase_session_count) as bigint) as cart_to_purchase_session_count
    from stacked
    group by metric_date, product_id
),

final as (
    select
        metric_date,
        product_id,
        view_count,
        add_to_cart_count,
        remove_from_cart_count,
        order_count,
        purchased_quantity,
        gross_revenue_amount,
        view_session_count,
        cart_session_count,
        view_to_cart_session_count,
        cart_to_purchase_session_count,
        {{ rate("view_to_cart_session_count", "view_session_count") }} as view_to_cart_rate,
        {{ rate("cart_to_purchase_session_count", "cart_session_count") }} as cart_to_purchase_rate
    from days_aggregated
)

select * from final
