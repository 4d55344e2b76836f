with order_products as (
    select
        order_key,
        product_id
    from {{ ref("int_order_lines") }}
    where {{ of_changed_visitors() }}
),

orders as (
    select
        order_key,
        visitor_id
    from {{ ref("int_orders_priced") }}
    where {{ of_changed_visitors() }}
),

visitors as (
    select
        visitor_id,
        is_bot
    from {{ ref("int_visitors_flagged") }}
    where {{ of_changed_visitors() }}
),

session_products as (
    select
        session_id,
        product_id,
        visitor_id
    from {{ ref("int_product_sessions_aggregated") }}
    where view_count > 0 and {{ of_changed_visitors() }}
),

stacked as (
    select
        'order' as basis,
        orders.order_key as basket_key,
        order_products.product_id,
        orders.visitor_id
    from order_products
    inner join orders on order_products.order_key = orders.order_key
    union all
    select
        'view' as basis,
        session_id as basket_key,
        product_id,
        visitor_id
    from session_products
),

baskets as (
    select
        basis,
        basket_key,
        visitor_id,
        array_agg(
            distinct {{ bytewise("product_id") }} order by {{ bytewise("product_id") }}
        ) as product_ids
    from stacked
    group by basis, basket_key, visitor_id
),

final as (
    select
        baskets.basis,
        baskets.basket_key,
        baskets.visitor_id,
        baskets.product_ids,
        cardinality(baskets.product_ids) as basket_product_count,
        visitors.is_bot
    from baskets
    inner join visitors on baskets.visitor_id = visitors.visitor_id
)

select * from final
