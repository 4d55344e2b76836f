with events as (
    select
        event_id,
        event_at,
        event_date,
        visitor_id,
        {% if var("session_source") == "derived" -%}
            session_id,
        {%- endif %}
        coalesce(trim(source_session_id), '') <> '' as is_identified,
        source_session_id,
        is_bot
    from {{ ref("fct_events") }}
    where {{ of_changed_visitors() }}
),

-- Where the facts hold the source's sessions, those of the gaps are made here.
sessions_derived as (
    {% if var("session_source") == "derived" -%}
        select * from events
    {%- else -%}
        {{ sessionized("events", session_source="derived") | indent(8) }}
    {%- endif %}
),

final as (
    select
        visitor_id,
        session_id as derived_session_id,
        case when is_identified then source_session_id else '' end as source_session_id,
        bool_or(is_bot) as is_bot,
        count(*) as event_count,
        min(event_date) as first_event_date
    from sessions_derived
    group by
        visitor_id,
        session_id,
        case when is_identified then source_session_id else '' end
)

select * from final
