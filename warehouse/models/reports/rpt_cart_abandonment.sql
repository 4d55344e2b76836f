with carts as (
    select
        cart_date,
        coalesce(device_type, '(unknown)') as device_type,
        channel,
        is_purchased,
        is_abandoned,
        is_recovered,
        final_cart_amount,
        lost_revenue_amount,
        hours_to_recovery
    from {{ ref("fct_carts") }}
    where {{ is_counted() }}
),

carts_aggregated as (
    select
        cart_date,
        device_type,
        channel,
        count(*) as cart_count,
        count(case when is_purchased then 1 end) as purchased_cart_count,
        count(case when is_abandoned then 1 end) as abandoned_cart_count,
        count(case when is_recovered then 1 end) as recovered_cart_count,
        sum(coalesce(final_cart_amount, 0)) as cart_amount,
        sum(coalesce(lost_revenue_amount, 0)) as lost_revenue_amount,
        sum(case when is_recovered then coalesce(lost_revenue_amount, 0) else 0 end)
            as recovered_revenue_amount,
        avg(hours_to_recovery) as average_hours_to_recovery
    from carts
    group by cart_date, device_type, channel
),

final as (
    select
        cart_date,
        cast(device_type as varchar(64)) as device_type,
        cast(channel as varchar(64)) as channel,
        cart_count,
        purchased_cart_count,
        abandoned_cart_count,
        recovered_cart_count,
        {{ rate("abandoned_cart_count", "cart_count") }} as abandonment_rate,
        {{ rate("recovered_cart_count", "abandoned_cart_count") }} as recovery_rate,
        cast(cart_amount as numeric(24, 4)) as cart_amount,
        cast(lost_revenue_amount as numeric(24, 4)) as lost_revenue_amount,
        cast(recovered_revenue_amount as numeric(24, 4)) as recovered_revenue_amount,
        cast(lost_revenue_amount - recovered_revenue_amount as numeric(24, 4))
            as net_lost_revenue_amount,
        cast(lost_revenue_amount / nullif(abandoned_cart_count, 0) as numeric(24, 4))
            as average_lost_amount,
        cast(average_hours_to_recovery as numeric(12, 2)) as average_hours_to_recovery
    from carts_aggregated
)

select * from final
