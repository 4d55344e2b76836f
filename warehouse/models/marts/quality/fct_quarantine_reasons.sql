with loads as (
    select
        load_id,
        source,
        committed_at,
        read_count
    from {{ ref("stg_ops__loads") }}
),

-- A row may have several reasons, and counts for each.
rows_by_reason as (
    select
        load_id,
        replayed_load_id,
        unnest(reasons) as reason
    from {{ ref("stg_raw__quarantined_events") }}
),

reasons_counted as (
    select
        load_id,
        reason,
        count(*) as quarantined_count,
        count(*) - count(replayed_load_id) as waiting_count
    from rows_by_reason
    group by load_id, reason
),

final as (
    select
        reasons_counted.load_id,
        reasons_counted.reason,
        loads.source,
        {{ reporting_date("loads.committed_at") }} as load_date,
        loads.read_count,
        reasons_counted.quarantined_count,
        {{ rate("reasons_counted.quarantined_count", "loads.read_count") }} as quarantined_rate,
        reasons_counted.waiting_count
    from reasons_counted
    inner join loads on reasons_counted.load_id = loads.load_id
)

select * from final
