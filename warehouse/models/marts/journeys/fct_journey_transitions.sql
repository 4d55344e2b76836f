with session_transitions as (
    select
        session_id,
        from_step,
        to_step,
        transition_count,
        total_step_seconds
    from {{ ref("int_session_transitions") }}
),

sessions as (
    select
        session_id,
        {{ month_start("session_date") }} as month_start_date,
        coalesce(device_type, '(unknown)') as device_type
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }}
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
        transition_count,
        cast(from_step_count as bigint) as from_step_count,
        {{ rate("transition_count", "from_step_count") }} as transition_rate,
        session_count,
        cast(total_step_seconds as numeric(20, 3)) as total_step_seconds
    from steps_totalled
)

select * from final
