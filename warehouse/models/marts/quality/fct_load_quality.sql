with loads as (
    select * from {{ ref("stg_ops__loads") }}
),

duplicates as (
    select
        load_id,
        event_id
    from {{ ref("stg_ops__duplicates") }}
    where event_id is not null
),

events as (
    select
        event_id,
        load_id
    from {{ ref("stg_raw__events") }}
),

duplicates_within_loads as (
    select
        duplicates.load_id,
        count(*) as same_load_duplicate_count
    from duplicates
    inner join events
        on duplicates.event_id = events.event_id and duplicates.load_id = events.load_id
    group by duplicates.load_id
),

quarantine as (
    select
        load_id,
        count(*) - count(replayed_load_id) as waiting_count
    from {{ ref("stg_raw__quarantined_events") }}
    group by load_id
),

final as (
    select
        loads.load_id,
        loads.source,
        loads.committed_at,
        {{ reporting_date("loads.committed_at") }} as load_date,
        loads.load_seconds,
        loads.read_count,
        loads.loaded_count,
        loads.duplicate_count,
        loads.quarantined_count,
        {{ rate("loads.loaded_count", "loads.read_count") }} as loaded_rate,
        {{ rate("loads.duplicate_count", "loads.read_count") }} as duplicate_rate,
        {{ rate("loads.quarantined_count", "loads.read_count") }} as quarantined_rate,
        coalesce(duplicates_within_loads.same_load_duplicate_count, 0) as same_load_duplicate_count,
        coalesce(quarantine.waiting_count, 0) as waiting_count,
        loads.replaced_count,
        loads.removed_count
    from loads
    left join duplicates_within_loads on loads.load_id = duplicates_within_loads.load_id
    left join quarantine on loads.load_id = quarantine.load_id
)

select * from final
