with channel_groups as (
    select * from {{ ref("channel_groups") }}
),

final as (
    select
        channel,
        description,
        is_paid,
        sort_rank
    from channel_groups
)

select * from final
