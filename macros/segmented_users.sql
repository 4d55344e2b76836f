{#-
The scores, the figures of the BTYD models and the one segment of each user, as of a day. A
select, to stand in a CTE:

    segments as (
        {{ segmented_users('users_dated') }}
    )

- users: a relation with one row per user and day, and the user as of that day: `user_key`,
  `as_of_date`, `first_seen_date`, `last_seen_date`, `session_count`, `order_count`,
  `order_day_count`, `first_order_date`, `last_order_date`, `net_revenue_amount`. No date lies after
  `as_of_date`; the two of orders are null for users without one.

The quintiles are those of the buyers of the same day. Every order ends in a unique column, so that
equal buyers are split the same way each time.
-#}
{% macro segmented_users(users) -%}
with buyers_scored as (
    select
        user_key,
        as_of_date,
        ntile(5) over (
            partition by as_of_date order by last_order_date, user_key
        ) as recency_score,
        ntile(5) over (
            partition by as_of_date order by order_count, order_day_count, user_key
        ) as frequency_score,
        ntile(5) over (
            partition by as_of_date order by coalesce(net_revenue_amount, 0), user_key
        ) as monetary_score
    from {{ users }}
    where order_count > 0
),

users_measured as (
    select
        users.*,
        buyers_scored.recency_score,
        buyers_scored.frequency_score,
        buyers_scored.monetary_score,
        {{ elapsed_days("users.first_seen_date", "users.as_of_date") }} as days_since_first_seen,
        {{ elapsed_days("users.last_seen_date", "users.as_of_date") }} as days_since_last_seen,
        {{ elapsed_days("users.last_order_date", "users.as_of_date") }} as days_since_last_order,
        {{ elapsed_days("users.first_order_date", "users.last_order_date") }} as recency_days,
        {{ elapsed_days("users.first_order_date", "users.as_of_date") }} as age_days
    from {{ users }} as users
    left join buyers_scored
        on
            users.user_key = buyers_scored.user_key
            and users.as_of_date = buyers_scored.as_of_date
)

select
    user_key,
    as_of_date,
    days_since_first_seen,
    days_since_last_seen,
    days_since_last_order,
    recency_score,
    frequency_score,
    monetary_score,
    case when order_count > 0 then order_day_count - 1 end as frequency,
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
from users_measured
{%- endmacro %}
