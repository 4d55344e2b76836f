-- All weeks together hold what all months together hold: the days of the data's span.
with weeks as (
    select
        sum(day_count) as day_count,
        sum(event_count) as event_count,
        sum(new_user_count) as new_user_count,
        sum(session_count) as session_count,
        sum(order_count) as order_count,
        sum(net_revenue_amount) as net_revenue_amount,
        sum(lost_revenue_amount) as lost_revenue_amount
    from {{ ref("fct_weekly_metrics") }}
),

months as (
    select
        sum(day_count) as day_count,
        sum(event_count) as event_count,
        sum(new_user_count) as new_user_count,
        sum(session_count) as session_count,
        sum(order_count) as order_count,
        sum(net_revenue_amount) as net_revenue_amount,
        sum(lost_revenue_amount) as lost_revenue_amount
    from {{ ref("fct_monthly_metrics") }}
),

days as (
    select
        count(*) as day_count,
        sum(metrics.event_count) as event_count,
        sum(metrics.new_user_count) as new_user_count,
        sum(metrics.session_count) as session_count,
        sum(metrics.order_count) as order_count,
        sum(metrics.net_revenue_amount) as net_revenue_amount,
        sum(metrics.lost_revenue_amount) as lost_revenue_amount
    from {{ ref("fct_daily_metrics") }} as metrics
    inner join {{ ref("int_span_observed") }} as span
        on metrics.metric_date between span.first_date and span.last_date
)

(
    select * from weeks
    except
    select * from months
)
union all
(
    select * from days
    except
    select * from months
)
