-- Each pair stands twice, with the products changed over and all else but confidence alike.
select
    own.basis,
    own.product_id,
    own.other_product_id
from {{ ref("fct_product_affinity") }} as own
left join {{ ref("fct_product_affinity") }} as other
    on
        own.basis = other.basis
        and own.product_id = other.other_product_id
        and own.other_product_id = other.product_id
        and own.pair_basket_count = other.pair_basket_count
        and own.product_basket_count = other.other_product_basket_count
        and own.support_rate = other.support_rate
        and own.lift = other.lift
where other.product_id is null
