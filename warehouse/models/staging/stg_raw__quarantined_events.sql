with quarantined_events as (
    select * from {{ source("raw", "quarantined_events") }}
),

renamed as (
    select
        load_id,
        source,
        file_id,
        source_row,
        reasons,
        record,
        replayed_load_id
    from quarantined_events
)

select * from renamed
