"""Write a load's files, which nobody sees until they are committed."""

from __future__ import annotations

import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.lake.tables import SCHEMAS, LakeFile, Table, paths

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# A date's rows are written out when there are this many, or the largest date's when all dates
# together hold this many: memory stays bounded and files do not get tiny.
ROWS_PER_FILE = 250_000
ROWS_IN_MEMORY = 500_000
ROWS_SORTED_AT_ONCE = 100_000
# A dictionary of values that never come twice is made in vain, and costs as much as the rest.
DISTINCT = {"event_id", "event_ts", "received_at", "source_row", "record"}
# What differs little from row to row is a fraction of its size as differences.
GROWING = {"event_ts", "received_at", "source_row"}

ID_HASH = "id_hash"

HASHED_EVENTS = SCHEMAS["events"].append(pa.field(ID_HASH, pa.int64()))

WRITTEN_SCHEMA = (
    "table_name string, path string, event_date string, row_count bigint, byte_count bigint, "
    "id_hashes binary, rows_by_file string, reasons string, repairs string"
)


@dataclass(frozen=True)
class Written:
    """What a load wrote: its files, rows by input file, and rows by reason and by repair.

    `id_hashes` holds, by file of events, a hash of each row's event id: equal ids, equal hashes;
    it is empty where they were not asked for.
    """

    files: tuple[LakeFile, ...]
    id_hashes: dict[str, np.ndarray]
    rows_by_file: dict[int, int]
    reasons: dict[str, int]
    repairs: dict[str, int]
    event_count: int
    quarantined_count: int


def write(validated: Iterable[DataFrame], lake: str, load_id: int, *, hash_ids: bool) -> Written:
    """Write validated events, good and bad, as uncommitted files of the load; a frame at a time."""
    from pyspark.sql import functions as F

    task = _writer(lake, load_id)
    id_hash = F.xxhash64("event_id") if hash_ids else F.lit(None).cast("bigint")
    hashed = (frame.withColumn(ID_HASH, id_hash) for frame in validated)
    rows = [row for frame in hashed for row in frame.mapInArrow(task, WRITTEN_SCHEMA).collect()]
    files = tuple(
        LakeFile(r.table_name, r.path, r.event_date, r.row_count, r.byte_count)
        for r in sorted(
            (row for row in rows if row.path is not None), key=lambda r: (r.table_name, r.path)
        )
    )
    by_file = _summed(row.rows_by_file for row in rows)
    return Written(
        files=files,
        id_hashes={r.path: np.frombuffer(r.id_hashes, np.int64) for r in rows if r.id_hashes},
        rows_by_file={int(key): count for key, count in by_file.items()},
        reasons=_summed(row.reasons for row in rows),
        repairs=_summed(row.repairs for row in rows),
        event_count=sum(f.row_count for f in files if f.table == "events"),
        quarantined_count=sum(f.row_count for f in files if f.table == "quarantine"),
    )


def quarantined_examples(lake: str, files: Iterable[LakeFile]) -> dict[str, dict[str, Any]]:
    """Return, by reason, the first quarantined row of the files: file_id, source_row, record."""
    found: dict[str, dict[str, Any]] = {}
    for path in paths(lake, files, "quarantine"):
        for row in pq.read_table(path).to_pylist():
            for reason in row["reasons"]:
                found.setdefault(reason, row)
    return found


def _summed(counts: Iterable[str]) -> dict[str, int]:
    """Add up the tasks' counts, each a JSON object; the largest first."""
    total: Counter[str] = Counter()
    for part in counts:
        total.update(json.loads(part))
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


