"""A plain COPY of generated Parquet files: the yardstick of `clickmart ingest`.

What a careful user would write without us: read the files with pyarrow, encode by pgpq, COPY in
binary into fresh logged tables with the columns and types of `raw.events` and `raw.event_items`.
Nothing is validated, counted, written to a lake or guarded against a second run. The rows that a
primary key would refuse are found beforehand, outside the measured time.
"""

from __future__ import annotations

import io
import multiprocessing
import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pgpq import ArrowToPostgresBinaryEncoder
from pgpq.encoders import StringEncoderBuilder
from pgpq.schema import Jsonb

BATCH_ROWS = 20_000
KEYS = {"events": "event_id", "event_items": "event_id, line_id"}
SCHEMA = "plain_copy"

Part = tuple[str, pa.Array]
"""A file, and which of its rows are copied."""


def measure(paths: list[str], server: dict[str, Any], *, keys: bool, processes: int) -> float:
    """COPY the files into fresh tables; return the seconds it took, both tables together."""
    parts = loadable(paths)
    _execute(server, f"drop schema if exists {SCHEMA} cascade", f"create schema {SCHEMA}")
    for table, key in KEYS.items():
        # Without constraints: the files hold bad rows, which a plain COPY takes as they are.
        _execute(server, f"create table {SCHEMA}.{table} as table raw.{table} with no data")
        if keys:
            _execute(server, f"alter table {SCHEMA}.{table} add primary key ({key})")
    began = time.monotonic()
    if processes == 1:
        copy(server, parts)
    else:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            pool.map(partial(copy, server), [[part] for part in parts], chunksize=1)
    seconds = time.monotonic() - began
    _execute(server, f"drop schema {SCHEMA} cascade")
    return seconds


def _execute(server: dict[str, Any], *statements: str) -> None:
    connection = psycopg2.connect(**server)
    with connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()


def loadable(paths: list[str]) -> list[Part]:
    """Say which rows of the files tables with keys take: of each event id the first, none null.

    Rows with two items of one line id are left out too.
    """
    ids = [pq.read_table(path, columns=["event_id"])["event_id"].combine_chunks() for path in paths]
    starts = [sum(map(len, ids[:number])) for number in range(len(ids))]
    rows = pa.table({"id": pa.chunked_array(ids), "row": range(sum(map(len, ids)))})
    first = rows.group_by("id").aggregate([("row", "min"), ("id", "count")])
    kept = first.filter(pc.greater(first["id_count"], 0))["row_min"]
    is_kept = pc.is_in(rows["row"], value_set=kept).combine_chunks()
    return [
        (path, pc.and_(is_kept.slice(start, len(own)), _has_distinct_lines(path)))
        for path, start, own in zip(paths, starts, ids, strict=True)
    ]


def _has_distinct_lines(path: str) -> pa.Array:
    items = pq.read_table(path, columns=["items"])["items"].combine_chunks()
    lines = pa.table(
        {"row": pc.list_parent_indices(items), "line": pc.list_flatten(items).field("line_id")}
    )
    counted = lines.group_by(["row", "line"]).aggregate([([], "count_all")])
    repeated = counted.filter(pc.greater(counted["count_all"], 1))["row"].combine_chunks()
    rows = pa.array(range(len(items)), repeated.type)
    return pc.invert(pc.is_in(rows, value_set=repeated))


def copy(server: dict[str, Any], parts: list[Part]) -> None:
    """COPY the files' events, and then their items, by one connection in one transaction."""
    connection = psycopg2.connect(**server)
    with connection, connection.cursor() as cursor:
        _copy_table(cursor, "events", _events(parts))
        _copy_table(cursor, "event_items", _items(parts))
    connection.close()


def _events(parts: list[Part]) -> Iterator[pa.RecordBatch]:
    for number, (path, is_kept) in enumerate(parts):
        names = [name for name in pq.read_schema(path).names if name != "items"]
        row = 0
        for batch in _batches(path, is_kept, names):
            count = batch.num_rows
            origin = {
                "source": pa.repeat(pa.scalar("native"), count),
                "file_id": pa.repeat(pa.scalar(number, pa.int64()), count),
                "source_row": pa.array(range(row, row + count), pa.int64()),
                "load_id": pa.repeat(pa.scalar(1, pa.int64()), count),
            }
            row += count
            yield pa.RecordBatch.from_arrays(
                [*batch.columns, *origin.values()], names=[*names, *origin]
            )


def _items(parts: list[Part]) -> Iterator[pa.RecordBatch]:
    for path, is_kept in parts:
        for batch in _batches(path, is_kept, ["event_id", "items"]):
            ids, items = batch.columns
            flat = pc.list_flatten(items)
            fields = flat.flatten()
            yield pa.RecordBatch.from_arrays(
                [
                    ids.take(pc.list_parent_indices(items)),
                    *fields,
                    pa.repeat(pa.scalar(1, pa.int64()), len(flat)),
                ],
                names=["event_id", *(field.name for field in flat.type), "load_id"],
            )


def _batches(path: str, is_kept: pa.Array, names: list[str]) -> Iterator[pa.RecordBatch]:
    row = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=names):
            yield batch.select(names).filter(is_kept.slice(row, batch.num_rows))
            row += batch.num_rows


def _copy_table(cursor: Any, table: str, batches: Iterator[pa.RecordBatch]) -> None:
    first = next(batches)
    names = ", ".join(first.schema.names)
    cursor.copy_expert(
        f"copy {SCHEMA}.{table} ({names}) from stdin with (format binary)",
        _Stream(_encoded(first, batches)),
        size=2**20,
    )


def _encoded(first: pa.RecordBatch, others: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    encoders = {f.name: ArrowToPostgresBinaryEncoder.infer_encoder(f) for f in first.schema}
    if "properties" in encoders:
        field = first.schema.field("properties")
        encoders["properties"] = StringEncoderBuilder.new_with_output(field, Jsonb())
    encoder = ArrowToPostgresBinaryEncoder.new_with_encoders(first.schema, encoders)
    yield encoder.write_header()
    yield encoder.write_batch(first)
    for batch in others:
        yield encoder.write_batch(batch)
    yield encoder.finish()


class _Stream(io.RawIOBase):
    """A file of byte chunks, read as COPY asks: a chunk may be longer than what is asked for."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        piece, self._rest = self._rest[:size], self._rest[size:]
        return bytes(piece)
