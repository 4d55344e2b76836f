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

-- What a session by the gaps and a session of the source have in common.
pieces as (
    select
        visitor_id,
        session_id as derived_session_id,
        case when is_identified then source_session_id else '' end as source_session_id,
        is_identified,
        bool_or(is_bot) as is_bot,
        count(*) as event_count,
        min(event_date) as first_event_date
    from sessions_derived
    group by
        visitor_id,
        session_id,
        case when is_identified then source_session_id else '' end,
        is_identified
),

derived_sessions as (
    select
        visitor_id,
        derived_session_id,
        bool_or(is_bot) as is_bot,
        min(first_event_date) as session_date,
        count(case when is_identified then 1 end) as source_session_count,
        sum(event_count) as event_count,
        sum(case when is_identified then 0 else event_count end) as unidentified_event_count
    from pieces
    group by visitor_id, derived_session_id
),

source_sessions as (
    select
        pieces.visitor_id,
        bool_or(pieces.is_bot) as is_bot,
        min(pieces.first_event_date) as session_date,
        count(*) > 1 as is_split,
        bool_or(derived_sessions.source_session_count > 1) as is_merged
    from pieces
    inner join derived_sessions
        on pieces.derived_session_id = derived_sessions.derived_session_id
    where pieces.is_identified
    group by pieces.visitor_id, pieces.source_session_id
),

stacked as (
    select
        visitor_id,
        is_bot,
        session_date,
        1 as derived_session_count,
        case when source_session_count = 0 then 1 else 0 end as unidentified_session_count,
        event_count,
        unidentified_event_count,
        0 as source_session_count,
        0 as agreeing_session_count,
        0 as split_session_count,
        0 as merged_session_count
    from derived_sessions
    union all
    select
        visitor_id,
        is_bot,
        session_date,
        0 as derived_session_count,
        0 as unidentified_session_count,
        0 as event_count,
        0 as unidentified_event_count,
        1 as source_session_count,
        case when is_split or is_merged then 0 else 1 end as agreeing_session_count,
        case when is_split then 1 else 0 end as split_session_count,
        case when is_merged then 1 else 0 end as merged_session_count
    from source_sessions
),

final as (
    select
        visitor_id,
        session_date,
        bool_or(is_bot) as is_bot,
        cast(sum(derived_session_count) as integer) as derived_session_count,
        cast(sum(unidentified_session_count) as integer) as unidentified_session_count,
        cast(sum(event_count) as integer) as event_count,
        cast(sum(unidentified_event_count) as integer) as unidentified_event_count,
        cast(sum(source_session_count) as integer) as source_session_count,
        cast(sum(agreeing_session_count) as integer) as agreeing_session_count,
        cast(sum(split_session_count) as integer) as split_session_count,
        cast(sum(merged_session_count) as integer) as merged_session_count
    from stacked
    group by visitor_id, session_date
)

select * from final
