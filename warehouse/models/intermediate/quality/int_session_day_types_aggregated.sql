with events as (
    select
        event_type,
        event_at,
        event_date,
        received_at,
        visitor_id,
        session_id,
        nullif(page_url, '') as page_url,
        order_id,
        item_count,
        is_bot
    from {{ ref("fct_events") }}
    where {{ of_changed_sessions() }}
),

declared_bot_events as (
    select
        session_id,
        event_date,
        event_type,
        count(*) as declared_bot_event_count
    from {{ ref("int_events_sessionized") }}
    where is_declared_bot and {{ of_changed_sessions() }}
    group by session_id, event_date, event_type
),

events_aggregated as (
    select
        visitor_id,
        session_id,
        event_date,
        event_type,
        bool_or(is_bot) as is_bot,
        count(*) as event_count,
        count(received_at) as received_event_count,
        count(
            case
                when received_at > {{ later_by("event_at", var("late_event_minutes"), "minutes") }}
                    then 1
            end
        ) as late_event_count,
        count(
            case when {{ reporting_date("received_at") }} > event_date then 1 end
        ) as next_day_event_count,
        count(case when received_at < event_at then 1 end) as early_event_count,
        -- An event with a clock that is ahead was not delayed.
        cast(
            case
                when max(received_at - event_at) < interval '0 seconds' then 0
                else extract(epoch from max(received_at - event_at))
            end as numeric(18, 3)
        ) as longest_delay_seconds,
        count(page_url) as page_named_event_count,
        count(case when item_count > 0 then 1 end) as product_named_event_count,
        count(order_id) as order_named_event_count
    from events
    group by visitor_id, session_id, event_date, event_type
),

final as (
    select
        events_aggregated.visitor_id,
        events_aggregated.session_id,
        events_aggregated.event_date,
        events_aggregated.event_type,
        events_aggregated.is_bot,
        cast(events_aggregated.event_count as integer) as event_count,
        cast(events_aggregated.received_event_count as integer) as received_event_count,
        cast(events_aggregated.late_event_count as integer) as late_event_count,
        cast(events_aggregated.next_day_event_count as integer) as next_day_event_count,
        cast(events_aggregated.early_event_count as integer) as early_event_count,
        events_aggregated.longest_delay_seconds,
        cast(coalesce(declared_bot_events.declared_bot_event_count, 0) as integer)
            as declared_bot_event_count,
        cast(events_aggregated.page_named_event_count as integer) as page_named_event_count,
        cast(events_aggregated.product_named_event_count as integer) as product_named_event_count,
        cast(events_aggregated.order_named_event_count as integer) as order_named_event_count
    from events_aggregated
    left join declared_bot_events
        on
            events_aggregated.session_id = declared_bot_events.session_id
            and events_aggregated.event_date = declared_bot_events.event_date
            and events_aggregated.event_type = declared_bot_events.event_type
)

-- The rows of a session lie together, for all who read changed sessions.
select * from final
order by session_id
