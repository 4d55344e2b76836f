with events as (
    select
        visitor_id,
        session_id,
        session_event_number,
        event_type,
        event_at
    from {{ ref("int_events_sessionized") }}
    where {{ of_changed_sessions() }}
),

first_events as (
    select
        visitor_id,
        session_id,
        event_type
    from {{ ref("int_events_sessionized") }}
    where session_event_number = 1 and {{ of_changed_sessions() }}
),

sessions as (
    select
        session_id,
        {{ month_start("session_date") }} as month_start_date,
        coalesce(device_type, '(unknown)') as device_type,
        is_bot
    from {{ ref("fct_sessions") }}
    where {{ of_changed_sessions() }}
),

steps_followed as (
    select
        visitor_id,
        session_id,
        event_type as from_step,
        coalesce(lead(event_type) over session_in_order, '(exit)') as to_step,
        {{ seconds_between("event_at", "lead(event_at) over session_in_order") }} as step_seconds
    from events
    window session_in_order as (partition by session_id order by session_event_number)
),

transitions_counted as (
    select
        visitor_id,
        session_id,
        from_step,
        to_step,
        cast(count(*) as integer) as transition_count,
        sum(step_seconds) as total_step_seconds
    from steps_followed
    group by visitor_id, session_id, from_step, to_step
    union all
    select
        visitor_id,
        session_id,
        '(start)' as from_step,
        event_type as to_step,
        1 as transition_count,
        cast(null as numeric) as total_step_seconds
    from first_events
),

final as (
    select
        transitions_counted.visitor_id,
        transitions_counted.session_id,
        sessions.month_start_date,
        sessions.device_type,
        sessions.is_bot,
        transitions_counted.from_step,
        transitions_counted.to_step,
        transitions_counted.transition_count,
        transitions_counted.total_step_seconds
    from transitions_counted
    inner join sessions on transitions_counted.session_id = sessions.session_id
)

-- The rows of a session lie together, for all who read changed sessions.
select * from final
order by session_id
