-- What has a customer of each cohort brought after one, two, three and six months?
select
    cohort_month,
    cohort_user_count,
    max(case when period_number = 0 then cumulative_revenue_per_user_amount end)
        as first_month_amount,
    max(case when period_number = 1 then cumulative_revenue_per_user_amount end)
        as after_one_month_amount,
    max(case when period_number = 2 then cumulative_revenue_per_user_amount end)
        as after_two_months_amount,
    max(case when period_number = 3 then cumulative_revenue_per_user_amount end)
        as after_three_months_amount,
    max(case when period_number = 6 then cumulative_revenue_per_user_amount end)
        as after_six_months_amount
from {{ ref("rpt_cohort_retention") }}
where cohort_type = 'purchase'
group by cohort_month, cohort_user_count
order by cohort_month
