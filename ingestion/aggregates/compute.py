"""Compute the pre-aggregates of the lake's events into stage tables."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ingestion import lake, stage
from ingestion.aggregates.identity import stretches
from ingestion.aggregates.tables import TABLES, aggregates, narrowed
from ingestion.aggregates.touched import new_visitors, touched_visitors, visitor_links
from ingestion.postgres import connect
from ingestion.settings import PROJECT_DIR, Settings
from ingestion.spark import engine_name

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RATES = "seeds/exchange_rates.csv"
ORIGIN = ("load_id", "file_id", "source_row")
ROWS_AT_ONCE = 100_000
# Sail sorts in memory, about 450 bytes an event: the visitors are taken in as many parts.
EVENTS_AT_ONCE = 3_000_000
# Touched events count twice, before and after: from this share on, all of them cost no more.
MOST_TOUCHED_SHARE = 0.4

Origin = tuple[int, int, int]
Stages = dict[str, stage.Stage]


@dataclass(frozen=True)
class Staged:
    """Stage tables by pre-aggregate; without a `before`, `after` is all there is."""

    after: Stages
    before: Stages | None = None


@dataclass(frozen=True)
class Computation:
    """One computation: of about `event_count` events, with an empty `folder` to write to.

    `duplicates` are those among the events, by ORIGIN, some at a time.
    """

    spark: SparkSession
    settings: Settings
    folder: str
    event_count: int
    events: DataFrame
    duplicates: Iterable[Sequence[Origin]]

    def whole(self) -> Staged:
        """Stage the pre-aggregates of all events."""
        events = narrowed(self._without_duplicates(self.events))
        if self._part_count > 1:
            events = self._in_parts(events, "events")
        return Staged(after=self._stages(events, "after"))

    def touched(self, load_ids: Sequence[int]) -> Staged | None:
        """Stage the pre-aggregates of the visitors the loads touch, before and after the loads.

        Returns None where they have so many of the events that all cost no more.
        """
        events = self.events
        new = self._written(new_visitors(events, load_ids), "new")
        links = self._written(visitor_links(events), "links")
        visitors = self._written(touched_visitors(new, links), "visitors")
        theirs = self._without_duplicates(events.join(visitors, "visitor_id", "left_semi"))
        touched = self._in_parts(narrowed(theirs, "load_id"), "touched")
        if touched.count() > MOST_TOUCHED_SHARE * self.event_count:
            return None
        old = touched.where(~F.col("load_id").isin(*load_ids))
        return Staged(before=self._stages(old, "before"), after=self._stages(touched, "after"))

    def _without_duplicates(self, events: DataFrame) -> DataFrame:
        path = Path(self.folder) / "duplicates.parquet"
        if not path.exists():
            _write_duplicates(self.duplicates, path)
        return events.join(self.spark.read.parquet(str(path)), list(ORIGIN), "left_anti")

    def _stages(self, events: DataFrame, name: str) -> Stages:
        variables = self.settings.dbt_vars
        found = self._stretches(events, name)
        rates = self.spark.createDataFrame(
            _exchange_rates(), "currency string, valid_from string, rate string"
        )

        def kept(frame: DataFrame, of: str) -> DataFrame:
            return self._written(frame, f"{of}_{name}")

        return {
            table: stage.copy_frame(frame, self.settings, TABLES[table])
            for table, frame in aggregates(events, found, rates, variables, kept).items()
        }

    # -- computed once -----------------------------------------------------------------------------
    # Each step is written and read again: `persist` does nothing on Sail, and what is computed
    # twice is sorted twice.

    def _written(self, frame: DataFrame, name: str, *partitions: str) -> DataFrame:
        path = f"{self.folder}/{name}"
        frame.write.option("compression", "snappy").partitionBy(*partitions).parquet(path)
        Path(path).mkdir(exist_ok=True)  # Sail makes no folder where there are no rows
        return self.spark.read.schema(frame.schema).parquet(path)

    def _in_parts(self, events: DataFrame, name: str) -> DataFrame:
        """Write events by `part`, each with all events of its visitors."""
        part = F.abs(F.xxhash64("visitor_id") % self._part_count).cast("int")
        return self._written(events.withColumn("part", part), name, "part")

    def _stretches(self, events: DataFrame, name: str) -> DataFrame:
        """Compute the stretches part by part, so that the memory it takes has a limit."""
        is_in_parts = "part" in events.columns
        paths = []
        for part in range(self._part_count):
            own = events.where(F.col("part") == part).drop("part") if is_in_parts else events
            frame = stretches(own, self.settings.dbt_vars)
            paths.append(f"{self.folder}/stretches_{name}/{part}")
            frame.write.parquet(paths[-1])
        return self.spark.read.schema(frame.schema).parquet(*paths)

    @property
    def _part_count(self) -> int:
        return self.event_count // EVENTS_AT_ONCE + 1


def _exchange_rates() -> list[tuple[str, str, str]]:
    with (PROJECT_DIR / RATES).open() as stream:
        return [(r["currency"], r["valid_from"], r["rate"]) for r in csv.DictReader(stream)]


def _write_duplicates(chunks: Iterable[Sequence[Origin]], path: Path) -> None:
    schema = pa.schema([(name, pa.int64()) for name in ORIGIN])
    with pq.ParquetWriter(path, schema) as file:
        for rows in chunks:
            columns = [pa.array(values, pa.int64()) for values in zip(*rows, strict=True)]
            file.write_table(pa.Table.from_arrays(columns, schema=schema))


def committed_events(spark: SparkSession, settings: Settings) -> DataFrame:
    """Return the events that the lake names."""
    return lake.read_events(spark, settings.lake, engine=engine_name(settings))


def committed_duplicates(settings: Settings) -> Iterator[Sequence[Origin]]:
    """Yield the duplicates among the events that the lake names."""
    with (
        connect(settings) as connection,
        connection.cursor("duplicates") as cursor,  # named: its rows stay on the server
    ):
        cursor.execute(
            "select load_id, file_id, source_row from ops.duplicates "
            "join ops.loads using (load_id) where loaded_count > 0"
        )
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield rows
