-- How much of each month's revenue is refunded, and how many days after the order?
-- The last months look better than they are: their refunds are still to come.
with orders as (
    select
        order_key,
        {{ month_start("order_date") }} as month_start_date,
        ordered_at,
        gross_amount,
        refund_amount
    from {{ ref("fct_orders") }}
    where {{ is_counted() }}
),

first_refunds as (
    select
        order_key,
        min(refunded_at) as refunded_at
    from {{ ref("fct_refunds") }}
    group by order_key
)

select
    orders.month_start_date,
    count(*) as order_count,
    count(first_refunds.order_key) as refunded_order_count,
    sum(orders.gross_amount) as gross_revenue_amount,
    sum(orders.refund_amount) as refund_amount,
    {{ rate("sum(orders.refund_amount)", "sum(orders.gross_amount)") }} as refund_rate,
    round(
        cast(
            percentile_cont(0.5) within group (
                order by {{ seconds_between("orders.ordered_at", "first_refunds.refunded_at") }}
            ) as numeric
        ) / 86400,
        1
    ) as median_days
from orders
left join first_refunds on orders.order_key = first_refunds.order_key
group by orders.month_start_date
order by orders.month_start_date
