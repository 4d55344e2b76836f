with dates as (
    select date_day
    from {{ ref("dim_dates") }}
),

-- What a session by the gaps and a session of the source have in common.
pieces as (
    select
        visitor_id,
        derived_session_id,
        source_session_id,
        source_session_id <> '' as is_identified,
        event_count,
        first_event_date
    from {{ ref("int_source_sessions_matched") }}
    where {{ is_counted() }}
),

derived_sessions as (
    select
        derived_session_id,
        min(first_event_date) as session_date,
        count(case when is_identified then 1 end) as source_session_count,
        sum(event_count) as event_count,
        sum(case when is_identified then 0 else event_count end) as unidentified_event_count
    from pieces
    group by derived_session_id
),

derived_days as (
    select
        session_date,
        count(*) as derived_session_count,
        count(case when source_session_count = 0 then 1 end) as unidentified_session_count,
        sum(event_count) as event_count,
        sum(unidentified_event_count) as unidentified_event_count
    from derived_sessions
    group by session_date
),

source_sessions as (
    select
        pieces.visitor_id,
        pieces.source_session_id,
        min(pieces.first_event_date) as session_date,
        count(*) > 1 as is_split,
        bool_or(derived_sessions.source_session_count > 1) as is_merged
    from pieces
    inner join derived_sessions
        on pieces.derived_session_id = derived_sessions.derived_session_id
    where pieces.is_identified
    group by pieces.visitor_id, pieces.source_session_id
),

source_days as (
    select
        session_date,
        count(*) as source_session_count,
        count(case when not is_split and not is_merged then 1 end) as agreeing_session_count,
        count(case when is_split then 1 end) as split_session_count,
        count(case when is_merged then 1 end) as merged_session_count
    from source_sessions
    group by session_date
),

final as (
    select
        dates.date_day as session_date,
        coalesce(derived_days.derived_session_count, 0) as derived_session_count,
        coalesce(derived_days.unidentified_session_count, 0) as unidentified_session_count,
        coalesce(source_days.source_session_count, 0) as source_session_count,
        coalesce(source_days.agreeing_session_count, 0) as agreeing_session_count,
        coalesce(source_days.split_session_count, 0) as split_session_count,
        coalesce(source_days.merged_session_count, 0) as merged_session_count,
        {{ rate("source_days.agreeing_session_count", "source_days.source_session_count") }}
            as agreement_rate,
        {{ rate("source_days.split_session_count", "source_days.source_session_count") }}
            as split_rate,
        {{ rate("source_days.merged_session_count", "source_days.source_session_count") }}
            as merged_rate,
        cast(coalesce(derived_days.event_count, 0) as bigint) as event_count,
        cast(coalesce(derived_days.unidentified_event_count, 0) as bigint)
            as unidentified_event_count
    from dates
    left join derived_days on dates.date_day = derived_days.session_date
    left join source_days on dates.date_day = source_days.session_date
)

select * from final
