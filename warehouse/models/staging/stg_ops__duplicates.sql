select
    load_id,
    file_id,
    source_row,
    event_id
from {{ source("ops", "duplicates") }}
