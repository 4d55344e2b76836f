with events as (
    select
        event_at,
        event_date,
        visitor_id,
        user_id,
        user_key
    from {{ ref("int_events_sessionized") }}
    where {{ of_changed_visitors() }}
),

identities as (
    select
        visitor_id,
        user_id
    from {{ ref("int_visitors_identified") }}
    where {{ of_changed_visitors() }}
),

visitors as (
    select
        visitor_id,
        is_bot
    from {{ ref("int_visitors_flagged") }}
    where {{ of_changed_visitors() }}
),

visitor_days as (
    select
        visitor_id,
        user_key,
        event_date,
        max(user_id) as user_id,
        min(event_at) as first_event_at,
        max(event_at) as last_event_at,
        count(*) as event_count
    from events
    group by visitor_id, user_key, event_date
),

final as (
    select
        visitor_days.visitor_id,
        visitor_days.user_key,
        visitor_days.event_date,
        coalesce(visitor_days.user_id, identities.user_id) as user_id,
        visitor_days.first_event_at,
        visitor_days.last_event_at,
        visitor_days.event_count,
        visitors.is_bot
    from visitor_days
    inner join identities
        on visitor_days.visitor_id = identities.visitor_id
    inner join visitors
        on visitor_days.visitor_id = visitors.visitor_id
)

select * from final
