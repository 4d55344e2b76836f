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
        record
    from quarantined_events
)

select * from renamed
