"""Give quarantined rows a second chance, after a mapping or a rule was mended.

A replay is a load as any other: its rows are what quarantine has kept, and each of them is loaded,
a duplicate, or quarantined anew. The old entry then names the load that replayed it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingestion import batch, load
from ingestion.adapters import ADAPTERS, Adapter, adapter_for
from ingestion.errors import UsageError
from ingestion.files import InputFile
from ingestion.postgres import apply_ddl, connect
from ingestion.readers import ROW_NAMES, as_text, json_object, json_text, names
from ingestion.readers.hashing import fingerprint
from ingestion.settings import Settings
from ingestion.spark import faults_in_one_line

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# The rows of a load pass through this process.
ROWS_OF_A_LOAD = 50_000

Entry = tuple[int, int, list[str], str | None]
"""A quarantined row: file_id, source_row, reasons, record."""


def replay(
    settings: Settings,
    *,
    source: str | None = None,
    load_id: int | None = None,
    reason: str | None = None,
    report: batch.Report,
    spark: SparkSession | None = None,
) -> list[batch.LoadResult]:
    """Read quarantined rows again, as loads of one source each; return what became of them.

    `source`, a name or a mapping's file, `load_id` and `reason` narrow them down. Raises
    UsageError for rows of a mapping without its file.
    """
    apply_ddl(settings)
    chosen = adapter_for(source) if source else None
    results = []
    with load.exclusive(settings, lambda: report("Another load is running: waiting for it")):
        with connect(settings) as connection, connection.cursor() as cursor:
            load.check_id_key(cursor, fingerprint(settings.id_key))
            waiting = _waiting(cursor, chosen, load_id, reason)
            last = load.last_load_id(cursor)
        if not waiting:
            return []
        with batch.opened(settings, spark) as engine, faults_in_one_line():
            batch.catch_up(engine, settings, report)
            for adapter in [chosen] if chosen else [_known(name) for name in waiting]:
                for entries in _pages(settings, adapter.name, load_id, reason, last):
                    results.append(_replay_page(engine, settings, adapter, entries, report))
    return results


def _known(name: str) -> Adapter:
    if name not in ADAPTERS:
        raise UsageError(
            f"Rows of {name!r} were read by a mapping: give its file, such as --source {name}.yml"
        )
    return ADAPTERS[name]


_OPEN = (
    "from raw.quarantined_events where replayed_load_id is null "
    "and (%(source)s::text is null or source = %(source)s) "
    "and (%(load_id)s::bigint is null or load_id = %(load_id)s) "
    "and (%(reason)s::text is null or %(reason)s = any(reasons)) "
)


def _waiting(
    cursor: Any, chosen: Adapter | None, load_id: int | None, reason: str | None
) -> list[str]:
    """Return the sources with rows to replay."""
    source = chosen.name if chosen else None
    cursor.execute(
        f"select distinct source {_OPEN} order by source",
        {"source": source, "load_id": load_id, "reason": reason},
    )
    return [name for (name,) in cursor.fetchall()]


def _pages(
    settings: Settings, source: str, load_id: int | None, reason: str | None, last: int
) -> Iterator[list[Entry]]:
    """Yield the rows in parts; rows that a part quarantines anew are not read again."""
    parameters = {"source": source, "load_id": load_id, "reason": reason, "last": last}
    while True:
        with connect(settings) as connection, connection.cursor() as cursor:
            cursor.execute(
                f"select file_id, source_row, reasons, record {_OPEN} "
                "and load_id <= %(last)s order by load_id, file_id, source_row "
                f"limit {ROWS_OF_A_LOAD}",
                parameters,
            )
            entries = cursor.fetchall()
        if not entries:
            return
        yield entries


def _replay_page(
    spark: SparkSession,
    settings: Settings,
    adapter: Adapter,
    entries: list[Entry],
    report: batch.Report,
) -> batch.LoadResult:
    began = time.monotonic()
    rows = spark.createDataFrame(stored_rows(entries, names(adapter.columns)))
    with connect(settings) as connection, connection.cursor() as cursor:
        files = _files_of(cursor, sorted({entry[0] for entry in entries}))
    job = batch.Job(
        source=adapter.name,
        files=files,
        began=began,
        max_quarantined=100,
        is_replay=True,
    )
    result = batch.load_rows(spark, settings, [batch.judged(adapter, rows)], job, report)
    return replace(result, seconds=round(time.monotonic() - began, 3))


def stored_rows(entries: list[Entry], wanted: tuple[str, ...]) -> pa.Table:
    """Return quarantined rows as a reader returns rows: of JSON their columns, else as they are."""
    columns: dict[str, list[Any]] = {name: [] for name in (*ROW_NAMES, *wanted, "extra")}
    for file_id, source_row, reasons, record in entries:
        row = json_object((record or "").encode(), set())
        is_readable = row is not None
        row = row or {}
        columns["file_id"].append(file_id)
        columns["source_row"].append(source_row)
        columns["record"].append(None if is_readable else record)
        columns["row_issue"].append(None if is_readable else reasons[0])
        columns["repairs"].append(None)
        for name in wanted:
            columns[name].append(as_text(row.pop(name, None)))
        columns["extra"].append(json_text(row) if row else None)
    types = {"file_id": pa.int64(), "source_row": pa.int64(), "repairs": pa.list_(pa.string())}
    return pa.table({n: pa.array(v, types.get(n, pa.string())) for n, v in columns.items()})


def _files_of(cursor: Any, file_ids: list[int]) -> list[InputFile]:
    """Return the files the rows once came from, for the ledger."""
    cursor.execute(
        "select distinct on (file_id) path, sha256, byte_count from ops.files "
        "where file_id = any(%s) order by file_id, load_id",
        (file_ids,),
    )
    return [
        InputFile(Path(path), "jsonl", sha256, byte_count, (), ())
        for path, sha256, byte_count in cursor.fetchall()
    ]
