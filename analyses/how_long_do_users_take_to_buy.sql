-- How long do users take from a product view to a purchase, over any number of sessions?
select
    count(*) as user_count,
    count(purchase_at) as purchase_user_count,
    {{ rate("count(purchase_at)", "count(*)") }} as purchase_rate,
    percentile_cont(0.5) within group (order by product_view_to_purchase_seconds) / 60
        as median_minutes,
    percentile_cont(0.9) within group (order by product_view_to_purchase_seconds) / 60
        as slowest_tenth_minutes
from {{ ref("fct_user_funnels") }}
