-- The ledger's count of each load is what the load left in raw.events.
with loads as (
    select
        load_id,
        loaded_count
    from {{ ref("stg_ops__loads") }}
),

events as (
    select
        load_id,
        count(*) as event_count
    from {{ ref("stg_raw__events") }}
    group by load_id
)

select
    coalesce(loads.load_id, events.load_id) as load_id,
    loads.loaded_count,
    events.event_count
from loads
full outer join events
    on loads.load_id = events.load_id
where coalesce(loads.loaded_count, 0) <> coalesce(events.event_count, 0)
