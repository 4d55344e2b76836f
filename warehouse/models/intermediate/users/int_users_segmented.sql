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

-- Every order ends in a unique column, so that equal buyers are split the same way each time.
buyers_scored as (
    select
        user_key,
        ntile(5) over (order by last_order_date, user_key) as recency_score,
        ntile(5) over (
            order by order_count, order_day_count, user_key
        ) as frequency_score,
        ntile(5) over (
            order by coalesce(net_revenue_amount, 0), user_key
        ) as monetary_score
    from users_dated
    where order_count > 0
),

measured as (
    select
        users_dated.*,
        buyers_scored.recency_score,
        buyers_scored.frequency_score,
        buyers_scored.monetary_score,
        {{ elapsed_days("users_dated.first_seen_date", "users_dated.as_of_date") }}
            as days_since_first_seen,
        {{ elapsed_days("users_dated.last_seen_date", "users_dated.as_of_date") }}
            as days_since_last_seen,
        {{ elapsed_days("users_dated.last_order_date", "users_dated.as_of_date") }}
            as days_since_last_order,
        users_dated.order_day_count - 1 as repeat_order_day_count,
        {{ elapsed_days("users_dated.first_order_date", "users_dated.last_order_date") }}
            as recency_days,
        {{ elapsed_days("users_dated.first_order_date", "users_dated.as_of_date") }} as age_days
    from users_dated
    left join buyers_scored on users_dated.user_key = buyers_scored.user_key
),

final as (
    select
        user_key,
        as_of_date,
        days_since_first_seen,
        days_since_last_seen,
        days_since_last_order,
        recency_score,
        frequency_score,
        monetary_score,
        case when order_count > 0 then repeat_order_day_count end as frequency,
        recency_days,
        age_days,
        -- The first rule that fits decides.
        case
            when monetary_score = 5 and net_revenue_amount > 0 then 'High Value'
            when order_count > 0 then 'Converted'
            when days_since_first_seen < {{ var("segment_new_days") }} then 'New'
            when
                session_count > 1
                and days_since_last_seen < {{ var("segment_active_days") }}
                then 'Engaged'
            else 'Inactive'
        end as segment
    from measured
)

select * from final
