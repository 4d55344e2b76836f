with events as (
    select
        event_id,
        order_id,
        source_order_amount,
        source_tax_amount,
        source_shipping_amount,
        source_discount_amount,
        coupon,
        coalesce(currency, '{{ var("reporting_currency") }}') as currency,
        currency is not null as is_currency_given
    from {{ ref("stg_raw__events") }}
    where event_type = 'purchase' and {{ of_changed_visitors() }}
),

sessionized_events as (
    select
        event_id,
        event_at,
        event_date,
        visitor_id,
        user_key,
        session_id
    from {{ ref("int_events_sessionized") }}
    where event_type = 'purchase' and {{ of_changed_visitors() }}
),

orders_keyed as (
    select
        sessionized_events.*,
        events.order_id,
        events.source_order_amount,
        events.source_tax_amount,
        events.source_shipping_amount,
        events.source_discount_amount,
        events.coupon,
        events.currency,
        events.is_currency_given,
        coalesce(
            {{ hash_key(["'order'", "events.order_id"]) }},
            {{ hash_key(["'event'", "events.event_id"]) }}
        ) as order_key
    from sessionized_events
    inner join events
        on sessionized_events.event_id = events.event_id
),

final as (
    select
        event_id,
        order_key,
        row_number() over (
            partition by order_key order by event_at, {{ bytewise("event_id") }}
        ) as order_event_number,
        order_id,
        event_at,
        event_date,
        visitor_id,
        user_key,
        session_id,
        source_order_amount,
        source_tax_amount,
        source_shipping_amount,
        source_discount_amount,
        coupon,
        currency,
        is_currency_given
    from orders_keyed
)

select * from final
