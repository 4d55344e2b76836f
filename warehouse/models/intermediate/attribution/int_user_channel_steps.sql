with order_touches as (
    select
        order_key,
        user_key,
        channel,
        touch_number,
        touch_count
    from {{ ref("int_order_touches") }}
    where {{ of_changed_users() }}
),

sessions as (
    select
        session_id,
        user_key,
        started_at,
        channel
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }} and {{ of_changed_users() }}
),

buyers as (
    select distinct user_key
    from {{ ref("fct_orders") }}
    where {{ is_counted() }} and {{ of_changed_users() }}
),

other_users_sessions as (
    select
        sessions.*,
        max(sessions.started_at) over (partition by sessions.user_key) as last_started_at
    from sessions
    left join buyers on sessions.user_key = buyers.user_key
    where buyers.user_key is null
),

-- Who never ordered has one path: it ends with the last session, and is as long as an order's.
paths_without_order as (
    select
        user_key,
        lag(channel) over (
            partition by user_key order by started_at, session_id
        ) as previous_channel,
        channel,
        lead(channel) over (
            partition by user_key order by started_at, session_id
        ) is null as is_last
    from other_users_sessions
    where
        last_started_at
        <= {{ later_by("started_at", var("attribution_lookback_days"), "day") }}
),

paths_to_orders as (
    select
        user_key,
        lag(channel) over (partition by order_key order by touch_number) as previous_channel,
        channel,
        touch_number = touch_count as is_last
    from order_touches
),

steps as (
    select
        user_key,
        coalesce(previous_channel, '(start)') as from_state,
        channel as to_state
    from paths_to_orders
    union all
    select
        user_key,
        channel as from_state,
        '(order)' as to_state
    from paths_to_orders
    where is_last
    union all
    select
        user_key,
        coalesce(previous_channel, '(start)') as from_state,
        channel as to_state
    from paths_without_order
    union all
    select
        user_key,
        channel as from_state,
        '(no order)' as to_state
    from paths_without_order
    where is_last
),

final as (
    select
        user_key,
        from_state,
        to_state,
        count(*) as transition_count
    from steps
    group by user_key, from_state, to_state
)

select * from final
