with users as (
    select * from {{ ref("int_users_aggregated") }}
),

-- Today is the last day of the data, never the clock: the same data give the same segments.
today as (
    select last_date as as_of_date
    from {{ ref("int_span_observed") }}
),

-- A day after it is one of a wrong clock, and counts as today.
order_days as (
    select
        orders.user_key,
        count(distinct least(orders.order_date, today.as_of_date)) as order_day_count
    from {{ ref("fct_orders") }} as orders
    cross join today
    where {{ is_counted() }}
    group by orders.user_key
),

users_dated as (
    select
        users.user_key,
        today.as_of_date,
        least(users.first_seen_date, today.as_of_date) as first_seen_date,
        least({{ reporting_date("users.last_seen_at") }}, today.as_of_date) as last_seen_date,
        users.session_count,
        users.order_count,
        coalesce(order_days.order_day_count, 0) as order_day_count,
        case when users.order_count > 0 then least(users.first_order_date, today.as_of_date) end
            as first_order_date,
        case when users.order_count > 0 then least(users.last_order_date, today.as_of_date) end
            as last_order_date,
        users.net_revenue_amount
    from users
    cross join today
    left join order_days on users.user_key = order_days.user_key
),

final as (
    {{ segmented_users("users_dated") | indent(4) }}
)

select * from final
