-- How many buyers order again within 7, 30 and 60 days of an order?
-- Only orders old enough to tell are asked: one of yesterday has had no 30 days yet.
with orders as (
    select
        order_date,
        lead(order_date) over (partition by user_key order by user_order_number) as next_order_date
    from {{ ref("fct_orders") }}
    where {{ is_counted() }}
),

span as (
    select max(metric_date) as last_date
    from {{ ref("fct_tracking_quality") }}
    where is_in_span
),

windows as (
    select 7 as window_days
    union all
    select 30 as window_days
    union all
    select 60 as window_days
)

select
    windows.window_days,
    count(*) as order_count,
    count(case when orders.next_order_date <= orders.order_date + windows.window_days then 1 end)
        as followed_order_count,
    {{ rate(
        "count(case when orders.next_order_date <= orders.order_date + windows.window_days"
        ~ " then 1 end)",
        "count(*)"
    ) }} as followed_rate
from orders
cross join windows
cross join span
where orders.order_date + windows.window_days <= span.last_date
group by windows.window_days
order by windows.window_days
