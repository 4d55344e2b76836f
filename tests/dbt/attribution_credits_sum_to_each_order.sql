-- In every model, the credits of each counted order sum to exactly 1, and their revenue to the
-- order's own.
with orders as (
    select
        order_key,
        gross_amount
    from {{ ref("fct_orders") }}
    where {{ is_counted() }}
),

models as (
    select distinct attribution_model
    from {{ ref("fct_attribution") }}
),

credits as (
    select
        order_key,
        attribution_model,
        sum(credit) as credit,
        sum(attributed_revenue_amount) as attributed_revenue_amount
    from {{ ref("fct_attribution") }}
    group by order_key, attribution_model
)

select
    orders.order_key,
    models.attribution_model,
    credits.credit,
    orders.gross_amount,
    credits.attributed_revenue_amount
from orders
cross join models
left join credits
    on
        orders.order_key = credits.order_key
        and models.attribution_model = credits.attribution_model
where
    credits.credit is distinct from 1
    or credits.attributed_revenue_amount is distinct from orders.gross_amount
union all
-- Without this, a mart without rows would pass.
select
    order_key,
    null as attribution_model,
    null as credit,
    gross_amount,
    null as attributed_revenue_amount
from orders
where not exists (select 1 from models)
