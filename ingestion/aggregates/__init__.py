"""Spark's pre-aggregates of the lake: sessions, users, products and days, as `raw.agg_*`.

A second computation of what dbt derives from the events, by the same definitions; dbt tests
compare the two. Every function takes and returns DataFrames; only `refresh` does I/O.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from psycopg2 import sql
from psycopg2.extras import Json
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ingestion import lake, stage
from ingestion.aggregates.tables import TABLES, aggregates
from ingestion.contract.events import Column
from ingestion.postgres import connect
from ingestion.settings import PROJECT_DIR, Settings
from ingestion.spark import engine_name

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["TABLES", "aggregates", "is_behind", "refresh"]

UUID_COLUMNS = ("session_id", "user_key")
RATES = "seeds/exchange_rates.csv"
DEFINING_VARS = (
    "session_timeout_minutes",
    "reporting_timezone",
    "reporting_currency",
    "exclude_bots",
    "bot_min_session_events",
    "bot_max_mean_gap_seconds",
)


def refresh(spark: SparkSession, settings: Settings) -> None:
    """Bring `raw.agg_*` up to the lake: recomputed and replaced in one transaction.

    Loads that brought nothing but duplicates change nothing and cost nothing.
    """
    stages = _computed(spark, settings) if _has_changes(settings) else {}
    with connect(settings) as connection, connection.cursor() as cursor:
        for name, tables in stages.items():
            cursor.execute(sql.SQL("delete from {}").format(sql.Identifier("raw", name)))
            _fill(cursor, name, TABLES[name], tables)
        if stages:
            cursor.execute(
                "insert into ops.aggregations (definitions) values (%s)",
                (Json(definitions(settings)),),
            )
        cursor.execute(
            "update ops.loads set aggregated_at = clock_timestamp() where aggregated_at is null"
        )
        stage.drop_all(cursor)


def is_behind(settings: Settings) -> bool:
    """Return whether loads wait for the lake or the pre-aggregates, or the definitions changed."""
    with connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select exists (select from ops.loads "
            "where lake_version is null or aggregated_at is null)"
        )
        return bool(cursor.fetchone()[0]) or _has_changes(settings)


def definitions(settings: Settings) -> dict[str, Any]:
    """Return what the pre-aggregates depend on beside the events."""
    rates = (PROJECT_DIR / RATES).read_bytes()
    return {
        **{name: settings.dbt_vars[name] for name in DEFINING_VARS},
        "exchange_rates_sha256": hashlib.sha256(rates).hexdigest(),
    }


def _has_changes(settings: Settings) -> bool:
    with connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select coalesce(bool_or(aggregated_at is null), false), count(*) > 0 "
            "from ops.loads where loaded_count > 0"
        )
        has_new_events, has_events = cursor.fetchone()
        cursor.execute(
            "select definitions from ops.aggregations order by aggregated_at desc limit 1"
        )
        latest = cursor.fetchone()
        is_outdated = latest is None or latest[0] != definitions(settings)
        return bool(has_new_events or (has_events and is_outdated))


def _computed(spark: SparkSession, settings: Settings) -> dict[str, tuple[str, ...]]:
    """Compute the pre-aggregates into stage tables; return the tables' names."""
    events = lake.read_events(spark, settings.lake, engine=engine_name(settings))
    schema = "currency string, valid_from string, rate string"
    rates = spark.createDataFrame(_exchange_rates(), schema)
    frames = aggregates(_without_duplicates(spark, settings, events), rates, settings.dbt_vars)
    return {name: stage.copy_frame(frame, settings, TABLES[name]) for name, frame in frames.items()}


def _exchange_rates() -> list[tuple[str, str, str]]:
    import csv

    with (PROJECT_DIR / RATES).open() as stream:
        return [(r["currency"], r["valid_from"], r["rate"]) for r in csv.DictReader(stream)]


def _without_duplicates(spark: SparkSession, settings: Settings, events: DataFrame) -> DataFrame:
    with connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select load_id, file_id, source_row from ops.duplicates "
            "join ops.loads using (load_id) where loaded_count > 0"
        )
        duplicates = cursor.fetchall()
    if not duplicates:
        return events
    keys = ["load_id", "file_id", "source_row"]
    known = spark.createDataFrame(duplicates, "load_id bigint, file_id bigint, source_row bigint")
    return events.join(F.broadcast(known), keys, "left_anti")


def _fill(cursor: Any, name: str, columns: tuple[Column, ...], stages: tuple[str, ...]) -> None:
    values = sql.SQL(", ").join(
        sql.SQL("{}::uuid" if c.name in UUID_COLUMNS else "{}").format(sql.Identifier(c.name))
        for c in columns
    )
    for table in stages:
        cursor.execute(
            sql.SQL("insert into {} ({}) select {} from {}").format(
                sql.Identifier("raw", name),
                sql.SQL(", ").join(sql.Identifier(c.name) for c in columns),
                values,
                sql.Identifier("stage", table),
            )
        )
