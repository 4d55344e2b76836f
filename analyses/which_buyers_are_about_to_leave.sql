-- Which good customers have not been back for longer than they used to stay away?
-- The usual pause of a buyer is the time from the first to the last order, divided by the repeat
-- orders in it. Twice that pause is a reason to write to them.
select
    user_key,
    user_id,
    order_count,
    net_revenue_amount,
    round(recency_days * 1.0 / frequency, 1) as usual_pause_days,
    days_since_last_order
from {{ ref("dim_users") }}
where
    frequency > 0
    and days_since_last_order > 2 * recency_days / frequency
order by net_revenue_amount desc, user_key asc
