-- All weeks together, and all months, hold what the days of the data's span hold.
with periods as (
    select
        'days' as period_type,
        1 as day_count,
        metrics.event_count,
        metrics.new_user_count,
        metrics.session_count,
        metrics.order_count,
        metrics.net_revenue_amount,
        metrics.lost_revenue_amount
    from {{ ref("fct_daily_metrics") }} as metrics
    inner join {{ ref("int_span_observed") }} as span
        on metrics.metric_date between span.first_date and span.last_date
    union all
    select
        'weeks' as period_type,
        day_count,
        event_count,
        new_user_count,
        session_count,
        order_count,
        net_revenue_amount,
        lost_revenue_amount
    from {{ ref("fct_weekly_metrics") }}
    union all
    select
        'months' as period_type,
        day_count,
        event_count,
        new_user_count,
        session_count,
        order_count,
        net_revenue_amount,
        lost_revenue_amount
    from {{ ref("fct_monthly_metrics") }}
),

sums as (
    select
        period_type,
        sum(day_count) as day_count,
        sum(event_count) as event_count,
        sum(new_user_count) as new_user_count,
        sum(session_count) as session_count,
        sum(order_count) as order_count,
        sum(net_revenue_amount) as net_revenue_amount,
        sum(lost_revenue_amount) as lost_revenue_amount
    from periods
    group by period_type
)

select count(*) as sum_count
from (
    select distinct
        day_count,
        event_count,
        new_user_count,
        session_count,
        order_count,
        net_revenue_amount,
        lost_revenue_amount
    from sums
) as distinct_sums
having count(*) > 1
