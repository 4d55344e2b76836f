with items as (
    select * from {{ source("raw", "event_items") }}
),

renamed as (
    select
        event_id,
        line_id,
        product_id,
        product_name,
        category,
        brand,
        variant,
        coalesce(quantity, 1) as quantity,
        unit_price as source_unit_price_amount,
        discount as source_discount_amount,
        load_id
    from items
)

select * from renamed
