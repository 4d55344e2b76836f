with sessions as (
    select
        visitor_id,
        started_at,
        ended_at,
        event_count,
        -- Of the times themselves: duration_seconds is rounded.
        {{ seconds_between("started_at", "ended_at") }} as exact_seconds,
        is_declared_bot
    from {{ ref("int_sessions_aggregated") }}
    where {{ of_changed_visitors() }}
),

final as (
    select
        visitor_id,
        bool_or(
            is_declared_bot
            or (
                event_count >= {{ var("bot_min_session_events") }}
                and exact_seconds < {{ var("bot_max_mean_gap_seconds") }} * (event_count - 1)
            )
        ) as is_bot
    from sessions
    group by visitor_id
)

select * from final
