"""Load the lake's files into PostgreSQL: parallel COPY into stages, then one transaction.

Tasks COPY their files into UNLOGGED tables of their own and answer with the tables' names. A task
that is tried again makes a new table, and only the tables of the tasks that ended are read; what
killed loads left behind is dropped by the next one. The ledger's row commits with the data.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg2 import sql
from psycopg2.extras import Json, execute_values

from ingestion import lake
from ingestion.contract.arrow import arrow_fields
from ingestion.contract.events import EVENT_COLUMNS, ITEM_COLUMNS, Column
from ingestion.files import InputFile
from ingestion.postgres import connect, connection_parameters
from ingestion.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LOCK = "clickmart load"
BATCH_ROWS = 20_000

_ORIGIN = (Column("file_id", "bigint"), Column("source_row", "bigint"))
_EVENTS = tuple(column for column in EVENT_COLUMNS if column.name != "load_id")
_ITEMS = (*_ORIGIN, Column("event_id"), *ITEM_COLUMNS)
_QUARANTINED = (Column("source"), *_ORIGIN, Column("reasons"), Column("record"))


@dataclass(frozen=True)
class Stage:
    """The stage tables of a load, by what they hold."""

    events: tuple[str, ...]
    items: tuple[str, ...]
    quarantined: tuple[str, ...]


@dataclass(frozen=True)
class Counts:
    """What became of a load's rows: read = loaded + duplicate + quarantined."""

    read: int
    loaded: int
    duplicate: int
    quarantined: int


# -- one loader at a time ------------------------------------------------------------------------


