-- A session has the events it counts, all of one visitor, numbered from one to their
-- count. (That each number follows the one before is tested with the gaps.)
with events as (
    select
        session_id,
        min(visitor_id) as first_visitor_id,
        max(visitor_id) as last_visitor_id,
        min(event_at) as started_at,
        max(event_at) as ended_at,
        count(*) as event_count,
        min(session_event_number) as first_event_number,
        max(session_event_number) as last_event_number
    from {{ ref("int_events_sessionized") }}
    group by session_id
),

sessions as (
    select
        session_id,
        visitor_id,
        started_at,
        ended_at,
        event_count
    from {{ ref("fct_sessions") }}
)

select
    coalesce(sessions.session_id, events.session_id) as session_id,
    sessions.event_count as session_event_count,
    events.event_count
from sessions
full outer join events
    on sessions.session_id = events.session_id
where
    sessions.event_count is distinct from events.event_count
    or sessions.started_at <> events.started_at
    or sessions.ended_at <> events.ended_at
    or events.first_visitor_id <> sessions.visitor_id
    or events.last_visitor_id <> sessions.visitor_id
    or events.first_event_number <> 1
    or events.last_event_number <> events.event_count
