with events as (
    select
        event_id,
        event_at,
        event_date,
        visitor_id,
        coalesce(currency, '{{ var("reporting_currency") }}') as currency,
        load_id
    from {{ ref("stg_raw__events") }}
    where event_type in ('product_view', 'add_to_cart') and {{ of_new_loads() }}
),

-- A price of 0 stands for one that is not known.
items as (
    select
        event_id,
        product_id,
        source_unit_price_amount
    from {{ ref("stg_raw__event_items") }}
    where source_unit_price_amount > 0 and {{ of_new_loads() }}
),

final as (
    select
        events.load_id,
        events.visitor_id,
        items.product_id,
        events.currency,
        events.event_date,
        items.source_unit_price_amount,
        max(events.event_at) as last_seen_at
    from events
    inner join items on events.event_id = items.event_id
    group by
        events.load_id,
        events.visitor_id,
        items.product_id,
        events.currency,
        events.event_date,
        items.source_unit_price_amount
)

select * from final
