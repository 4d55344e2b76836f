with changes as (
    select
        session_id,
        visitor_id,
        product_id,
        added_quantity,
        removed_quantity,
        cart_quantity,
        unit_price_amount,
        is_last_change
    from {{ ref("int_cart_changes_valued") }}
    where {{ of_changed_sessions() }}
),

final as (
    select
        session_id,
        visitor_id,
        product_id,
        cast(sum(added_quantity) as bigint) as added_quantity,
        cast(sum(removed_quantity) as bigint) as removed_quantity,
        max(case when is_last_change then cart_quantity end) as final_quantity,
        cast(
            max(case when is_last_change then unit_price_amount end) as numeric(24, 4)
        ) as unit_price_amount
    from changes
    group by session_id, visitor_id, product_id
)

select * from final
