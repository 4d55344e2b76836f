with items as (
    select
        event_id,
        line_id,
        product_id,
        quantity,
        source_unit_price_amount,
        source_discount_amount
    from {{ ref("stg_raw__event_items") }}
),

purchase_events as (
    select
        event_id,
        visitor_id,
        order_key,
        order_event_number
    from {{ ref("int_purchase_events") }}
    where {{ of_changed_visitors() }}
),

-- A reloaded thank-you page repeats its order's lines: the first event's stand.
lines_ranked as (
    select
        purchase_events.order_key,
        purchase_events.visitor_id,
        items.line_id,
        items.product_id,
        items.quantity,
        items.source_unit_price_amount,
        items.source_discount_amount,
        row_number() over (
            partition by purchase_events.order_key, items.line_id
            order by purchase_events.order_event_number
        ) as repeat_number
    from items
    inner join purchase_events
        on items.event_id = purchase_events.event_id
),

final as (
    select
        {{ hash_key(["cast(order_key as text)", "line_id"]) }} as order_line_key,
        order_key,
        visitor_id,
        line_id,
        product_id,
        quantity,
        source_unit_price_amount,
        cast(quantity * source_unit_price_amount as numeric(24, 4)) as source_gross_amount,
        source_discount_amount
    from lines_ranked
    where repeat_number = 1
)

select * from final
