select
    load_id,
    source,
    file_id,
    source_row,
    reasons,
    record,
    replayed_load_id
from {{ source("raw", "quarantined_events") }}
