"""The lake: Parquet files under a Delta log, in two tables, `events` and `quarantine`.

The only module that knows the lake. Tasks write files that nobody sees until one commit names
them all, so a kill leaves the lake as it was; `remove_uncommitted` clears what it left behind.
Files lie at `<table>/load_id=N/event_date=YYYY-MM-DD/`, so any reader of Parquet can read them.
"""

from ingestion.lake.log import (
    commit,
    read_events,
    remove_uncommitted,
    version,
)
from ingestion.lake.scratch import scratch
from ingestion.lake.tables import LakeFile
from ingestion.lake.write import Written, quarantined_examples, write

__all__ = [
    "LakeFile",
    "Written",
    "commit",
    "quarantined_examples",
    "read_events",
    "remove_uncommitted",
    "scratch",
    "version",
    "write",
]
