-- A cart's products, and its last change, come to what fct_carts says of it. Each is followed on
-- its own: from the first change to the last, and as totals.
with carts as (
    select
        session_id,
        added_quantity,
        removed_quantity,
        final_quantity,
        final_cart_amount,
        lost_revenue_amount
    from {{ ref("fct_carts") }}
),

items as (
    select
        session_id,
        sum(added_quantity) as added_quantity,
        sum(removed_quantity) as removed_quantity,
        sum(final_quantity) as final_quantity,
        sum(final_amount) as final_cart_amount,
        sum(lost_revenue_amount) as lost_revenue_amount
    from {{ ref("fct_cart_items") }}
    group by session_id
),

last_changes as (
    select
        session_id,
        cart_quantity,
        cart_amount
    from {{ ref("fct_cart_changes") }}
    where is_last_change
)

select
    carts.session_id,
    carts.final_quantity,
    items.final_quantity as items_final_quantity,
    last_changes.cart_quantity as last_change_quantity,
    carts.final_cart_amount,
    items.final_cart_amount as items_final_cart_amount,
    last_changes.cart_amount as last_change_amount
from carts
left join items on carts.session_id = items.session_id
left join last_changes on carts.session_id = last_changes.session_id
where
    carts.added_quantity <> coalesce(items.added_quantity, 0)
    or carts.removed_quantity <> coalesce(items.removed_quantity, 0)
    or carts.final_quantity <> coalesce(items.final_quantity, 0)
    or carts.final_quantity <> coalesce(last_changes.cart_quantity, 0)
    or carts.final_cart_amount is distinct from items.final_cart_amount
    or carts.final_cart_amount is distinct from last_changes.cart_amount
    or carts.lost_revenue_amount <> coalesce(items.lost_revenue_amount, 0)
