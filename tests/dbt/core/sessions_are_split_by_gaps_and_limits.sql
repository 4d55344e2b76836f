-- Events of a visitor lie in different sessions if, and only if, the gap between them is longer
-- than the timeout, or the later session goes on one that was cut; with `session_source: source`
-- this holds of the events without a source session id, and those with one are of one session.
-- Late events that split or double a session show here.
{%- set is_by_source = var("session_source") == "source" %}
with events as (
    select
        event_id,
        event_at,
        visitor_id,
        {% if is_by_source -%}
            case when trim(source_session_id) <> '' then source_session_id end as source_session_id,
        {% endif -%}
        session_id,
        session_event_number
    {#- fct_events has the source's ids too, and several times the bytes. #}
    from {{ ref("fct_events" if is_by_source else "int_events_sessionized") }}
),

continuations as (
    select session_id
    from {{ ref("fct_sessions") }}
    where is_continuation
),

events_paired as (
    select
        event_id,
        event_at,
        {% if is_by_source -%}
            source_session_id is not null
        {%- else -%}
            false
        {%- endif %} as is_by_source,
        session_id,
        session_event_number,
        lag(event_at) over by_scope as previous_event_at,
        lag(session_id) over by_scope as previous_session_id,
        lag(session_event_number) over by_scope as previous_event_number
    from events
    window
        by_scope as (
            partition by {{ session_scope() }}
            order by event_at, {{ bytewise("event_id") }}
        )
),

starts_flagged as (
    select
        events_paired.*,
        events_paired.session_id <> events_paired.previous_session_id as is_session_start,
        continuations.session_id is not null as is_continuation,
        not events_paired.is_by_source
        and events_paired.event_at
        > {{ later_by("previous_event_at", var("session_timeout_minutes"), "minutes") }}
            as is_after_gap
    from events_paired
    left join continuations on events_paired.session_id = continuations.session_id
)

select *
from starts_flagged
where
    (is_session_start and not is_continuation) <> is_after_gap
    or (not is_session_start and session_event_number <> previous_event_number + 1)
