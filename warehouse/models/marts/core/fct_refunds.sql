with events as (
    select
        event_id,
        order_id,
        source_order_amount,
        currency
    from {{ ref("stg_raw__events") }}
    where event_type = 'refund'
),

sessionized_events as (
    select
        event_id,
        event_at,
        event_date,
        visitor_id,
        user_key
    from {{ ref("int_events_sessionized") }}
    where event_type = 'refund' and {{ of_changed_visitors() }}
),

items as (
    select
        items.event_id,
        sum(items.quantity * items.source_unit_price_amount) as source_gross_amount
    from {{ ref("stg_raw__event_items") }} as items
    inner join sessionized_events
        on items.event_id = sessionized_events.event_id
    group by items.event_id
),

orders as (
    select
        order_key,
        order_id,
        order_date,
        visitor_id,
        currency,
        gross_amount
    from {{ ref("int_orders_priced") }}
    where {{ of_changed_visitors() }}
),

visitors as (
    select
        visitor_id,
        is_bot
    from {{ ref("int_visitors_flagged") }}
),

rates as (
    select * from {{ ref("int_exchange_rates") }}
),

refunds as (
    select
        events.event_id,
        orders.order_key,
        events.order_id,
        sessionized_events.user_key,
        sessionized_events.event_at as refunded_at,
        sessionized_events.event_date as refund_date,
        coalesce(events.currency, orders.currency, '{{ var("reporting_currency") }}')
            as currency,
        coalesce(orders.order_date, sessionized_events.event_date) as rate_date,
        coalesce(events.source_order_amount, items.source_gross_amount) as source_refund_amount,
        orders.gross_amount as order_gross_amount,
        -- A refund counts where its order counts.
        coalesce(orders.visitor_id, sessionized_events.visitor_id) as visitor_id
    from sessionized_events
    inner join events
        on sessionized_events.event_id = events.event_id
    left join items
        on events.event_id = items.event_id
    left join orders
        on events.order_id = orders.order_id
),

final as (
    select
        refunds.event_id,
        refunds.order_key,
        refunds.order_id,
        refunds.visitor_id,
        refunds.user_key,
        refunds.refunded_at,
        refunds.refund_date,
        cast(
            case
                when refunds.source_refund_amount is null then refunds.order_gross_amount
                else {{ converted_amount("refunds.source_refund_amount") }}
            end as numeric(24, 4)
        ) as refund_amount,
        visitors.is_bot
    from refunds
    inner join visitors
        on refunds.visitor_id = visitors.visitor_id
    left join rates
        on
            refunds.currency = rates.currency
            and refunds.rate_date >= rates.valid_from
            and refunds.rate_date < rates.valid_until
)

select * from final
