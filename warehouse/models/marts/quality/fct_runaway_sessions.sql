with runaway_sessions as (
    select
        session_id,
        visitor_id,
        user_key,
        session_date,
        started_at,
        ended_at,
        duration_seconds,
        event_count,
        is_bot,
        duration_seconds > {{ var("session_max_hours") }} * 3600 as is_too_long,
        event_count > {{ var("session_max_events") }} as is_too_large
    from {{ ref("fct_sessions") }}
    where
        duration_seconds > {{ var("session_max_hours") }} * 3600
        or event_count > {{ var("session_max_events") }}
),

-- Cut at whole multiples of the most hours and the most events since the start: where an event
-- falls depends on nothing but its own time and number.
pieces as (
    select distinct
        events.session_id,
        greatest(
            ceil(
                {{ seconds_between("runaway_sessions.started_at", "events.event_at") }}
                / ({{ var("session_max_hours") }} * 3600.0)
            ),
            1
        ) as hours_piece_number,
        ceil(events.session_event_number / ({{ var("session_max_events") }} * 1.0))
            as events_piece_number
    from {{ ref("fct_events") }} as events
    inner join runaway_sessions
        on
            events.visitor_id = runaway_sessions.visitor_id
            and events.session_id = runaway_sessions.session_id
),

pieces_counted as (
    select
        session_id,
        count(*) as piece_count
    from pieces
    group by session_id
),

final as (
    select
        runaway_sessions.session_id,
        runaway_sessions.visitor_id,
        runaway_sessions.user_key,
        runaway_sessions.session_date,
        runaway_sessions.started_at,
        runaway_sessions.ended_at,
        runaway_sessions.duration_seconds,
        runaway_sessions.event_count,
        runaway_sessions.is_too_long,
        runaway_sessions.is_too_large,
        pieces_counted.piece_count,
        runaway_sessions.is_bot
    from runaway_sessions
    inner join pieces_counted on runaway_sessions.session_id = pieces_counted.session_id
)

select * from final
