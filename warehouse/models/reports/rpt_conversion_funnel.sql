with funnel_metrics as (
    select * from {{ ref("fct_funnel_metrics") }}
),

final as (
    select
        session_date,
        cast(device_type as varchar(64)) as device_type,
        cast(channel as varchar(64)) as channel,
        step_number,
        cast(step as varchar(20)) as step,
        session_count,
        previous_step_session_count,
        all_session_count,
        dropped_session_count,
        step_rate,
        overall_rate,
        median_seconds_from_previous_step
    from funnel_metrics
)

select * from final
