with visitors as (
    select
        visitor_id,
        is_bot
    from {{ ref("int_visitors_flagged") }}
    where {{ of_changed_visitors() }}
),

sessions as (
    select
        visitor_id,
        min(started_at) as first_seen_at,
        max(ended_at) as last_seen_at,
        count(*) as session_count,
        sum(event_count) as event_count
    from {{ ref("int_sessions_aggregated") }}
    where {{ of_changed_visitors() }}
    group by visitor_id
),

identities as (
    select
        visitor_id,
        user_key
    from {{ ref("int_visitors_identified") }}
    where {{ of_changed_visitors() }}
),

visitor_users as (
    select
        visitor_id,
        count(distinct user_key) as user_count
    from {{ ref("int_visitor_days_aggregated") }}
    where {{ of_changed_visitors() }}
    group by visitor_id
),

final as (
    select
        visitors.visitor_id,
        identities.user_key,
        sessions.first_seen_at,
        sessions.last_seen_at,
        sessions.session_count,
        sessions.event_count,
        visitor_users.user_count,
        visitors.is_bot
    from visitors
    inner join sessions
        on visitors.visitor_id = sessions.visitor_id
    inner join identities
        on visitors.visitor_id = identities.visitor_id
    inner join visitor_users
        on visitors.visitor_id = visitor_users.visitor_id
)

select * from final
