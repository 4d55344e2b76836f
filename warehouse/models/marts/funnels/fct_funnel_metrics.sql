{%- set steps = ["product_view", "add_to_cart", "checkout_start", "purchase"] %}
with funnels as (
    select
        session_date,
        coalesce(device_type, '(unknown)') as device_type,
        channel,
        furthest_step_number,
        product_view_to_add_to_cart_seconds,
        add_to_cart_to_checkout_start_seconds,
        checkout_start_to_purchase_seconds
    from {{ ref("fct_session_funnels") }}
),

sessions_counted as (
    select
        session_date,
        device_type,
        channel,
        {%- for step in steps %}
            count(case when furthest_step_number >= {{ loop.index }} then 1 end)
                as step_{{ loop.index }}_count,
        {%- endfor %}
        {%- for step in steps[1:] %}
            percentile_cont(0.5) within group (
                order by {{ steps[loop.index0] }}_to_{{ step }}_seconds
            ) as step_{{ loop.index + 1 }}_seconds,
        {%- endfor %}
        count(*) as step_0_count
    from funnels
    group by session_date, device_type, channel
),

steps_stacked as (
    select
        session_date,
        device_type,
        channel,
        0 as step_number,
        'session' as step,
        step_0_count as session_count,
        cast(null as bigint) as previous_step_session_count,
        step_0_count as all_session_count,
        cast(null as double precision) as median_seconds
    from sessions_counted
    {%- for step in steps %}
        union all
        select
            session_date,
            device_type,
            channel,
            {{ loop.index }} as step_number,
            '{{ step }}' as step,
            step_{{ loop.index }}_count as session_count,
            step_{{ loop.index - 1 }}_count as previous_step_session_count,
            step_0_count as all_session_count,
            {{ "cast(null as double precision)" if loop.first else "step_%s_seconds" % loop.index }}
                as median_seconds
        from sessions_counted
    {%- endfor %}
),

final as (
    select
        session_date,
        device_type,
        channel,
        step_number,
        step,
        session_count,
        previous_step_session_count,
        all_session_count,
        previous_step_session_count - session_count as dropped_session_count,
        {{ rate("session_count", "previous_step_session_count") }} as step_rate,
        {{ rate("session_count", "all_session_count") }} as overall_rate,
        cast(median_seconds as numeric(13, 3)) as median_seconds_from_previous_step
    from steps_stacked
)

select * from final
