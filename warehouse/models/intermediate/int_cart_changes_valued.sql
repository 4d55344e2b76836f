with sessionized_events as (
    select
        event_id,
        event_type,
        event_at,
        event_date,
        visitor_id,
        session_id,
        session_event_number
    from {{ ref("int_events_sessionized") }}
    where event_type in ('add_to_cart', 'remove_from_cart') and {{ of_changed_sessions() }}
),

events as (
    select
        event_id,
        coalesce(currency, '{{ var("reporting_currency") }}') as currency
    from {{ ref("stg_raw__events") }}
    where event_type in ('add_to_cart', 'remove_from_cart')
),

items as (
    select
        event_id,
        line_id,
        product_id,
        quantity,
        source_unit_price_amount
    from {{ ref("stg_raw__event_items") }}
),

rates as (
    select * from {{ ref("int_exchange_rates") }}
),

lines_ranked as (
    select
        sessionized_events.*,
        items.product_id,
        items.quantity,
        items.source_unit_price_amount is not null as has_price,
        {{ converted_amount("items.source_unit_price_amount") }} as unit_price_amount,
        row_number() over (
            partition by items.event_id, items.product_id
            order by items.source_unit_price_amount is null, {{ bytewise("items.line_id") }} desc
        ) as price_recency_number
    from sessionized_events
    inner join events on sessionized_events.event_id = events.event_id
    inner join items on sessionized_events.event_id = items.event_id
    left join rates
        on
            events.currency = rates.currency
            and sessionized_events.event_date >= rates.valid_from
            and sessionized_events.event_date < rates.valid_until
),

changes as (
    select
        visitor_id,
        session_id,
        event_id,
        event_type,
        event_at,
        session_event_number,
        product_id,
        sum(case when event_type = 'add_to_cart' then quantity else 0 end) as added_quantity,
        sum(case when event_type = 'remove_from_cart' then quantity else 0 end)
            as removed_quantity,
        bool_or(has_price) as has_price,
        max(case when price_recency_number = 1 then unit_price_amount end) as unit_price_amount
    from lines_ranked
    group by
        visitor_id,
        session_id,
        event_id,
        event_type,
        event_at,
        session_event_number,
        product_id
),

-- A change without a price keeps the price before it: all of one number share one price.
totals_run as (
    select
        *,
        sum(added_quantity) over so_far as added_so_far_quantity,
        sum(removed_quantity) over so_far as removed_so_far_quantity,
        count(case when has_price then 1 end) over so_far as price_number,
        lead(event_id) over (
            partition by session_id, product_id order by session_event_number
        ) is null as is_last_change
    from changes
    window so_far as (
        partition by session_id, product_id
        order by session_event_number
        rows between unbounded preceding and current row
    )
),

prices_carried as (
    select
        visitor_id,
        session_id,
        event_id,
        event_type,
        event_at,
        session_event_number,
        product_id,
        added_quantity,
        removed_quantity,
        greatest(added_so_far_quantity - removed_so_far_quantity, 0) as cart_quantity,
        max(unit_price_amount) over (
            partition by session_id, product_id, price_number
        ) as unit_price_amount,
        is_last_change
    from totals_run
),

final as (
    select
        visitor_id,
        session_id,
        event_id,
        event_type,
        event_at,
        session_event_number,
        product_id,
        cast(added_quantity as bigint) as added_quantity,
        cast(removed_quantity as bigint) as removed_quantity,
        cast(cart_quantity as bigint) as cart_quantity,
        cast(
            cart_quantity - coalesce(lag(cart_quantity) over by_product, 0) as bigint
        ) as change_quantity,
        cast(unit_price_amount as numeric(24, 4)) as unit_price_amount,
        cast(cart_quantity * unit_price_amount as numeric(24, 4)) as cart_amount,
        cast(
            coalesce(cart_quantity * unit_price_amount, 0)
            - coalesce(lag(cart_quantity * unit_price_amount) over by_product, 0)
            as numeric(24, 4)
        ) as change_amount,
        is_last_change
    from prices_carried
    window by_product as (partition by session_id, product_id order by session_event_number)
)

select * from final
