-- What would the figures be if bots were counted as people?
select
    'people alone' as who,
    count(*) as session_count,
    {{ rate("count(case when is_converted then 1 end)", "count(*)") }} as conversion_rate,
    round(avg(event_count), 2) as events_per_session,
    round(avg(product_view_count), 2) as product_views_per_session
from {{ ref("fct_sessions") }}
where not is_bot
union all
select
    'with bots' as who,
    count(*) as session_count,
    {{ rate("count(case when is_converted then 1 end)", "count(*)") }} as conversion_rate,
    round(avg(event_count), 2) as events_per_session,
    round(avg(product_view_count), 2) as product_views_per_session
from {{ ref("fct_sessions") }}
order by who
