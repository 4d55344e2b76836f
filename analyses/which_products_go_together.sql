-- Which products are bought or looked at together more often than chance would have it?
-- Pairs of few baskets reach a high lift by chance: look at the counts beside it.
select
    affinity.basis,
    coalesce(own.product_name, affinity.product_id) as product_name,
    coalesce(other.product_name, affinity.other_product_id) as other_product_name,
    affinity.pair_basket_count,
    affinity.confidence_rate,
    affinity.lift
from {{ ref("fct_product_affinity") }} as affinity
inner join {{ ref("dim_products") }} as own on affinity.product_id = own.product_id
inner join {{ ref("dim_products") }} as other on affinity.other_product_id = other.product_id
where affinity.pair_rank <= 3 and affinity.lift > 1
order by
    affinity.pair_basket_count desc, affinity.lift desc, affinity.basis asc,
    affinity.product_id asc, affinity.other_product_id asc
