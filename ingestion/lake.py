"""The lake: Parquet files under a Delta log, in two tables, `events` and `quarantine`.

The only module that knows the lake. Tasks write files that nobody sees until one commit names
them all, so a kill leaves the lake as it was; `remove_uncommitted` clears what it left behind.
Files lie at `<table>/load_id=N/event_date=YYYY-MM-DD/`, so any reader of Parquet can read them.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.contract.arrow import arrow_fields, arrow_type
from ingestion.contract.events import ITEMS, ITEMS_SPARK_TYPE, LOAD_COLUMNS, SOURCE_COLUMNS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Table = Literal["events", "quarantine"]
APPLICATION = "clickmart"

# A date's rows are written out when there are this many, or the largest date's when all dates
# together hold this many: memory stays bounded and files do not get tiny.
ROWS_PER_FILE = 250_000
ROWS_IN_MEMORY = 500_000

WRITTEN_SCHEMA = (
    "table_name string, path string, event_date string, row_count bigint, byte_count bigint, "
    "rows_by_file string, reasons string"
)

# load_id and event_date are partitions: they stand in the path and in the Delta log.
SCHEMAS: dict[Table, pa.Schema] = {
    "events": pa.schema(
        [
            *arrow_fields(SOURCE_COLUMNS),
            *arrow_fields(column for column in LOAD_COLUMNS if column.name != "load_id"),
            pa.field(ITEMS, arrow_type(ITEMS_SPARK_TYPE)),
        ]
    ),
    "quarantine": pa.schema(
        [
            ("source", pa.string()),
            ("file_id", pa.int64()),
            ("source_row", pa.int64()),
            ("reasons", pa.list_(pa.string())),
            ("record", pa.string()),
        ]
    ),
}
PARTITIONS: dict[Table, list[str]] = {
    "events": ["load_id", "event_date"],
    "quarantine": ["load_id"],
}


@dataclass(frozen=True)
class LakeFile:
    """A written file: `path` is relative to its table's folder; `event_date` is ISO."""

    table: Table
    path: str
    event_date: str | None
    row_count: int
    byte_count: int


@dataclass(frozen=True)
class Written:
    """What a load wrote: its files, rows by input file, and quarantined rows by reason."""

    files: tuple[LakeFile, ...]
    rows_by_file: dict[int, int]
    reasons: dict[str, int]
    event_count: int
    quarantined_count: int


def write(validated: DataFrame, lake: str, load_id: int) -> Written:
    """Write validated events, good and bad, as uncommitted files of the load."""
    rows = validated.mapInArrow(_writer(lake, load_id), WRITTEN_SCHEMA).collect()
    files = tuple(
        LakeFile(r.table_name, r.path, r.event_date, r.row_count, r.byte_count)
        for r in sorted(
            (row for row in rows if row.path is not None), key=lambda r: (r.table_name, r.path)
        )
    )
    by_file: dict[int, int] = defaultdict(int)
    reasons: dict[str, int] = defaultdict(int)
    for row in rows:
        for key, count in json.loads(row.rows_by_file).items():
            by_file[int(key)] += count
        for key, count in json.loads(row.reasons).items():
            reasons[key] += count
    return Written(
        files=files,
        rows_by_file=dict(by_file),
        reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        event_count=sum(f.row_count for f in files if f.table == "events"),
        quarantined_count=sum(f.row_count for f in files if f.table == "quarantine"),
    )


# -- committing ----------------------------------------------------------------------------------


def commit(lake: str, load_id: int, files: Iterable[LakeFile]) -> int:
    """Add a load's files to the Delta logs, at once per table; return the events' version.

    Repeating it changes nothing: the log holds the load's number as a transaction.
    """
    chosen = list(files)
    for table in SCHEMAS:
        _commit_table(lake, table, load_id, [file for file in chosen if file.table == table])
    return version(lake)


