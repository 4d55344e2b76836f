with items as (
    select
        event_id,
        line_id,
        product_id,
        product_name,
        category,
        brand,
        source_unit_price_amount
    from {{ ref("stg_raw__event_items") }}
    where {{ of_new_loads() }}
),

events as (
    select
        event_id,
        event_at,
        event_date,
        load_id,
        coalesce(currency, '{{ var("reporting_currency") }}') as currency
    from {{ ref("stg_raw__events") }}
    where {{ of_new_loads() }}
),

observations as (
    select
        items.product_id,
        items.product_name,
        items.category,
        items.brand,
        items.source_unit_price_amount,
        events.currency,
        events.load_id,
        min(events.event_at) as first_seen_at,
        max(events.event_at) as last_seen_at,
        max(events.event_date) as last_seen_date,
        max(
            {{ sortable_moment("events.event_at", "events.event_id") }}
            || chr(31) || items.line_id
        ) as last_seen_moment
    from items
    inner join events
        on items.event_id = events.event_id
    group by
        items.product_id,
        items.product_name,
        items.category,
        items.brand,
        items.source_unit_price_amount,
        events.currency,
        events.load_id
),

final as (
    select
        {{ hash_key([
            "product_id", "coalesce(product_name, '')", "coalesce(category, '')",
            "coalesce(brand, '')", "coalesce(cast(source_unit_price_amount as text), '')",
            "currency", "cast(load_id as text)"
        ]) }} as product_observation_key,
        product_id,
        product_name,
        category,
        brand,
        source_unit_price_amount,
        currency,
        load_id,
        first_seen_at,
        last_seen_at,
        last_seen_date,
        last_seen_moment
    from observations
)

select * from final
