with events as (
    select
        visitor_id,
        session_id,
        coalesce(page_type, '(unknown)') as page_type,
        coalesce({{ url_path("page_url") }}, '(unknown)') as page_path
    from {{ ref("fct_events") }}
    where {{ of_changed_visitors() }}
),

final as (
    select
        visitor_id,
        session_id,
        page_type,
        page_path,
        cast(count(*) as integer) as event_count
    from events
    group by visitor_id, session_id, page_type, page_path
)

select * from final
