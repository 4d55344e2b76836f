with users as (
    select * from {{ ref("int_users_aggregated") }}
),

segments as (
    select * from {{ ref("int_users_segmented") }}
),

final as (
    select
        users.user_key,
        users.user_id,
        users.user_id is not null as is_identified,
        segments.segment,
        users.first_seen_at,
        users.last_seen_at,
        users.first_seen_date,
        users.first_channel,
        users.last_channel,
        users.first_device_type,
        users.first_country,
        users.visitor_count,
        users.event_count,
        users.session_count,
        users.order_count,
        users.order_day_count,
        users.first_order_date,
        users.last_order_date,
        users.gross_revenue_amount,
        users.refund_amount,
        users.net_revenue_amount,
        segments.recency_score,
        segments.frequency_score,
        segments.monetary_score,
        segments.frequency,
        segments.recency_days,
        segments.age_days,
        segments.days_since_last_seen,
        segments.days_since_last_order
    from users
    inner join segments on users.user_key = segments.user_key
)

select * from final
