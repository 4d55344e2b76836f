-- depends_on: {{ ref("int_load_day_types_aggregated") }}
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
        events.item_count,
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
)

select * from final
