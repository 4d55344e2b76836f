with events as (
    select
        event_id,
        event_type,
        event_at,
        visitor_id,
        session_id,
        session_event_number
    from {{ ref("int_events_sessionized") }}
    where
        event_type in ('product_view', 'add_to_cart', 'purchase')
        and {{ of_changed_sessions() }}
),

items as (
    select
        event_id,
        product_id
    from {{ ref("stg_raw__event_items") }}
),

-- An event may hold a product on several lines.
steps as (
    select distinct
        events.event_id,
        events.event_type,
        events.event_at,
        events.visitor_id,
        events.session_id,
        events.session_event_number,
        items.product_id
    from events
    inner join items on events.event_id = items.event_id
),

steps_ranked as (
    select
        *,
        row_number() over (
            partition by session_id, product_id, event_type
            order by session_event_number
        ) as repeat_number
    from steps
),

-- No view but the first can bring a session further than the first does.
final as (
    select
        visitor_id,
        session_id,
        product_id,
        event_id,
        event_type,
        event_at
    from steps_ranked
    where repeat_number = 1 or event_type <> 'product_view'
)

select * from final
