with user_steps as (
    select
        from_state,
        to_state,
        transition_count
    from {{ ref("int_user_channel_steps") }}
),

final as (
    select
        from_state,
        to_state,
        cast(sum(transition_count) as bigint) as transition_count
    from user_steps
    group by from_state, to_state
)

select * from final
