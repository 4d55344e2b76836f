with orders as (
    select
        order_key,
        line_count,
        item_quantity
    from {{ ref("fct_orders") }}
),

lines as (
    select
        order_key,
        count(*) as line_count,
        sum(quantity) as item_quantity
    from {{ ref("fct_order_items") }}
    group by order_key
)

select
    coalesce(orders.order_key, lines.order_key) as order_key,
    orders.line_count as order_line_count,
    lines.line_count,
    orders.item_quantity as order_item_quantity,
    lines.item_quantity
from orders
full outer join lines
    on orders.order_key = lines.order_key
where
    orders.order_key is null
    or orders.line_count <> coalesce(lines.line_count, 0)
    or orders.item_quantity <> coalesce(lines.item_quantity, 0)
