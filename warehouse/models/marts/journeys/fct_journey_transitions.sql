with transitions as (
    select
        *,
        sum(transition_count) over (
            partition by month_start_date, device_type, from_step
        ) as from_step_count
    from {{ ref("int_transitions_aggregated") }}
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
        row_count as session_count,
        case
            when from_step <> '(start)' and to_step <> '(exit)'
                then cast(total_step_seconds as numeric(20, 3))
        end as total_step_seconds
    from transitions
)

select * from final
