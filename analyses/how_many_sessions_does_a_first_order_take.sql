-- In which of their sessions do users order for the first time?
-- What the first visit does not sell, the next ones may: a reason to be remembered.
with first_orders as (
    select
        user_key,
        ordered_at,
        gross_amount
    from {{ ref("fct_orders") }}
    where is_first_order and {{ is_counted() }}
),

sessions_before as (
    select
        first_orders.user_key,
        first_orders.gross_amount,
        least(count(*), 6) as session_number
    from first_orders
    inner join {{ ref("fct_sessions") }} as sessions
        on
            first_orders.user_key = sessions.user_key
            and first_orders.ordered_at >= sessions.started_at
    group by first_orders.user_key, first_orders.gross_amount
)

select
    case when session_number = 6 then '6 or later' else cast(session_number as text) end
        as first_order_session,
    count(*) as buyer_count,
    {{ rate("count(*)", "sum(count(*)) over ()") }} as buyer_share_rate,
    round(avg(gross_amount), 2) as average_order_amount
from sessions_before
group by session_number
order by session_number
