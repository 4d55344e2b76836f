-- The ledger's count of each load is what the load left in raw.events, but for what a later load
-- replaced and what was erased.
with loads as (
    select
        load_id,
        loaded_count - removed_count as remaining_count
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
    loads.remaining_count,
    events.event_count
from loads
full outer join events
    on loads.load_id = events.load_id
where coalesce(loads.remaining_count, 0) <> coalesce(events.event_count, 0)
