{%- set steps = ["product_view", "add_to_cart", "checkout_start", "purchase"] %}
with sessions as (
    select
        session_id,
        visitor_id,
        user_key,
        session_date,
        device_type,
        channel
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }} and {{ of_changed_sessions() }}
),

-- Those of sessions that are not counted fall away below.
funnels as (
    {{ funnel(
        ref("int_events_sessionized"), "session_id", steps, where=of_changed_sessions()
    ) | indent(4) }}
),

final as (
    select
        sessions.session_id,
        sessions.visitor_id,
        sessions.user_key,
        sessions.session_date,
        sessions.device_type,
        sessions.channel,
        coalesce(funnels.furthest_step_number, 0) as furthest_step_number,
        case funnels.furthest_step_number
            {%- for step in steps %}
                when {{ loop.index }} then '{{ step }}'
            {%- endfor %}
            else '(none)'
        end as furthest_step,
        {{ funnel_columns(steps) }}
    from sessions
    left join funnels on sessions.session_id = funnels.session_id
)

select * from final