def version(lake: str) -> int:
    """Return the version of the events table; -1 before its first commit."""
    table = _open(lake, "events")
    return -1 if table is None else int(table.version())


def written_files(lake: str, load_id: int) -> list[LakeFile]:
    """Return the files that lie in a load's folders, committed or not."""
    found = []
    for table in SCHEMAS:
        root = Path(lake) / table
        for path in sorted((root / f"load_id={load_id}").rglob("*.parquet")):
            folder = path.parent.name
            event_date = folder.split("=", 1)[1] if folder.startswith("event_date=") else None
            rows = pq.read_metadata(path).num_rows
            relative = path.relative_to(root).as_posix()
            found.append(LakeFile(table, relative, event_date, rows, path.stat().st_size))
    return found


def remove_uncommitted(lake: str, last_load_id: int) -> None:
    """Remove what loads after the last one left behind when they were killed."""
    for table in SCHEMAS:
        for folder in (Path(lake) / table).glob("load_id=*"):
            if int(folder.name.split("=", 1)[1]) > last_load_id:
                shutil.rmtree(folder)


def remove(lake: str, files: Iterable[LakeFile]) -> None:
    """Remove files that no commit will name."""
    for file in files:
        (Path(lake) / file.table / file.path).unlink(missing_ok=True)


def _open(lake: str, table: Table) -> Any | None:
    from deltalake import DeltaTable

    path = str(Path(lake) / table)
    return DeltaTable(path) if DeltaTable.is_deltatable(path) else None


def _commit_table(lake: str, table: Table, load_id: int, files: list[LakeFile]) -> None:
    from deltalake import CommitProperties, DeltaTable, Schema, Transaction
    from deltalake.transaction import AddAction, RemoveAction

    delta = _open(lake, table)
    if delta is None:
        (Path(lake) / table).mkdir(parents=True, exist_ok=True)
        fields = [("load_id", pa.int64())]
        fields += [("event_date", pa.date32())] if "event_date" in PARTITIONS[table] else []
        schema = pa.schema([*SCHEMAS[table], *fields])
        delta = DeltaTable.create(
            str(Path(lake) / table),
            schema=Schema.from_arrow(schema),
            partition_by=PARTITIONS[table],
        )
    if (delta.transaction_version(APPLICATION) or 0) >= load_id:
        return
    actions: list[AddAction | RemoveAction] = [
        AddAction(
            path=file.path,
            size=file.byte_count,
            partition_values=_partition_values(file, load_id),
            modification_time=0,
            data_change=True,
            stats=json.dumps({"numRecords": file.row_count}),
        )
        for file in files
    ]
    properties = CommitProperties(
        custom_metadata={"load_id": str(load_id)},
        app_transactions=[Transaction(APPLICATION, load_id)],
    )
    delta.create_write_transaction(
        actions,
        mode="append",
        schema=delta.schema(),
        partition_by=PARTITIONS[table],
        commit_properties=properties,
    )


def _partition_values(file: LakeFile, load_id: int) -> dict[str, str | None]:
    values: dict[str, str | None] = {"load_id": str(load_id)}
    if file.event_date is not None:
        values["event_date"] = file.event_date
    return values


# -- reading -------------------------------------------------------------------------------------


def read_events(spark: SparkSession, lake: str, *, engine: str) -> DataFrame:
    """Return all committed events, with load_id and event_date."""
    root = str(Path(lake) / "events")
    if engine == "sail":  # it reads the log itself, but no partitions from a list of files
        return spark.read.format("delta").load(root)
    from deltalake import DeltaTable

    return spark.read.option("basePath", root).parquet(*DeltaTable(root).file_uris())


# -- writing, inside the tasks -------------------------------------------------------------------


