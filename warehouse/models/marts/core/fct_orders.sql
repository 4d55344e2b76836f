with orders as (
    select *
    from {{ ref("int_orders_priced") }}
    where {{ of_changed_users() }}
),

refunds as (
    select
        order_key,
        sum(refund_amount) as refund_amount
    from {{ ref("fct_refunds") }}
    group by order_key
),

visitors as (
    select
        visitor_id,
        is_bot
    from {{ ref("int_visitors_flagged") }}
),

orders_numbered as (
    select
        orders.*,
        row_number() over (
            partition by orders.user_key order by orders.ordered_at, orders.order_key
        ) as user_order_number,
        coalesce(refunds.refund_amount, 0) as refund_amount,
        visitors.is_bot
    from orders
    inner join visitors
        on orders.visitor_id = visitors.visitor_id
    left join refunds
        on orders.order_key = refunds.order_key
),

final as (
    select
        order_key,
        order_id,
        event_id,
        session_id,
        visitor_id,
        user_key,
        ordered_at,
        order_date,
        cast(user_order_number as integer) as user_order_number,
        user_order_number = 1 as is_first_order,
        purchase_event_count,
        line_count,
        item_quantity,
        currency,
        source_gross_amount,
        gross_amount,
        tax_amount,
        shipping_amount,
        discount_amount,
        cast(refund_amount as numeric(24, 4)) as refund_amount,
        cast(gross_amount - refund_amount as numeric(24, 4)) as net_amount,
        coupon,
        is_bot
    from orders_numbered
)

select * from final
