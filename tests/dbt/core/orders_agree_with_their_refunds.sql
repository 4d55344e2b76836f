with orders as (
    select
        order_key,
        refund_amount
    from {{ ref("fct_orders") }}
),

refunds as (
    select
        order_key,
        sum(refund_amount) as refund_amount
    from {{ ref("fct_refunds") }}
    where order_key is not null
    group by order_key
)

select
    coalesce(orders.order_key, refunds.order_key) as order_key,
    orders.refund_amount as order_refund_amount,
    refunds.refund_amount
from orders
full outer join refunds
    on orders.order_key = refunds.order_key
where
    orders.order_key is null
    or orders.refund_amount <> coalesce(refunds.refund_amount, 0)
