with session_pages as (
    select
        session_id,
        page_type,
        page_path,
        event_count
    from {{ ref("int_session_pages") }}
),

sessions as (
    select
        session_id,
        {{ month_start("session_date") }} as month_start_date,
        coalesce(landing_page_type, '(unknown)') as landing_page_type,
        coalesce({{ url_path("landing_page_url") }}, '(unknown)') as landing_page_path,
        coalesce(exit_page_type, '(unknown)') as exit_page_type,
        coalesce({{ url_path("exit_page_url") }}, '(unknown)') as exit_page_path,
        is_bounce
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }}
),

pages_counted as (
    select
        sessions.month_start_date,
        session_pages.page_type,
        session_pages.page_path,
        count(*) as session_count,
        sum(session_pages.event_count) as event_count,
        0 as entry_session_count,
        0 as exit_session_count,
        0 as bounce_session_count
    from session_pages
    inner join sessions on session_pages.session_id = sessions.session_id
    group by sessions.month_start_date, session_pages.page_type, session_pages.page_path
    union all
    select
        month_start_date,
        landing_page_type as page_type,
        landing_page_path as page_path,
        0 as session_count,
        0 as event_count,
        count(*) as entry_session_count,
        0 as exit_session_count,
        count(case when is_bounce then 1 end) as bounce_session_count
    from sessions
    group by month_start_date, landing_page_type, landing_page_path
    union all
    select
        month_start_date,
        exit_page_type as page_type,
        exit_page_path as page_path,
        0 as session_count,
        0 as event_count,
        0 as entry_session_count,
        count(*) as exit_session_count,
        0 as bounce_session_count
    from sessions
    group by month_start_date, exit_page_type, exit_page_path
),

pages_aggregated as (
    select
        month_start_date,
        page_type,
        page_path,
        sum(session_count) as session_count,
        sum(event_count) as event_count,
        sum(entry_session_count) as entry_session_count,
        sum(exit_session_count) as exit_session_count,
        sum(bounce_session_count) as bounce_session_count
    from pages_counted
    group by month_start_date, page_type, page_path
),

final as (
    select
        month_start_date,
        page_type,
        page_path,
        cast(session_count as bigint) as session_count,
        cast(event_count as bigint) as event_count,
        cast(entry_session_count as bigint) as entry_session_count,
        cast(exit_session_count as bigint) as exit_session_count,
        cast(bounce_session_count as bigint) as bounce_session_count,
        {{ rate("exit_session_count", "session_count") }} as exit_rate,
        {{ rate("bounce_session_count", "entry_session_count") }} as bounce_rate
    from pages_aggregated
)

select * from final
