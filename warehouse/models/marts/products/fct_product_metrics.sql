with event_items as (
    select
        event_id,
        product_id
    from {{ ref("stg_raw__event_items") }}
),

product_events as (
    select
        event_id,
        event_type,
        event_date,
        session_id
    from {{ ref("fct_events") }}
    where
        event_type in ('product_view', 'add_to_cart', 'remove_from_cart')
        and {{ is_counted() }}
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

-- An event may hold a product on several lines, and is still one view of it.
events_per_session as (
    select
        product_events.event_date as metric_date,
        event_items.product_id,
        product_events.session_id,
        product_events.event_type,
        count(distinct product_events.event_id) as event_count
    from product_events
    inner join event_items on product_events.event_id = event_items.event_id
    group by
        product_events.event_date,
        event_items.product_id,
        product_events.session_id,
        product_events.event_type
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

stacked as (
    select
        metric_date,
        product_id,
        session_id,
        case when event_type = 'product_view' then event_count else 0 end as view_count,
        case when event_type = 'add_to_cart' then event_count else 0 end as add_to_cart_count,
        case when event_type = 'remove_from_cart' then event_count else 0 end
            as remove_from_cart_count,
        0 as order_count,
        0 as purchased_quantity,
        0 as gross_revenue_amount
    from events_per_session
    union all
    select
        metric_date,
        product_id,
        session_id,
        0 as view_count,
        0 as add_to_cart_count,
        0 as remove_from_cart_count,
        order_count,
        purchased_quantity,
        gross_revenue_amount
    from orders_per_session
),

sessions_aggregated as (
    select
        metric_date,
        product_id,
        session_id,
        sum(view_count) as view_count,
        sum(add_to_cart_count) as add_to_cart_count,
        sum(remove_from_cart_count) as remove_from_cart_count,
        sum(order_count) as order_count,
        sum(purchased_quantity) as purchased_quantity,
        sum(gross_revenue_amount) as gross_revenue_amount
    from stacked
    group by metric_date, product_id, session_id
),

days_aggregated as (
    select
        metric_date,
        product_id,
        sum(view_count) as view_count,
        sum(add_to_cart_count) as add_to_cart_count,
        sum(remove_from_cart_count) as remove_from_cart_count,
        sum(order_count) as order_count,
        sum(purchased_quantity) as purchased_quantity,
        sum(gross_revenue_amount) as gross_revenue_amount,
        count(case when view_count > 0 then 1 end) as view_session_count,
        count(case when add_to_cart_count > 0 then 1 end) as cart_session_count,
        count(case when view_count > 0 and add_to_cart_count > 0 then 1 end)
            as view_to_cart_session_count,
        count(case when add_to_cart_count > 0 and order_count > 0 then 1 end)
            as cart_to_purchase_session_count
    from sessions_aggregated
    group by metric_date, product_id
),

final as (
    select
        metric_date,
        product_id,
        cast(view_count as bigint) as view_count,
        cast(add_to_cart_count as bigint) as add_to_cart_count,
        cast(remove_from_cart_count as bigint) as remove_from_cart_count,
        cast(order_count as bigint) as order_count,
        cast(purchased_quantity as bigint) as purchased_quantity,
        cast(gross_revenue_amount as numeric(24, 4)) as gross_revenue_amount,
        view_session_count,
        cart_session_count,
        view_to_cart_session_count,
        cart_to_purchase_session_count,
        {{ rate("view_to_cart_session_count", "view_session_count") }} as view_to_cart_rate,
        {{ rate("cart_to_purchase_session_count", "cart_session_count") }} as cart_to_purchase_rate
    from days_aggregated
)

select * from final
