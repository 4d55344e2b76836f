with session_paths as (
    select
        month_start_date,
        device_type,
        path_end,
        journey_path,
        row_sign
    from {{ rows_of("int_session_paths") }} as session_paths
    where {{ is_counted() }}
),

final as (
    select
        month_start_date,
        device_type,
        path_end,
        journey_path,
        sum(row_sign) as row_count
    from session_paths
    group by month_start_date, device_type, path_end, journey_path
)

select * from final
