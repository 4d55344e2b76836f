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

events as (
    select
        event_id,
        event_type,
        event_date
    from {{ ref("fct_events") }}
    where event_type in ('product_view', 'add_to_cart') and {{ is_counted() }}
),

event_products as (
    select distinct
        event_id,
        product_id
    from {{ ref("stg_raw__event_items") }}
),

order_items as (
    select
        order_date,
        product_id,
        quantity
    from {{ ref("fct_order_items") }}
    where {{ is_counted() }}
),

counts as (
    select
        events.event_date as metric_date,
        event_products.product_id,
        count(*) filter (where events.event_type = 'product_view') as view_count,
        count(*) filter (where events.event_type = 'add_to_cart') as add_to_cart_count,
        0 as purchased_quantity
    from events
    inner join event_products
        on events.event_id = event_products.event_id
    group by events.event_date, event_products.product_id
    union all
    select
        order_date as metric_date,
        product_id,
        0 as view_count,
        0 as add_to_cart_count,
        sum(quantity) as purchased_quantity
    from order_items
    group by order_date, product_id
),

marts as (
    select
        metric_date,
        product_id,
        sum(view_count) as view_count,
        sum(add_to_cart_count) as add_to_cart_count,
        sum(purchased_quantity) as purchased_quantity
    from counts
    group by metric_date, product_id
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
