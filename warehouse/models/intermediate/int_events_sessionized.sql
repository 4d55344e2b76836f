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

session_starts_flagged as (
    select
        *,
        lag(event_at) over by_scope is null
        or (
            event_at > lag(event_at) over by_scope
            + interval '{{ var("session_timeout_minutes") }} minutes'
            {%- if var("session_source") == "source" %}
                and source_session_id is null
            {%- endif %}
        ) as is_session_start
    from events
    window
        by_scope as (
            partition by {{ session_scope() }}
            order by event_at, {{ bytewise("event_id") }}
        )
),

-- Sessions by the source's ids may interleave: the visitor's are numbered by their starts, and
-- an event finds its own session's start by its number within the scope.
sessions_numbered as (
    select
        *,
        count(*) filter (where is_session_start) over by_scope as scope_session_number,
        case
            when is_session_start then count(*) filter (where is_session_start) over by_visitor
        end as started_session_number,
        case
            when is_session_start then {{ hash_key(["visitor_id", "event_id"]) }}
        end as started_session_id
    from session_starts_flagged
    window
        by_scope as (
            partition by {{ session_scope() }}
            order by event_at, {{ bytewise("event_id") }}
            rows between unbounded preceding and current row
        ),
        by_visitor as (
            partition by visitor_id
            order by event_at, {{ bytewise("event_id") }}
            rows between unbounded preceding and current row
        )
),

sessions_named as (
    select
        *,
        first_value(started_session_id) over by_session as session_id,
        first_value(started_session_number) over by_session as visitor_session_number,
        row_number() over by_session as session_event_number,
        lead(event_id) over by_session is null as is_session_end
    from sessions_numbered
    window
        by_session as (
            partition by {{ session_scope() }}, scope_session_number
            order by event_at, {{ bytewise("event_id") }}
        )
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
        cast(events.visitor_session_number as integer) as visitor_session_number,
        cast(events.session_event_number as integer) as session_event_number,
        events.is_session_end,
        events.is_declared_bot
    from sessions_named as events
    inner join visitors
        on events.visitor_id = visitors.visitor_id
)

select * from final
