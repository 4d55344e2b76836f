{%- set models = [
    "first_touch", "last_touch", "last_non_direct", "linear", "position_based", "time_decay",
    "markov"
] %}
with order_touches as (
    select
        *,
        {{ seconds_between("touched_at", "ordered_at") }} as seconds_to_order
    from {{ ref("int_order_touches") }}
),

removal_effects as (
    select
        channel,
        removal_effect
    from {{ ref("int_channel_removal_effects") }}
),

touches_weighed as (
    select
        order_touches.*,
        -- Where every touch is direct, this is the last of them.
        row_number() over (
            partition by order_touches.order_key
            order by
                case when order_touches.channel = 'Direct' then 1 else 0 end,
                order_touches.touch_number desc
        ) as last_non_direct_rank,
        -- A touch weighs half of one that came 7 days later. Rounded, so that sums do not depend on
        -- the order of adding up; never to 0, however long the order's own session lasted.
        cast(
            power(
                0.5,
                least(
                    cast(order_touches.seconds_to_order / 604800.0 as double precision),
                    39
                )
            ) as numeric(18, 12)
        ) as decayed_weight,
        -- A channel's removal effect counts once in each order, shared by its touches.
        cast(
            removal_effects.removal_effect / count(*) over (
                partition by order_touches.order_key, order_touches.channel
            ) as numeric(26, 24)
        ) as removal_weight
    from order_touches
    inner join removal_effects on order_touches.channel = removal_effects.channel
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
        decayed_weight / sum(decayed_weight) over (partition by order_key) as time_decay_share,
        removal_weight / sum(removal_weight) over (partition by order_key) as markov_share
    from touches_weighed
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
            cast({{ model }}_share as numeric(19, 18)) as touch_share
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
