-- How much revenue is left in carts, how much of it comes back, and from which channels?
select
    channel,
    sum(cart_count) as cart_count,
    {{ rate("sum(abandoned_cart_count)", "sum(cart_count)") }} as abandonment_rate,
    {{ rate("sum(recovered_cart_count)", "sum(abandoned_cart_count)") }} as recovery_rate,
    sum(lost_revenue_amount) as lost_revenue_amount,
    sum(recovered_revenue_amount) as recovered_revenue_amount,
    sum(net_lost_revenue_amount) as net_lost_revenue_amount
from {{ ref("rpt_cart_abandonment") }}
group by channel
order by net_lost_revenue_amount desc, channel asc
