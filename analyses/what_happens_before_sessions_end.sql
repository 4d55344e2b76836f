-- After which step do sessions end, more often than after others?
select
    from_step,
    sum(transition_count) as step_count,
    sum(case when is_exit then transition_count else 0 end) as exit_count,
    {{ rate("sum(case when is_exit then transition_count else 0 end)", "sum(transition_count)") }}
        as exit_rate
from {{ ref("rpt_customer_journey") }}
where not is_entry
group by from_step
order by exit_rate desc, from_step asc
