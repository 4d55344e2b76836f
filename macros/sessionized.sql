{#-
Events with their sessions, as docs/definitions.md has them: split at gaps, and cut where they would
outgrow `session_max_hours` or `session_max_events`. A select, to stand in a CTE.

- events: a relation with `event_at`, `event_id` and the columns of session_scope.
- session_source: derived or source; none: what the var says.

Columns: those of the events, `session_id`, `session_event_number`, `is_session_end` and
`is_continuation`.

The events are sorted once. A whole session, from gap to gap, needs no search for its cuts: the piece
an event belongs to follows from the session's start and the event's place in it.
-#}
{% macro sessionized(events, session_source=none) -%}
{%- set source = session_source or var("session_source") -%}
{%- for name in ["session_max_hours", "session_max_events"] -%}
    {%- if var(name) is not number or var(name) < 1 -%}
        {%- do exceptions.raise_compiler_error(
            name ~ " is '" ~ var(name) ~ "'; it must be a number from 1 on."
        ) -%}
    {%- endif -%}
{%- endfor -%}
with events_spaced as (
    select
        *,
        lag(event_at) over by_scope as previous_event_at,
        row_number() over by_scope as scope_event_number
    from {{ events }}
    window
        by_scope as (
            partition by {{ session_scope(source) }}
            order by event_at, {{ bytewise("event_id") }}
        )
),

whole_starts_flagged as (
    select
        *,
        previous_event_at is null
        or (
            event_at
            > {{ later_by("previous_event_at", var("session_timeout_minutes"), "minutes") }}
            {%- if source == "source" %}
                and source_session_id is null
            {%- endif %}
        ) as is_whole_start
    from events_spaced
),

-- The latest start so far is that of the event's own session. Events at the same time share it.
whole_starts_found as (
    select
        *,
        max(case when is_whole_start then event_at end) over so_far as whole_started_at,
        max(case when is_whole_start then scope_event_number end) over so_far
            as whole_start_number,
        case when is_whole_start then {{ hash_key(["visitor_id", "event_id"]) }} end
            as whole_session_id
    from whole_starts_flagged
    window so_far as (partition by {{ session_scope(source) }} order by event_at)
),

limits_compared as (
    select
        *,
        scope_event_number - whole_start_number as earlier_event_count,
        event_at > {{ later_by("whole_started_at", var("session_max_hours"), "hours") }}
            as is_past_hours
    from whole_starts_found
),

-- Both numbers only grow: where their sum is the same, both are. Right at the hour an event still
-- belongs to the piece before, hence ceil. Few events need it.
pieces_numbered as (
    select
        *,
        earlier_event_count / {{ var("session_max_events") }}
        + case
            when is_past_hours
                then cast(
                    ceil(
                        {{ seconds_between("whole_started_at", "event_at") }}
                        / ({{ var("session_max_hours") }} * 3600.0)
                    ) as bigint
                ) - 1
            else 0
        end as earlier_piece_count
    from limits_compared
)

select
    *,
    first_value(
        case
            when earlier_piece_count = 0 then whole_session_id
            else {{ hash_key(["visitor_id", "event_id"]) }}
        end
    ) over by_session as session_id,
    row_number() over by_session as session_event_number,
    lead(event_id) over by_session is null as is_session_end,
    earlier_piece_count > 0 as is_continuation
from pieces_numbered
window
    by_session as (
        partition by {{ session_scope(source) }}, whole_start_number, earlier_piece_count
        order by scope_event_number
    )
{%- endmacro %}
