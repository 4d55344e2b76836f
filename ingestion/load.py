"""Load staged rows into `raw` in one transaction, and write the ledger in the same.

Loaders exclude each other by a lock, so the loads' numbers grow in the order of their commits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from psycopg2 import sql
from psycopg2.extras import Json, execute_values

from ingestion import lake, postgres
from ingestion.contract.events import CONTRACT_VERSION, Column
from ingestion.errors import UsageError
from ingestion.files import InputFile
from ingestion.fill import LOAD, Part, Rows, fill, is_empty
from ingestion.settings import Settings
from ingestion.stage import (
    KEYS,
    QUARANTINED,
    Stage,
    check,
    copy_batches,
    quarantine_batches,
)

LOCK = "clickmart load"

Places = list[tuple[int, int]]
"""Rows of input files: (file_id, source_row)."""


@dataclass(frozen=True)
class Counts:
    """What became of a load's rows: read = loaded + duplicate + quarantined."""

    read: int
    loaded: int
    duplicate: int
    quarantined: int
    reasons: dict[str, int]
    """Quarantined rows by reason."""


# -- one loader at a time ------------------------------------------------------------------------


@contextmanager
def exclusive(settings: Settings, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the loaders' lock for the block; call `on_wait` once if another load holds it."""
    with postgres.exclusive(settings, LOCK, on_wait):
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
    lake_root: str,
    written: lake.Written,
    keys: Stage,
    is_replay: bool = False,
    on_duplicates: Callable[[Places], None] | None = None,
) -> Counts:
    """Bring a load's rows into `raw` and write the ledger, in the caller's transaction.

    The first load of an event wins, and within a load the row received first. A bad row that waits
    in quarantine already is a duplicate too, but for a replay, which takes it out of there.
    `on_duplicates` is told the events' duplicates before the others are copied, if there are any.
    """
    part = Part(lake_root, load_id, written.files, Rows())
    bad = stage_quarantined(cursor, [part]) if written.quarantined_count else None
    duplicate = _find_duplicates(cursor, keys)
    known_bad = _take_out_known_bad(cursor, source, bad) if bad and not is_replay else 0
    counts = Counts(
        read=written.event_count + written.quarantined_count,
        loaded=written.event_count - duplicate,
        duplicate=duplicate + known_bad,
        quarantined=written.quarantined_count - known_bad,
        reasons=written.reasons,
    )
    moved = 0
    if counts.loaded:
        duplicates = _duplicates(cursor)
        if on_duplicates:
            on_duplicates(duplicates)
        part = replace(part, left_out=Rows(duplicates))
        moved = fill(cursor, [part], afresh=is_empty(cursor))
    if (moved, insert_quarantined(cursor, bad)) != (counts.loaded, counts.quarantined):
        raise AssertionError(f"{moved} events were copied: {counts}")
    if known_bad:
        counts = replace(counts, reasons=_reasons_of(cursor, load_id))
    _write_ledger(cursor, load_id, source, started_at, seconds(), counts, written)
    _write_files(cursor, load_id, source, files, written)
    _write_lake_files(cursor, load_id, counts, written)
    cursor.execute(
        "insert into ops.duplicates select %s, file_id, source_row, event_id from duplicate",
        (load_id,),
    )
    return counts


def all_of(tables: Sequence[str], columns: tuple[Column, ...]) -> sql.Composable:
    """Return a query of the columns of all the stage tables, in the tables' order."""
    names = sql.SQL(", ").join(sql.Identifier(c.name) for c in columns)
    parts = [
        sql.SQL("select {} from {}").format(names, sql.Identifier("stage", table))
        for table in tables
    ]
    return sql.SQL(" union all ").join(parts)


def _find_duplicates(cursor: Any, keys: Stage) -> int:
    """Fill the temporary table `duplicate` with the rows that are not the first of their event.

    Over all rows only hashes of ids are counted; the rows whose hash occurs twice are ranked.
    """
    cursor.execute(
        "create temporary table duplicate (file_id bigint, source_row bigint, event_id text) "
        "on commit drop"
    )
    check(cursor, keys)
    if not keys.tables:
        return 0
    staged = all_of(keys.tables, KEYS)
    # The planner knows nothing of staged ids, expects few and would gather them in a hash table,
    # which then does not fit: sorting takes less than half the time.
    cursor.execute("set local enable_hashagg = off")
    cursor.execute(sql.SQL(_COUNT_HASHES).format(staged))
    cursor.execute("set local enable_hashagg to default")
    cursor.execute(sql.SQL(_RANK_REPEATED).format(staged))
    if not is_empty(cursor):
        cursor.execute(sql.SQL(_FIND_LOADED).format(staged))
    cursor.execute("analyze duplicate")
    cursor.execute("select count(*) from duplicate")
    return int(cursor.fetchone()[0])


