with events as (
    select
        event_id,
        event_type,
        event_at,
        event_date,
        visitor_id,
        user_id,
        case when trim(source_session_id) <> '' then source_session_id end as source_session_id,
        is_declared_bot
    from {{ ref("stg_raw__events") }}
    where {{ of_changed_visitors() }}
),

visitors as (
    select
        visitor_id,
        user_id,
        user_key
    from {{ ref("int_visitors_identified") }}
    where {{ of_changed_visitors() }}
),

sessionized_events as (
    {{ sessionized("events") | indent(4) }}
),

final as (
    select
        events.event_id,
        events.event_type,
        events.event_at,
        events.event_date,
        events.visitor_id,
        events.user_id,
        case
            when events.user_id is null or events.user_id = visitors.user_id
                then visitors.user_key
            else {{ hash_key(["'user'", "events.user_id"]) }}
        end as user_key,
        events.session_id,
        cast(events.session_event_number as integer) as session_event_number,
        events.is_session_end,
        events.is_continuation,
        events.is_declared_bot
    from sessionized_events as events
    inner join visitors
        on events.visitor_id = visitors.visitor_id
)

select * from final
