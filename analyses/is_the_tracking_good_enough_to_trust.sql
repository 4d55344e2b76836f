-- How much of each week's events is late, from bots, from nobody known, or incomplete?
-- A week that differs from the others has another kind of tracking, not other customers.
select
    dates.week_start_date,
    sum(quality.event_count) as event_count,
    {{ rate("sum(quality.late_event_count)", "sum(quality.received_event_count)") }}
        as late_event_rate,
    {{ rate("sum(quality.bot_event_count)", "sum(quality.event_count)") }} as bot_event_rate,
    {{ rate("sum(quality.unknown_user_event_count)", "sum(quality.event_count)") }}
        as unknown_user_event_rate,
    {{ rate("sum(quality.missing_page_event_count)", "sum(quality.page_event_count)") }}
        as missing_page_rate,
    {{ rate("sum(quality.missing_product_event_count)", "sum(quality.product_event_count)") }}
        as missing_product_rate,
    {{ rate(
        "sum(sessions.source_session_count - sessions.agreeing_session_count)",
        "sum(sessions.source_session_count)"
    ) }} as disagreeing_session_rate
from {{ ref("fct_tracking_quality") }} as quality
inner join {{ ref("fct_session_disagreement") }} as sessions
    on quality.metric_date = sessions.session_date
inner join {{ ref("dim_dates") }} as dates on quality.metric_date = dates.date_day
where quality.is_in_span
group by dates.week_start_date
order by dates.week_start_date
