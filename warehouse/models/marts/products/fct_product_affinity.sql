with baskets as (
    select
        basis,
        basket_product_count <= {{ var("affinity_max_basket_products") }} as is_kept
    from {{ ref("int_baskets_listed") }}
    where {{ is_counted() }}
),

product_pairs as (
    select
        basis,
        product_id,
        other_product_id,
        row_count as basket_count
    from {{ ref("int_product_pairs_aggregated") }}
),

baskets_counted as (
    select
        basis,
        count(case when is_kept then 1 end) as basket_count,
        count(case when not is_kept then 1 end) as left_out_basket_count
    from baskets
    group by basis
),

-- A pair is counted once, and shown from both its sides; a product with itself is its own baskets.
pairs_mirrored as (
    select
        basis,
        product_id,
        other_product_id,
        basket_count
    from product_pairs
    union all
    select
        basis,
        other_product_id as product_id,
        product_id as other_product_id,
        basket_count
    from product_pairs
    where product_id <> other_product_id
),

-- By windows, not joins: what these find cannot be told beforehand, and the guess of one row makes
-- them compare each pair with each product.
products_counted as (
    select
        basis,
        product_id,
        other_product_id,
        basket_count as pair_basket_count,
        max(case when product_id = other_product_id then basket_count end) over (
            partition by basis, product_id
        ) as product_basket_count,
        max(case when product_id = other_product_id then basket_count end) over (
            partition by basis, other_product_id
        ) as other_product_basket_count
    from pairs_mirrored
    where
        basket_count >= {{ var("affinity_min_basket_count") }}
        or product_id = other_product_id
),

measured as (
    select
        pairs.basis,
        pairs.product_id,
        pairs.other_product_id,
        baskets_counted.basket_count,
        baskets_counted.left_out_basket_count,
        pairs.product_basket_count,
        pairs.other_product_basket_count,
        pairs.pair_basket_count,
        cast(pairs.pair_basket_count as numeric) * baskets_counted.basket_count
        / (cast(pairs.product_basket_count as numeric) * pairs.other_product_basket_count) as lift
    from products_counted as pairs
    inner join baskets_counted on pairs.basis = baskets_counted.basis
    where pairs.product_id <> pairs.other_product_id
),

final as (
    select
        basis,
        product_id,
        other_product_id,
        basket_count,
        left_out_basket_count,
        product_basket_count,
        other_product_basket_count,
        pair_basket_count,
        cast(cast(pair_basket_count as numeric) / basket_count as numeric(12, 9)) as support_rate,
        {{ rate("pair_basket_count", "product_basket_count") }} as confidence_rate,
        cast(lift as numeric(28, 6)) as lift,
        -- Of two pairs found as often, the one with the rarer product says more.
        row_number() over (
            partition by basis, product_id
            order by
                pair_basket_count desc,
                other_product_basket_count asc,
                {{ bytewise("other_product_id") }} asc
        ) as pair_rank
    from measured
)

select * from final
