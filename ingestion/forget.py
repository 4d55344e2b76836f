"""Erase a person: from the lake and all its versions, `raw`, the duplicates and the marts.

An event is a user's by the rule that gives it its `user_key`: its own `user_id` is the user's, or
it has none and the latest one ever seen on its visitor is. The ledger's numbers stay as history.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extras import execute_values

from ingestion import aggregates, batch, commits, lake, load, replace, warehouse
from ingestion.errors import UsageError
from ingestion.postgres import apply_ddl, connect
from ingestion.readers.hashing import fingerprint, hashed_id
from ingestion.settings import Settings
from ingestion.spark import session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Kind = Literal["user", "visitor"]
HASH_ROUNDS = 600_000
PLACE = ("file_id", "source_row")
EVENT_KEYS = ("event_id", "user_id", "visitor_id", *PLACE)


@dataclass(frozen=True)
class Person:
    """Whom to erase: a user, or a visitor with all that was seen on it."""

    kind: Kind
    id: str

    def __post_init__(self) -> None:
        if not self.id.strip():
            raise UsageError(f"The {self.kind}'s id is empty.")


@dataclass(frozen=True)
class Erased:
    """How much of a person was erased, and from where. `lake_rows` counts all three tables."""

    events: int = 0
    items: int = 0
    quarantined: int = 0
    duplicates: int = 0
    lake_rows: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the counts for `--json`."""
        return asdict(self)


Place = tuple[int, int, int]
"""Load, file and row: the name of a delivery."""


@dataclass(frozen=True)
class Found:
    """What PostgreSQL knows of a person: its events, and the visitors whose latest user it is.

    `ids` are the id as given and, where ids are hashed by a key, as it is kept.
    """

    kind: Kind
    ids: list[str]
    event_ids: set[str]
    visitor_ids: set[str]


def forget(
    settings: Settings,
    person: Person,
    *,
    report: batch.Report,
    spark: SparkSession | None = None,
) -> Erased:
    """Erase a person from everything but the marts (see `rebuild_marts`); return the counts.

    The commit of PostgreSQL is the point at which the person is erased; the lake follows, by the
    next command if this one is killed. Nothing found is no error: all counts are 0.
    """
    apply_ddl(settings)
    with (
        load.exclusive(settings, lambda: report("A load is running: waiting for it")),
        nullcontext(spark) if spark is not None else session(settings) as engine,
    ):
        batch.catch_up(engine, settings, report)
        report("Searching the lake")
        with connect(settings) as connection, connection.cursor() as cursor:
            load.check_id_key(cursor, fingerprint(settings.id_key))
            found = _find(cursor, person.kind, _as_kept(settings, person.id))
            rewritten = _rewrite(settings, _lake_files(cursor), found)
            replaced = _lake_files(cursor, are_replaced=True)
            stale = lake.count_rows(settings.lake, replaced, EVENT_KEYS, _event_mask(found))
        with connect(settings) as connection, connection.cursor() as cursor:
            erased = _erase(cursor, found, rewritten, stale)
            if not any(asdict(erased).values()):
                return erased
            erasure_id = _record(cursor, person, erased, rewritten)
        report("Deleting the files with the person's rows")
        commits.commit_erasure(settings, erasure_id)
        with connect(settings, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(
                "vacuum (analyze) raw.events, raw.event_items, raw.quarantined_events, "
                "ops.duplicates"
            )
        report("Aggregating")
        aggregates.refresh(engine, settings)
    return erased


def rebuild_marts(settings: Settings, on_progress: warehouse.OnProgress) -> bool:
    """Run dbt's models if a person was erased since they last ran; return whether they did.

    Every table is made anew, and the old one dropped. Tests do not run: a failing one would keep
    the models behind it, and the person in them.
    """
    with connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select to_regclass('ops.model_states') is not null, "
            "array(select erasure_id from ops.erasures where marts_rebuilt_at is null)"
        )
        has_marts, waiting = cursor.fetchone()
    if not (has_marts and waiting):
        return False
    warehouse.rebuild(settings, on_progress)
    with connect(settings) as connection, connection.cursor() as cursor:
        # What failing tests found may speak of the person.
        cursor.execute("drop schema if exists test_failures cascade")
        cursor.execute(
            "update ops.erasures set marts_rebuilt_at = clock_timestamp() "
            "where erasure_id = any(%s)",
            (waiting,),
        )
    return True


# -- who is it -----------------------------------------------------------------------------------


def _as_kept(settings: Settings, id_: str) -> list[str]:
    hashed = hashed_id(settings.id_key, id_) if settings.id_key else None
    return [id_, hashed] if hashed else [id_]


