-- Events of a visitor lie in different sessions if, and only if, the gap between them is longer
-- than the timeout. Late events that split or double a session show here.
with events as (
    select
        event_id,
        event_at,
        visitor_id,
        session_id,
        session_event_number
    from {{ ref("fct_events") }}
),

events_paired as (
    select
        event_id,
        event_at,
        session_id,
        session_event_number,
        lag(event_at) over by_visitor as previous_event_at,
        lag(session_id) over by_visitor as previous_session_id,
        lag(session_event_number) over by_visitor as previous_event_number
    from events
    window by_visitor as (partition by visitor_id order by event_at, {{ bytewise("event_id") }})
)

select *
from events_paired
where
    (session_id <> previous_session_id)
    <> (event_at > {{ later_by("previous_event_at", var("session_timeout_minutes"), "minutes") }})
    or (session_id = previous_session_id and session_event_number <> previous_event_number + 1)
