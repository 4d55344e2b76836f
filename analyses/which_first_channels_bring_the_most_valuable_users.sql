-- Users of which first channel become buyers, and what is one of them worth?
-- What a channel may cost per new user is the last column, before all other costs.
select
    first_channel,
    count(*) as user_count,
    count(case when order_count > 0 then 1 end) as buyer_count,
    {{ rate("count(case when order_count > 0 then 1 end)", "count(*)") }} as buyer_rate,
    {{ rate(
        "count(case when order_count > 1 then 1 end)", "count(case when order_count > 0 then 1 end)"
    ) }} as repeat_buyer_rate,
    sum(net_revenue_amount) as net_revenue_amount,
    round(sum(net_revenue_amount) / count(*), 4) as net_revenue_per_user_amount
from {{ ref("dim_users") }}
group by first_channel
order by net_revenue_per_user_amount desc, first_channel asc
