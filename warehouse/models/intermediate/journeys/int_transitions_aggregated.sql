with session_transitions as (
    select
        month_start_date,
        device_type,
        from_step,
        to_step,
        row_sign,
        transition_count,
        coalesce(total_step_seconds, 0) as total_step_seconds
    from {{ rows_of("int_session_transitions") }} as session_transitions
    where {{ is_counted() }}
),

final as (
    select
        month_start_date,
        device_type,
        from_step,
        to_step,
        sum(row_sign) as row_count,
        sum(row_sign * transition_count) as transition_count,
        sum(row_sign * total_step_seconds) as total_step_seconds
    from session_transitions
    group by month_start_date, device_type, from_step, to_step
)

select * from final
