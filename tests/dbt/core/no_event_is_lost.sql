-- Every event loaded is in fct_events, once, and nothing else is.
with loaded_events as (
    select event_id
    from {{ source("raw", "events") }}
),

events as (
    select event_id
    from {{ ref("fct_events") }}
)

select
    loaded_events.event_id as loaded_event_id,
    events.event_id
from loaded_events
full outer join events
    on loaded_events.event_id = events.event_id
where loaded_events.event_id is null or events.event_id is null
