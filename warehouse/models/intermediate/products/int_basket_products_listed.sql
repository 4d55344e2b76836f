with order_products as (
    select distinct
        order_key,
        product_id
    from {{ ref("int_order_lines") }}
),

orders as (
    select
        order_key,
        visitor_id,
        is_bot
    from {{ ref("fct_orders") }}
),

session_products as (
    select distinct
        session_id,
        product_id,
        visitor_id,
        is_bot
    from {{ ref("int_product_sessions_aggregated") }}
    where view_count > 0
),

stacked as (
    select
        'order' as basis,
        orders.order_key as basket_key,
        order_products.product_id,
        orders.visitor_id,
        orders.is_bot
    from order_products
    inner join orders on order_products.order_key = orders.order_key
    union all
    select
        'view' as basis,
        session_id as basket_key,
        product_id,
        visitor_id,
        is_bot
    from session_products
),

final as (
    select
        basis,
        basket_key,
        product_id,
        visitor_id,
        count(*) over (partition by basis, basket_key) as basket_product_count,
        is_bot
    from stacked
)

select * from final
