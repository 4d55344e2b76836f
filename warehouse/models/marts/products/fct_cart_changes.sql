with changes as (
    select *
    from {{ ref("int_cart_changes_valued") }}
    where {{ of_changed_users("session_id", of="fct_carts") }}
),

carts as (
    select
        session_id,
        visitor_id,
        user_key,
        cart_date,
        is_bot
    from {{ ref("fct_carts") }}
    where {{ of_changed_users() }}
),

events_aggregated as (
    select
        session_id,
        event_id,
        event_type,
        event_at,
        session_event_number,
        count(*) as product_count,
        sum(added_quantity) as added_quantity,
        sum(removed_quantity) as removed_quantity,
        sum(change_quantity) as change_quantity,
        sum(change_amount) as change_amount,
        bool_or(unit_price_amount is not null) as has_price
    from changes
    group by session_id, event_id, event_type, event_at, session_event_number
),

totals_run as (
    select
        *,
        row_number() over so_far as cart_change_number,
        sum(change_quantity) over so_far as cart_quantity,
        case
            when bool_or(has_price) over so_far then sum(change_amount) over so_far
        end as cart_amount,
        lead(event_id) over (
            partition by session_id order by session_event_number
        ) is null as is_last_change
    from events_aggregated
    window so_far as (
        partition by session_id
        order by session_event_number
        rows between unbounded preceding and current row
    )
),

final as (
    select
        totals_run.event_id,
        totals_run.session_id,
        carts.visitor_id,
        carts.user_key,
        carts.cart_date,
        totals_run.event_at as changed_at,
        totals_run.event_type,
        cast(totals_run.cart_change_number as integer) as cart_change_number,
        totals_run.product_count,
        cast(totals_run.added_quantity as bigint) as added_quantity,
        cast(totals_run.removed_quantity as bigint) as removed_quantity,
        cast(totals_run.change_quantity as bigint) as change_quantity,
        cast(totals_run.change_amount as numeric(24, 4)) as change_amount,
        cast(totals_run.cart_quantity as bigint) as cart_quantity,
        cast(totals_run.cart_amount as numeric(24, 4)) as cart_amount,
        totals_run.is_last_change,
        carts.is_bot
    from totals_run
    inner join carts on totals_run.session_id = carts.session_id
)

select * from final
