with bots as (
    select visitor_id
    from {{ ref("int_visitors_flagged") }}
    where is_bot and {{ of_changed_visitors() }}
),

events as (
    select
        visitor_id,
        event_date,
        event_type
    from {{ ref("int_events_sessionized") }}
    where {{ of_changed_visitors() }}
),

final as (
    select
        events.visitor_id,
        events.event_date,
        events.event_type,
        count(*) as event_count
    from events
    inner join bots on events.visitor_id = bots.visitor_id
    group by events.visitor_id, events.event_date, events.event_type
)

select * from final
