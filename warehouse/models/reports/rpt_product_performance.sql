with metrics as (
    select
        *,
        {{ month_start("metric_date") }} as month_start_date
    from {{ ref("fct_product_metrics") }}
),

products as (
    select
        product_id,
        product_name,
        category,
        brand,
        unit_price_amount
    from {{ ref("dim_products") }}
),

months_aggregated as (
    select
        month_start_date,
        product_id,
        sum(view_count) as view_count,
        sum(add_to_cart_count) as add_to_cart_count,
        sum(remove_from_cart_count) as remove_from_cart_count,
        sum(view_session_count) as view_session_count,
        sum(cart_session_count) as cart_session_count,
        sum(view_to_cart_session_count) as view_to_cart_session_count,
        sum(cart_to_purchase_session_count) as cart_to_purchase_session_count,
        sum(order_count) as order_count,
        sum(purchased_quantity) as purchased_quantity,
        sum(gross_revenue_amount) as gross_revenue_amount
    from metrics
    group by month_start_date, product_id
),

months_ranked as (
    select
        *,
        sum(gross_revenue_amount) over (partition by month_start_date) as all_gross_revenue_amount,
        row_number() over (
            partition by month_start_date
            order by gross_revenue_amount desc, view_count desc, product_id asc
        ) as revenue_rank
    from months_aggregated
),

final as (
    select
        months_ranked.month_start_date,
        cast(months_ranked.product_id as varchar(255)) as product_id,
        cast(coalesce(products.product_name, months_ranked.product_id) as varchar(500))
            as product_name,
        cast(coalesce(products.category, '(unknown)') as varchar(255)) as category,
        cast(coalesce(products.brand, '(unknown)') as varchar(255)) as brand,
        cast(products.unit_price_amount as numeric(24, 4)) as unit_price_amount,
        cast(months_ranked.view_count as bigint) as view_count,
        cast(months_ranked.add_to_cart_count as bigint) as add_to_cart_count,
        cast(months_ranked.remove_from_cart_count as bigint) as remove_from_cart_count,
        cast(months_ranked.view_session_count as bigint) as view_session_count,
        cast(months_ranked.cart_session_count as bigint) as cart_session_count,
        cast(months_ranked.view_to_cart_session_count as bigint) as view_to_cart_session_count,
        cast(months_ranked.cart_to_purchase_session_count as bigint)
            as cart_to_purchase_session_count,
        {{ rate("months_ranked.view_to_cart_session_count", "months_ranked.view_session_count") }}
            as view_to_cart_rate,
        {{ rate(
            "months_ranked.cart_to_purchase_session_count", "months_ranked.cart_session_count"
        ) }} as cart_to_purchase_rate,
        cast(months_ranked.order_count as bigint) as order_count,
        cast(months_ranked.purchased_quantity as bigint) as purchased_quantity,
        cast(months_ranked.gross_revenue_amount as numeric(24, 4)) as gross_revenue_amount,
        cast(months_ranked.all_gross_revenue_amount as numeric(24, 4)) as all_gross_revenue_amount,
        {{ rate("months_ranked.gross_revenue_amount", "months_ranked.all_gross_revenue_amount") }}
            as revenue_share_rate,
        months_ranked.revenue_rank
    from months_ranked
    left join products on months_ranked.product_id = products.product_id
)

select * from final
