with dates as (
    select date_day
    from {{ ref("dim_dates") }}
),

visitor_days as (
    select *
    from {{ ref("int_visitor_sessions_compared") }}
    where {{ is_counted() }}
),

days_aggregated as (
    select
        session_date,
        sum(derived_session_count) as derived_session_count,
        sum(unidentified_session_count) as unidentified_session_count,
        sum(source_session_count) as source_session_count,
        sum(agreeing_session_count) as agreeing_session_count,
        sum(split_session_count) as split_session_count,
        sum(merged_session_count) as merged_session_count,
        sum(event_count) as event_count,
        sum(unidentified_event_count) as unidentified_event_count
    from visitor_days
    group by session_date
),

final as (
    select
        dates.date_day as session_date,
        coalesce(days_aggregated.derived_session_count, 0) as derived_session_count,
        coalesce(days_aggregated.unidentified_session_count, 0) as unidentified_session_count,
        coalesce(days_aggregated.source_session_count, 0) as source_session_count,
        coalesce(days_aggregated.agreeing_session_count, 0) as agreeing_session_count,
        coalesce(days_aggregated.split_session_count, 0) as split_session_count,
        coalesce(days_aggregated.merged_session_count, 0) as merged_session_count,
        {{ rate("days_aggregated.agreeing_session_count", "days_aggregated.source_session_count") }}
            as agreement_rate,
        {{ rate("days_aggregated.split_session_count", "days_aggregated.source_session_count") }}
            as split_rate,
        {{ rate("days_aggregated.merged_session_count", "days_aggregated.source_session_count") }}
            as merged_rate,
        coalesce(days_aggregated.event_count, 0) as event_count,
        coalesce(days_aggregated.unidentified_event_count, 0) as unidentified_event_count
    from dates
    left join days_aggregated on dates.date_day = days_aggregated.session_date
)

select * from final
