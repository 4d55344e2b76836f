"""Rebuild `raw` and the ledger from the lake alone.

The lake's log carries the ledger, and the lake which deliveries lost: nothing is judged anew. All
of it is put in place by one transaction, after a check that it adds up.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from psycopg2 import sql

from ingestion import aggregates, batch, commits, lake, load, stage
from ingestion.contract.events import Column
from ingestion.dates import DateRange
from ingestion.errors import ClickmartError
from ingestion.fill import LOAD, Part, Rows, fill
from ingestion.postgres import apply_ddl, connect
from ingestion.settings import Settings
from ingestion.spark import session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PLACE = ("file_id", "source_row")


@dataclass(frozen=True)
class RebuildResult:
    """What was put into `raw`, and the number of the lake's loads."""

    loads: int
    events: int
    quarantined: int
    duplicates: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return asdict(self)


def rebuild(
    settings: Settings,
    dates: DateRange | None = None,
    *,
    report: batch.Report,
    spark: SparkSession | None = None,
) -> RebuildResult:
    """Replace `raw` and the ledger by what the lake says; with `dates`, these days' events alone.

    What PostgreSQL has committed and the lake lacks is brought into the lake first. Raises
    ClickmartError where the lake and the database are not of one history, or do not add up.
    """
    began = time.monotonic()
    apply_ddl(settings)
    with load.exclusive(settings, lambda: report("A load is running: waiting for it")):
        with connect(settings) as connection, connection.cursor() as cursor:
            stage.drop_all(cursor)
        commits.commit_pending(settings)
        report("Reading the lake's log")
        ledger = commits.ledger_of(lake.history(settings.lake))
        files = _files_to_copy(ledger, dates)
        _check_is_one_history(settings, ledger, is_partial=dates is not None)
        report(f"Copying {sum(f.row_count for f in files if f.table == 'events'):,} events")
        parts = _parts(settings, files)
        with connect(settings) as connection, connection.cursor() as cursor:
            if dates is None:
                counts = _put_all(cursor, ledger, parts)
            else:
                counts = _put_dates(cursor, dates, parts)
            _check_adds_up(cursor)
        with connect(settings, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("vacuum (analyze) raw.events, raw.event_items, raw.quarantined_events")
        with nullcontext(spark) if spark is not None else session(settings) as engine:
            batch.catch_up(engine, settings, report)
    seconds = round(time.monotonic() - began, 3)
    return RebuildResult(len(ledger["loads"]), *counts, seconds)


# -- what the lake says --------------------------------------------------------------------------


def _named_files(ledger: commits.Ledger) -> list[lake.LakeFile]:
    return [
        lake.LakeFile(
            row["table_name"], row["path"], row["event_date"], row["row_count"], row["byte_count"]
        )
        for row in ledger["lake_files"]
        if row["removed_by_load_id"] is None and row["removed_by_erasure_id"] is None
    ]


def _files_to_copy(ledger: commits.Ledger, dates: DateRange | None) -> list[lake.LakeFile]:
    """Return all files of the lake, or those that the dates need, in the order of loads."""
    files = _named_files(ledger)
    if dates is not None:
        files = [f for f in files if f.table == "duplicates" or dates.has(f.event_date)]
    return sorted(files, key=lambda file: (file.load_id, file.path))


def _check_is_one_history(settings: Settings, ledger: commits.Ledger, *, is_partial: bool) -> None:
    named = {file.path for file in _named_files(ledger) if file.table == "events"}
    if named != lake.event_paths(settings.lake):
        raise ClickmartError(
            f"The lake in {settings.lake} was changed by another program: it names other files "
            "than its ledger. Nothing was rebuilt."
        )
    with connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select loads.load_id, known.load_id from ops.loads "
            "full join jsonb_populate_recordset(null::ops.loads, %s) as known using (load_id) "
            "where (loads.source, loads.started_at) is distinct from "
            "(known.source, known.started_at) order by 1, 2",
            (json.dumps(ledger["loads"]),),
        )
        for in_database, in_lake in cursor.fetchall():
            if in_database is not None:
                raise ClickmartError(
                    f"Load {in_database} of this database is not in the lake in {settings.lake}: "
                    "is CLICKMART_LAKE right? Nothing was rebuilt."
                )
            if is_partial:
                raise ClickmartError(
                    f"This database lacks load {in_lake} of the lake. "
                    "Rebuild it whole: clickmart load --from-lake"
                )


# -- into PostgreSQL -----------------------------------------------------------------------------


