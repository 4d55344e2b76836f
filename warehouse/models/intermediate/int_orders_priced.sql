with purchase_events as (
    select *
    from {{ ref("int_purchase_events") }}
    where {{ of_changed_visitors() }}
),

order_lines as (
    select
        order_key,
        count(*) as line_count,
        sum(quantity) as item_quantity,
        sum(source_gross_amount) as source_gross_amount,
        sum(source_discount_amount) as source_discount_amount
    from {{ ref("int_order_lines") }}
    where {{ of_changed_visitors() }}
    group by order_key
),

rates as (
    select * from {{ ref("int_exchange_rates") }}
),

amounts as (
    select
        order_key,
        count(*) as purchase_event_count,
        {{ first_known("source_order_amount", "order_event_number") }} as source_order_amount,
        {{ first_known("source_tax_amount", "order_event_number") }} as source_tax_amount,
        {{ first_known("source_shipping_amount", "order_event_number") }}
            as source_shipping_amount,
        {{ first_known("source_discount_amount", "order_event_number") }}
            as source_discount_amount,
        {{ first_known("coupon", "order_event_number") }} as coupon
    from purchase_events
    group by order_key
),

orders as (
    select
        first_events.order_key,
        first_events.order_id,
        first_events.event_id,
        first_events.session_id,
        first_events.visitor_id,
        first_events.user_key,
        first_events.event_at as ordered_at,
        first_events.event_date as order_date,
        first_events.currency,
        amounts.purchase_event_count,
        coalesce(order_lines.line_count, 0) as line_count,
        coalesce(order_lines.item_quantity, 0) as item_quantity,
        coalesce(amounts.source_order_amount, order_lines.source_gross_amount)
            as source_gross_amount,
        amounts.source_tax_amount,
        amounts.source_shipping_amount,
        coalesce(amounts.source_discount_amount, order_lines.source_discount_amount)
            as source_discount_amount,
        amounts.coupon
    from purchase_events as first_events
    inner join amounts
        on first_events.order_key = amounts.order_key
    left join order_lines
        on first_events.order_key = order_lines.order_key
    where first_events.order_event_number = 1
),

final as (
    select
        orders.order_key,
        orders.order_id,
        orders.event_id,
        orders.session_id,
        orders.visitor_id,
        orders.user_key,
        orders.ordered_at,
        orders.order_date,
        cast(orders.purchase_event_count as integer) as purchase_event_count,
        cast(orders.line_count as integer) as line_count,
        cast(orders.item_quantity as bigint) as item_quantity,
        orders.currency,
        cast(orders.source_gross_amount as numeric(24, 4)) as source_gross_amount,
        cast(
            {{ converted_amount("orders.source_gross_amount") }} as numeric(24, 4)
        ) as gross_amount,
        cast({{ converted_amount("orders.source_tax_amount") }} as numeric(24, 4)) as tax_amount,
        cast(
            {{ converted_amount("orders.source_shipping_amount") }} as numeric(24, 4)
        ) as shipping_amount,
        cast(
            {{ converted_amount("orders.source_discount_amount") }} as numeric(24, 4)
        ) as discount_amount,
        orders.coupon,
        rates.rate,
        rates.reporting_rate
    from orders
    left join rates
        on
            orders.currency = rates.currency
            and orders.order_date >= rates.valid_from
            and orders.order_date < rates.valid_until
)

select * from final
