-- At which step are the most sessions lost, and on which devices?
select
    device_type,
    step_number,
    step,
    sum(session_count) as session_count,
    sum(dropped_session_count) as dropped_session_count,
    {{ rate("sum(session_count)", "sum(previous_step_session_count)") }} as step_rate
from {{ ref("rpt_conversion_funnel") }}
group by device_type, step_number, step
order by device_type, step_number
