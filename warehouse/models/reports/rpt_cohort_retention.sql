with cohorts as (
    select * from {{ ref("fct_user_cohorts_monthly") }}
),

final as (
    select
        cast(cohort_type as varchar(20)) as cohort_type,
        cohort_month,
        period_number,
        month_start_date,
        cohort_user_count,
        active_user_count,
        retention_rate,
        gross_revenue_amount,
        cumulative_revenue_amount,
        cast(cumulative_revenue_amount / nullif(cohort_user_count, 0) as numeric(24, 4))
            as cumulative_revenue_per_user_amount
    from cohorts
)

select * from final
