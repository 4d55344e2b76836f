with events as (
    select
        event_id,
        event_at,
        event_date,
        visitor_id,
        session_id,
        coalesce(trim(source_session_id), '') <> '' as is_identified,
        source_session_id,
        is_bot
    from {{ ref("fct_events") }}
    where {{ of_changed_visitors() }}
),

{% if var("session_source") == "derived" -%}
    sessions_derived as (
        select
            *,
            session_id as derived_session_id
        from events
    ),
{%- else -%}
    {#- The facts hold the source's sessions: those of the gaps are made here, by the same ids. #}
    session_starts_flagged as (
        select
            *,
            case
                when
                    event_at
                    <= lag(event_at) over (
                        partition by visitor_id order by event_at, {{ bytewise("event_id") }}
                    ) + interval '{{ var("session_timeout_minutes") }} minutes'
                    then 0
                else 1
            end as session_start_count
        from events
    ),

    sessions_numbered as (
        select
            *,
            sum(session_start_count) over (
                partition by visitor_id
                order by event_at, {{ bytewise("event_id") }}
                rows between unbounded preceding and current row
            ) as derived_session_number
        from session_starts_flagged
    ),

    sessions_derived as (
        select
            *,
            first_value({{ hash_key(["visitor_id", "event_id"]) }}) over (
                partition by visitor_id, derived_session_number
                order by event_at, {{ bytewise("event_id") }}
            ) as derived_session_id
        from sessions_numbered
    ),
{%- endif %}

final as (
    select
        visitor_id,
        derived_session_id,
        case when is_identified then source_session_id else '' end as source_session_id,
        bool_or(is_bot) as is_bot,
        count(*) as event_count,
        min(event_date) as first_event_date
    from sessions_derived
    group by
        visitor_id,
        derived_session_id,
        case when is_identified then source_session_id else '' end
)

select * from final