def _parts(settings: Settings, files: Sequence[lake.LakeFile]) -> list[Part]:
    """Return the files by load, each part with the deliveries that lost."""
    by_load: dict[int, list[lake.LakeFile]] = defaultdict(list)
    for file in files:
        by_load[file.load_id].append(file)
    root = settings.lake
    return [Part(root, load_id, own, _duplicates(root, own)) for load_id, own in by_load.items()]


def _duplicates(root: str, files: Sequence[lake.LakeFile]) -> Rows:
    batches = stage.file_batches(lake.paths(root, files, "duplicates"), PLACE)
    columns = ((column.to_pylist() for column in batch.columns) for batch in batches)
    return Rows(place for places in columns for place in zip(*places, strict=True))


def _put_all(cursor: Any, ledger: commits.Ledger, parts: Sequence[Part]) -> tuple[int, int, int]:
    """Put everything in place; return the counts of events, quarantined rows and duplicates."""
    cursor.execute(
        "truncate ops.loads, ops.files, ops.duplicates, ops.lake_files, ops.erasures, "
        "ops.aggregations, raw.quarantined_events"
    )
    commits.restore(cursor, ledger)
    events = fill(cursor, parts, afresh=True)
    duplicates = _copy_duplicates(cursor, parts)
    quarantined = load.insert_quarantined(cursor, load.stage_quarantined(cursor, parts))
    load.settle_quarantine(cursor)
    return events, quarantined, duplicates


def _copy_duplicates(cursor: Any, parts: Sequence[Part]) -> int:
    read = partial(stage.file_batches, names=[*PLACE, "event_id"])
    rows = (
        batch
        for part in parts
        for batch in replace(part, left_out=Rows()).batches("duplicates", read)
    )
    columns = (*stage.ORIGIN, Column("event_id"), LOAD)
    return stage.copy_into(cursor, sql.Identifier("ops", "duplicates"), columns, rows, freeze=False)


def _put_dates(cursor: Any, dates: DateRange, parts: Sequence[Part]) -> tuple[int, int, int]:
    """Put the events of the dates in place of what `raw` has of them; return their count."""
    cursor.execute(
        "create temporary table outdated on commit drop as "
        "select event_id from raw.events where event_ts >= %s and event_ts < %s",
        (dates.start, dates.stop),
    )
    read = partial(stage.file_batches, names=[*PLACE, "event_id"])
    ids = (rows.select(["event_id"]) for part in parts for rows in part.batches("events", read))
    columns = (Column("event_id"),)
    stage.copy_into(cursor, sql.Identifier("outdated"), columns, ids, freeze=False)
    for table in ("event_items", "events"):
        cursor.execute(
            f"delete from raw.{table} using outdated "  # noqa: S608
            f"where {table}.event_id = outdated.event_id"
        )
    aggregates.invalidate(cursor)
    return fill(cursor, parts, afresh=False), 0, 0


def _check_adds_up(cursor: Any) -> None:
    """Compare `raw` with the ledger, load by load. Raises ClickmartError at the first difference.

    What is quarantined or a duplicate may have been erased since; the list of files knows.
    """
    cursor.execute(
        """
        with listed as (
            select load_id, table_name, sum(row_count) as row_count from ops.lake_files
            where coalesce(removed_by_load_id, removed_by_erasure_id) is null
            group by load_id, table_name
        ),
        expected as (
            select load_id, 'events' as kind, loaded_count - removed_count as row_count
            from ops.loads
            union all
            select load_id, table_name, row_count from listed where table_name <> 'events'
        ),
        found as (
            select load_id, 'events' as kind, count(*) as row_count
            from raw.events group by load_id
            union all
            -- A bad row without an event's id is a duplicate of one that waited in quarantine.
            select load_id, 'quarantine', count(*)
            from (
                select load_id from raw.quarantined_events
                union all
                select load_id from ops.duplicates where event_id is null
            ) as bad
            group by load_id
            union all
            select load_id, 'duplicates', count(*) from ops.duplicates group by load_id
        )
        select load_id, kind, coalesce(expected.row_count, 0), coalesce(found.row_count, 0)
        from expected full join found using (load_id, kind)
        where coalesce(expected.row_count, 0) <> coalesce(found.row_count, 0)
        order by load_id, kind limit 1
        """
    )
    if (difference := cursor.fetchone()) is not None:
        load_id, kind, expected, found = difference
        raise ClickmartError(
            f"The lake has {found:,} rows of {kind} for load {load_id}, its ledger {expected:,}. "
            "Nothing was rebuilt."
        )
