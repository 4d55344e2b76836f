"""The lake: Parquet files under a Delta log, in the tables `events`, `quarantine`, `duplicates`.

The only module that knows the lake. Tasks write files that nobody sees until one commit names
them all, so a kill leaves the lake as it was; `remove_uncommitted` clears what it left behind.
Files lie at `<table>/load_id=N/event_date=YYYY-MM-DD/`, so any reader of Parquet can read them.
"""

from ingestion.lake.log import (
    Change,
    Commit,
    Kind,
    commit,
    event_paths,
    history,
    last_numbers,
    read_events,
    read_written,
    remove_uncommitted,
    remove_unnamed,
    version,
)
from ingestion.lake.rewrite import Mask, Rewritten, count_rows, rewrite
from ingestion.lake.scratch import scratch
from ingestion.lake.tables import SCHEMAS, LakeFile, Table, paths
from ingestion.lake.write import Written, quarantined_examples, write
from ingestion.lake.write_duplicates import write_duplicates

__all__ = [
    "SCHEMAS",
    "Change",
    "Commit",
    "Kind",
    "LakeFile",
    "Mask",
    "Rewritten",
    "Table",
    "Written",
    "commit",
    "count_rows",
    "event_paths",
    "history",
    "last_numbers",
    "paths",
    "quarantined_examples",
    "read_events",
    "read_written",
    "remove_uncommitted",
    "remove_unnamed",
    "rewrite",
    "scratch",
    "version",
    "write",
    "write_duplicates",
]
