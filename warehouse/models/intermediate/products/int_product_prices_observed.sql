with events as (
    select
        event_id,
        event_at,
        event_date,
        visitor_id,
        coalesce(currency, '{{ var("reporting_currency") }}') as currency
    from {{ ref("stg_raw__events") }}
    where event_type in ('product_view', 'add_to_cart') and {{ of_changed_visitors() }}
),

-- A price of 0 stands for one that is not known.
items as (
    select
        event_id,
        product_id,
        source_unit_price_amount
    from {{ ref("stg_raw__event_items") }}
    where source_unit_price_amount > 0
),

visitors as (
    select
        visitor_id,
        is_bot
    from {{ ref("int_visitors_flagged") }}
    where {{ of_changed_visitors() }}
),

observations as (
    select
        events.visitor_id,
        items.product_id,
        events.currency,
        events.event_date,
        items.source_unit_price_amount,
        max(events.event_at) as last_seen_at
    from events
    inner join items on events.event_id = items.event_id
    group by
        events.visitor_id,
        items.product_id,
        events.currency,
        events.event_date,
        items.source_unit_price_amount
),

final as (
    select
        observations.visitor_id,
        observations.product_id,
        observations.currency,
        observations.event_date,
        observations.source_unit_price_amount,
        observations.last_seen_at,
        visitors.is_bot
    from observations
    inner join visitors on observations.visitor_id = visitors.visitor_id
)

select * from final