def _find(cursor: Any, kind: Kind, ids: list[str]) -> Found:
    """Find the person's events and visitors in `raw`."""
    visitors = []
    if kind == "user":
        cursor.execute(
            """
            select visitor_id from (
                select distinct on (visitor_id) visitor_id, user_id
                from raw.events
                where user_id is not null and visitor_id in (
                    select visitor_id from raw.events where user_id = any(%s)
                )
                order by visitor_id, event_ts desc, event_id collate "C" desc
            ) as latest
            where user_id = any(%s)
            """,
            (ids, ids),
        )
        visitors = [visitor_id for (visitor_id,) in cursor.fetchall()]
        condition = "user_id = any(%s) or (user_id is null and visitor_id = any(%s))"
        parameters: tuple[Any, ...] = (ids, visitors)
    else:
        condition, parameters = "visitor_id = any(%s)", (ids,)
    cursor.execute(f"select event_id from raw.events where {condition}", parameters)  # noqa: S608
    return Found(kind, ids, {event_id for (event_id,) in cursor.fetchall()}, set(visitors))


def names_whole(text: str, ids: Iterable[str]) -> bool:
    """Return whether a text names one of the ids as a whole word; case does not count."""
    return any(
        re.search(rf"(?<!\w){re.escape(spelling)}(?!\w)", text, re.IGNORECASE)
        for id_ in ids
        for spelling in _spellings(id_)
    )


def _spellings(id_: str) -> set[str]:
    """Return an id as plain text, CSV and JSON may write it."""
    in_json = {json.dumps(id_)[1:-1], json.dumps(id_, ensure_ascii=False)[1:-1]}
    escaped = {spelling.replace("/", r"\/") for spelling in in_json}
    return {id_, id_.replace('"', '""'), *in_json, *escaped}


# -- the lake ------------------------------------------------------------------------------------


def _lake_files(cursor: Any, *, are_replaced: bool = False) -> list[lake.LakeFile]:
    """Return the files the lake names, or those that only its older versions do."""
    cursor.execute(
        "select table_name, path, event_date::text, row_count, byte_count from ops.lake_files "
        "where removed_by_erasure_id is null and (removed_by_load_id is not null) = %s "
        "order by load_id, path",
        (are_replaced,),
    )
    return [lake.LakeFile(*row) for row in cursor.fetchall()]


def _rewrite(
    settings: Settings, files: Sequence[lake.LakeFile], found: Found
) -> list[lake.Rewritten]:
    """Write the files with the person's rows anew without them; no log names them yet."""
    root = settings.lake
    done = lake.rewrite(root, _of(files, "events"), EVENT_KEYS, _event_mask(found))
    mask = _duplicate_mask(found, _places(done))
    done += lake.rewrite(root, _of(files, "duplicates"), (*PLACE, "event_id"), mask)
    done += lake.rewrite(root, _of(files, "quarantine"), (*PLACE, "record"), _record_mask(found))
    return done


def _event_mask(found: Found) -> lake.Mask:
    ids = pa.array(found.ids, pa.string())
    event_ids = pa.array(sorted(found.event_ids), pa.string())
    visitor_ids = pa.array(sorted(found.visitor_ids), pa.string())

    def mask(_: lake.LakeFile, rows: pa.Table) -> pa.ChunkedArray:
        own = pc.is_in(rows[f"{found.kind}_id"], value_set=ids)
        is_stitched = pc.is_in(rows["visitor_id"], value_set=visitor_ids)
        stitched = pc.and_(pc.is_null(rows["user_id"]), is_stitched)
        known = pc.is_in(rows["event_id"], value_set=event_ids)
        return pc.or_(pc.or_(own, stitched), known)

    return mask


def _duplicate_mask(found: Found, erased: set[Place]) -> lake.Mask:
    event_ids = pa.array(sorted(found.event_ids), pa.string())

    def mask(file: lake.LakeFile, rows: pa.Table) -> pa.ChunkedArray:
        places = zip(rows["file_id"].to_pylist(), rows["source_row"].to_pylist(), strict=True)
        is_erased = [(file.load_id, *place) in erased for place in places]
        known = pc.is_in(rows["event_id"], value_set=event_ids)
        return pc.or_(known, pa.chunked_array([is_erased], pa.bool_()))

    return mask


def _record_mask(found: Found) -> lake.Mask:
    ids = {*found.ids, *found.visitor_ids}

    def mask(_: lake.LakeFile, rows: pa.Table) -> pa.ChunkedArray:
        names = [text is not None and names_whole(text, ids) for text in rows["record"].to_pylist()]
        return pa.chunked_array([names], pa.bool_())

    return mask


