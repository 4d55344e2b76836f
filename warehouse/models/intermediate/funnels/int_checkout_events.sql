with events as (
    select
        event_id,
        event_type,
        lower(event_name) as event_name,
        properties
    from {{ ref("stg_raw__events") }}
    where event_type in ('checkout_start', 'checkout_step', 'purchase')
),

sessionized_events as (
    select
        event_id,
        event_at,
        visitor_id,
        session_id
    from {{ ref("int_events_sessionized") }}
    where
        event_type in ('checkout_start', 'checkout_step', 'purchase')
        and {{ of_changed_events("session_id") }}
        and {{ of_changed_events() }}
),

-- Where each kind of source keeps the step: at the top, in Segment's properties, in one of
-- Snowplow's entities. Google Analytics says it by the name of the event alone.
steps_named as (
    select
        event_id,
        event_type,
        event_name,
        lower(left(coalesce(
            {%- for name in ["step_name", "step", "step_number"] %}
                {{ json_text("properties", "$." ~ name) }},
                {{ json_text("properties", "$.properties." ~ name) }},
            {%- endfor %}
            {{ json_text("properties", "$.contexts[*].data.step") }},
            nullif(trim(event_name), ''),
            event_type
        ), 64)) as source_step
    from events
),

steps_recognized as (
    select
        event_id,
        event_type,
        source_step,
        case
            when concat_ws(' ', source_step, event_name) ~ 'ship|deliver' then 'shipping'
            when concat_ws(' ', source_step, event_name) ~ 'pay|billing' then 'payment'
            else source_step
        end as step
    from steps_named
),

final as (
    select
        steps_recognized.event_id,
        sessionized_events.visitor_id,
        sessionized_events.session_id,
        sessionized_events.event_at,
        steps_recognized.event_type,
        case
            when steps_recognized.event_type = 'checkout_step' then steps_recognized.source_step
            else steps_recognized.event_type
        end as source_step,
        case
            when steps_recognized.event_type = 'checkout_step' then steps_recognized.step
            else steps_recognized.event_type
        end as step
    from sessionized_events
    inner join steps_recognized on sessionized_events.event_id = steps_recognized.event_id
)

select * from final
