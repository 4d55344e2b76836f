with span as (
    select * from {{ ref("int_span_observed") }}
),

visitor_days as (
    select
        user_key,
        event_date,
        last_event_at
    from {{ ref("int_visitor_days_aggregated") }}
    where {{ is_counted() }} and {{ of_changed_users() }}
),

sessions as (
    select
        user_key,
        session_date
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }} and {{ of_changed_users() }}
),

orders as (
    select
        order_key,
        user_key,
        order_date,
        gross_amount
    from {{ ref("fct_orders") }}
    where {{ is_counted() }} and {{ of_changed_users() }}
),

refunds as (
    select
        order_key,
        refund_date,
        refund_amount
    from {{ ref("fct_refunds") }}
),

-- A day after the last one is one of a wrong clock, and counts as the last.
changes as (
    select
        visitor_days.user_key,
        {{ month_start("least(visitor_days.event_date, span.last_date)") }} as month_start_date,
        min(least(visitor_days.event_date, span.last_date)) as first_seen_date,
        max(visitor_days.last_event_at) as last_seen_at,
        0 as session_count,
        0 as order_count,
        0 as order_day_count,
        cast(null as date) as first_order_date,
        cast(null as date) as last_order_date,
        cast(0 as numeric) as net_revenue_amount
    from visitor_days
    cross join span
    group by
        visitor_days.user_key,
        {{ month_start("least(visitor_days.event_date, span.last_date)") }}
    union all
    select
        sessions.user_key,
        {{ month_start("least(sessions.session_date, span.last_date)") }} as month_start_date,
        cast(null as date) as first_seen_date,
        cast(null as timestamptz) as last_seen_at,
        count(*) as session_count,
        0 as order_count,
        0 as order_day_count,
        cast(null as date) as first_order_date,
        cast(null as date) as last_order_date,
        cast(0 as numeric) as net_revenue_amount
    from sessions
    cross join span
    group by
        sessions.user_key,
        {{ month_start("least(sessions.session_date, span.last_date)") }}
    union all
    select
        orders.user_key,
        {{ month_start("least(orders.order_date, span.last_date)") }} as month_start_date,
        cast(null as date) as first_seen_date,
        cast(null as timestamptz) as last_seen_at,
        0 as session_count,
        count(*) as order_count,
        count(distinct least(orders.order_date, span.last_date)) as order_day_count,
        min(least(orders.order_date, span.last_date)) as first_order_date,
        max(least(orders.order_date, span.last_date)) as last_order_date,
        coalesce(sum(orders.gross_amount), 0) as net_revenue_amount
    from orders
    cross join span
    group by
        orders.user_key,
        {{ month_start("least(orders.order_date, span.last_date)") }}
    union all
    -- Money cannot come back before the order, whatever the clock of the refund says.
    select
        orders.user_key,
        {{ month_start("least(greatest(refunds.refund_date, orders.order_date), span.last_date)") }}
            as month_start_date,
        cast(null as date) as first_seen_date,
        cast(null as timestamptz) as last_seen_at,
        0 as session_count,
        0 as order_count,
        0 as order_day_count,
        cast(null as date) as first_order_date,
        cast(null as date) as last_order_date,
        -coalesce(sum(refunds.refund_amount), 0) as net_revenue_amount
    from refunds
    inner join orders on refunds.order_key = orders.order_key
    cross join span
    group by
        orders.user_key,
        {{ month_start("least(greatest(refunds.refund_date, orders.order_date), span.last_date)") }}
),

final as (
    select
        user_key,
        month_start_date,
        min(first_seen_date) as first_seen_date,
        max(last_seen_at) as last_seen_at,
        cast(sum(session_count) as integer) as session_count,
        cast(sum(order_count) as integer) as order_count,
        cast(sum(order_day_count) as integer) as order_day_count,
        min(first_order_date) as first_order_date,
        max(last_order_date) as last_order_date,
        cast(sum(net_revenue_amount) as numeric(24, 4)) as net_revenue_amount
    from changes
    group by user_key, month_start_date
)

select * from final
