"""The lake follows the ledger: what PostgreSQL has committed is brought into the Delta logs.

Each commit to the lake carries the rows of `ops` that its load or erasure wrote or changed, as
JSON, so that the ledger can be restored from the lake alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from psycopg2 import sql

from ingestion import lake
from ingestion.errors import ClickmartError
from ingestion.postgres import connect
from ingestion.settings import Settings

Ledger = dict[str, list[dict[str, Any]]]

KEYS = {
    "loads": ("load_id",),
    "files": ("load_id", "file_id"),
    "lake_files": ("load_id", "table_name", "path"),
    "erasures": ("erasure_id",),
}
"""The tables of `ops` that a commit carries rows of, with their keys."""

ROWS_AT_ONCE = 100_000


# -- following PostgreSQL ------------------------------------------------------------------------


def commit_pending(settings: Settings) -> None:
    """Bring into the lake what PostgreSQL committed and a kill kept from it."""
    with connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute("select load_id from ops.loads where lake_version is null order by 1")
        loads = [load_id for (load_id,) in cursor.fetchall()]
        cursor.execute("select erasure_id from ops.erasures where lake_version is null order by 1")
        erasures = [erasure_id for (erasure_id,) in cursor.fetchall()]
    for load_id in loads:
        commit_load(settings, load_id)
    for erasure_id in erasures:
        commit_erasure(settings, erasure_id)


def commit_load(settings: Settings, load_id: int) -> None:
    """Let the Delta logs name the load's files, and not those it replaces."""
    with connect(settings) as connection, connection.cursor() as cursor:
        version = lake.commit(settings.lake, _change(cursor, "load", load_id))
        lake.remove_unnamed(settings.lake, load_id)
        cursor.execute(
            "update ops.loads set lake_version = %s where load_id = %s", (version, load_id)
        )


def commit_erasure(settings: Settings, erasure_id: int) -> None:
    """Let the Delta logs name the files without the person, and delete all that they do not."""
    with connect(settings) as connection, connection.cursor() as cursor:
        version = lake.commit(settings.lake, _change(cursor, "erasure", erasure_id))
        lake.remove_unnamed(settings.lake)
        cursor.execute(
            "update ops.erasures set lake_version = %s where erasure_id = %s",
            (version, erasure_id),
        )


def check_lake_is_not_ahead(settings: Settings) -> None:
    """Raise ClickmartError where the lake knows of loads or erasures that PostgreSQL does not.

    A new load would take their numbers, and their files for orphans.
    """
    in_lake = lake.last_numbers(settings.lake)
    with connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select (select coalesce(max(load_id), 0) from ops.loads), "
            "(select coalesce(max(erasure_id), 0) from ops.erasures)"
        )
        in_database = cursor.fetchone()
    if any(there > here for there, here in zip(in_lake, in_database, strict=True)):
        raise ClickmartError(
            f"The lake in {settings.lake} holds {in_lake[0]} loads and {in_lake[1]} erasures, this "
            f"database {in_database[0]} and {in_database[1]}. Rebuild the database from it: "
            "clickmart load --from-lake"
        )


_TOUCHED: dict[lake.Kind, str] = {
    "load": "load_id = %(number)s or removed_by_load_id = %(number)s",
    "erasure": "added_by_erasure_id = %(number)s or removed_by_erasure_id = %(number)s",
}


def _change(cursor: Any, kind: lake.Kind, number: int) -> lake.Change:
    """Return what the ledger says a load or an erasure did to the lake."""
    touched = f"select * from ops.lake_files where {_TOUCHED[kind]}"  # noqa: S608
    own = {"load": "load_id = %(number)s", "erasure": "false"}[kind]
    cursor.execute(
        f"""
        with touched as materialized ({touched})
        select
            removed_by_load_id is not null or removed_by_erasure_id is not null,
            table_name, path, event_date::text, row_count, byte_count
        from touched
        order by table_name, path
        """,  # noqa: S608
        {"number": number},
    )
    files = [(is_removed, lake.LakeFile(*row)) for is_removed, *row in cursor.fetchall()]
    cursor.execute(
        f"""
        with touched as materialized ({touched})
        select jsonb_build_object(
            'loads', (
                select jsonb_agg(to_jsonb(loads)) from ops.loads
                where {own} or load_id in (select load_id from touched)
            ),
            'files', (select jsonb_agg(to_jsonb(files)) from ops.files where {own}),
            'lake_files', (select jsonb_agg(to_jsonb(touched)) from touched),
            'erasures', (
                select jsonb_agg(to_jsonb(erasures)) from ops.erasures
                where {"false" if kind == "load" else "erasure_id = %(number)s"}
            )
        )::text
        """,  # noqa: S608
        {"number": number},
    )
    return lake.Change(
        kind=kind,
        number=number,
        added=[file for is_removed, file in files if not is_removed],
        removed=[file for is_removed, file in files if is_removed],
        ledger=cursor.fetchone()[0],
    )


def list_duplicates(cursor: Any, settings: Settings, load_id: int) -> None:
    """Write a load's duplicates to the lake too, in the load's own transaction."""
    cursor.execute("select duplicate_count from ops.loads where load_id = %s", (load_id,))
    if not cursor.fetchone()[0]:
        return
    file = lake.write_duplicates(settings.lake, load_id, _duplicates(cursor, load_id))
    cursor.execute(
        "insert into ops.lake_files (load_id, table_name, path, row_count, byte_count) "
        "values (%s, %s, %s, %s, %s)",
        (load_id, file.table, file.path, file.row_count, file.byte_count),
    )


def _duplicates(cursor: Any, load_id: int) -> Iterator[list[tuple[int, int, str]]]:
    with cursor.connection.cursor(name="duplicates") as rows:
        rows.execute(
            "select file_id, source_row, event_id from ops.duplicates where load_id = %s",
            (load_id,),
        )
        while chunk := rows.fetchmany(ROWS_AT_ONCE):
            yield chunk


# -- and back ------------------------------------------------------------------------------------


def ledger_of(commits: Iterable[lake.Commit]) -> Ledger:
    """Return the rows of `ops` as they were after the last of the commits."""
    rows: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {table: {} for table in KEYS}
    versions: dict[tuple[lake.Kind, int], int] = {}
    for commit in commits:
        versions[commit.kind, commit.number] = commit.version
        for table, key in KEYS.items():
            for row in commit.ledger[table] or ():
                rows[table][tuple(row[name] for name in key)] = row
    last = max(versions.values(), default=None)
    for (kind, number), version in versions.items():
        row = rows["loads" if kind == "load" else "erasures"][(number,)]
        # The last commit may have reached one table's log alone: it is to be given once more.
        row["lake_version"] = None if version == last else version
    return {table: list(found.values()) for table, found in rows.items()}


def restore(cursor: Any, ledger: Ledger) -> None:
    """Put the ledger's rows into the empty tables of `ops`; the pre-aggregates are to follow."""
    for row in ledger["loads"]:
        row["aggregated_at"] = None
    for table in KEYS:
        name = sql.Identifier("ops", table)
        cursor.execute(
            sql.SQL("insert into {} select * from jsonb_populate_recordset(null::{}, %s)").format(
                name, name
            ),
            (json.dumps(ledger[table]),),
        )
