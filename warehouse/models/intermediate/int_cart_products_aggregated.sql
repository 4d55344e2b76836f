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
    where event_type in ('add_to_cart', 'remove_from_cart') and {{ of_changed_visitors() }}
),

events as (
    select
        event_id,
        coalesce(currency, '{{ var("reporting_currency") }}') as currency
    from {{ ref("stg_raw__events") }}
    where event_type in ('add_to_cart', 'remove_from_cart') and {{ of_changed_visitors() }}
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

cart_lines as (
    select
        sessionized_events.session_id,
        sessionized_events.visitor_id,
        items.product_id,
        case
            when sessionized_events.event_type = 'add_to_cart' then items.quantity else 0
        end as added_quantity,
        case
            when sessionized_events.event_type = 'remove_from_cart' then items.quantity else 0
        end as removed_quantity,
        {{ converted_amount("items.source_unit_price_amount") }} as unit_price_amount,
        row_number() over (
            partition by sessionized_events.session_id, items.product_id
            order by
                items.source_unit_price_amount is null,
                sessionized_events.session_event_number desc,
                {{ bytewise("items.line_id") }} desc
        ) as price_recency_number
    from sessionized_events
    inner join events
        on sessionized_events.event_id = events.event_id
    inner join items
        on sessionized_events.event_id = items.event_id
    left join rates
        on
            events.currency = rates.currency
            and sessionized_events.event_date >= rates.valid_from
            and sessionized_events.event_date < rates.valid_until
),

final as (
    select
        session_id,
        visitor_id,
        product_id,
        sum(added_quantity) as added_quantity,
        sum(removed_quantity) as removed_quantity,
        greatest(sum(added_quantity) - sum(removed_quantity), 0) as final_quantity,
        cast(
            max(unit_price_amount) filter (where price_recency_number = 1) as numeric(24, 4)
        ) as unit_price_amount
    from cart_lines
    group by session_id, visitor_id, product_id
)

select * from final
