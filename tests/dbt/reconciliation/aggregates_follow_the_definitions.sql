-- Spark's aggregates were computed by the definitions of now. If not: clickmart build.
with latest as (
    select definitions
    from {{ source("ops", "aggregations") }}
    order by aggregated_at desc
    limit 1
)

select definitions
from latest
where
    definitions ->> 'session_source' <> '{{ var("session_source") }}'
    or cast(definitions ->> 'session_timeout_minutes' as numeric)
    <> {{ var("session_timeout_minutes") }}
    or cast(definitions ->> 'session_max_hours' as numeric) <> {{ var("session_max_hours") }}
    or cast(definitions ->> 'session_max_events' as numeric) <> {{ var("session_max_events") }}
    or cast(definitions ->> 'bot_min_session_events' as numeric)
    <> {{ var("bot_min_session_events") }}
    or cast(definitions ->> 'bot_max_mean_gap_seconds' as numeric)
    <> {{ var("bot_max_mean_gap_seconds") }}
    or cast(definitions ->> 'exclude_bots' as boolean) <> {{ var("exclude_bots") }}
    or definitions ->> 'reporting_timezone' <> '{{ var("reporting_timezone") }}'
    or definitions ->> 'reporting_currency' <> '{{ var("reporting_currency") }}'
