with baskets as (
    select
        basis,
        product_ids,
        row_sign
    from {{ rows_of("int_baskets_listed") }} as baskets
    where
        basket_product_count <= {{ var("affinity_max_basket_products") }}
        and {{ is_counted() }}
),

-- Each pair once, by the order of the ids; and each product with itself.
pairs as (
    select
        baskets.basis,
        own.product_id,
        later_ones.product_id as other_product_id,
        baskets.row_sign
    from baskets
    cross join
        unnest(baskets.product_ids) with ordinality as own (product_id, product_number)
    cross join unnest(baskets.product_ids[own.product_number:]) as later_ones (product_id)
),

final as (
    select
        basis,
        product_id,
        other_product_id,
        sum(row_sign) as row_count
    from pairs
    group by basis, product_id, other_product_id
)

select * from final
