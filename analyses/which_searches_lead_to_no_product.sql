-- Which search terms are followed by no product view in their session?
-- What people look for and do not find: a missing product, or a missing word.
with searches as (
    select
        session_id,
        lower(search_term) as search_term,
        max(session_event_number) as last_search_number
    from {{ ref("fct_events") }}
    where event_type = 'search' and search_term is not null and {{ is_counted() }}
    group by session_id, lower(search_term)
),

product_views as (
    select
        session_id,
        max(session_event_number) as last_view_number
    from {{ ref("fct_events") }}
    where event_type = 'product_view'
    group by session_id
)

select
    searches.search_term,
    count(*) as session_count,
    count(case when product_views.last_view_number > searches.last_search_number then 1 end)
        as product_view_session_count,
    {{ rate(
        "count(*) - count("
        ~ "case when product_views.last_view_number > searches.last_search_number then 1 end)",
        "count(*)"
    ) }} as without_view_rate
from searches
left join product_views on searches.session_id = product_views.session_id
group by searches.search_term
having count(*) >= 20
order by without_view_rate desc, session_count desc, searches.search_term asc
