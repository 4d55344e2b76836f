with span as (
    select * from {{ ref("int_span_observed") }}
),

-- Days outside the span are those of a wrong clock: they would be cohorts and periods of their own.
visitor_days as (
    select
        visitor_days.user_key,
        visitor_days.event_date
    from {{ ref("int_visitor_days_aggregated") }} as visitor_days
    inner join span on visitor_days.event_date between span.first_date and span.last_date
    where {{ is_counted("visitor_days.is_bot") }}
),

orders as (
    select
        orders.user_key,
        orders.order_date,
        coalesce(orders.gross_amount, 0) as gross_amount
    from {{ ref("fct_orders") }} as orders
    inner join span on orders.order_date between span.first_date and span.last_date
    where {{ is_counted("orders.is_bot") }}
),

active_months as (
    select distinct
        'activity' as cohort_type,
        user_key,
        {{ month_start("event_date") }} as month_start_date
    from visitor_days
    union all
    select distinct
        'purchase' as cohort_type,
        user_key,
        {{ month_start("order_date") }} as month_start_date
    from orders
),

revenue_months as (
    select
        user_key,
        {{ month_start("order_date") }} as month_start_date,
        sum(gross_amount) as gross_revenue_amount
    from orders
    group by user_key, {{ month_start("order_date") }}
),

-- A user's cohort is their first month of this kind, so the first period holds all of them.
cohorts_assigned as (
    select
        cohort_type,
        user_key,
        month_start_date,
        min(month_start_date) over (partition by cohort_type, user_key) as cohort_month
    from active_months
),

periods_aggregated as (
    select
        cohorts_assigned.cohort_type,
        cohorts_assigned.cohort_month,
        cohorts_assigned.month_start_date,
        count(*) as active_user_count,
        sum(coalesce(revenue_months.gross_revenue_amount, 0)) as gross_revenue_amount
    from cohorts_assigned
    left join revenue_months
        on
            cohorts_assigned.user_key = revenue_months.user_key
            and cohorts_assigned.month_start_date = revenue_months.month_start_date
    group by
        cohorts_assigned.cohort_type,
        cohorts_assigned.cohort_month,
        cohorts_assigned.month_start_date
),

cohorts as (
    select
        cohort_type,
        cohort_month,
        active_user_count as cohort_user_count
    from periods_aggregated
    where month_start_date = cohort_month
),

months as (
    select distinct month_start_date
    from active_months
),

-- A month in which nobody of the cohort came is a row of zero, not a gap.
periods_filled as (
    select
        cohorts.cohort_type,
        cohorts.cohort_month,
        months.month_start_date,
        {{ months_between("cohorts.cohort_month", "months.month_start_date") }} as period_number,
        cohorts.cohort_user_count,
        coalesce(periods_aggregated.active_user_count, 0) as active_user_count,
        coalesce(periods_aggregated.gross_revenue_amount, 0) as gross_revenue_amount
    from cohorts
    inner join months on cohorts.cohort_month <= months.month_start_date
    left join periods_aggregated
        on
            cohorts.cohort_type = periods_aggregated.cohort_type
            and cohorts.cohort_month = periods_aggregated.cohort_month
            and months.month_start_date = periods_aggregated.month_start_date
),

final as (
    select
        cohort_type,
        cohort_month,
        period_number,
        month_start_date,
        cohort_user_count,
        active_user_count,
        {{ rate("active_user_count", "cohort_user_count") }} as retention_rate,
        cast(gross_revenue_amount as numeric(24, 4)) as gross_revenue_amount,
        cast(
            sum(gross_revenue_amount) over (
                partition by cohort_type, cohort_month
                order by month_start_date
            ) as numeric(24, 4)
        ) as cumulative_revenue_amount
    from periods_filled
)

select * from final
