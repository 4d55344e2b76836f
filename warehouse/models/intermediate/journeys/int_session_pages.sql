with events as (
    select
        visitor_id,
        session_id,
        session_event_number,
        coalesce(page_type, '(unknown)') as page_type,
        coalesce({{ url_path("page_url") }}, '(unknown)') as page_path
    from {{ ref("fct_events") }}
    where {{ of_changed_sessions() }}
),

pages_counted as (
    select
        visitor_id,
        session_id,
        page_type,
        page_path,
        cast(count(*) as integer) as event_count,
        min(session_event_number) as first_event_number,
        max(session_event_number) as last_event_number
    from events
    group by visitor_id, session_id, page_type, page_path
),

sessions as (
    select
        session_id,
        {{ month_start("session_date") }} as month_start_date,
        event_count,
        is_bot
    from {{ ref("fct_sessions") }}
    where {{ of_changed_sessions() }}
),

final as (
    select
        pages_counted.visitor_id,
        pages_counted.session_id,
        sessions.month_start_date,
        sessions.is_bot,
        pages_counted.page_type,
        pages_counted.page_path,
        pages_counted.event_count,
        pages_counted.first_event_number = 1 as is_entry,
        pages_counted.last_event_number = sessions.event_count as is_exit,
        sessions.event_count = 1 as is_bounce
    from pages_counted
    inner join sessions on pages_counted.session_id = sessions.session_id
)

-- The rows of a session lie together, for all who read changed sessions.
select * from final
order by session_id
