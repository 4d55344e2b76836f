"""COPY into stage tables: the lake's files, or a DataFrame's rows, by several tasks at a time.

Each task fills an UNLOGGED table of its own in one transaction and answers with its name. A task
that is tried again makes a new table, and only the tables of tasks that ended are read; what
killed loads left behind is dropped by the next one.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from psycopg2 import sql

from ingestion import lake
from ingestion.contract.arrow import arrow_fields
from ingestion.contract.events import EVENT_COLUMNS, ITEM_COLUMNS, Column
from ingestion.postgres import connection_parameters
from ingestion.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

BATCH_ROWS = 20_000
# PostgreSQL fails on JSON that nests too deep, also where it only asks whether the text is valid.
MOST_BRACKETS = 4_000

ORIGIN = (Column("file_id", "bigint"), Column("source_row", "bigint"))
EVENTS = tuple(column for column in EVENT_COLUMNS if column.name != "load_id")
ITEMS = (*ORIGIN, Column("event_id"), *ITEM_COLUMNS)
QUARANTINED = (Column("source"), *ORIGIN, Column("reasons"), Column("record"))


@dataclass(frozen=True)
class Stage:
    """The stage tables of a load, by what they hold."""

    events: tuple[str, ...]
    items: tuple[str, ...]
    quarantined: tuple[str, ...]


def drop_all(cursor: Any) -> None:
    """Drop stage tables, all of them orphans while the lock is held and no task runs."""
    cursor.execute("select tablename from pg_tables where schemaname = 'stage'")
    for (name,) in cursor.fetchall():
        cursor.execute(sql.SQL("drop table {}").format(sql.Identifier("stage", name)))


def copy_files(
    spark: SparkSession, settings: Settings, files: Sequence[lake.LakeFile], *, partitions: int
) -> Stage:
    """COPY lake files into stage tables, several at a time; return the tables' names."""
    bins: list[list[lake.LakeFile]] = [[] for _ in range(max(1, min(partitions, len(files))))]
    for file in sorted(files, key=lambda f: -f.row_count):
        min(bins, key=lambda b: sum(f.row_count for f in b)).append(file)
    task = _copy_task(bins, settings.lake, connection_parameters(settings))
    tables = spark.range(0, len(bins), 1, len(bins)).mapInArrow(task, "kind string, name string")
    by_kind: dict[str, list[str]] = {"events": [], "items": [], "quarantined": []}
    for row in tables.collect():
        by_kind[row.kind].append(row.name)
    return Stage(*(tuple(sorted(names)) for names in by_kind.values()))


