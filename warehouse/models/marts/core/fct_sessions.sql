with sessions as (
    select *
    from {{ ref("int_sessions_aggregated") }}
    where {{ of_changed_users() }}
),

edges as (
    select * from {{ ref("int_session_edges") }}
),

channels as (
    select *
    from {{ ref("int_session_channels") }}
    where {{ of_changed_users() }}
),

visitors as (
    select
        visitor_id,
        is_bot
    from {{ ref("int_visitors_flagged") }}
),

orders as (
    select
        session_id,
        count(*) as order_count,
        sum(gross_amount) as gross_revenue_amount
    from {{ ref("int_orders_priced") }}
    group by session_id
),

final as (
    select
        sessions.session_id,
        sessions.visitor_id,
        sessions.user_key,
        sessions.started_at,
        sessions.ended_at,
        sessions.session_date,
        sessions.duration_seconds,
        sessions.visitor_session_number,
        sessions.event_count,
        sessions.page_view_count,
        sessions.product_view_count,
        sessions.search_count,
        sessions.add_to_cart_count,
        sessions.remove_from_cart_count,
        sessions.checkout_start_count,
        cast(coalesce(orders.order_count, 0) as integer) as order_count,
        cast(coalesce(orders.gross_revenue_amount, 0) as numeric(24, 4)) as gross_revenue_amount,
        sessions.event_count = 1 as is_bounce,
        orders.order_count is not null as is_converted,
        sessions.is_continuation,
        visitors.is_bot,
        edges.landing_page_url,
        edges.landing_page_type,
        edges.exit_page_url,
        edges.exit_page_type,
        channels.channel,
        channels.last_non_direct_channel,
        channels.traffic_source as utm_source,
        channels.traffic_medium as utm_medium,
        channels.traffic_campaign as utm_campaign,
        channels.referrer,
        {{ device_key("edges.device_type", "edges.browser", "edges.os") }} as device_key,
        edges.device_type,
        edges.country
    from sessions
    inner join edges
        on sessions.session_id = edges.session_id
    inner join channels
        on sessions.session_id = channels.session_id
    inner join visitors
        on sessions.visitor_id = visitors.visitor_id
    left join orders
        on sessions.session_id = orders.session_id
)

select * from final
