{%- set names = ["checkout_start"] + var("checkout_steps").split(",") + ["purchase"] %}
{%- set steps = [] %}
{%- for name in names %}
    {%- do steps.append({"name": "step_" ~ loop.index, "where": "step = '" ~ name ~ "'"}) %}
{%- endfor %}
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

funnels as (
    {{ funnel(
        ref("int_checkout_events"), "session_id", steps, where=of_changed_sessions()
    ) | indent(4) }}
),

steps_stacked as (
    {%- for name in names %}
        select
            session_id,
            {{ loop.index }} as step_number,
            '{{ name }}' as step,
            step_{{ loop.index }}_at as step_at,
            {{ "cast(null as timestamptz)" if loop.first else "step_%s_at" % loop.index0 }}
                as previous_step_at,
            step_1_at as checkout_start_at
        from funnels
        {%- if not loop.last %}
            union all
        {%- endif %}
    {%- endfor %}
),

final as (
    select
        sessions.session_id,
        steps_stacked.step_number,
        steps_stacked.step,
        sessions.visitor_id,
        sessions.user_key,
        sessions.session_date,
        sessions.device_type,
        sessions.channel,
        steps_stacked.step_at is not null as is_reached,
        steps_stacked.step_at,
        cast(
            {{ seconds_between("steps_stacked.previous_step_at", "steps_stacked.step_at") }}
            as numeric(13, 3)
        ) as previous_step_seconds,
        cast(
            {{ seconds_between("steps_stacked.checkout_start_at", "steps_stacked.step_at") }}
            as numeric(13, 3)
        ) as checkout_start_seconds
    from steps_stacked
    inner join sessions on steps_stacked.session_id = sessions.session_id
)

select * from final
