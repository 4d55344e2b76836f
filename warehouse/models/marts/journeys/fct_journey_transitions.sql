with events as (
    select
        session_id,
        session_event_number,
        event_type,
        event_at
    from {{ ref("fct_events") }}
    where {{ is_counted() }}
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
        session_event_number,
        event_type,
        event_at,
        lead(event_type) over session_in_order as next_event_type,
        lead(event_at) over session_in_order as next_event_at
    from events
    window session_in_order as (partition by session_id order by session_event_number)
),

steps_bounded as (
    select
        session_id,
        event_type as from_step,
        coalesce(next_event_type, '(exit)') as to_step,
        {{ seconds_between("event_at", "next_event_at") }} as step_seconds
    from steps_followed
    union all
    select
        session_id,
        '(start)' as from_step,
        event_type as to_step,
        cast(null as numeric) as step_seconds
    from steps_followed
    where session_event_number = 1
),

sessions_aggregated as (
    select
        session_id,
        from_step,
        to_step,
        count(*) as transition_count,
        sum(step_seconds) as step_seconds
    from steps_bounded
    group by session_id, from_step, to_step
),

transitions_aggregated as (
    select
        sessions.month_start_date,
        sessions.device_type,
        sessions_aggregated.from_step,
        sessions_aggregated.to_step,
        sum(sessions_aggregated.transition_count) as transition_count,
        count(*) as session_count,
        sum(sessions_aggregated.step_seconds) as total_step_seconds
    from sessions_aggregated
    inner join sessions on sessions_aggregated.session_id = sessions.session_id
    group by
        sessions.month_start_date,
        sessions.device_type,
        sessions_aggregated.from_step,
        sessions_aggregated.to_step
),

steps_totalled as (
    select
        *,
        sum(transition_count) over (
            partition by month_start_date, device_type, from_step
        ) as from_step_count
    from transitions_aggregated
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
