with span as (
    select * from {{ ref("int_span_observed") }}
),

hours as (
    select
        metrics.*,
        min(case when metrics.event_count > 0 then metrics.hour_at end) over () as first_hour_at,
        max(case when metrics.event_count > 0 then metrics.hour_at end) over () as last_hour_at
    from {{ ref("fct_hourly_metrics") }} as metrics
    inner join span
        on metrics.metric_date between span.first_date and span.last_date
),

day_starts as (
    select
        metric_date,
        min(hour_at) as period_start_at
    from hours
    group by metric_date
),

-- Before the first event and after the last there is nothing to judge.
metrics as (
    select
        'day' as period_type,
        day_starts.period_start_at,
        day_starts.metric_date,
        cast(null as integer) as hour_of_day,
        trends.metric,
        trends.metric_value
    from day_starts
    inner join {{ ref("fct_metric_trends") }} as trends
        on
            day_starts.metric_date = trends.period_start_date
            and trends.period_type = 'day'
            and trends.metric <> 'average_order_amount'
    union all
    select
        'hour' as period_type,
        hours.hour_at as period_start_at,
        hours.metric_date,
        hours.hour_of_day,
        figures.metric,
        cast(figures.metric_value as numeric(28, 6)) as metric_value
    from hours
    cross join
        lateral (
            values
            ('event_count', hours.event_count),
            ('visitor_count', hours.visitor_count),
            ('session_count', hours.session_count)
        ) as figures (metric, metric_value)
    where hours.hour_at between hours.first_hour_at and hours.last_hour_at
),

-- The root of a count spreads alike whatever its size, so quiet and busy hours can be judged alike.
roots as (
    select
        *,
        sqrt(cast(metric_value as double precision)) as root,
        coalesce(hour_of_day, 0) as slot
    from metrics
    where metric_value is not null
),

week_steps as (
    select week_number * 7 as day_step
    from
        generate_series(
            -{{ var("anomaly_window_weeks") }}, {{ var("anomaly_window_weeks") }}
        ) as weeks (week_number)
    where week_number <> 0
),

-- What the other weeks had at the same weekday and hour. Materialized, for otherwise the planner
-- joins the days of all weeks before it looks at the dates.
roots_elsewhere as materialized (
    select
        roots.period_type,
        roots.metric,
        roots.slot,
        roots.metric_date + week_steps.day_step as metric_date,
        roots.root
    from roots
    cross join week_steps
),

roots_expected as (
    select
        roots.period_type,
        roots.period_start_at,
        roots.metric,
        count(*) as comparison_count,
        percentile_cont(0.5) within group (order by roots_elsewhere.root) as expected_root
    from roots
    inner join roots_elsewhere
        on
            roots.metric_date = roots_elsewhere.metric_date
            and roots.slot = roots_elsewhere.slot
            and roots.period_type = roots_elsewhere.period_type
            and roots.metric = roots_elsewhere.metric
    group by roots.period_start_at, roots.period_type, roots.metric
    having count(*) >= 3
),

final as (
    select
        roots.period_type,
        roots.period_start_at,
        roots.metric_date,
        roots.hour_of_day,
        roots.metric,
        roots.metric_value,
        cast(coalesce(roots_expected.comparison_count, 0) as integer) as comparison_count,
        roots_expected.expected_root,
        roots.root - roots_expected.expected_root as deviation
    from roots
    left join roots_expected
        on
            roots.period_type = roots_expected.period_type
            and roots.period_start_at = roots_expected.period_start_at
            and roots.metric = roots_expected.metric
)

select * from final
