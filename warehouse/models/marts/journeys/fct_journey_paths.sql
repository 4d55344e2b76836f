with paths_aggregated as (
    select
        month_start_date,
        device_type,
        path_end,
        journey_path,
        row_count as session_count
    from {{ ref("int_paths_aggregated") }}
),

paths_ranked as (
    select
        *,
        row_number() over (
            partition by month_start_date, device_type, path_end
            order by session_count desc, {{ bytewise("journey_path") }}
        ) as full_rank
    from paths_aggregated
),

paths_named as (
    select
        month_start_date,
        device_type,
        path_end,
        session_count,
        least(full_rank, {{ var("journey_top_paths") }} + 1) as path_rank,
        case
            when full_rank <= {{ var("journey_top_paths") }} then journey_path
            else '(other)'
        end as journey_path
    from paths_ranked
),

paths_merged as (
    select
        month_start_date,
        device_type,
        path_end,
        path_rank,
        journey_path,
        count(*) as path_count,
        sum(session_count) as session_count
    from paths_named
    group by month_start_date, device_type, path_end, path_rank, journey_path
),

paths_totalled as (
    select
        *,
        sum(session_count) over (
            partition by month_start_date, device_type, path_end
        ) as path_end_session_count
    from paths_merged
),

final as (
    select
        month_start_date,
        device_type,
        path_end,
        cast(path_rank as integer) as path_rank,
        journey_path,
        path_count,
        cast(session_count as bigint) as session_count,
        cast(path_end_session_count as bigint) as path_end_session_count,
        {{ rate("session_count", "path_end_session_count") }} as session_share_rate
    from paths_totalled
)

select * from final
