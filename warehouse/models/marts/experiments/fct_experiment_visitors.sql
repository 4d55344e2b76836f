with exposures as (
    select *
    from {{ ref("int_visitors_exposed") }}
    where {{ of_changed_visitors() }}
),

visitors as (
    select
        visitor_id,
        is_bot
    from {{ ref("int_visitors_flagged") }}
    where {{ of_changed_visitors() }}
),

orders as (
    select
        visitor_id,
        {{ sortable_moment("ordered_at", "event_id") }} as ordered_moment,
        coalesce(gross_amount, 0) as gross_amount
    from {{ ref("fct_orders") }}
    where {{ of_changed_visitors() }}
),

-- What a visitor ordered before the variant was seen is not its doing.
orders_aggregated as (
    select
        exposures.experiment_id,
        exposures.visitor_id,
        count(*) as order_count,
        sum(orders.gross_amount) as gross_revenue_amount
    from exposures
    inner join orders
        on
            exposures.visitor_id = orders.visitor_id
            and exposures.first_exposed_moment <= orders.ordered_moment
    group by exposures.experiment_id, exposures.visitor_id
),

final as (
    select
        exposures.experiment_id,
        exposures.visitor_id,
        exposures.variant_id,
        exposures.first_exposed_at,
        exposures.variant_count,
        orders_aggregated.order_count is not null as is_converted,
        cast(coalesce(orders_aggregated.order_count, 0) as integer) as order_count,
        cast(coalesce(orders_aggregated.gross_revenue_amount, 0) as numeric(24, 4))
            as gross_revenue_amount,
        visitors.is_bot
    from exposures
    inner join visitors
        on exposures.visitor_id = visitors.visitor_id
    left join orders_aggregated
        on
            exposures.experiment_id = orders_aggregated.experiment_id
            and exposures.visitor_id = orders_aggregated.visitor_id
)

select * from final
