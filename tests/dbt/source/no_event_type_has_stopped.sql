-- On the last whole day there is every type of event that is usual on that weekday. If not, a page
-- or a tag has lost its tracking: look at fct_event_type_volumes.
with span as (
    select last_date
    from {{ ref("int_span_observed") }}
)

select
    volumes.metric_date,
    volumes.event_type,
    volumes.usual_event_count
from {{ ref("fct_event_type_volumes") }} as volumes
inner join span
    on volumes.metric_date = {{ later_by("span.last_date", -1, "day") }}
where volumes.event_count = 0 and volumes.is_unusual