def _of(files: Sequence[lake.LakeFile], table: lake.Table) -> list[lake.LakeFile]:
    return [file for file in files if file.table == table]


def _places(rewritten: Iterable[lake.Rewritten]) -> set[Place]:
    """Return where the erased rows stood."""
    return {
        (done.old.load_id, file_id, source_row)
        for done in rewritten
        for file_id, source_row in zip(
            done.erased["file_id"].to_pylist(), done.erased["source_row"].to_pylist(), strict=True
        )
    }


# -- PostgreSQL ----------------------------------------------------------------------------------


def _erase(cursor: Any, found: Found, rewritten: Sequence[lake.Rewritten], stale: int) -> Erased:
    """Delete the person from `raw` and the duplicates, in the caller's transaction.

    `stale` is the number of its rows in files that only older versions of the lake name.
    """
    _list_erased(cursor, found, rewritten)
    cursor.execute(
        "delete from raw.event_items using erased_event "
        "where event_items.event_id = erased_event.event_id"
    )
    items = cursor.rowcount
    cursor.execute(
        "create temporary table taken_out on commit drop as "
        "select events.event_id, events.load_id from raw.events "
        "inner join erased_event on erased_event.event_id = events.event_id"
    )
    cursor.execute(
        "delete from raw.events using erased_event where events.event_id = erased_event.event_id"
    )
    events = cursor.rowcount
    replace.count_removed(cursor, "taken_out")
    gone = {}
    for table, kind in (("raw.quarantined_events", "quarantine"), ("ops.duplicates", "duplicates")):
        cursor.execute(
            f"delete from {table} as rows using erased_row where erased_row.kind = %s "  # noqa: S608
            "and rows.load_id = erased_row.load_id and rows.file_id = erased_row.file_id "
            "and rows.source_row = erased_row.source_row",
            (kind,),
        )
        gone[kind] = cursor.rowcount
    # Those of loads that an older version of Clickmart made are not in the lake.
    cursor.execute(
        "delete from ops.duplicates using erased_event "
        "where duplicates.event_id = erased_event.event_id"
    )
    gone["duplicates"] += cursor.rowcount
    if events:
        aggregates.invalidate(cursor)
    return Erased(
        events=events,
        items=items,
        quarantined=gone["quarantine"],
        duplicates=gone["duplicates"],
        lake_rows=stale + sum(done.erased.num_rows for done in rewritten),
    )


def _list_erased(cursor: Any, found: Found, rewritten: Sequence[lake.Rewritten]) -> None:
    cursor.execute("create temporary table erased_event (event_id text) on commit drop")
    execute_values(
        cursor,
        "insert into erased_event values %s",
        [(event_id,) for event_id in found.event_ids],
        page_size=10_000,
    )
    cursor.execute(
        "create temporary table erased_row "
        "(kind text, load_id bigint, file_id bigint, source_row bigint) on commit drop"
    )
    rows = [(done.old.table, *place) for done in rewritten for place in _places([done])]
    execute_values(cursor, "insert into erased_row values %s", rows, page_size=10_000)
    cursor.execute("analyze erased_event, erased_row")


def _record(
    cursor: Any, person: Person, erased: Erased, rewritten: Sequence[lake.Rewritten]
) -> int:
    """Write the erasure to the ledger, and which files of the lake take whose place."""
    cursor.execute("select coalesce(max(erasure_id), 0) + 1 from ops.erasures")
    erasure_id = int(cursor.fetchone()[0])
    salt = secrets.token_hex(16)
    digest = hashlib.pbkdf2_hmac("sha256", person.id.encode(), salt.encode(), HASH_ROUNDS)
    cursor.execute(
        "insert into ops.erasures (erasure_id, kind, salt, id_hash, event_count, item_count, "
        "quarantined_count, duplicate_count, lake_row_count) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (erasure_id, person.kind, salt, digest.hex(), *asdict(erased).values()),
    )
    for done in rewritten:
        cursor.execute(
            "update ops.lake_files set removed_by_erasure_id = %s "
            "where load_id = %s and table_name = %s and path = %s",
            (erasure_id, done.old.load_id, done.old.table, done.old.path),
        )
        if (new := done.new) is not None:
            cursor.execute(
                "insert into ops.lake_files (load_id, table_name, path, event_date, row_count, "
                "byte_count, added_by_erasure_id) values (%s, %s, %s, %s, %s, %s, %s)",
                (
                    new.load_id,
                    new.table,
                    new.path,
                    new.event_date,
                    new.row_count,
                    new.byte_count,
                    erasure_id,
                ),
            )
    return erasure_id
