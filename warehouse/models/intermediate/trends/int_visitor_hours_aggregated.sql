with events as (
    select
        visitor_id,
        event_at
    from {{ ref("int_events_sessionized") }}
    where {{ of_changed_visitors() }}
),

visitors as (
    select
        visitor_id,
        is_bot
    from {{ ref("int_visitors_flagged") }}
    where {{ of_changed_visitors() }}
),

visitor_hours as (
    select
        visitor_id,
        {{ reporting_hour("event_at") }} as hour_at,
        count(*) as event_count
    from events
    group by visitor_id, {{ reporting_hour("event_at") }}
),

final as (
    select
        visitor_hours.visitor_id,
        visitor_hours.hour_at,
        visitor_hours.event_count,
        visitors.is_bot
    from visitor_hours
    inner join visitors
        on visitor_hours.visitor_id = visitors.visitor_id
)

select * from final
