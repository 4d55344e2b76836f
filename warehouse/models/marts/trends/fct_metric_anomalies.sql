with deviations as (
    select * from {{ ref("int_metrics_compared") }}
),

day_steps as (
    select day_step
    from
        generate_series(
            -7 * {{ var("anomaly_window_weeks") }}, 7 * {{ var("anomaly_window_weeks") }}
        ) as steps (day_step)
),

spreads as (
    select
        deviations.period_type,
        deviations.metric,
        deviations.metric_date + day_steps.day_step as metric_date,
        percentile_cont(0.5) within group (order by abs(deviations.deviation)) as spread
    from deviations
    cross join day_steps
    where deviations.deviation is not null
    group by
        deviations.metric_date + day_steps.day_step,
        deviations.period_type,
        deviations.metric
),

-- Chance alone gives the root of a count of visitors, sessions or orders a spread of 0.5.
spreads_bounded as (
    select
        *,
        case
            when metric in ('visitor_count', 'session_count', 'order_count')
                then greatest(spread, 0.6745 * 0.5)
            else nullif(spread, 0)
        end as bounded_spread
    from spreads
),

scores as (
    select
        deviations.*,
        spreads_bounded.bounded_spread,
        0.6745 * deviations.deviation / spreads_bounded.bounded_spread as robust_z_score
    from deviations
    left join spreads_bounded
        on
            deviations.period_type = spreads_bounded.period_type
            and deviations.metric = spreads_bounded.metric
            and deviations.metric_date = spreads_bounded.metric_date
),

scores_bounded as (
    select
        *,
        round(cast(robust_z_score as numeric), 6) as z_score,
        {{ var("anomaly_z_threshold") }} * bounded_spread / 0.6745 as margin
    from scores
),

final as (
    select
        period_type,
        period_start_at,
        metric_date,
        hour_of_day,
        metric,
        metric_value,
        comparison_count,
        cast(power(expected_root, 2) as numeric(28, 6)) as expected_value,
        cast(power(greatest(expected_root - margin, 0), 2) as numeric(28, 6)) as expected_low_value,
        cast(power(expected_root + margin, 2) as numeric(28, 6)) as expected_high_value,
        cast(bounded_spread as numeric(28, 6)) as root_spread,
        cast(z_score as numeric(18, 6)) as robust_z_score,
        coalesce(abs(z_score) > {{ var("anomaly_z_threshold") }}, false) as is_anomaly,
        case
            when z_score > {{ var("anomaly_z_threshold") }} then 'up'
            when z_score < -{{ var("anomaly_z_threshold") }} then 'down'
        end as direction
    from scores_bounded
)

select * from final
