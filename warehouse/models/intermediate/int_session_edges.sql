with sessionized_events as (
    select
        event_id,
        visitor_id,
        session_id,
        session_event_number,
        is_session_end
    from {{ ref("int_events_sessionized") }}
    where (session_event_number = 1 or is_session_end) and {{ of_changed_sessions() }}
),

events as (
    select
        event_id,
        page_url,
        page_type,
        device_type,
        browser,
        os,
        country
    from {{ ref("stg_raw__events") }}
),

edge_events as (
    select
        sessionized_events.session_id,
        sessionized_events.visitor_id,
        sessionized_events.session_event_number = 1 as is_session_start,
        sessionized_events.is_session_end,
        events.page_url,
        events.page_type,
        coalesce(events.device_type, '(unknown)') as device_type,
        coalesce(events.browser, '(unknown)') as browser,
        coalesce(events.os, '(unknown)') as os,
        events.country
    from sessionized_events
    inner join events
        on sessionized_events.event_id = events.event_id
),

final as (
    select
        session_id,
        visitor_id,
        max(page_url) filter (where is_session_start) as landing_page_url,
        max(page_type) filter (where is_session_start) as landing_page_type,
        max(page_url) filter (where is_session_end) as exit_page_url,
        max(page_type) filter (where is_session_end) as exit_page_type,
        max(device_type) filter (where is_session_start) as device_type,
        max(browser) filter (where is_session_start) as browser,
        max(os) filter (where is_session_start) as os,
        max(country) filter (where is_session_start) as country
    from edge_events
    group by session_id, visitor_id
)

select * from final
