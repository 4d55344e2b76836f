with metrics as (
    select
        *,
        {{ month_start("metric_date") }} as month_start_date
    from {{ ref("fct_product_metrics") }}
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
        month_start_date,
        product_id,
        cast(view_count as bigint) as view_count,
        cast(add_to_cart_count as bigint) as add_to_cart_count,
        cast(remove_from_cart_count as bigint) as remove_from_cart_count,
        cast(view_session_count as bigint) as view_session_count,
        cast(cart_session_count as bigint) as cart_session_count,
        cast(view_to_cart_session_count as bigint) as view_to_cart_session_count,
        cast(cart_to_purchase_session_count as bigint) as cart_to_purchase_session_count,
        {{ rate("view_to_cart_session_count", "view_session_count") }} as view_to_cart_rate,
        {{ rate("cart_to_purchase_session_count", "cart_session_count") }}
            as cart_to_purchase_rate,
        cast(order_count as bigint) as order_count,
        cast(purchased_quantity as bigint) as purchased_quantity,
        cast(gross_revenue_amount as numeric(24, 4)) as gross_revenue_amount,
        cast(all_gross_revenue_amount as numeric(24, 4)) as all_gross_revenue_amount,
        {{ rate("gross_revenue_amount", "all_gross_revenue_amount") }} as revenue_share_rate,
        revenue_rank
    from months_ranked
)

select * from final
