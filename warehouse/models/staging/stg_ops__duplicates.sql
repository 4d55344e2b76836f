with duplicates as (
    select * from {{ source("ops", "duplicates") }}
),

renamed as (
    select
        load_id,
        file_id,
        source_row,
        event_id
    from duplicates
)

select * from renamed
