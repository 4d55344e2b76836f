"""COPY into stage tables: a DataFrame's rows, by several tasks at a time; and what COPY takes.

Each task fills an UNLOGGED table of its own in one transaction and answers with its name. A task
that is tried again makes a new table, and only the tables of tasks that ended are read; what
killed loads left behind is dropped by the next one.
"""

from __future__ import annotations

import io
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from psycopg2 import sql

from ingestion import lake
from ingestion.contract.arrow import arrow_fields
from ingestion.contract.events import EVENT_COLUMNS, ITEM_COLUMNS, ITEMS, Column
from ingestion.errors import DatabaseError
from ingestion.postgres import connect, connection_parameters
from ingestion.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

BATCH_ROWS = 20_000
BATCHES_AHEAD = 4

ORIGIN = (Column("file_id", "bigint"), Column("source_row", "bigint"))
EVENTS = tuple(column for column in EVENT_COLUMNS if column.name != "load_id")
EVENT_ITEMS = (*ORIGIN, Column("event_id"), *ITEM_COLUMNS)
ITEM_COUNT = Column("item_count", "int")
"""How many products an event concerns: a column of `raw.events` beside the contract's."""

QUARANTINED = (Column("source"), *ORIGIN, Column("reasons"), Column("record"))
KEYS = (*ORIGIN, Column("event_id"), Column("received_at", "timestamp"))
"""What tells a load's events apart, and which delivery of one came first."""


@dataclass(frozen=True)
class Stage:
    """Stage tables of the same columns, and how many rows were copied into them."""

    tables: tuple[str, ...] = ()
    row_count: int = 0


def check(cursor: Any, stage: Stage) -> None:
    """Raise DatabaseError where rows are gone: a crash of the server empties unlogged tables."""
    if not stage.tables:
        return
    parts = [
        sql.SQL("select 1 from {}").format(sql.Identifier("stage", name)) for name in stage.tables
    ]
    cursor.execute(
        sql.SQL("select count(*) from ({}) as staged").format(sql.SQL(" union all ").join(parts))
    )
    left = int(cursor.fetchone()[0])
    if left != stage.row_count:
        raise DatabaseError(
            f"PostgreSQL lost staged rows: of {stage.row_count:,} there are {left:,}. Has it "
            "crashed? Nothing is loaded; give the command again."
        )


def drop_all(cursor: Any) -> None:
    """Drop stage tables, all of them orphans while the lock is held and no task runs."""
    cursor.execute("select tablename from pg_tables where schemaname = 'stage'")
    for (name,) in cursor.fetchall():
        cursor.execute(sql.SQL("drop table {}").format(sql.Identifier("stage", name)))


def copy_keys(
    spark: SparkSession, settings: Settings, written: lake.Written, *, only_repeated: bool
) -> Stage:
    """COPY the KEYS of a load's events; where `only_repeated`, of ids that may occur twice."""
    if only_repeated:
        return _copy_repeated(settings, written)
    paths = lake.paths(settings.lake, written.files, "events")
    if not paths:
        return Stage()
    return copy_frame(spark.read.parquet(*paths), settings, KEYS)


def _copy_repeated(settings: Settings, written: lake.Written) -> Stage:
    """COPY the keys of rows whose id's hash occurs twice; two ids of one hash do no harm."""
    repeated = _repeated(written.id_hashes.values())
    if not len(repeated):
        return Stage()
    batches = _keys_of(settings.lake, written, repeated)
    with connect(settings) as connection, connection.cursor() as cursor:
        name = copy_batches(cursor, KEYS, batches)
        return Stage((name,), int(cursor.rowcount))


def _repeated(hashes: Iterable[np.ndarray]) -> pa.Array:
    """Return the hashes that occur twice or more."""
    in_order = np.sort(np.concatenate([np.empty(0, np.int64), *hashes]))
    return pa.array(np.unique(in_order[1:][in_order[1:] == in_order[:-1]]))


def _keys_of(root: str, written: lake.Written, hashes: pa.Array) -> Iterator[pa.RecordBatch]:
    """Yield the keys of the rows with these hashes of their ids."""
    names = [column.name for column in KEYS]
    for file in written.files:
        if file.table == "events":
            mask = pc.is_in(pa.array(written.id_hashes[file.path]), value_set=hashes)
            if mask.true_count:
                rows = pq.read_table(file.under(root), columns=names, partitioning=None)
                yield from rows.select(names).filter(mask).to_batches()