# -- inside the tasks ----------------------------------------------------------------------------


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
        self._incoming: list[pa.RecordBatch] = []
        self._incoming_rows = 0
        self._waiting: dict[str | None, list[pa.Table]] = defaultdict(list)
        self._rows: dict[str | None, int] = defaultdict(int)
        self._files: list[LakeFile] = []
        self._id_hashes: list[bytes] = []
        self._rows_by_file: dict[int, int] = defaultdict(int)
        self._reasons: dict[str, int] = defaultdict(int)
        self._repairs: dict[str, int] = defaultdict(int)

    def add(self, batch: pa.RecordBatch) -> None:
        self._incoming.append(batch)
        self._incoming_rows += batch.num_rows
        if self._incoming_rows >= ROWS_SORTED_AT_ONCE:
            self._sort_in()

    def _sort_in(self) -> None:
        """Sort what came in by date; the few rows an engine hands over at a time cost too much."""
        if not self._incoming:
            return
        table = pa.Table.from_batches(self._incoming).combine_chunks()
        self._incoming, self._incoming_rows = [], 0
        self._count(table)
        good, bad = _by_date(table)
        self._keep(None, bad, SCHEMAS["quarantine"])
        for date, rows in good:
            self._keep(date, rows, HASHED_EVENTS)

    def finish(self) -> pa.RecordBatch:
        """Write what waits; return a row per file, the first with the counts."""
        self._sort_in()
        for key in list(self._waiting):
            self._flush(key)
        files = self._files
        counted = (self._rows_by_file, self._reasons, self._repairs)
        counts = [tuple(json.dumps(c) for c in counted)] + [("{}",) * 3] * max(0, len(files) - 1)
        return pa.RecordBatch.from_pydict(
            {
                "table_name": [f.table for f in files] or [None],
                "path": [f.path for f in files] or [None],
                "event_date": [f.event_date for f in files] or [None],
                "row_count": [f.row_count for f in files] or [0],
                "byte_count": [f.byte_count for f in files] or [0],
                "id_hashes": self._id_hashes or [b""],
                "rows_by_file": [rows for rows, _, _ in counts],
                "reasons": [reasons for _, reasons, _ in counts],
                "repairs": [repairs for _, _, repairs in counts],
            },
            schema=pa.schema(
                [
                    ("table_name", pa.string()),
                    ("path", pa.string()),
                    ("event_date", pa.string()),
                    ("row_count", pa.int64()),
                    ("byte_count", pa.int64()),
                    ("id_hashes", pa.binary()),
                    ("rows_by_file", pa.string()),
                    ("reasons", pa.string()),
                    ("repairs", pa.string()),
                ]
            ),
        )

    def _count(self, table: pa.Table) -> None:
        for entry in pc.value_counts(table["file_id"]).to_pylist():
            self._rows_by_file[entry["values"]] += entry["counts"]
        for name, total in (("reasons", self._reasons), ("repairs", self._repairs)):
            for entry in pc.value_counts(pc.list_flatten(table[name])).to_pylist():
                total[entry["values"]] += entry["counts"]

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
        self._id_hashes.append(b"")
        if table == "events":
            hashes = rows[ID_HASH]
            self._id_hashes[-1] = b"" if hashes.null_count else hashes.to_numpy().tobytes()
            rows = rows.drop_columns([ID_HASH])
        write_file(rows, target)
        self._files.append(
            LakeFile(table, path.as_posix(), key, rows.num_rows, target.stat().st_size)
        )


def write_file(rows: pa.Table, target: Path) -> None:
    """Write rows of a table of the lake as a Parquet file."""
    names = set(rows.schema.names)
    pq.write_table(
        rows,
        target,
        compression="zstd",
        use_dictionary=_repeating(rows.schema),
        column_encoding=dict.fromkeys(GROWING & names, "DELTA_BINARY_PACKED"),
        # Those of other columns than the time exclude no file: ids lie at random.
        write_statistics=[name for name in ("event_ts",) if name in names],
        # Parquet's own types say all; Arrow's would be a third of a small file.
        store_schema=False,
    )


def _by_date(table: pa.Table) -> tuple[list[tuple[str, pa.Table]], pa.Table]:
    """Return the good rows by date, and the bad ones; all of them are moved but once."""
    is_good = pc.equal(pc.list_value_length(table["reasons"]), 0)
    dates = table["event_ts"].cast(pa.timestamp("us")).cast(pa.date32(), safe=False)
    dates = pc.if_else(is_good, dates, None)
    order = pc.sort_indices(dates.cast(pa.int32()))  # nulls come last
    table, dates = table.take(order), dates.take(order).drop_null()
    start, found = 0, []
    runs = pc.run_end_encode(dates.combine_chunks())
    for date, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        found.append((date.isoformat(), table.slice(start, end - start)))
        start = end
    return found, table.slice(start)


def _repeating(schema: pa.Schema) -> list[str]:
    """Return the columns, by their paths in a Parquet file, whose values are worth a dictionary."""
    paths = []
    for field in schema:
        inner = field.type.value_type if pa.types.is_list(field.type) else None
        if inner is None:
            paths.append(field.name)
        elif pa.types.is_struct(inner):
            paths += [f"{field.name}.list.element.{f.name}" for f in inner]
    return [path for path in paths if path not in DISTINCT]
