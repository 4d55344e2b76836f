with variants as (
    select * from {{ ref("int_experiment_variants_aggregated") }}
),

controls as (
    select
        experiment_id,
        visitor_count,
        converted_visitor_count,
        gross_revenue_amount,
        revenue_variance
    from variants
    where is_control
),

-- The control itself has none to be compared with: its comparisons are null.
variants_compared as (
    select
        variants.*,
        cast(variants.converted_visitor_count as double precision) / variants.visitor_count as rate,
        cast(controls.converted_visitor_count as double precision) / controls.visitor_count
            as control_rate,
        cast(
            variants.converted_visitor_count + controls.converted_visitor_count as double precision
        ) / (variants.visitor_count + controls.visitor_count) as pooled_rate,
        cast(variants.gross_revenue_amount as double precision) / variants.visitor_count as mean,
        cast(controls.gross_revenue_amount as double precision) / controls.visitor_count
            as control_mean,
        cast(variants.revenue_variance as double precision) / variants.visitor_count
            as mean_variance,
        cast(controls.revenue_variance as double precision) / controls.visitor_count
            as control_mean_variance,
        controls.visitor_count as control_visitor_count,
        nullif(controls.converted_visitor_count, 0) as control_converted_visitor_count
    from variants
    left join controls
        on
            variants.experiment_id = controls.experiment_id
            and not variants.is_control
),

errors_estimated as (
    select
        *,
        rate - control_rate as rate_difference,
        sqrt(
            rate * (1 - rate) / visitor_count
            + control_rate * (1 - control_rate) / control_visitor_count
        ) as rate_error,
        nullif(
            sqrt(
                pooled_rate * (1 - pooled_rate)
                * (1.0 / visitor_count + 1.0 / control_visitor_count)
            ), 0
        ) as pooled_error,
        sqrt(
            (1 - rate) / nullif(converted_visitor_count, 0)
            + (1 - control_rate) / control_converted_visitor_count
        ) as log_rate_error,
        mean - control_mean as mean_difference,
        nullif(sqrt(mean_variance + control_mean_variance), 0) as mean_error,
        power(mean_variance + control_mean_variance, 2)
        / nullif(
            power(mean_variance, 2) / (visitor_count - 1)
            + power(control_mean_variance, 2) / (control_visitor_count - 1), 0
        ) as degrees,
        sqrt(
            mean_variance / nullif(power(mean, 2), 0)
            + control_mean_variance / nullif(power(control_mean, 2), 0)
        ) as log_mean_error
    from variants_compared
),

scores_estimated as (
    select
        *,
        1.959963984540054 * rate_error as rate_margin,
        exp(1.959963984540054 * log_rate_error) as rate_uplift_factor,
        rate_difference / pooled_error as rate_z_score,
        {{ student_critical_value("degrees") }} * mean_error as mean_margin,
        exp(1.959963984540054 * log_mean_error) as mean_uplift_factor,
        mean_difference / mean_error as mean_t_score,
        rate / nullif(control_rate, 0) as rate_ratio,
        mean / nullif(control_mean, 0) as mean_ratio
    from errors_estimated
),

final as (
    select
        experiment_id,
        variant_id,
        is_control,
        visitor_count,
        switched_visitor_count,
        cast(expected_visitor_count as numeric(18, 2)) as expected_visitor_count,
        cast({{ chi_square_p_value("chi_square", "degree_count") }} as numeric(9, 6))
            as sample_ratio_p_value,
        converted_visitor_count,
        {{ rate("converted_visitor_count", "visitor_count") }} as visitor_conversion_rate,
        cast(rate_difference as numeric(9, 6)) as conversion_difference,
        cast(rate_difference - rate_margin as numeric(9, 6)) as conversion_difference_low,
        cast(rate_difference + rate_margin as numeric(9, 6)) as conversion_difference_high,
        cast(rate_ratio - 1 as numeric(28, 6)) as conversion_uplift_rate,
        cast(rate_ratio / rate_uplift_factor - 1 as numeric(28, 6)) as conversion_uplift_low_rate,
        cast(rate_ratio * rate_uplift_factor - 1 as numeric(28, 6)) as conversion_uplift_high_rate,
        cast(rate_z_score as numeric(18, 6)) as conversion_z_score,
        cast({{ normal_p_value("rate_z_score") }} as numeric(9, 6)) as conversion_p_value,
        order_count,
        gross_revenue_amount,
        cast(gross_revenue_amount / visitor_count as numeric(24, 4)) as revenue_per_visitor_amount,
        revenue_variance,
        cast(mean_difference as numeric(24, 4)) as revenue_difference_amount,
        cast(mean_difference - mean_margin as numeric(24, 4)) as revenue_difference_low_amount,
        cast(mean_difference + mean_margin as numeric(24, 4)) as revenue_difference_high_amount,
        cast(mean_ratio - 1 as numeric(28, 6)) as revenue_uplift_rate,
        cast(mean_ratio / mean_uplift_factor - 1 as numeric(28, 6)) as revenue_uplift_low_rate,
        cast(mean_ratio * mean_uplift_factor - 1 as numeric(28, 6)) as revenue_uplift_high_rate,
        cast(mean_t_score as numeric(18, 6)) as revenue_t_score,
        cast(
            {{ normal_p_value(student_score("mean_t_score", "degrees")) }} as numeric(9, 6)
        ) as revenue_p_value
    from scores_estimated
)

select * from final
