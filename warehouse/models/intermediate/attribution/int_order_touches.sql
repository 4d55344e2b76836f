with orders as (
    select
        order_key,
        session_id,
        user_key,
        ordered_at,
        order_date,
        gross_amount
    from {{ ref("fct_orders") }}
    where {{ is_counted() }} and {{ of_changed_users() }}
),

sessions as not materialized (
    select
        session_id,
        user_key,
        started_at,
        channel
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }}
),

-- The order's own session is always a touch, even where another user ended it.
touched_sessions as (
    select
        order_key,
        session_id
    from orders
    union
    select
        orders.order_key,
        sessions.session_id
    from orders
    inner join sessions
        on
            orders.user_key = sessions.user_key
            and orders.ordered_at >= sessions.started_at
            and orders.ordered_at
            <= {{ later_by("sessions.started_at", var("attribution_lookback_days"), "day") }}
),

final as (
    select
        orders.order_key,
        sessions.session_id,
        orders.user_key,
        orders.ordered_at,
        orders.order_date,
        orders.gross_amount,
        sessions.channel,
        sessions.started_at as touched_at,
        row_number() over (
            partition by orders.order_key
            order by sessions.started_at, sessions.session_id
        ) as touch_number,
        count(*) over (partition by orders.order_key) as touch_count
    from touched_sessions
    inner join orders on touched_sessions.order_key = orders.order_key
    inner join sessions on touched_sessions.session_id = sessions.session_id
)

select * from final
