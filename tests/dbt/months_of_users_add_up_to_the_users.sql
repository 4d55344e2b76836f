-- Followed month by month, or taken from all events at once, a user has done the same.
with months_summed as (
    select
        user_key,
        sum(session_count) as session_count,
        sum(order_count) as order_count,
        sum(order_day_count) as order_day_count,
        sum(net_revenue_amount) as net_revenue_amount
    from {{ ref("int_user_months_aggregated") }}
    group by user_key
    having min(first_seen_date) is not null
),

users as (
    select
        user_key,
        session_count,
        order_count,
        coalesce(frequency + 1, 0) as order_day_count,
        net_revenue_amount
    from {{ ref("dim_users") }}
)

select
    coalesce(months_summed.user_key, users.user_key) as user_key,
    months_summed.session_count as month_session_count,
    users.session_count
from months_summed
full outer join users on months_summed.user_key = users.user_key
where
    months_summed.session_count is distinct from users.session_count
    or months_summed.order_count is distinct from users.order_count
    or months_summed.order_day_count is distinct from users.order_day_count
    or months_summed.net_revenue_amount is distinct from users.net_revenue_amount
