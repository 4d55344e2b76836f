-- Spark and dbt see each product viewed, added to carts and bought as often on each day.
with aggregates as (
    select
        metric_date,
        product_id,
        view_count,
        add_to_cart_count,
        purchased_quantity
    from {{ source("raw", "agg_products") }}
),

marts as (
    select
        metric_date,
        product_id,
        view_count,
        add_to_cart_count,
        purchased_quantity
    from {{ ref("fct_product_metrics") }}
    where view_count > 0 or add_to_cart_count > 0 or purchased_quantity > 0
)

select
    coalesce(marts.metric_date, aggregates.metric_date) as metric_date,
    coalesce(marts.product_id, aggregates.product_id) as product_id,
    marts.view_count as marts_view_count,
    aggregates.view_count as aggregates_view_count,
    marts.add_to_cart_count as marts_add_to_cart_count,
    aggregates.add_to_cart_count as aggregates_add_to_cart_count,
    marts.purchased_quantity as marts_purchased_quantity,
    aggregates.purchased_quantity as aggregates_purchased_quantity
from marts
full outer join aggregates
    on
        marts.metric_date = aggregates.metric_date
        and marts.product_id = aggregates.product_id
where
    marts.view_count is distinct from aggregates.view_count
    or marts.add_to_cart_count is distinct from aggregates.add_to_cart_count
    or marts.purchased_quantity is distinct from aggregates.purchased_quantity
