with cart_products as (
    select
        session_id,
        sum(added_quantity) as added_quantity,
        sum(removed_quantity) as removed_quantity,
        sum(final_quantity) as final_quantity,
        sum(final_quantity * unit_price_amount) as final_cart_amount
    from {{ ref("int_cart_products_aggregated") }}
    group by session_id
),

cart_events as (
    select
        session_id,
        first_added_at,
        last_cart_change_at
    from {{ ref("int_sessions_aggregated") }}
    where add_to_cart_count > 0 and {{ of_changed_users() }}
),

sessions as (
    select
        session_id,
        visitor_id,
        user_key,
        session_date,
        ended_at,
        is_converted,
        device_type,
        channel,
        is_bot
    from {{ ref("fct_sessions") }}
    where add_to_cart_count > 0 and {{ of_changed_users() }}
),

orders as (
    select
        order_key,
        user_key,
        ordered_at
    from {{ ref("int_orders_priced") }}
    where {{ of_changed_users() }}
),

recoveries_ranked as (
    select
        sessions.session_id,
        orders.order_key,
        orders.ordered_at,
        row_number() over (
            partition by sessions.session_id order by orders.ordered_at, orders.order_key
        ) as recovery_number
    from sessions
    inner join orders
        on
            sessions.user_key = orders.user_key
            and sessions.ended_at < orders.ordered_at
            and orders.ordered_at
            <= {{ later_by("sessions.ended_at", var("cart_recovery_days"), "days") }}
    where not sessions.is_converted
),

final as (
    select
        sessions.session_id,
        sessions.visitor_id,
        sessions.user_key,
        sessions.session_date as cart_date,
        cart_events.first_added_at,
        cart_events.last_cart_change_at as last_changed_at,
        cast(coalesce(cart_products.added_quantity, 0) as bigint) as added_quantity,
        cast(coalesce(cart_products.removed_quantity, 0) as bigint) as removed_quantity,
        cast(coalesce(cart_products.final_quantity, 0) as bigint) as final_quantity,
        cast(cart_products.final_cart_amount as numeric(24, 4)) as final_cart_amount,
        sessions.is_converted as is_purchased,
        not sessions.is_converted as is_abandoned,
        cast(
            case
                when sessions.is_converted then 0
                else coalesce(cart_products.final_cart_amount, 0)
            end as numeric(24, 4)
        ) as lost_revenue_amount,
        recoveries.order_key as recovered_order_key,
        recoveries.order_key is not null as is_recovered,
        cast(
            {{ seconds_between("sessions.ended_at", "recoveries.ordered_at") }} / 3600
            as numeric(9, 2)
        ) as hours_to_recovery,
        sessions.device_type,
        sessions.channel,
        sessions.is_bot
    from sessions
    inner join cart_events
        on sessions.session_id = cart_events.session_id
    left join cart_products
        on sessions.session_id = cart_products.session_id
    left join recoveries_ranked as recoveries
        on sessions.session_id = recoveries.session_id and recoveries.recovery_number = 1
)

select * from final
