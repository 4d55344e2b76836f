with cohorts as (
    select * from {{ ref("fct_user_cohorts") }}
    where period_type = 'month'
),

final as (
    select
        cast(cohort_type as varchar(20)) as cohort_type,
        cohort_start_date as cohort_month,
        period_number,
        period_start_date as month_start_date,
        is_over,
        cohort_user_count,
        active_user_count,
        retention_rate,
        gross_revenue_amount,
        cumulative_revenue_amount,
        cumulative_revenue_per_user_amount,
        previous_active_user_count,
        active_user_count_change_rate,
        previous_gross_revenue_amount,
        gross_revenue_change_rate
    from cohorts
)

select * from final
