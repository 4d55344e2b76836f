with span as (
    select * from {{ ref("int_span_observed") }}
),

dates as (
    select dim_dates.date_day
    from {{ ref("dim_dates") }} as dim_dates
    inner join span on dim_dates.date_day between span.first_date and span.last_date
),

events_stacked as (
    select
        event_date,
        event_type,
        event_count
    from {{ ref("int_load_day_types_aggregated") }}
    union all
    select
        event_date,
        event_type,
        -event_count as event_count
    from {{ ref("int_bot_day_types_aggregated") }}
    where not {{ is_counted("true") }}
),

events as (
    select
        event_date,
        event_type,
        sum(event_count) as event_count
    from events_stacked
    group by event_date, event_type
    having sum(event_count) > 0
),

types as (
    select distinct events.event_type
    from events
    inner join dates on events.event_date = dates.date_day
),

-- A type that stopped arriving has no events to count: its day is a row of zero.
volumes as (
    select
        dates.date_day as metric_date,
        types.event_type,
        coalesce(events.event_count, 0) as event_count
    from dates
    cross join types
    left join events
        on dates.date_day = events.event_date and types.event_type = events.event_type
),

-- Of earlier weeks alone: what was unusual when it happened stays so.
usual_volumes as (
    select
        volumes.metric_date,
        volumes.event_type,
        count(*) as usual_week_count,
        cast(
            percentile_cont(0.5) within group (order by earlier.event_count) as numeric
        ) as usual_event_count
    from volumes
    inner join volumes as earlier
        on
            volumes.event_type = earlier.event_type
            and {{ elapsed_days("earlier.metric_date", "volumes.metric_date") }}
            between 7 and {{ 7 * var("volume_usual_weeks") }}
            and {{ elapsed_days("earlier.metric_date", "volumes.metric_date") }} % 7 = 0
    group by volumes.metric_date, volumes.event_type
),

final as (
    select
        volumes.metric_date,
        volumes.event_type,
        cast(volumes.event_count as bigint) as event_count,
        coalesce(usual_volumes.usual_week_count, 0) as usual_week_count,
        cast(usual_volumes.usual_event_count as numeric(18, 1)) as usual_event_count,
        cast(
            volumes.event_count / nullif(usual_volumes.usual_event_count, 0) as numeric(18, 4)
        ) as usual_ratio,
        -- From three weeks on; and beyond three standard deviations of counting, as small
        -- counts double and halve by chance.
        coalesce(
            usual_volumes.usual_week_count >= 3
            and (
                volumes.event_count * {{ var("volume_unusual_ratio") }}
                < usual_volumes.usual_event_count
                or volumes.event_count
                > {{ var("volume_unusual_ratio") }} * usual_volumes.usual_event_count
            )
            and power(volumes.event_count - usual_volumes.usual_event_count, 2)
            > 9 * greatest(usual_volumes.usual_event_count, 1),
            false
        ) as is_unusual
    from volumes
    left join usual_volumes
        on
            volumes.metric_date = usual_volumes.metric_date
            and volumes.event_type = usual_volumes.event_type
)

select * from final
