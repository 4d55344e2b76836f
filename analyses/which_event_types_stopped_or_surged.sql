-- On which days did event types stop arriving, or come far more often than usual?
-- Look here first when a figure jumps. One type alone is a broken tag; all of them at once are the
-- shop or its visitors.
select
    metric_date,
    count(*) as unusual_type_count,
    string_agg(
        case when usual_ratio < 1 then event_type || ' ' || event_count end,
        ', '
        order by event_type
    ) as too_few,
    string_agg(
        case when coalesce(usual_ratio, 2) > 1 then event_type || ' ' || event_count end,
        ', '
        order by event_type
    ) as too_many
from {{ ref("fct_event_type_volumes") }}
where is_unusual
group by metric_date
order by metric_date desc
