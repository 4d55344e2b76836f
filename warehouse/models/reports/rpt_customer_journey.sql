with transitions as (
    select * from {{ ref("fct_journey_transitions") }}
),

months_totalled as (
    select
        *,
        sum(case when from_step = '(start)' then transition_count else 0 end) over (
            partition by month_start_date, device_type
        ) as all_session_count
    from transitions
),

final as (
    select
        month_start_date,
        cast(device_type as varchar(64)) as device_type,
        cast(from_step as varchar(20)) as from_step,
        cast(to_step as varchar(20)) as to_step,
        from_step = '(start)' as is_entry,
        to_step = '(exit)' as is_exit,
        transition_count,
        from_step_count,
        transition_rate,
        session_count,
        cast(all_session_count as bigint) as all_session_count,
        {{ rate("session_count", "all_session_count") }} as session_rate,
        total_step_seconds,
        cast(total_step_seconds / nullif(transition_count, 0) as numeric(13, 3))
            as average_step_seconds
    from months_totalled
)

select * from final
