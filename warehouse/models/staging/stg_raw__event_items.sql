select
    event_id,
    line_id,
    product_id,
    nullif(product_name, '') as product_name,
    nullif(category, '') as category,
    nullif(brand, '') as brand,
    nullif(variant, '') as variant,
    coalesce(quantity, 1) as quantity,
    unit_price as source_unit_price_amount,
    discount as source_discount_amount,
    load_id
from {{ source("raw", "event_items") }}
