-- Do orders with a coupon come from new buyers, and are they bigger before the discount?
-- A coupon that known buyers use for orders they would have placed anyway is a gift.
select
    coalesce(coupon, '(none)') as coupon,
    count(*) as order_count,
    {{ rate("count(case when is_first_order then 1 end)", "count(*)") }} as first_order_rate,
    round(avg(gross_amount), 2) as average_order_amount,
    round(avg(gross_amount + coalesce(discount_amount, 0)), 2) as average_undiscounted_amount,
    sum(discount_amount) as discount_amount,
    {{ rate("sum(refund_amount)", "sum(gross_amount)") }} as refund_rate
from {{ ref("fct_orders") }}
where {{ is_counted() }}
group by coalesce(coupon, '(none)')
order by order_count desc, coupon asc
