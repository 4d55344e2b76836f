-- On which kinds of page do sessions begin, and where do they end at once?
select
    coalesce(landing_page_type, '(unknown)') as landing_page_type,
    count(*) as session_count,
    count(case when is_bounce then 1 end) as bounce_session_count,
    {{ rate("count(case when is_bounce then 1 end)", "count(*)") }} as bounce_rate,
    {{ rate("count(case when add_to_cart_count > 0 then 1 end)", "count(*)") }}
        as add_to_cart_rate,
    {{ rate("count(case when is_converted then 1 end)", "count(*)") }} as conversion_rate
from {{ ref("fct_sessions") }}
where {{ is_counted() }}
group by coalesce(landing_page_type, '(unknown)')
order by bounce_session_count desc, landing_page_type asc