_COUNT_HASHES = """
    create temporary table repeated on commit drop as
    select id_hash
    from (select hashtextextended(event_id, 0) as id_hash from ({}) as staged) as hashed
    group by id_hash
    having count(*) > 1
"""

_RANK_REPEATED = """
    insert into duplicate
    select file_id, source_row, event_id
    from (
        select *, row_number() over (
            partition by event_id
            order by received_at nulls last, file_id, source_row
        ) as delivery_number
        from ({}) as staged
        where hashtextextended(event_id, 0) in (select id_hash from repeated)
    ) as ranked
    where delivery_number > 1
"""

_FIND_LOADED = """
    insert into duplicate
    select file_id, source_row, event_id
    from ({}) as staged
    where event_id in (select event_id from raw.events)
    except
    select file_id, source_row, event_id from duplicate
"""


def _duplicates(cursor: Any) -> Places:
    cursor.execute("select file_id, source_row from duplicate")
    return list(cursor.fetchall())


def stage_quarantined(cursor: Any, parts: Sequence[Part]) -> str:
    """COPY the loads' bad rows into a stage table of this transaction; return its name."""
    batches = (rows for part in parts for rows in part.batches("quarantine", quarantine_batches))
    return copy_batches(cursor, (*QUARANTINED, LOAD), batches)


def insert_quarantined(cursor: Any, staged: str | None) -> int:
    """Bring staged bad rows, if there are any, into `raw`; return how many."""
    if staged is None:
        return 0
    cursor.execute(
        sql.SQL(
            "insert into raw.quarantined_events "
            "(load_id, source, file_id, source_row, reasons, record) "
            "select load_id, source, file_id, source_row, string_to_array(reasons, ','), record "
            "from {}"
        ).format(sql.Identifier("stage", staged))
    )
    return int(cursor.rowcount)


def _take_out_known_bad(cursor: Any, source: str, staged: str) -> int:
    """Move to `duplicate` the bad rows that wait in quarantine already; return how many."""
    cursor.execute(
        sql.SQL(
            "with known as (delete from {} as staged using raw.quarantined_events as known "
            "where known.file_id = staged.file_id and known.source_row = staged.source_row "
            "and known.source = {} and known.replayed_load_id is null "
            "returning staged.file_id, staged.source_row) "
            "insert into duplicate select file_id, source_row, null from known"
        ).format(sql.Identifier("stage", staged), sql.Literal(source))
    )
    return int(cursor.rowcount)


def _reasons_of(cursor: Any, load_id: int) -> dict[str, int]:
    cursor.execute(
        "select reason, count(*) from raw.quarantined_events, unnest(reasons) as reason "
        "where load_id = %s group by reason order by count(*) desc, reason",
        (load_id,),
    )
    return dict(cursor.fetchall())


def settle_quarantine(cursor: Any, load_id: int | None = None) -> None:
    """Mark the quarantined rows that a later load took up again: this load, or any.

    A row is taken up when it was loaded after all, or when a replay read it, whatever it found.
    """
    if load_id is not None and not _may_take_up(cursor, load_id):
        return
    cursor.execute(
        """
        with later as (
            select source, file_id, source_row, load_id from raw.events
            where %(load_id)s::bigint is null or load_id = %(load_id)s
            union all
            select source, file_id, source_row, load_id
            from (
                select file_id, source_row, load_id from raw.quarantined_events
                union all
                select file_id, source_row, load_id from ops.duplicates
            ) as replayed
            inner join ops.loads using (load_id)
            where is_replay and (%(load_id)s::bigint is null or load_id = %(load_id)s)
        ),
        taken_up as (
            select bad.load_id, bad.file_id, bad.source_row, min(later.load_id) as by_load_id
            from raw.quarantined_events as bad
            inner join later using (source, file_id, source_row)
            where later.load_id > bad.load_id and bad.replayed_load_id is null
            group by bad.load_id, bad.file_id, bad.source_row
        )
        update raw.quarantined_events as bad set replayed_load_id = taken_up.by_load_id
        from taken_up
        where (bad.load_id, bad.file_id, bad.source_row)
            = (taken_up.load_id, taken_up.file_id, taken_up.source_row)
        """,
        {"load_id": load_id},
    )


def _may_take_up(cursor: Any, load_id: int) -> bool:
    """Return whether rows of the load's files wait in quarantine: to look for them costs a scan."""
    cursor.execute(
        "select exists (select from raw.quarantined_events as bad "
        "inner join ops.files using (file_id) "
        "where files.load_id = %(load_id)s and bad.load_id < %(load_id)s "
        "and bad.replayed_load_id is null)",
        {"load_id": load_id},
    )
    return bool(cursor.fetchone()[0])


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
            Json(counts.reasons),
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