def copy_frame(frame: DataFrame, settings: Settings, columns: tuple[Column, ...]) -> Stage:
    """COPY a DataFrame's rows into stage tables, a task each."""
    names = [column.name for column in columns]
    parameters = connection_parameters(settings)

    def copy_task(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import psycopg2

        count = 0

        def counted() -> Iterator[pa.RecordBatch]:
            nonlocal count
            for batch in batches:
                count += batch.num_rows
                yield batch.select(names)

        connection = psycopg2.connect(**parameters)
        with connection, connection.cursor() as cursor:
            name = copy_batches(cursor, columns, counted())
        connection.close()
        yield pa.RecordBatch.from_pydict(
            {"name": pa.array([name], pa.string()), "row_count": pa.array([count], pa.int64())}
        )

    schema = "name string, row_count bigint"
    tables = frame.select(*names).mapInArrow(copy_task, schema).collect()
    return Stage(tuple(sorted(row.name for row in tables)), sum(row.row_count for row in tables))


def copy_batches(
    cursor: Any, columns: tuple[Column, ...], batches: Iterator[pa.RecordBatch]
) -> str:
    """COPY batches into a new UNLOGGED stage table of the columns; return its name."""
    name = f"copy_{uuid.uuid4().hex}"
    table = sql.Identifier("stage", name)
    fields = [
        sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(c.postgres_type)) for c in columns
    ]
    cursor.execute(
        sql.SQL("create unlogged table {} ({})").format(table, sql.SQL(", ").join(fields))
    )
    copy_into(cursor, table, columns, batches, freeze=True)
    return name


def copy_into(
    cursor: Any,
    table: sql.Composable,
    columns: tuple[Column, ...],
    batches: Iterator[pa.RecordBatch],
    *,
    freeze: bool,
) -> int:
    """COPY batches, in binary, into a table's columns; return how many rows.

    The batches' schema must be the columns', by name and order: binary COPY goes by position.
    `freeze` is for a table that the same (sub)transaction has made or truncated.
    """
    schema = pa.schema(arrow_fields(columns))
    encoder = _encoder(schema, columns)
    copy = sql.SQL("copy {} ({}) from stdin with (format binary, freeze {})").format(
        table,
        sql.SQL(", ").join(sql.Identifier(column.name) for column in columns),
        sql.Literal(freeze),
    )
    cursor.copy_expert(copy, _Stream(_encode(encoder, schema, batches)), size=2**20)
    return int(cursor.rowcount)


def _encoder(schema: pa.Schema, columns: tuple[Column, ...]) -> Any:
    from pgpq import ArrowToPostgresBinaryEncoder
    from pgpq.encoders import StringEncoderBuilder
    from pgpq.schema import Jsonb

    encoders = {field.name: ArrowToPostgresBinaryEncoder.infer_encoder(field) for field in schema}
    for column in columns:
        if column.type == "json":
            field = schema.field(column.name)
            encoders[column.name] = StringEncoderBuilder.new_with_output(field, Jsonb())
    return ArrowToPostgresBinaryEncoder.new_with_encoders(schema, encoders)


def _encode(encoder: Any, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    yield encoder.write_header()
    for batch in batches:
        if batch.schema.names != schema.names:
            raise AssertionError(f"columns {batch.schema.names} are not {schema.names}")
        yield encoder.write_batch(batch.cast(schema))
    yield encoder.finish()


class _Stream(io.RawIOBase):
    """A file of byte chunks, read as COPY asks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = memoryview(chunk)
        piece = self._rest[:size] if size >= 0 else self._rest
        self._rest = self._rest[len(piece) :]
        return bytes(piece)


def file_batches(paths: Iterable[str], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of lake files: the named columns, in this order; a.b is field b of a."""
    return _read_ahead(_file_batches(paths, names))


def _file_batches(paths: Iterable[str], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=names, use_threads=False):
                yield batch.select([name.split(".")[0] for name in names])


def _read_ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the batches; a thread reads the next ones while PostgreSQL takes these."""
    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(next, batches, None) for _ in range(BATCHES_AHEAD))
        while (batch := coming.popleft().result()) is not None:
            coming.append(thread.submit(next, batches, None))
            yield batch


def event_batches(paths: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """Yield the events' rows of lake files, in the order of EVENTS, and ITEM_COUNT."""
    # One field of the items is enough to count them.
    counted = f"{ITEMS}.list.element.{ITEM_COLUMNS[0].name}"
    for batch in file_batches(paths, [*(column.name for column in EVENTS), counted]):
        counts = pc.fill_null(pc.list_value_length(batch.column(ITEMS)), 0)
        yield batch.drop_columns([ITEMS]).append_column(ITEM_COUNT.name, counts)


def item_batches(paths: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """Yield the products of the events of lake files, in the order of EVENT_ITEMS."""
    for batch in file_batches(paths, ["file_id", "source_row", "event_id", ITEMS]):
        items = batch.column(ITEMS)
        parent = pc.list_parent_indices(items)
        flat = pc.list_flatten(items)
        keys = batch.select(["file_id", "source_row", "event_id"]).take(parent)
        yield pa.RecordBatch.from_arrays(
            [*keys.columns, *(flat.field(c.name) for c in ITEM_COLUMNS)],
            names=[c.name for c in EVENT_ITEMS],
        )


def quarantine_batches(paths: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """Yield the quarantined rows of lake files, in the order of QUARANTINED."""
    names = [column.name for column in QUARANTINED]
    for batch in file_batches(paths, names):
        reasons = pc.binary_join(batch.column("reasons"), ",")
        yield batch.set_column(names.index("reasons"), "reasons", reasons)