def _writer(
    lake: str, load_id: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def write_task(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        sink = _Sink(Path(lake), load_id)
        for batch in batches:
            sink.add(batch)
        yield sink.finish()

    return write_task


class _Sink:
    """Collects one task's rows by date and writes them out as files."""

    def __init__(self, lake: Path, load_id: int) -> None:
        self._lake = lake
        self._load_id = load_id
        self._waiting: dict[str | None, list[pa.Table]] = defaultdict(list)
        self._rows: dict[str | None, int] = defaultdict(int)
        self._files: list[LakeFile] = []
        self._rows_by_file: dict[int, int] = defaultdict(int)
        self._reasons: dict[str, int] = defaultdict(int)

    def add(self, batch: pa.RecordBatch) -> None:
        table = pa.Table.from_batches([batch])
        self._count(table)
        is_good = pc.equal(pc.list_value_length(table["reasons"]), 0)
        good = table.filter(is_good)
        self._keep(None, table.filter(pc.invert(is_good)), SCHEMAS["quarantine"])
        for date, rows in _by_date(good):
            self._keep(date, rows, SCHEMAS["events"])

    def finish(self) -> pa.RecordBatch:
        """Write what waits; return a row per file, the first with the counts."""
        for key in list(self._waiting):
            self._flush(key)
        files = self._files
        counts = [(json.dumps(self._rows_by_file), json.dumps(self._reasons))]
        counts += [("{}", "{}")] * max(0, len(files) - 1)
        return pa.RecordBatch.from_pydict(
            {
                "table_name": [f.table for f in files] or [None],
                "path": [f.path for f in files] or [None],
                "event_date": [f.event_date for f in files] or [None],
                "row_count": [f.row_count for f in files] or [0],
                "byte_count": [f.byte_count for f in files] or [0],
                "rows_by_file": [rows for rows, _ in counts],
                "reasons": [reasons for _, reasons in counts],
            },
            schema=pa.schema(
                [
                    ("table_name", pa.string()),
                    ("path", pa.string()),
                    ("event_date", pa.string()),
                    ("row_count", pa.int64()),
                    ("byte_count", pa.int64()),
                    ("rows_by_file", pa.string()),
                    ("reasons", pa.string()),
                ]
            ),
        )

    def _count(self, table: pa.Table) -> None:
        for entry in pc.value_counts(table["file_id"]).to_pylist():
            self._rows_by_file[entry["values"]] += entry["counts"]
        for entry in pc.value_counts(pc.list_flatten(table["reasons"])).to_pylist():
            self._reasons[entry["values"]] += entry["counts"]

    def _keep(self, key: str | None, rows: pa.Table, schema: pa.Schema) -> None:
        if rows.num_rows == 0:
            return
        self._waiting[key].append(rows.select(schema.names).cast(schema))
        self._rows[key] += rows.num_rows
        if self._rows[key] >= ROWS_PER_FILE:
            self._flush(key)
        elif sum(self._rows.values()) >= ROWS_IN_MEMORY:
            self._flush(max(self._rows, key=lambda k: self._rows[k]))

    def _flush(self, key: str | None) -> None:
        rows = pa.concat_tables(self._waiting.pop(key))
        del self._rows[key]
        table: Table = "quarantine" if key is None else "events"
        folder = Path(f"load_id={self._load_id}")
        if key is not None:
            folder /= f"event_date={key}"
        path = folder / f"{uuid.uuid4().hex}.parquet"
        target = self._lake / table / path
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, target, compression="zstd", use_dictionary=True)
        self._files.append(
            LakeFile(table, path.as_posix(), key, rows.num_rows, target.stat().st_size)
        )


def _by_date(events: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    if events.num_rows == 0:
        return
    dates = events["event_ts"].cast(pa.timestamp("us")).cast(pa.date32(), safe=False)
    order = pc.sort_indices(dates.cast(pa.int32()))
    events, dates = events.take(order), dates.take(order)
    start = 0
    runs = pc.run_end_encode(dates.combine_chunks())
    for date, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield date.isoformat(), events.slice(start, end - start)
        start = end
