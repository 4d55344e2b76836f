with sessions as (
    select
        session_id,
        visitor_id,
        user_key,
        session_date,
        started_at,
        ended_at,
        visitor_session_number,
        event_count,
        is_continuation,
        is_bot
    from {{ ref("fct_sessions") }}
),

continuations as (
    select visitor_id
    from {{ ref("fct_sessions") }}
    where is_continuation
),

first_events as (
    select
        visitor_id,
        session_id,
        case when trim(source_session_id) <> '' then source_session_id end as source_session_id
    from {{ ref("fct_events") }}
    where session_event_number = 1
),

sessions_scoped as (
    select
        sessions.*,
        first_events.source_session_id
    from sessions
    inner join first_events
        on
            sessions.visitor_id = first_events.visitor_id
            and sessions.session_id = first_events.session_id
    where sessions.visitor_id in (select continuations.visitor_id from continuations)
),

-- A continuation goes on the latest session of its scope that is none.
pieces_numbered as (
    select
        *,
        count(case when not is_continuation then 1 end) over (
            partition by {{ session_scope() }}
            order by visitor_session_number
            rows between unbounded preceding and current row
        ) as whole_session_number
    from sessions_scoped
),

pieces_tied as (
    select
        *,
        first_value(session_id) over (
            partition by {{ session_scope() }}, whole_session_number
            order by visitor_session_number
        ) as first_session_id,
        first_value(user_key) over (
            partition by {{ session_scope() }}, whole_session_number
            order by visitor_session_number desc
        ) as last_user_key
    from pieces_numbered
),

whole_sessions as (
    select
        first_session_id,
        visitor_id,
        last_user_key,
        min(session_date) as session_date,
        min(started_at) as started_at,
        max(ended_at) as ended_at,
        {{ seconds_between("min(started_at)", "max(ended_at)") }} as exact_seconds,
        sum(event_count) as event_count,
        count(*) as piece_count,
        bool_or(is_bot) as is_bot
    from pieces_tied
    group by first_session_id, visitor_id, last_user_key
),

final as (
    select
        first_session_id as session_id,
        visitor_id,
        last_user_key as user_key,
        session_date,
        started_at,
        ended_at,
        cast(exact_seconds as numeric(13, 3)) as duration_seconds,
        cast(event_count as integer) as event_count,
        exact_seconds > {{ var("session_max_hours") }} * 3600 as is_too_long,
        event_count > {{ var("session_max_events") }} as is_too_large,
        piece_count,
        is_bot
    from whole_sessions
    where piece_count > 1
)

select * from final
