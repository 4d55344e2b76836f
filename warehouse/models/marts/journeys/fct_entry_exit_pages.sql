with pages as (
    select * from {{ ref("int_pages_aggregated") }}
),

final as (
    select
        month_start_date,
        page_type,
        page_path,
        row_count as session_count,
        event_count,
        entry_session_count,
        exit_session_count,
        bounce_session_count,
        {{ rate("exit_session_count", "row_count") }} as exit_rate,
        {{ rate("bounce_session_count", "entry_session_count") }} as bounce_rate
    from pages
)

select * from final
