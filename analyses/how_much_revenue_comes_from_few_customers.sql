-- What share of the revenue comes from the best tenth of the customers?
with buyers as (
    select
        user_key,
        net_revenue_amount,
        ntile(10) over (order by net_revenue_amount desc, user_key asc) as tenth_number
    from {{ ref("dim_users") }}
    where order_count > 0
)

select
    tenth_number,
    count(*) as buyer_count,
    sum(net_revenue_amount) as net_revenue_amount,
    {{ rate("sum(net_revenue_amount)", "sum(sum(net_revenue_amount)) over ()") }}
        as net_revenue_share_rate
from buyers
group by tenth_number
order by tenth_number
