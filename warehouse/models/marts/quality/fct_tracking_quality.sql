with dates as (
    select date_day
    from {{ ref("dim_dates") }}
),

span as (
    select * from {{ ref("int_span_observed") }}
),

events_typed as (
    select
        *,
        -- Purchases and refunds may come from a server, and so may custom events.
        event_type not in ('purchase', 'refund', 'custom') as has_page,
        event_type in (
            'product_click', 'product_view', 'add_to_cart', 'remove_from_cart', 'purchase'
        ) as has_product,
        event_type = 'purchase' as has_order
    from {{ ref("int_load_day_types_aggregated") }}
),

events as (
    select
        event_date,
        sum(event_count) as event_count,
        sum(received_event_count) as received_event_count,
        sum(late_event_count) as late_event_count,
        sum(next_day_event_count) as next_day_event_count,
        sum(early_event_count) as early_event_count,
        max(longest_delay_seconds) as longest_delay_seconds,
        sum(declared_bot_event_count) as declared_bot_event_count,
        sum(case when has_page then event_count else 0 end) as page_event_count,
        sum(case when has_page then event_count - page_named_event_count else 0 end)
            as missing_page_event_count,
        sum(case when has_product then event_count else 0 end) as product_event_count,
        sum(case when has_product then event_count - product_named_event_count else 0 end)
            as missing_product_event_count,
        sum(case when has_order then event_count else 0 end) as purchase_event_count,
        sum(case when has_order then event_count - order_named_event_count else 0 end)
            as missing_order_id_event_count
    from events_typed
    group by event_date
),

bot_events as (
    select
        event_date,
        sum(event_count) as bot_event_count
    from {{ ref("int_bot_day_types_aggregated") }}
    group by event_date
),

unknown_users as (
    select
        event_date,
        sum(event_count) as unknown_user_event_count
    from {{ ref("int_visitor_days_aggregated") }}
    where user_id is null
    group by event_date
),

purchase_events as (
    select
        event_id,
        is_currency_given
    from {{ ref("int_purchase_events") }}
),

orders as (
    select
        orders.order_date,
        count(*) as order_count,
        count(*) - count(orders.source_gross_amount) as missing_amount_order_count,
        count(case when not purchase_events.is_currency_given then 1 end)
            as missing_currency_order_count
    from {{ ref("fct_orders") }} as orders
    inner join purchase_events on orders.event_id = purchase_events.event_id
    group by orders.order_date
),

order_lines as (
    select
        order_date,
        count(*) as order_line_count,
        count(*) - count(unit_price_amount) as missing_price_line_count
    from {{ ref("fct_order_items") }}
    group by order_date
),

sessions as (
    select
        session_date,
        count(*) as session_count
    from {{ ref("fct_sessions") }}
    group by session_date
),

runaway_sessions as (
    select
        session_date,
        count(*) as runaway_session_count
    from {{ ref("fct_runaway_sessions") }}
    group by session_date
),

final as (
    select
        dates.date_day as metric_date,
        dates.date_day between span.first_date and span.last_date as is_in_span,
        cast(coalesce(events.event_count, 0) as bigint) as event_count,
        cast(coalesce(events.received_event_count, 0) as bigint) as received_event_count,
        cast(coalesce(events.late_event_count, 0) as bigint) as late_event_count,
        {{ rate("events.late_event_count", "events.received_event_count") }} as late_event_rate,
        cast(coalesce(events.next_day_event_count, 0) as bigint) as next_day_event_count,
        cast(coalesce(events.early_event_count, 0) as bigint) as early_event_count,
        cast(events.longest_delay_seconds / 3600 as numeric(12, 2)) as longest_delay_hours,
        cast(coalesce(events.declared_bot_event_count, 0) as bigint) as declared_bot_event_count,
        cast(coalesce(bot_events.bot_event_count, 0) as bigint) as bot_event_count,
        {{ rate("coalesce(bot_events.bot_event_count, 0)", "events.event_count") }}
            as bot_event_rate,
        cast(coalesce(unknown_users.unknown_user_event_count, 0) as bigint)
            as unknown_user_event_count,
        {{ rate("coalesce(unknown_users.unknown_user_event_count, 0)", "events.event_count") }}
            as unknown_user_event_rate,
        cast(coalesce(events.page_event_count, 0) as bigint) as page_event_count,
        cast(coalesce(events.missing_page_event_count, 0) as bigint) as missing_page_event_count,
        cast(coalesce(events.product_event_count, 0) as bigint) as product_event_count,
        cast(coalesce(events.missing_product_event_count, 0) as bigint)
            as missing_product_event_count,
        cast(coalesce(events.purchase_event_count, 0) as bigint) as purchase_event_count,
        cast(coalesce(events.missing_order_id_event_count, 0) as bigint)
            as missing_order_id_event_count,
        coalesce(orders.order_count, 0) as order_count,
        coalesce(orders.missing_amount_order_count, 0) as missing_amount_order_count,
        coalesce(orders.missing_currency_order_count, 0) as missing_currency_order_count,
        coalesce(order_lines.order_line_count, 0) as order_line_count,
        coalesce(order_lines.missing_price_line_count, 0) as missing_price_line_count,
        coalesce(sessions.session_count, 0) as session_count,
        coalesce(runaway_sessions.runaway_session_count, 0) as runaway_session_count
    from dates
    cross join span
    left join events on dates.date_day = events.event_date
    left join bot_events on dates.date_day = bot_events.event_date
    left join unknown_users on dates.date_day = unknown_users.event_date
    left join orders on dates.date_day = orders.order_date
    left join order_lines on dates.date_day = order_lines.order_date
    left join sessions on dates.date_day = sessions.session_date
    left join runaway_sessions on dates.date_day = runaway_sessions.session_date
)

select * from final
