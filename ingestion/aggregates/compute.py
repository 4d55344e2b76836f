"""Compute the pre-aggregates of the lake's events into stage tables."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ingestion import lake, stage
from ingestion.aggregates.tables import TABLES, aggregates, identified, narrowed
from ingestion.aggregates.touched import new_visitors, touched_visitors, visitor_links
from ingestion.postgres import connect
from ingestion.settings import PROJECT_DIR, Settings
from ingestion.spark import engine_name

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RATES = "seeds/exchange_rates.csv"
ORIGIN = ("load_id", "file_id", "source_row")
ROWS_AT_ONCE = 100_000
# Touched events count twice, before and after: from this share on, all of them cost no more.
MOST_TOUCHED_SHARE = 0.4

Stages = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Staged:
    """Stage tables by pre-aggregate; without a `before`, `after` is all there is."""

    after: Stages
    before: Stages | None = None


def stage_whole(spark: SparkSession, settings: Settings, folder: str) -> Staged:
    """Stage the pre-aggregates of all events, with `folder` for what is read again."""
    events = lake.read_events(spark, settings.lake, engine=engine_name(settings))
    kept = _without_duplicates(spark, settings, events, folder)
    return Staged(after=_stages(spark, settings, narrowed(kept), f"{folder}/whole"))


def stage_touched(
    spark: SparkSession, settings: Settings, folder: str, load_ids: Sequence[int], event_count: int
) -> Staged | None:
    """Stage the pre-aggregates of the visitors the loads touch, before and after the loads.

    Returns None where they have so many of the `event_count` events that all cost no more.
    """
    events = lake.read_events(spark, settings.lake, engine=engine_name(settings))
    new = _written(spark, new_visitors(events, load_ids), f"{folder}/new")
    links = _written(spark, visitor_links(events), f"{folder}/links")
    visitors = _written(spark, touched_visitors(new, links), f"{folder}/visitors")
    theirs = events.join(visitors, "visitor_id", "left_semi")
    kept = _without_duplicates(spark, settings, theirs, folder)
    touched = _written(spark, narrowed(kept, "load_id"), f"{folder}/touched")
    if touched.count() > MOST_TOUCHED_SHARE * event_count:
        return None
    old = touched.where(~F.col("load_id").isin(*load_ids))
    return Staged(
        before=_stages(spark, settings, old, f"{folder}/before"),
        after=_stages(spark, settings, touched, f"{folder}/after"),
    )


def _stages(spark: SparkSession, settings: Settings, events: DataFrame, path: str) -> Stages:
    found = _written(spark, identified(events, settings.dbt_vars), path)
    with (PROJECT_DIR / RATES).open() as stream:
        rows = [(r["currency"], r["valid_from"], r["rate"]) for r in csv.DictReader(stream)]
    rates = spark.createDataFrame(rows, "currency string, valid_from string, rate string")
    return {
        name: stage.copy_frame(frame, settings, TABLES[name])
        for name, frame in aggregates(found, rates, settings.dbt_vars).items()
    }


def _written(spark: SparkSession, frame: DataFrame, path: str) -> DataFrame:
    """Compute a frame once: `persist` does nothing on Sail, and fills the memory on Spark."""
    frame.write.parquet(path)
    return spark.read.schema(frame.schema).parquet(path)


def _without_duplicates(
    spark: SparkSession, settings: Settings, events: DataFrame, folder: str
) -> DataFrame:
    path = Path(folder) / "duplicates.parquet"
    if not path.exists():
        _write_duplicates(settings, path)
    return events.join(spark.read.parquet(str(path)), list(ORIGIN), "left_anti")


def _write_duplicates(settings: Settings, path: Path) -> None:
    schema = pa.schema([(name, pa.int64()) for name in ORIGIN])
    with (
        connect(settings) as connection,
        connection.cursor("duplicates") as cursor,  # named: its rows stay on the server
        pq.ParquetWriter(path, schema) as file,
    ):
        cursor.execute(
            "select load_id, file_id, source_row from ops.duplicates "
            "join ops.loads using (load_id) where loaded_count > 0"
        )
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            columns = [pa.array(values, pa.int64()) for values in zip(*rows, strict=True)]
            file.write_table(pa.Table.from_arrays(columns, schema=schema))
