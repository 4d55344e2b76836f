with metrics as (
    select * from {{ ref("fct_monthly_product_metrics") }}
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

final as (
    select
        metrics.month_start_date,
        cast(metrics.product_id as varchar(255)) as product_id,
        cast(coalesce(products.product_name, metrics.product_id) as varchar(255)) as product_name,
        cast(coalesce(products.category, '(unknown)') as varchar(255)) as category,
        cast(coalesce(products.brand, '(unknown)') as varchar(255)) as brand,
        cast(products.unit_price_amount as numeric(24, 4)) as unit_price_amount,
        metrics.view_count,
        metrics.add_to_cart_count,
        metrics.remove_from_cart_count,
        metrics.view_session_count,
        metrics.cart_session_count,
        metrics.view_to_cart_session_count,
        metrics.cart_to_purchase_session_count,
        metrics.view_to_cart_rate,
        metrics.cart_to_purchase_rate,
        metrics.order_count,
        metrics.purchased_quantity,
        metrics.gross_revenue_amount,
        metrics.all_gross_revenue_amount,
        metrics.revenue_share_rate,
        metrics.revenue_rank
    from metrics
    left join products on metrics.product_id = products.product_id
)

select * from final
