with visitors as (
    select *
    from {{ ref("int_visitors_flagged") }}
    where {{ of_changed_visitors() }}
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
        visitors.first_seen_at,
        visitors.last_seen_at,
        visitors.session_count,
        visitors.event_count,
        visitor_users.user_count,
        visitors.is_bot
    from visitors
    inner join identities
        on visitors.visitor_id = identities.visitor_id
    inner join visitor_users
        on visitors.visitor_id = visitor_users.visitor_id
)

select * from final
