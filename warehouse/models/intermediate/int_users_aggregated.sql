with visitor_days as (
    select *
    from {{ ref("int_visitor_days_aggregated") }}
    where {{ is_counted() }} and {{ of_changed_users() }}
),

sessions as (
    select
        session_id,
        user_key,
        started_at,
        channel,
        device_type,
        country
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }} and {{ of_changed_users() }}
),

orders as (
    select
        user_key,
        order_date,
        gross_amount,
        refund_amount
    from {{ ref("fct_orders") }}
    where {{ is_counted() }} and {{ of_changed_users() }}
),

users as (
    select
        user_key,
        max(user_id) as user_id,
        count(distinct visitor_id) as visitor_count,
        min(first_event_at) as first_seen_at,
        max(last_event_at) as last_seen_at,
        min(event_date) as first_seen_date,
        sum(event_count) as event_count
    from visitor_days
    group by user_key
),

sessions_ranked as (
    select
        *,
        row_number() over (partition by user_key order by started_at, session_id)
            as user_session_number,
        row_number() over (partition by user_key order by started_at desc, session_id desc)
            as recency_number
    from sessions
),

user_sessions as (
    select
        user_key,
        count(*) as session_count,
        max(channel) filter (where user_session_number = 1) as first_channel,
        max(channel) filter (where recency_number = 1) as last_channel,
        max(device_type) filter (where user_session_number = 1) as first_device_type,
        max(country) filter (where user_session_number = 1) as first_country
    from sessions_ranked
    group by user_key
),

user_orders as (
    select
        user_key,
        count(*) as order_count,
        min(order_date) as first_order_date,
        max(order_date) as last_order_date,
        count(distinct order_date) as order_day_count,
        sum(gross_amount) as gross_revenue_amount,
        sum(refund_amount) as refund_amount
    from orders
    group by user_key
),

final as (
    select
        users.user_key,
        users.user_id,
        users.visitor_count,
        users.first_seen_at,
        users.last_seen_at,
        users.first_seen_date,
        cast(users.event_count as bigint) as event_count,
        coalesce(user_sessions.session_count, 0) as session_count,
        coalesce(user_orders.order_count, 0) as order_count,
        user_orders.first_order_date,
        user_orders.last_order_date,
        coalesce(user_orders.order_day_count, 0) as order_day_count,
        cast(coalesce(user_orders.gross_revenue_amount, 0) as numeric(24, 4))
            as gross_revenue_amount,
        cast(coalesce(user_orders.refund_amount, 0) as numeric(24, 4)) as refund_amount,
        cast(
            coalesce(user_orders.gross_revenue_amount, 0) - coalesce(user_orders.refund_amount, 0)
            as numeric(24, 4)
        ) as net_revenue_amount,
        user_sessions.first_channel,
        user_sessions.last_channel,
        user_sessions.first_device_type,
        user_sessions.first_country
    from users
    left join user_sessions
        on users.user_key = user_sessions.user_key
    left join user_orders
        on users.user_key = user_orders.user_key
)

select * from final