@contextmanager
def exclusive(settings: Settings, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the loaders' lock for the block; call `on_wait` once if another load holds it.

    The lock belongs to a connection, so it falls when the process dies.
    """
    with connect(settings, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(hashtext(%s))", (LOCK,))
        if not cursor.fetchone()[0]:
            on_wait()
            cursor.execute("select pg_advisory_lock(hashtext(%s))", (LOCK,))
        yield


def last_load_id(cursor: Any) -> int:
    """Return the number of the last committed load, 0 before the first."""
    cursor.execute("select coalesce(max(load_id), 0) from ops.loads")
    return int(cursor.fetchone()[0])


def drop_stages(cursor: Any) -> None:
    """Drop stage tables, all of them orphans while the lock is held and no task runs."""
    cursor.execute("select tablename from pg_tables where schemaname = 'stage'")
    for (name,) in cursor.fetchall():
        cursor.execute(sql.SQL("drop table {}").format(sql.Identifier("stage", name)))


def loaded_files(cursor: Any, source: str, files: Sequence[InputFile]) -> dict[str, int]:
    """Return, by SHA-256, the load of those files that were loaded before from this source."""
    cursor.execute(
        "select sha256, min(load_id) from ops.files where source = %s and sha256 = any(%s) "
        "group by sha256",
        (source, [file.sha256 for file in files]),
    )
    return dict(cursor.fetchall())


# -- COPY into stages ----------------------------------------------------------------------------


def copy_to_stage(
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
                    for kind, name in _copy_files(cursor, root, bins[number]):
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


def _copy_files(cursor: Any, root: str, files: list[lake.LakeFile]) -> Iterator[tuple[str, str]]:
    events = [str(Path(root) / "events" / f.path) for f in files if f.table == "events"]
    bad = [str(Path(root) / "quarantine" / f.path) for f in files if f.table == "quarantine"]
    if events:
        yield "events", copy_batches(cursor, _EVENTS, _event_batches(events))
        yield "items", copy_batches(cursor, _ITEMS, _item_batches(events))
    if bad:
        yield "quarantined", copy_batches(cursor, _QUARANTINED, _quarantine_batches(bad))


def copy_batches(
    cursor: Any, columns: tuple[Column, ...], batches: Iterator[pa.RecordBatch]
) -> str:
    """COPY batches, in binary, into a new UNLOGGED stage table; return its name.

    The batches' schema must be the columns', by name and order: binary COPY goes by position.
    """
    from pgpq import ArrowToPostgresBinaryEncoder

    name = f"copy_{uuid.uuid4().hex}"
    table = sql.Identifier("stage", name)
    types = {"jsonb": "text"}
    fields = [
        sql.SQL("{} {}").format(
            sql.Identifier(c.name), sql.SQL(types.get(c.postgres_type, c.postgres_type))
        )
        for c in columns
    ]
    cursor.execute(
        sql.SQL("create unlogged table {} ({})").format(table, sql.SQL(", ").join(fields))
    )
    schema = pa.schema(arrow_fields(columns))
    encoder = ArrowToPostgresBinaryEncoder(schema)
    copy = sql.SQL("copy {} from stdin with (format binary)").format(table)
    cursor.copy_expert(copy, _Stream(_encode(encoder, schema, batches)), size=2**20)
    return name


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


def _event_batches(paths: list[str]) -> Iterator[pa.RecordBatch]:
    names = [column.name for column in _EVENTS]
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=names):
                yield batch.select(names)


def _item_batches(paths: list[str]) -> Iterator[pa.RecordBatch]:
    import pyarrow.compute as pc

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
                    names=[c.name for c in _ITEMS],
                )


def _quarantine_batches(paths: list[str]) -> Iterator[pa.RecordBatch]:
    import pyarrow.compute as pc

    names = [column.name for column in _QUARANTINED]
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=names):
                batch = batch.select(names)
                reasons = pc.binary_join(batch.column(names.index("reasons")), ",")
                yield batch.set_column(names.index("reasons"), "reasons", reasons)


# -- the one transaction -------------------------------------------------------------------------


def move(
    cursor: Any,
    *,
    load_id: int,
    source: str,
    started_at: Any,
    seconds: Callable[[], float],
    files: Sequence[InputFile],
    written: lake.Written,
    stage: Stage,
) -> Counts:
    """Move the stages into `raw` and write the ledger, in the caller's transaction.

    The first load of an event wins, and within a load the row received first.
    """
    read = written.event_count + written.quarantined_count
    duplicate = _find_duplicates(cursor, stage)
    counts = Counts(
        read=read,
        loaded=written.event_count - duplicate,
        duplicate=duplicate,
        quarantined=written.quarantined_count,
    )
    loaded = _insert_events(cursor, load_id, stage)
    if loaded != counts.loaded:
        raise AssertionError(f"{loaded} events moved, {counts.loaded} expected of {counts}")
    _insert_quarantined(cursor, load_id, stage)
    _write_ledger(cursor, load_id, source, started_at, seconds(), counts, written.reasons)
    _write_files(cursor, load_id, source, files, written)
    cursor.execute(
        "insert into ops.duplicates select %s, file_id, source_row, event_id from duplicate",
        (load_id,),
    )
    return counts


def _all_of(tables: Sequence[str], columns: tuple[Column, ...]) -> sql.Composable:
    names = sql.SQL(", ").join(sql.Identifier(c.name) for c in columns)
    parts = [
        sql.SQL("select {} from {}").format(names, sql.Identifier("stage", table))
        for table in tables
    ]
    return sql.SQL(" union all ").join(parts)


def _find_duplicates(cursor: Any, stage: Stage) -> int:
    cursor.execute(
        "create temporary table duplicate (file_id bigint, source_row bigint, event_id text) "
        "on commit drop"
    )
    if not stage.events:
        return 0
    columns = (*_ORIGIN, Column("event_id"), Column("received_at", "timestamp"))
    cursor.execute(
        sql.SQL(
            """
            with staged as materialized ({staged}),
            ranked as (
                select *, row_number() over (
                    partition by event_id
                    order by received_at nulls last, file_id, source_row
                ) as delivery_number
                from staged
            )
            insert into duplicate
            select ranked.file_id, ranked.source_row, ranked.event_id
            from ranked
            left join raw.events on events.event_id = ranked.event_id
            where ranked.delivery_number > 1 or events.event_id is not null
            """
        ).format(staged=_all_of(stage.events, columns))
    )
    count = int(cursor.rowcount)
    cursor.execute("analyze duplicate")
    return count


_NOT_DUPLICATE = """
    where not exists (
        select from duplicate
        where duplicate.file_id = staged.file_id and duplicate.source_row = staged.source_row
    )
"""


def _insert_events(cursor: Any, load_id: int, stage: Stage) -> int:
    if not stage.events:
        return 0
    cursor.execute(
        sql.SQL("insert into raw.events ({names}, load_id) select {values}, {load_id} ").format(
            names=sql.SQL(", ").join(sql.Identifier(c.name) for c in _EVENTS),
            values=sql.SQL(", ").join(_value(c) for c in _EVENTS),
            load_id=sql.Literal(load_id),
        )
        + sql.SQL("from ({}) as staged").format(_all_of(stage.events, _EVENTS))
        + sql.SQL(_NOT_DUPLICATE)
    )
    count = int(cursor.rowcount)
    columns = (Column("event_id"), *ITEM_COLUMNS)
    names = sql.SQL(", ").join(sql.Identifier(c.name) for c in columns)
    cursor.execute(
        sql.SQL("insert into raw.event_items ({}, load_id) select {}, {} ").format(
            names, names, sql.Literal(load_id)
        )
        + sql.SQL("from ({}) as staged").format(_all_of(stage.items, _ITEMS))
        + sql.SQL(_NOT_DUPLICATE)
    )
    return count


def _value(column: Column) -> sql.Composable:
    """Return the staged value; properties that PostgreSQL takes for no JSON are kept as a text."""
    name = sql.Identifier(column.name)
    if column.type != "json":
        return name
    return sql.SQL(
        "case when pg_input_is_valid({0}, 'jsonb') then {0}::jsonb "
        "when {0} is not null then jsonb_build_object('unparsed', {0}) end"
    ).format(name)


def _insert_quarantined(cursor: Any, load_id: int, stage: Stage) -> None:
    if stage.quarantined:
        cursor.execute(
            sql.SQL(
                "insert into raw.quarantined_events "
                "(load_id, source, file_id, source_row, reasons, record) "
                "select {}, source, file_id, source_row, string_to_array(reasons, ','), record "
                "from ({}) as staged"
            ).format(sql.Literal(load_id), _all_of(stage.quarantined, _QUARANTINED))
        )


def _write_ledger(
    cursor: Any,
    load_id: int,
    source: str,
    started_at: Any,
    seconds: float,
    counts: Counts,
    reasons: dict[str, int],
) -> None:
    cursor.execute(
        "insert into ops.loads (load_id, source, started_at, read_count, loaded_count, "
        "duplicate_count, quarantined_count, reasons, seconds) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            load_id,
            source,
            started_at,
            counts.read,
            counts.loaded,
            counts.duplicate,
            counts.quarantined,
            Json(reasons),
            round(seconds, 3),
        ),
    )


def _write_files(
    cursor: Any, load_id: int, source: str, files: Sequence[InputFile], written: lake.Written
) -> None:
    execute_values(
        cursor,
        "insert into ops.files "
        "(load_id, file_id, source, path, sha256, byte_count, read_count) values %s",
        [
            (
                load_id,
                file.file_id,
                source,
                str(file.path),
                file.sha256,
                file.byte_count,
                written.rows_by_file.get(file.file_id, 0),
            )
            for file in files
        ],
    )
