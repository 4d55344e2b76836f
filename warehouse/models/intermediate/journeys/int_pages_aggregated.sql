with session_pages as (
    select
        month_start_date,
        page_type,
        page_path,
        row_sign,
        event_count,
        is_entry,
        is_exit,
        is_bounce
    from {{ rows_of("int_session_pages") }} as session_pages
    where {{ is_counted() }}
),

final as (
    select
        month_start_date,
        page_type,
        page_path,
        sum(row_sign) as row_count,
        sum(row_sign * event_count) as event_count,
        sum(case when is_entry then row_sign else 0 end) as entry_session_count,
        sum(case when is_exit then row_sign else 0 end) as exit_session_count,
        sum(case when is_bounce then row_sign else 0 end) as bounce_session_count
    from session_pages
    group by month_start_date, page_type, page_path
)

select * from final
