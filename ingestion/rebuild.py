"""Rebuild `raw` and the ledger from the lake alone.

The lake's log carries the ledger, and the lake which deliveries lost: nothing is judged anew. All
of it is put in place by one transaction, after a check that it adds up.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg2 import sql

from ingestion import aggregates, batch, commits, lake, load, stage
from ingestion.contract.events import ITEM_COLUMNS, Column
from ingestion.dates import DateRange
from ingestion.errors import ClickmartError
from ingestion.postgres import apply_ddl, connect
from ingestion.settings import Settings
from ingestion.spark import session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONNECTIONS = 4
DUPLICATES = (*stage.ORIGIN, Column("event_id"))
LOAD = Column("load_id", "bigint")

Stages = dict[str, list[str]]
Batches = Callable[[list[str]], Iterator[pa.RecordBatch]]


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
        stages = _copy(settings, files)
        report("Putting them in place")
        with connect(settings) as connection, connection.cursor() as cursor:
            _list_duplicates(cursor, stages)
            if dates is None:
                counts = _put_all(cursor, ledger, stages)
            else:
                counts = _put_dates(cursor, dates, stages)
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


def _copy(settings: Settings, files: Sequence[lake.LakeFile]) -> Stages:
    """COPY files into stage tables that know the load, several at a time; return their names."""
    stages: Stages = defaultdict(list)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for kind, name in pool.map(lambda job: _copy_job(settings, *job), _jobs(files)):
            stages[kind].append(name)
    return stages


def _jobs(files: Sequence[lake.LakeFile]) -> Iterator[tuple[str, list[lake.LakeFile]]]:
    for table in lake.SCHEMAS:
        own = [file for file in files if file.table == table]
        for part in _parts(own):
            yield table, part
            if table == "events":
                yield "items", part


def _parts(files: list[lake.LakeFile]) -> Iterator[list[lake.LakeFile]]:
    """Cut files into parts of about equal rows, in their order: `raw` is to lie by load."""
    if not files:
        return
    share = sum(file.row_count for file in files) / CONNECTIONS
    part: list[lake.LakeFile] = []
    row_count = 0
    for file in files:
        part.append(file)
        row_count += file.row_count
        if row_count >= share:
            yield part
            part, row_count = [], 0
    if part:
        yield part


_COPIED: dict[str, tuple[tuple[Column, ...], Batches]] = {
    "events": (stage.EVENTS, stage.event_batches),
    "items": (stage.ITEMS, stage.item_batches),
    "quarantine": (stage.QUARANTINED, stage.quarantine_batches),
    "duplicates": (DUPLICATES, lambda paths: _duplicate_batches(paths)),
}


def _copy_job(settings: Settings, kind: str, files: list[lake.LakeFile]) -> tuple[str, str]:
    columns, batches_of = _COPIED[kind]

    def batches() -> Iterator[pa.RecordBatch]:
        for file in files:
            path = str(Path(settings.lake) / file.table / file.path)
            for rows in batches_of([path]):
                load_ids = pa.array([file.load_id] * rows.num_rows, pa.int64())
                yield rows.append_column(LOAD.name, load_ids)

    with connect(settings) as connection, connection.cursor() as cursor:
        if kind == "events":
            return kind, stage.copy_events(cursor, (*columns, LOAD), batches)
        return kind, stage.copy_batches(cursor, (*columns, LOAD), batches())


def _duplicate_batches(paths: list[str]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(stage.BATCH_ROWS)


def _put_all(cursor: Any, ledger: commits.Ledger, stages: Stages) -> tuple[int, int, int]:
    """Put everything in place; return the counts of events, quarantined rows and duplicates."""
    cursor.execute(
        "truncate ops.loads, ops.files, ops.duplicates, ops.lake_files, ops.erasures, "
        "ops.aggregations, raw.quarantined_events"
    )
    commits.restore(cursor, ledger)
    with load.keys_made_afterwards(cursor):
        events = _insert_events(cursor, stages)
    cursor.execute(
        "insert into ops.duplicates (load_id, file_id, source_row, event_id) "
        "select load_id, file_id, source_row, event_id from duplicate"
    )
    duplicates = int(cursor.rowcount)
    quarantined = 0
    if stages["quarantine"]:
        cursor.execute(
            sql.SQL(
                "insert into raw.quarantined_events "
                "(load_id, source, file_id, source_row, reasons, record) "
                "select load_id, source, file_id, source_row, string_to_array(reasons, ','), "
                "record from ({}) as staged "
            ).format(load.all_of(stages["quarantine"], (*stage.QUARANTINED, LOAD)))
            + _NOT_DUPLICATE
        )
        quarantined = int(cursor.rowcount)
        load.settle_quarantine(cursor)
    return events, quarantined, duplicates


def _put_dates(cursor: Any, dates: DateRange, stages: Stages) -> tuple[int, int, int]:
    """Put the events of the dates in place of what `raw` has of them; return their count."""
    cursor.execute(
        "create temporary table outdated on commit drop as "
        "select event_id from raw.events where event_ts >= %s and event_ts < %s",
        (dates.start, dates.stop),
    )
    if stages["events"]:
        cursor.execute(
            sql.SQL("insert into outdated select event_id from ({}) as staged ").format(
                load.all_of(stages["events"], (*stage.ORIGIN, Column("event_id"), LOAD))
            )
            + _NOT_DUPLICATE
        )
    for table in ("event_items", "events"):
        cursor.execute(
            f"delete from raw.{table} using outdated "  # noqa: S608
            f"where {table}.event_id = outdated.event_id"
        )
    aggregates.invalidate(cursor)
    return _insert_events(cursor, stages), 0, 0


_NOT_DUPLICATE = sql.SQL(
    "where not exists (select from duplicate where duplicate.load_id = staged.load_id "
    "and duplicate.file_id = staged.file_id and duplicate.source_row = staged.source_row)"
)


def _list_duplicates(cursor: Any, stages: Stages) -> None:
    """Make the temporary table of the deliveries that lost."""
    cursor.execute(
        "create temporary table duplicate "
        "(file_id bigint, source_row bigint, event_id text, load_id bigint) on commit drop"
    )
    if stages["duplicates"]:
        cursor.execute(
            sql.SQL("insert into duplicate {}").format(
                load.all_of(stages["duplicates"], (*DUPLICATES, LOAD))
            )
        )
    cursor.execute("analyze duplicate")


def _insert_events(cursor: Any, stages: Stages) -> int:
    if not stages["events"]:
        return 0
    _insert(cursor, "events", stages["events"], stage.EVENTS, stage.EVENTS)
    count = int(cursor.rowcount)
    columns = (Column("event_id"), *ITEM_COLUMNS)
    _insert(cursor, "event_items", stages["items"], stage.ITEMS, columns)
    return count


def _insert(
    cursor: Any,
    table: str,
    tables: Sequence[str],
    staged: tuple[Column, ...],
    columns: tuple[Column, ...],
) -> None:
    cursor.execute(
        sql.SQL("insert into {} ({}, load_id) select {}, load_id from ({}) as staged ").format(
            sql.Identifier("raw", table),
            sql.SQL(", ").join(sql.Identifier(c.name) for c in columns),
            sql.SQL(", ").join(sql.Identifier(c.name) for c in columns),
            load.all_of(tables, (*staged, LOAD)),
        )
        + _NOT_DUPLICATE
    )


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
