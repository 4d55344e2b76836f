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

-- Hours in which nothing was expected, such as those of the night, would make busy ones look wild.
spreads as (
    select
        deviations.period_type,
        deviations.metric,
        deviations.metric_date + day_steps.day_step as metric_date,
        percentile_cont(0.5) within group (order by abs(deviations.deviation)) as spread
    from deviations
    cross join day_steps
    where deviations.expected_root > 0
    group by
        deviations.metric_date + day_steps.day_step,
        deviations.period_type,
        deviations.metric
),

-- Chance alone gives the root of a count of visitors, sessions or orders a spread of 0.5.
spreads_bounded as (
    select
        deviations.*,
        case
            when deviations.metric in ('visitor_count', 'session_count', 'order_count')
                then greatest(coalesce(spreads.spread, 0), 0.6745 * 0.5)
            else nullif(spreads.spread, 0)
        end as root_spread
    from deviations
    left join spreads
        on
            deviations.metric_date = spreads.metric_date
            and deviations.period_type = spreads.period_type
            and deviations.metric = spreads.metric
),

scores as (
    select
        *,
        round(cast(0.6745 * deviation / root_spread as numeric), 6) as robust_z_score,
        {{ var("anomaly_z_threshold") }} * root_spread / 0.6745 as root_margin
    from spreads_bounded
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
        cast(power(greatest(expected_root - root_margin, 0), 2) as numeric(28, 6))
            as expected_low_value,
        cast(power(expected_root + root_margin, 2) as numeric(28, 6)) as expected_high_value,
        cast(root_spread as numeric(28, 6)) as root_spread,
        cast(robust_z_score as numeric(18, 6)) as robust_z_score,
        coalesce(abs(robust_z_score) > {{ var("anomaly_z_threshold") }}, false) as is_anomaly,
        case
            when robust_z_score > {{ var("anomaly_z_threshold") }} then 'up'
            when robust_z_score < -{{ var("anomaly_z_threshold") }} then 'down'
        end as direction
    from scores
)

select * from final
