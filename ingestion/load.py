"""Load staged rows into `raw` in one transaction, and write the ledger in the same.

Loaders exclude each other by a lock, so the loads' numbers grow in the order of their commits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql
from psycopg2.extras import Json, execute_values

from ingestion import lake
from ingestion.contract.events import CONTRACT_VERSION, ITEM_COLUMNS, Column
from ingestion.errors import DatabaseError, UsageError
from ingestion.files import InputFile
from ingestion.postgres import connect
from ingestion.settings import Settings
from ingestion.stage import EVENTS, ITEMS, ORIGIN, QUARANTINED, Stage

LOCK = "clickmart load"


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


def loaded_files(cursor: Any, source: str, files: Sequence[InputFile]) -> dict[str, int]:
    """Return, by SHA-256, the load of those files that were loaded before from this source."""
    cursor.execute(
        "select sha256, min(load_id) from ops.files where source = %s and sha256 = any(%s) "
        "group by sha256",
        (source, [file.sha256 for file in files]),
    )
    return dict(cursor.fetchall())


def check_id_key(cursor: Any, fingerprint: str | None) -> None:
    """Raise UsageError when earlier loads hashed by another key: no one would be known again."""
    cursor.execute(
        "select load_id, id_key from ops.loads where id_key is distinct from %s "
        "order by load_id limit 1",
        (fingerprint,),
    )
    for load_id, known in cursor.fetchall():
        other = "with another CLICKMART_ID_KEY" if known else "without CLICKMART_ID_KEY"
        raise UsageError(
            f"Load {load_id} was read {other}: its people would not be known again. "
            "Set the same key, or start afresh with another CLICKMART_HOME."
        )


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
    moved = (_insert_events(cursor, load_id, stage), _insert_quarantined(cursor, load_id, stage))
    if moved != (counts.loaded, counts.quarantined):
        # A crash of the server empties unlogged tables, the stages among them.
        raise DatabaseError(
            f"PostgreSQL lost staged rows: of {counts.loaded:,} events and {counts.quarantined:,} "
            f"bad rows, {moved[0]:,} and {moved[1]:,} are left. Nothing is loaded; try again."
        )
    _write_ledger(cursor, load_id, source, started_at, seconds(), counts, written)
    _write_files(cursor, load_id, source, files, written)
    _write_lake_files(cursor, load_id, counts, written)
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
    columns = (*ORIGIN, Column("event_id"), Column("received_at", "timestamp"))
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
            names=sql.SQL(", ").join(sql.Identifier(c.name) for c in EVENTS),
            values=sql.SQL(", ").join(_value(c) for c in EVENTS),
            load_id=sql.Literal(load_id),
        )
        + sql.SQL("from ({}) as staged").format(_all_of(stage.events, EVENTS))
        + sql.SQL(_NOT_DUPLICATE)
    )
    count = int(cursor.rowcount)
    columns = (Column("event_id"), *ITEM_COLUMNS)
    names = sql.SQL(", ").join(sql.Identifier(c.name) for c in columns)
    cursor.execute(
        sql.SQL("insert into raw.event_items ({}, load_id) select {}, {} ").format(
            names, names, sql.Literal(load_id)
        )
        + sql.SQL("from ({}) as staged").format(_all_of(stage.items, ITEMS))
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


def _insert_quarantined(cursor: Any, load_id: int, stage: Stage) -> int:
    if not stage.quarantined:
        return 0
    cursor.execute(
        sql.SQL(
            "insert into raw.quarantined_events "
            "(load_id, source, file_id, source_row, reasons, record) "
            "select {}, source, file_id, source_row, string_to_array(reasons, ','), record "
            "from ({}) as staged"
        ).format(sql.Literal(load_id), _all_of(stage.quarantined, QUARANTINED))
    )
    return int(cursor.rowcount)


def _write_ledger(
    cursor: Any,
    load_id: int,
    source: str,
    started_at: Any,
    seconds: float,
    counts: Counts,
    written: lake.Written,
) -> None:
    cursor.execute(
        "insert into ops.loads (load_id, source, started_at, read_count, loaded_count, "
        "duplicate_count, quarantined_count, reasons, repairs, contract_version, seconds) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            load_id,
            source,
            started_at,
            counts.read,
            counts.loaded,
            counts.duplicate,
            counts.quarantined,
            Json(written.reasons),
            Json(written.repairs),
            CONTRACT_VERSION,
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


def _write_lake_files(cursor: Any, load_id: int, counts: Counts, written: lake.Written) -> None:
    """List the files the lake shall name; a load of duplicates alone adds no events to it."""
    kept = [f for f in written.files if counts.loaded or f.table != "events"]
    execute_values(
        cursor,
        "insert into ops.lake_files "
        "(load_id, table_name, path, event_date, row_count, byte_count) values %s",
        [(load_id, f.table, f.path, f.event_date, f.row_count, f.byte_count) for f in kept],
    )


def lake_files(cursor: Any, load_id: int) -> list[lake.LakeFile]:
    """Return the files of a committed load that belong to the lake."""
    cursor.execute(
        "select table_name, path, event_date::text, row_count, byte_count "
        "from ops.lake_files where load_id = %s order by table_name, path",
        (load_id,),
    )
    return [lake.LakeFile(*row) for row in cursor.fetchall()]
