with order_lines as (
    select *
    from {{ ref("int_order_lines") }}
    where {{ of_changed_visitors() }}
),

orders as (
    select
        order_key,
        session_id,
        visitor_id,
        user_key,
        ordered_at,
        order_date,
        rate,
        reporting_rate
    from {{ ref("int_orders_priced") }}
    where {{ of_changed_visitors() }}
),

visitors as (
    select
        visitor_id,
        is_bot
    from {{ ref("int_visitors_flagged") }}
),

final as (
    select
        order_lines.order_line_key,
        order_lines.order_key,
        order_lines.line_id,
        order_lines.product_id,
        orders.session_id,
        orders.visitor_id,
        orders.user_key,
        orders.ordered_at,
        orders.order_date,
        order_lines.quantity,
        cast(
            {{ converted_amount("order_lines.source_unit_price_amount", "orders") }}
            as numeric(24, 4)
        ) as unit_price_amount,
        cast(
            {{ converted_amount("order_lines.source_gross_amount", "orders") }}
            as numeric(24, 4)
        ) as gross_amount,
        cast(
            {{ converted_amount("order_lines.source_discount_amount", "orders") }}
            as numeric(24, 4)
        ) as discount_amount,
        visitors.is_bot
    from order_lines
    inner join orders
        on order_lines.order_key = orders.order_key
    inner join visitors
        on orders.visitor_id = visitors.visitor_id
)

select * from final
