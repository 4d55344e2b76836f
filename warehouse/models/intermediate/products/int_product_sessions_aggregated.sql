with events as (
    select
        event_id,
        event_type,
        event_date,
        visitor_id,
        session_id,
        is_bot
    from {{ ref("fct_events") }}
    where
        event_type in ('product_view', 'add_to_cart', 'remove_from_cart')
        and {{ of_changed_sessions() }}
),

items as (
    select
        event_id,
        product_id
    from {{ ref("stg_raw__event_items") }}
),

-- An event may hold a product on several lines, and is still one view of it.
product_events as (
    select distinct
        events.visitor_id,
        events.session_id,
        events.event_date as metric_date,
        items.product_id,
        events.event_id,
        events.event_type,
        events.is_bot
    from events
    inner join items on events.event_id = items.event_id
),

final as (
    select
        visitor_id,
        session_id,
        metric_date,
        product_id,
        count(case when event_type = 'product_view' then 1 end) as view_count,
        count(case when event_type = 'add_to_cart' then 1 end) as add_to_cart_count,
        count(case when event_type = 'remove_from_cart' then 1 end) as remove_from_cart_count,
        is_bot
    from product_events
    group by visitor_id, session_id, metric_date, product_id, is_bot
)

select * from final
