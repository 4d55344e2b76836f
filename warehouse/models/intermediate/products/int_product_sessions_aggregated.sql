with events as (
    select
        event_id,
        event_type,
        event_date,
        visitor_id,
        session_id
    from {{ ref("int_events_sessionized") }}
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

visitors as (
    select
        visitor_id,
        is_bot
    from {{ ref("int_visitors_flagged") }}
    where {{ of_changed_sessions("visitor_id") }}
),

-- An event may hold a product on several lines, and is still one view of it.
product_events as (
    select distinct
        events.visitor_id,
        events.session_id,
        events.event_date as metric_date,
        items.product_id,
        events.event_id,
        events.event_type
    from events
    inner join items on events.event_id = items.event_id
),

product_sessions as (
    select
        visitor_id,
        session_id,
        metric_date,
        product_id,
        cast(count(case when event_type = 'product_view' then 1 end) as integer) as view_count,
        cast(count(case when event_type = 'add_to_cart' then 1 end) as integer)
            as add_to_cart_count,
        cast(count(case when event_type = 'remove_from_cart' then 1 end) as integer)
            as remove_from_cart_count
    from product_events
    group by visitor_id, session_id, metric_date, product_id
),

final as (
    select
        product_sessions.*,
        visitors.is_bot
    from product_sessions
    inner join visitors on product_sessions.visitor_id = visitors.visitor_id
)

-- The rows of a session lie together, for all who read changed sessions.
select * from final
order by session_id
