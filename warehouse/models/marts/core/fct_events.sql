-- depends_on: {{ ref("int_load_days_aggregated") }}
with events as (
    select *
    from {{ ref("stg_raw__events") }}
    where {{ of_changed_events("visitor_id") }}
),

sessionized_events as (
    select
        event_id,
        user_key,
        session_id,
        session_event_number
    from {{ ref("int_events_sessionized") }}
    where {{ of_changed_events("session_id") }} and {{ of_changed_events() }}
),

visitors as (
    select
        visitor_id,
        is_bot
    from {{ ref("int_visitors_flagged") }}
    where {{ of_changed_events("visitor_id") }}
),

items as (
    select
        event_id,
        count(*) as item_count
    from {{ ref("stg_raw__event_items") }}
    where {{ of_changed_events() }}
    group by event_id
),

final as (
    select
        events.event_id,
        events.event_type,
        events.event_name,
        events.event_at,
        events.event_date,
        events.received_at,
        events.visitor_id,
        sessionized_events.user_key,
        events.user_id,
        sessionized_events.session_id,
        sessionized_events.session_event_number,
        events.source_session_id,
        events.order_id,
        events.page_url,
        events.page_type,
        events.referrer,
        events.search_term,
        events.experiment_id,
        events.variant_id,
        cast(coalesce(items.item_count, 0) as integer) as item_count,
        {{ device_key("events.device_type", "events.browser", "events.os") }} as device_key,
        events.country,
        visitors.is_bot,
        events.source,
        events.load_id
    from events
    inner join sessionized_events
        on events.event_id = sessionized_events.event_id
    inner join visitors
        on events.visitor_id = visitors.visitor_id
    left join items
        on events.event_id = items.event_id
)

select * from final
