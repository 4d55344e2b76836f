"""Replace a range of dates: take out a source's earlier events, in the new load's transaction.

A load has one source and the lake one file or more per load and date, so whole files of the lake
go with the events: what stays in `raw` and what stays in the lake are the same rows.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pyarrow.parquet as pq

from ingestion import aggregates, lake
from ingestion.dates import DateRange
from ingestion.errors import InputError
from ingestion.settings import Settings


def take_out(cursor: Any, load_id: int, source: str, dates: DateRange) -> int:
    """Take the source's events of the dates out of `raw`, for a load; return how many.

    What earlier loads counted as duplicate or quarantined stays on record.
    """
    cursor.execute(
        "create temporary table taken_out on commit drop as "
        "select events.event_id, events.load_id from raw.events "
        "inner join ops.loads on loads.load_id = events.load_id "
        "where loads.source = %s and event_ts >= %s and event_ts < %s",
        (source, dates.start, dates.stop),
    )
    cursor.execute("analyze taken_out")
    for table in ("event_items", "events"):
        cursor.execute(
            f"delete from raw.{table} using taken_out "  # noqa: S608
            f"where {table}.event_id = taken_out.event_id"
        )
    count = int(cursor.rowcount)
    count_removed(cursor, "taken_out")
    cursor.execute(
        "update ops.lake_files set removed_by_load_id = %s from ops.loads "
        "where loads.load_id = lake_files.load_id and loads.source = %s "
        "and lake_files.table_name = 'events' and lake_files.event_date between %s and %s "
        "and coalesce(removed_by_load_id, removed_by_erasure_id) is null",
        (load_id, source, dates.first, dates.last),
    )
    if count:  # the pre-aggregates hold these events: they are to be computed anew
        aggregates.invalidate(cursor)
    return count


def count_removed(cursor: Any, table: str) -> None:
    """Note with each load how many of its events, listed in a temporary table, are gone."""
    cursor.execute(
        f"update ops.loads set removed_count = removed_count + gone.event_count "  # noqa: S608
        f"from (select load_id, count(*) as event_count from {table} group by load_id) as gone "
        "where gone.load_id = loads.load_id"
    )


def record(cursor: Any, settings: Settings, load_id: int, count: int) -> None:
    """Write to the ledger what a load took out; refuse where that would lose an event.

    An event taken out may have come a second time, with another date or from another source. That
    delivery lost and is not in `raw`, but stays in the lake. If the new files do not bring the
    event, it would be gone although a delivery of it is not replaced. Raises InputError.
    """
    lost = _deliveries_that_stay(cursor, settings)
    if lost:
        ids = ", ".join(repr(event_id) for _, event_id in lost[:3])
        raise InputError(
            f"{len(lost):,} of the events to replace came again with another date or from another "
            f"source, in load {lost[0][0]}, and are not in the new files: {ids}. "
            "Add them to the files, or widen the range."
        )
    cursor.execute("update ops.loads set replaced_count = %s where load_id = %s", (count, load_id))


def _deliveries_that_stay(cursor: Any, settings: Settings) -> list[tuple[int, str]]:
    """Return (load_id, event_id) of the duplicates in the lake whose event is gone from `raw`."""
    cursor.execute(
        "select duplicates.load_id, duplicates.file_id, duplicates.source_row, event_id "
        "from ops.duplicates inner join taken_out using (event_id) "
        "where not exists (select from raw.events where events.event_id = taken_out.event_id)"
    )
    rows: dict[int, dict[tuple[int, int], str]] = defaultdict(dict)
    for load_id, file_id, source_row, event_id in cursor.fetchall():
        rows[load_id][file_id, source_row] = event_id
    cursor.execute(
        "select table_name, path, event_date::text, row_count, byte_count from ops.lake_files "
        "where load_id = any(%s) and table_name = 'events' "
        "and coalesce(removed_by_load_id, removed_by_erasure_id) is null order by load_id, path",
        (list(rows),),
    )
    found = []
    for file in (lake.LakeFile(*row) for row in cursor.fetchall()):
        with pq.ParquetFile(file.under(settings.lake)) as parquet:
            table = parquet.read(["file_id", "source_row"])
        places = zip(table["file_id"].to_pylist(), table["source_row"].to_pylist(), strict=True)
        ids = rows[file.load_id]
        found += [(file.load_id, ids[place]) for place in places if place in ids]
    return found
