with cart_items as (
    select
        cart_date,
        product_id,
        added_quantity,
        removed_quantity,
        final_quantity,
        final_amount,
        is_product_purchased,
        is_abandoned,
        lost_revenue_amount,
        is_recovered,
        is_product_recovered
    from {{ ref("fct_cart_items") }}
    where added_quantity > 0 and {{ is_counted() }}
),

aggregated as (
    select
        cart_date,
        product_id,
        count(*) as cart_count,
        count(case when is_product_purchased then 1 end) as purchased_cart_count,
        count(case when is_abandoned then 1 end) as abandoned_cart_count,
        count(case when is_recovered then 1 end) as recovered_cart_count,
        count(case when is_product_recovered then 1 end) as product_recovered_cart_count,
        sum(added_quantity) as added_quantity,
        sum(removed_quantity) as removed_quantity,
        sum(final_quantity) as final_quantity,
        sum(coalesce(final_amount, 0)) as cart_amount,
        sum(lost_revenue_amount) as lost_revenue_amount,
        sum(case when is_recovered then lost_revenue_amount else 0 end)
            as recovered_revenue_amount
    from cart_items
    group by cart_date, product_id
),

final as (
    select
        cart_date,
        product_id,
        cart_count,
        purchased_cart_count,
        abandoned_cart_count,
        recovered_cart_count,
        product_recovered_cart_count,
        {{ rate("abandoned_cart_count", "cart_count") }} as abandonment_rate,
        {{ rate("recovered_cart_count", "abandoned_cart_count") }} as recovery_rate,
        cast(added_quantity as bigint) as added_quantity,
        cast(removed_quantity as bigint) as removed_quantity,
        cast(final_quantity as bigint) as final_quantity,
        cast(cart_amount as numeric(24, 4)) as cart_amount,
        cast(lost_revenue_amount as numeric(24, 4)) as lost_revenue_amount,
        cast(recovered_revenue_amount as numeric(24, 4)) as recovered_revenue_amount,
        cast(lost_revenue_amount - recovered_revenue_amount as numeric(24, 4))
            as net_lost_revenue_amount
    from aggregated
)

select * from final
