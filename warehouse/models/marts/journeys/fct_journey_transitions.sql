-- The narrower of the two tables of events; the sessions joined below are the counted ones.
with events as (
    select
        session_id,
        session_event_number,
        event_type,
        event_at
    from {{ ref("int_events_sessionized") }}
),

first_events as (
    select
        session_id,
        event_type
    from {{ ref("int_events_sessionized") }}
    where session_event_number = 1
),

sessions as (
    select
        session_id,
        {{ month_start("session_date") }} as month_start_date,
        coalesce(device_type, '(unknown)') as device_type
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }}
),

steps_followed as (
    select
        session_id,
        event_type as from_step,
        coalesce(lead(event_type) over session_in_order, '(exit)') as to_step,
        {{ seconds_between("event_at", "lead(event_at) over session_in_order") }} as step_seconds
    from events
    window session_in_order as (partition by session_id order by session_event_number)
),

session_transitions as (
    select
        session_id,
        from_step,
        to_step,
        count(*) as transition_count,
        sum(step_seconds) as total_step_seconds
    from steps_followed
    group by session_id, from_step, to_step
),

transitions_aggregated as (
    select
        sessions.month_start_date,
        sessions.device_type,
        session_transitions.from_step,
        session_transitions.to_step,
        sum(session_transitions.transition_count) as transition_count,
        count(*) as session_count,
        sum(session_transitions.total_step_seconds) as total_step_seconds
    from session_transitions
    inner join sessions on session_transitions.session_id = sessions.session_id
    group by
        sessions.month_start_date,
        sessions.device_type,
        session_transitions.from_step,
        session_transitions.to_step
),

starts_aggregated as (
    select
        sessions.month_start_date,
        sessions.device_type,
        '(start)' as from_step,
        first_events.event_type as to_step,
        count(*) as transition_count,
        count(*) as session_count,
        cast(null as numeric) as total_step_seconds
    from first_events
    inner join sessions on first_events.session_id = sessions.session_id
    group by sessions.month_start_date, sessions.device_type, first_events.event_type
),

transitions_stacked as (
    select * from transitions_aggregated
    union all
    select * from starts_aggregated
),

steps_totalled as (
    select
        *,
        sum(transition_count) over (
            partition by month_start_date, device_type, from_step
        ) as from_step_count
    from transitions_stacked
),

final as (
    select
        month_start_date,
        device_type,
        from_step,
        to_step,
        cast(transition_count as bigint) as transition_count,
        cast(from_step_count as bigint) as from_step_count,
        {{ rate("transition_count", "from_step_count") }} as transition_rate,
        session_count,
        cast(total_step_seconds as numeric(20, 3)) as total_step_seconds
    from steps_totalled
)

select * from final
