{%- set names = ["checkout_start"] + var("checkout_steps").split(",") + ["purchase"] %}
with checkout_events as (
    select
        session_id,
        source_step,
        step
    from {{ ref("int_checkout_events") }}
),

sessions as (
    select
        session_id,
        {{ month_start("session_date") }} as month_start_date
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }}
),

steps_aggregated as (
    select
        sessions.month_start_date,
        checkout_events.source_step,
        checkout_events.step,
        count(*) as event_count,
        count(distinct checkout_events.session_id) as session_count
    from checkout_events
    inner join sessions on checkout_events.session_id = sessions.session_id
    group by sessions.month_start_date, checkout_events.source_step, checkout_events.step
),

final as (
    select
        month_start_date,
        source_step,
        step,
        case step
            {%- for name in names %}
                when '{{ name }}' then {{ loop.index }}
            {%- endfor %}
        end as step_number,
        event_count,
        session_count
    from steps_aggregated
)

select * from final
