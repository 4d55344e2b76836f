-- Do more visitors put a product into the cart after its price fell, and fewer after it rose?
-- The 14 days before each change against the 14 days from it on, over all products.
with changes as (
    select
        product_id,
        valid_from,
        price_change_rate < 0 as is_cheaper
    from {{ ref("fct_product_prices") }}
    where price_number > 1
),

days as (
    select
        changes.is_cheaper,
        metrics.metric_date >= changes.valid_from as is_after,
        metrics.view_session_count,
        metrics.view_to_cart_session_count,
        metrics.purchased_quantity
    from changes
    inner join {{ ref("fct_product_metrics") }} as metrics
        on
            changes.product_id = metrics.product_id
            and metrics.metric_date
            between changes.valid_from - 14 and changes.valid_from + 13
)

select
    case when is_cheaper then 'cheaper' else 'dearer' end as price_now,
    case when is_after then 'after' else 'before' end as before_or_after,
    sum(view_session_count) as view_session_count,
    sum(view_to_cart_session_count) as view_to_cart_session_count,
    {{ rate("sum(view_to_cart_session_count)", "sum(view_session_count)") }} as view_to_cart_rate,
    sum(purchased_quantity) as purchased_quantity
from days
group by is_cheaper, is_after
order by is_cheaper, is_after
