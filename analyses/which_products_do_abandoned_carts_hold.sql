-- Which products are left in abandoned carts, what are they worth, and how much comes back?
select
    coalesce(products.product_name, carts.product_id) as product_name,
    products.category,
    sum(carts.cart_count) as cart_count,
    {{ rate("sum(carts.abandoned_cart_count)", "sum(carts.cart_count)") }} as abandonment_rate,
    sum(carts.lost_revenue_amount) as lost_revenue_amount,
    sum(carts.recovered_revenue_amount) as recovered_revenue_amount,
    sum(carts.net_lost_revenue_amount) as net_lost_revenue_amount,
    sum(carts.product_recovered_cart_count) as product_recovered_cart_count
from {{ ref("fct_product_carts") }} as carts
inner join {{ ref("dim_products") }} as products on carts.product_id = products.product_id
group by carts.product_id, products.product_name, products.category
order by net_lost_revenue_amount desc, carts.product_id asc
