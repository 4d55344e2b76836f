with observations as (
    select * from {{ ref("int_products_observed") }}
),

rates as (
    select * from {{ ref("int_exchange_rates") }}
),

products as (
    select
        observations.product_id,
        {{ last_known("product_name") }} as product_name,
        {{ last_known("category") }} as category,
        {{ last_known("brand") }} as brand,
        {{ last_known(converted_amount("source_unit_price_amount")) }} as unit_price_amount,
        min(observations.first_seen_at) as first_seen_at,
        max(observations.last_seen_at) as last_seen_at
    from observations
    left join rates
        on
            observations.currency = rates.currency
            and observations.last_seen_date >= rates.valid_from
            and observations.last_seen_date < rates.valid_until
    group by observations.product_id
),

final as (
    select
        product_id,
        product_name,
        category,
        brand,
        cast(unit_price_amount as numeric(24, 4)) as unit_price_amount,
        first_seen_at,
        last_seen_at
    from products
)

select * from final
