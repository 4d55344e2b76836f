with cart_products as (
    select
        session_id,
        product_id,
        min(case when event_type = 'add_to_cart' then event_at end) as first_added_at,
        max(event_at) as last_changed_at,
        sum(added_quantity) as added_quantity,
        sum(removed_quantity) as removed_quantity,
        max(case when is_last_change then cart_quantity end) as final_quantity,
        max(case when is_last_change then unit_price_amount end) as unit_price_amount,
        max(case when is_last_change then cart_amount end) as final_amount
    from {{ ref("int_cart_changes_valued") }}
    where {{ of_changed_users("session_id", of="fct_carts") }}
    group by session_id, product_id
),

carts as (
    select
        session_id,
        visitor_id,
        user_key,
        cart_date,
        is_purchased,
        is_abandoned,
        is_recovered,
        recovered_order_key,
        is_bot
    from {{ ref("fct_carts") }}
    where {{ of_changed_users() }}
),

order_items as (
    select
        order_key,
        session_id,
        product_id,
        sum(quantity) as quantity
    from {{ ref("fct_order_items") }}
    group by order_key, session_id, product_id
),

session_purchases as (
    select
        session_id,
        product_id,
        sum(quantity) as quantity
    from order_items
    group by session_id, product_id
),

final as (
    select
        cart_products.session_id,
        cart_products.product_id,
        carts.visitor_id,
        carts.user_key,
        carts.cart_date,
        cart_products.first_added_at,
        cart_products.last_changed_at,
        cast(cart_products.added_quantity as bigint) as added_quantity,
        cast(cart_products.removed_quantity as bigint) as removed_quantity,
        cart_products.final_quantity,
        cast(cart_products.unit_price_amount as numeric(24, 4)) as unit_price_amount,
        cast(cart_products.final_amount as numeric(24, 4)) as final_amount,
        cast(coalesce(session_purchases.quantity, 0) as bigint) as purchased_quantity,
        session_purchases.quantity is not null as is_product_purchased,
        carts.is_purchased,
        carts.is_abandoned,
        cast(
            case when carts.is_abandoned then coalesce(cart_products.final_amount, 0) else 0 end
            as numeric(24, 4)
        ) as lost_revenue_amount,
        carts.is_recovered,
        cast(coalesce(recoveries.quantity, 0) as bigint) as recovered_quantity,
        recoveries.quantity is not null as is_product_recovered,
        carts.is_bot
    from cart_products
    inner join carts on cart_products.session_id = carts.session_id
    left join session_purchases
        on
            cart_products.session_id = session_purchases.session_id
            and cart_products.product_id = session_purchases.product_id
    left join order_items as recoveries
        on
            carts.recovered_order_key = recoveries.order_key
            and cart_products.product_id = recoveries.product_id
)

select * from final
