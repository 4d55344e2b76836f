{%- set models = [
    "first_touch", "last_touch", "last_non_direct", "linear", "position_based", "time_decay"
] %}
with orders as (
    select
        order_key,
        session_id,
        user_key,
        ordered_at,
        order_date,
        gross_amount
    from {{ ref("fct_orders") }}
    where {{ is_counted() }}
),

sessions as (
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

touches_numbered as (
    select
        orders.order_key,
        orders.user_key,
        orders.order_date,
        orders.gross_amount,
        sessions.session_id,
        sessions.channel,
        sessions.started_at as touched_at,
        row_number() over (
            partition by orders.order_key
            order by sessions.started_at, sessions.session_id
        ) as touch_number,
        -- Where every touch is direct, this is the last of them.
        row_number() over (
            partition by orders.order_key
            order by
                case when sessions.channel = 'Direct' then 1 else 0 end,
                sessions.started_at desc,
                sessions.session_id desc
        ) as last_non_direct_rank,
        count(*) over (partition by orders.order_key) as touch_count,
        -- A touch weighs half of one that came 7 days later. Rounded, so that sums do not depend on
        -- the order of adding up; never to 0, however long the order's own session lasted.
        cast(
            power(
                0.5,
                least(
                    cast(
                        {{ seconds_between("sessions.started_at", "orders.ordered_at") }} / 604800.0
                        as double precision
                    ),
                    39
                )
            ) as numeric(18, 12)
        ) as decayed_weight
    from touched_sessions
    inner join orders on touched_sessions.order_key = orders.order_key
    inner join sessions on touched_sessions.session_id = sessions.session_id
),

touches_shared as (
    select
        *,
        case when touch_number = 1 then 1 else 0 end as first_touch_share,
        case when touch_number = touch_count then 1 else 0 end as last_touch_share,
        case when last_non_direct_rank = 1 then 1 else 0 end as last_non_direct_share,
        1.0 / touch_count as linear_share,
        -- 40 % to the first, 40 % to the last, 20 % to those between.
        case
            when touch_count <= 2 then 1.0 / touch_count
            when touch_number in (1, touch_count) then 0.4
            else 0.2 / (touch_count - 2)
        end as position_based_share,
        decayed_weight / sum(decayed_weight) over (partition by order_key) as time_decay_share
    from touches_numbered
),

models_stacked as (
    {%- for model in models %}
        select
            order_key,
            session_id,
            '{{ model }}' as attribution_model,
            channel,
            user_key,
            order_date,
            touched_at,
            touch_number,
            touch_count,
            gross_amount,
            cast({{ model }}_share as numeric) as touch_share
        from touches_shared
        where {{ model }}_share > 0
        {%- if not loop.last %}
            union all
        {%- endif %}
    {%- endfor %}
),

-- Cut, never rounded up: what is left over is positive, and goes to the last touch below.
shares_cut as (
    select
        *,
        floor(touch_share * 1000000) / 1000000 as cut_credit,
        floor(touch_share * gross_amount * 10000) / 10000 as cut_revenue_amount
    from models_stacked
),

remainders_added as (
    select
        *,
        cut_credit + case
            when touch_number = touch_count
                then 1 - sum(cut_credit) over (partition by order_key, attribution_model)
            else 0
        end as credit,
        cut_revenue_amount + case
            when touch_number = touch_count
                then
                    gross_amount
                    - sum(cut_revenue_amount) over (partition by order_key, attribution_model)
            else 0
        end as attributed_revenue_amount
    from shares_cut
),

final as (
    select
        order_key,
        session_id,
        attribution_model,
        channel,
        user_key,
        order_date,
        touched_at,
        cast(touch_number as integer) as touch_number,
        cast(touch_count as integer) as touch_count,
        cast(credit as numeric(9, 6)) as credit,
        cast(attributed_revenue_amount as numeric(24, 4)) as attributed_revenue_amount
    from remainders_added
)

select * from final