def _copy_task(
    bins: list[list[lake.LakeFile]], root: str, parameters: dict[str, Any]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def copy_task(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import psycopg2

        kinds, names = [], []
        for batch in batches:
            for number in batch.column(0).to_pylist():
                connection = psycopg2.connect(**parameters)
                with connection, connection.cursor() as cursor:
                    for kind, name in _copy_bin(cursor, root, bins[number]):
                        kinds.append(kind)
                        names.append(name)
                connection.close()
        yield pa.RecordBatch.from_pydict(
            {"kind": pa.array(kinds, pa.string()), "name": pa.array(names, pa.string())}
        )

    return copy_task


def copy_frame(
    frame: DataFrame, settings: Settings, columns: tuple[Column, ...]
) -> tuple[str, ...]:
    """COPY a DataFrame's rows into stage tables, a task each; return the tables' names."""
    names = [column.name for column in columns]
    parameters = connection_parameters(settings)

    def copy_task(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import psycopg2

        connection = psycopg2.connect(**parameters)
        with connection, connection.cursor() as cursor:
            name = copy_batches(cursor, columns, (batch.select(names) for batch in batches))
        connection.close()
        yield pa.RecordBatch.from_pydict({"name": pa.array([name], pa.string())})

    tables = frame.select(*names).mapInArrow(copy_task, "name string").collect()
    return tuple(sorted(row.name for row in tables))


def _copy_bin(cursor: Any, root: str, files: list[lake.LakeFile]) -> Iterator[tuple[str, str]]:
    events = [str(Path(root) / "events" / f.path) for f in files if f.table == "events"]
    bad = [str(Path(root) / "quarantine" / f.path) for f in files if f.table == "quarantine"]
    if events:
        yield "events", copy_events(cursor, EVENTS, lambda: event_batches(events))
        yield "items", copy_batches(cursor, ITEMS, item_batches(events))
    if bad:
        yield "quarantined", copy_batches(cursor, QUARANTINED, quarantine_batches(bad))


def copy_events(
    cursor: Any, columns: tuple[Column, ...], batches: Callable[[], Iterator[pa.RecordBatch]]
) -> str:
    """COPY events as `copy_batches` does, properties that are no JSON as {"unparsed": text}.

    `batches` is called a second time where there are such: PostgreSQL refuses a COPY as a whole.
    """
    import psycopg2

    cursor.execute("savepoint events")
    try:
        return copy_batches(cursor, columns, batches())
    # Only PostgreSQL itself knows what it takes for JSON, and how deep that may nest.
    except (psycopg2.DataError, psycopg2.errors.StatementTooComplex):
        cursor.execute("rollback to savepoint events")
    texts = tuple(Column(c.name) if c.type == "json" else c for c in columns)
    name = copy_batches(cursor, texts, batches())
    parse = sql.SQL(_PARSE_PROPERTIES)
    cursor.execute(parse.format(sql.Identifier("stage", name), most=sql.Literal(MOST_BRACKETS)))
    return name


_PARSE_PROPERTIES = """
    alter table {} alter column properties type jsonb using case
        when octet_length(properties) > {most}
            and length(properties) - length(translate(properties, '[{{', '')) > {most}
            then jsonb_build_object('unparsed', properties)
        when pg_input_is_valid(properties, 'jsonb') then properties::jsonb
        when properties is not null then jsonb_build_object('unparsed', properties)
    end
"""


def copy_batches(
    cursor: Any, columns: tuple[Column, ...], batches: Iterator[pa.RecordBatch]
) -> str:
    """COPY batches, in binary, into a new UNLOGGED stage table; return its name.

    The batches' schema must be the columns', by name and order: binary COPY goes by position.
    """
    name = f"copy_{uuid.uuid4().hex}"
    table = sql.Identifier("stage", name)
    fields = [
        sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(c.postgres_type)) for c in columns
    ]
    cursor.execute(
        sql.SQL("create unlogged table {} ({})").format(table, sql.SQL(", ").join(fields))
    )
    schema = pa.schema(arrow_fields(columns))
    encoder = _encoder(schema, columns)
    copy = sql.SQL("copy {} from stdin with (format binary, freeze)").format(table)
    cursor.copy_expert(copy, _Stream(_encode(encoder, schema, batches)), size=2**20)
    return name


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


def event_batches(paths: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the events' rows of lake files, in the order of EVENTS."""
    names = [column.name for column in EVENTS]
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=names):
                yield batch.select(names)


def item_batches(paths: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the products of the events of lake files, in the order of ITEMS."""
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(
                BATCH_ROWS, columns=["file_id", "source_row", "event_id", "items"]
            ):
                items = batch.column(batch.schema.names.index("items"))
                parent = pc.list_parent_indices(items)
                flat = pc.list_flatten(items)
                keys = batch.select(["file_id", "source_row", "event_id"]).take(parent)
                yield pa.RecordBatch.from_arrays(
                    [*keys.columns, *(flat.field(c.name) for c in ITEM_COLUMNS)],
                    names=[c.name for c in ITEMS],
                )


def quarantine_batches(paths: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the quarantined rows of lake files, in the order of QUARANTINED."""
    names = [column.name for column in QUARANTINED]
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=names):
                batch = batch.select(names)
                reasons = pc.binary_join(batch.column(names.index("reasons")), ",")
                yield batch.set_column(names.index("reasons"), "reasons", reasons)
