-- Which products are viewed much and bought little?
-- A product shown to many and bought by few has a price, a picture or a stock problem.
select
    product_name,
    category,
    sum(view_session_count) as view_session_count,
    sum(view_to_cart_session_count) as view_to_cart_session_count,
    sum(order_count) as order_count,
    {{ rate("sum(view_to_cart_session_count)", "sum(view_session_count)") }} as view_to_cart_rate
from {{ ref("rpt_product_performance") }}
group by product_id, product_name, category
having sum(view_session_count) >= 50
order by view_to_cart_rate asc, view_session_count desc, product_id asc
