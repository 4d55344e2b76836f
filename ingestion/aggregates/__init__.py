"""Spark's pre-aggregates of the lake: sessions, users, products and days, as `raw.agg_*`.

A second computation of what dbt derives from the events, by the same definitions; dbt tests
compare the two. A load changes only what its events touch (see docs/decisions/0009).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg2.extras import Json

from ingestion import lake, stage
from ingestion.aggregates import merge
from ingestion.aggregates.compute import (
    RATES,
    Computation,
    Staged,
    committed_duplicates,
    committed_events,
)
from ingestion.aggregates.identity import stretches
from ingestion.aggregates.merge import UUID_COLUMNS
from ingestion.aggregates.tables import KEYS, TABLES, aggregates, narrowed
from ingestion.errors import UsageError
from ingestion.postgres import connect
from ingestion.settings import PROJECT_DIR, Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = [
    "KEYS",
    "TABLES",
    "UUID_COLUMNS",
    "aggregates",
    "definitions",
    "invalidate",
    "is_behind",
    "narrowed",
    "refresh",
    "refresh_beside",
    "stretches",
]

DEFINING_VARS = (
    "session_source",
    "session_timeout_minutes",
    "session_max_hours",
    "session_max_events",
    "reporting_timezone",
    "reporting_currency",
    "exclude_bots",
    "bot_min_session_events",
    "bot_max_mean_gap_seconds",
)
SESSION_SOURCES = ("derived", "source")
SESSION_LIMITS = ("session_max_hours", "session_max_events")


def refresh(spark: SparkSession, settings: Settings) -> None:
    """Bring `raw.agg_*` up to the lake, in one transaction, at the cost of what the loads touch.

    Everything is computed anew at the first load, where the definitions changed, after
    `invalidate`, and where the loads touch most of the events anyway. Loads that brought nothing
    but duplicates change nothing and cost nothing. Call it while holding the loaders' lock.
    """
    staged = _staged(spark, settings)
    with connect(settings) as connection, connection.cursor() as cursor:
        if staged:
            _put(cursor, staged)
        _mark(cursor, settings, is_computed=staged is not None)


def refresh_beside(
    spark: SparkSession,
    settings: Settings,
    load_id: int,
    written: lake.Written,
    duplicates: Sequence[tuple[int, int]],
    is_committed: Callable[[], bool],
) -> None:
    """Do what `refresh` does for a load into an empty `raw`, while that load is not committed yet.

    Its events are read from the files it wrote, but for the `duplicates` (file_id, source_row).
    `is_committed` is asked when all is ready, and waits until the load is committed or is not to
    be; only then is anything seen of the pre-aggregates.
    """
    with lake.scratch(settings.lake) as folder:
        events = lake.read_written(spark, settings.lake, load_id, written.files)
        known = [[(load_id, *row) for row in duplicates]] if duplicates else []
        count = written.event_count
        staged = Computation(spark, settings, folder, count, events, known).whole()
    with connect(settings) as connection, connection.cursor() as cursor:
        _put(cursor, staged)
        if is_committed():
            _mark(cursor, settings, is_computed=True)
        else:
            connection.rollback()


def is_behind(settings: Settings) -> bool:
    """Return whether loads wait for the lake or the pre-aggregates, or the definitions changed."""
    with connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select exists (select from ops.loads "
            "where lake_version is null or aggregated_at is null)"
        )
        is_waiting = bool(cursor.fetchone()[0])
        return _needs_whole(cursor, settings) or is_waiting


def invalidate(cursor: Any) -> None:
    """Let the next `refresh` and the next build of dbt's models compute everything anew.

    For when rows were taken out of `raw`: both follow the rows that new loads bring.
    """
    cursor.execute("delete from ops.aggregations")
    cursor.execute("insert into ops.rewrites default values")


def definitions(settings: Settings) -> dict[str, Any]:
    """Return what the pre-aggregates depend on beside the events: vars, rates and the code.

    Raises UsageError for a `session_source` that there is not, and a limit that no session keeps.
    """
    chosen = {name: settings.dbt_vars[name] for name in DEFINING_VARS}
    if chosen["session_source"] not in SESSION_SOURCES:
        raise UsageError(
            f"session_source in dbt_project.yml is {chosen['session_source']!r}; "
            f"it must be one of: {', '.join(SESSION_SOURCES)}."
        )
    for name in SESSION_LIMITS:
        if not isinstance(chosen[name], int | float) or chosen[name] < 1:
            raise UsageError(
                f"{name} in dbt_project.yml is {chosen[name]!r}; it must be a number from 1 on."
            )
    return {
        **chosen,
        "exchange_rates_sha256": _sha256([PROJECT_DIR / RATES]),
        "code_sha256": _sha256(sorted(Path(__file__).parent.glob("*.py"))),
    }


def _sha256(paths: list[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def _needs_whole(cursor: Any, settings: Settings) -> bool:
    """Return whether there are events, and no aggregation of them by the definitions of now."""
    wanted = definitions(settings)
    cursor.execute("select definitions from ops.aggregations order by aggregated_at desc limit 1")
    latest = cursor.fetchone()
    cursor.execute("select exists (select from ops.loads where loaded_count > 0)")
    return bool(cursor.fetchone()[0]) and (latest is None or latest[0] != wanted)


def _staged(spark: SparkSession, settings: Settings) -> Staged | None:
    """Compute what there is to do, if anything."""
    with connect(settings) as connection, connection.cursor() as cursor:
        is_whole = _needs_whole(cursor, settings)
        cursor.execute(
            "select coalesce(array_agg(load_id) filter (where aggregated_at is null), '{}'), "
            "sum(loaded_count) from ops.loads where loaded_count > 0"
        )
        load_ids, event_count = cursor.fetchone()
    if not load_ids and not is_whole:
        return None
    with lake.scratch(settings.lake) as folder:
        computation = Computation(
            spark,
            settings,
            folder,
            int(event_count),
            committed_events(spark, settings),
            committed_duplicates(settings),
        )
        staged = None if is_whole else computation.touched(load_ids)
        return staged or computation.whole()


def _put(cursor: Any, staged: Staged) -> None:
    for name in TABLES:
        _fill(cursor, name, staged)


def _mark(cursor: Any, settings: Settings, *, is_computed: bool) -> None:
    """Say in the ledger that the pre-aggregates are up to date; drop what was staged for them."""
    if is_computed:
        cursor.execute(
            "insert into ops.aggregations (definitions) values (%s)",
            (Json(definitions(settings)),),
        )
    cursor.execute(
        "update ops.loads set aggregated_at = clock_timestamp() where aggregated_at is null"
    )
    stage.drop_all(cursor)


def _fill(cursor: Any, name: str, staged: Staged) -> None:
    after = staged.after[name]
    stage.check(cursor, after)
    if staged.before is None:
        merge.replace(cursor, name, TABLES[name], KEYS[name], after.tables)
        return
    before = staged.before[name]
    stage.check(cursor, before)
    merge.add_change(cursor, name, TABLES[name], KEYS[name], before.tables, after.tables)
