-- On which weekdays do the most sessions come, and on which do they buy?
-- Few visits that buy are worth more to an advertisement than many that look around.
select
    dates.day_of_week,
    dates.day_name,
    count(*) as day_count,
    round(avg(metrics.session_count), 1) as average_session_count,
    {{ rate("sum(metrics.converted_session_count)", "sum(metrics.session_count)") }}
        as conversion_rate,
    round(sum(metrics.gross_revenue_amount) / count(*), 2) as average_day_revenue_amount
from {{ ref("fct_daily_metrics") }} as metrics
inner join {{ ref("dim_dates") }} as dates on metrics.metric_date = dates.date_day
inner join {{ ref("fct_tracking_quality") }} as quality on metrics.metric_date = quality.metric_date
where quality.is_in_span
group by dates.day_of_week, dates.day_name
order by dates.day_of_week
