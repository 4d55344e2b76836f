with users as (
    select * from {{ ref("int_users_aggregated") }}
),

-- Today is the last day of the data, never the clock: the same data give the same segments.
today as (
    select last_date as as_of_date
    from {{ ref("int_span_observed") }}
),

-- A day after it is one of a wrong clock, and counts as today.
users_dated as (
    select
        users.user_key,
        today.as_of_date,
        least(users.first_seen_date, today.as_of_date) as first_seen_date,
        least({{ reporting_date("users.last_seen_at") }}, today.as_of_date) as last_seen_date,
        users.session_count,
        users.order_count,
        users.order_day_count,
        case when users.order_count > 0 then least(users.first_order_date, today.as_of_date) end
            as first_order_date,
        case when users.order_count > 0 then least(users.last_order_date, today.as_of_date) end
            as last_order_date,
        users.net_revenue_amount
    from users
    cross join today
),

final as (
    {{ segmented_users("users_dated") | indent(4) }}
)

select * from final
