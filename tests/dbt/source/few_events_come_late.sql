-- Of the events of the last four weeks, no more than late_event_max_share came late: the days are
-- still changing when they are read. Look at fct_tracking_quality, and at the source's delivery.
with span as (
    select last_date
    from {{ ref("int_span_observed") }}
),

days as (
    select
        metric_date,
        received_event_count,
        late_event_count
    from {{ ref("fct_tracking_quality") }}
    where is_in_span
),

weeks_summed as (
    select
        min(days.metric_date) as first_date,
        sum(days.received_event_count) as received_event_count,
        sum(days.late_event_count) as late_event_count
    from days
    cross join span
    where days.metric_date > {{ later_by("span.last_date", -28, "day") }}
)

select *
from weeks_summed
where late_event_count > {{ var("late_event_max_share") }} * received_event_count
