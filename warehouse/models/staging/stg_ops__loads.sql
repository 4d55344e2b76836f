select
    load_id,
    source,
    started_at,
    committed_at,
    read_count,
    loaded_count,
    duplicate_count,
    quarantined_count,
    replaced_count,
    removed_count,
    reasons,
    repairs,
    contract_version,
    seconds as load_seconds
from {{ source("ops", "loads") }}
