"""What a user would load the events with instead, each as its own documentation shows it.

A program of an environment that has the loader: `python loaders.py NAME FOLDER SCHEMA`. The folder
holds the Parquet files, libpq's variables name the server, and the schema gets a table of events
and one of their items. It imports nothing of ours: see alternatives.py, which runs it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

JDBC_DRIVER = "org.postgresql:postgresql:42.7.7"
PANDAS_ROWS = 1_000
DLT_ROWS = 50_000


def pandas_to_sql(files: list[str], schema: str) -> None:
    """Load by DataFrame.to_sql as it comes, a thousand rows at a time."""
    _load_frames(files, schema, None)


def pandas_to_sql_multi(files: list[str], schema: str) -> None:
    """Load by DataFrame.to_sql with the rows of each chunk in one insert."""
    _load_frames(files, schema, "multi")


def _load_frames(files: list[str], schema: str, method: Literal["multi"] | None) -> None:
    """Load file by file, so that memory stays small."""
    import pandas as pd
    from sqlalchemy import URL, create_engine

    login = (os.environ[name] for name in ("PGUSER", "PGPASSWORD", "PGHOST"))
    port, database = int(os.environ["PGPORT"]), os.environ["PGDATABASE"]
    engine = create_engine(URL.create("postgresql+psycopg2", *login, port, database))
    options: dict[str, Any] = {"if_exists": "append", "index": False, "chunksize": PANDAS_ROWS}
    for file in files:
        events = pd.read_parquet(file)
        items = events[["event_id", "items"]].explode("items").dropna(subset="items")
        lines = pd.DataFrame(items["items"].tolist()).assign(event_id=items["event_id"].to_numpy())
        for table, rows in (("events", events.drop(columns="items")), ("event_items", lines)):
            rows.to_sql(table, engine, schema=schema, method=method, **options)


def spark_jdbc(files: list[str], schema: str) -> None:
    """Load by Apache Spark's JDBC writer, rewritten into inserts of many rows."""
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F

    cores = len(os.sched_getaffinity(0))
    spark = (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.jars.packages", JDBC_DRIVER)
        .config("spark.driver.memory", "2g")
        .config("spark.ui.enabled", "false")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )
    server = "{PGHOST}:{PGPORT}/{PGDATABASE}".format(**os.environ)
    options = {
        "url": f"jdbc:postgresql://{server}?reWriteBatchedInserts=true",
        "user": os.environ["PGUSER"],
        "password": os.environ["PGPASSWORD"],
        "driver": "org.postgresql.Driver",
        "batchsize": "10000",
    }
    events = spark.read.parquet(*files)
    items = events.select("event_id", F.explode("items").alias("item")).select("event_id", "item.*")
    for table, rows in (("events", events.drop("items")), ("event_items", items)):
        rows.write.format("jdbc").options(**options, dbtable=f"{schema}.{table}").save()
    spark.stop()


def dlt_rows(files: list[str], schema: str) -> None:
    """Load by dlt as it comes: rows in, child tables found by itself, insert statements out."""
    import dlt
    import pyarrow.parquet as pq

    @dlt.resource(name="events")
    def events() -> Iterator[Any]:
        for file in files:
            for batch in pq.ParquetFile(file).iter_batches(DLT_ROWS):
                yield batch.to_pylist()

    _run_dlt(events, schema)


def dlt_csv(files: list[str], schema: str) -> None:
    """Load by dlt the way that uses COPY: Arrow in, CSV out."""
    _run_dlt(_arrow_tables(files), schema, loader_file_format="csv")


def dlt_parquet(files: list[str], schema: str) -> None:
    """Load by dlt the way its documentation calls the fastest: Arrow in, Parquet out, by ADBC."""
    _run_dlt(_arrow_tables(files), schema, loader_file_format="parquet")


def _arrow_tables(files: list[str]) -> list[Any]:
    import dlt
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    @dlt.resource(name="events")
    def events() -> Iterator[Any]:
        for file in files:
            names = [name for name in pq.read_schema(file).names if name != "items"]
            yield from pq.ParquetFile(file).iter_batches(DLT_ROWS, columns=names)

    @dlt.resource(name="event_items")
    def items() -> Iterator[Any]:
        for file in files:
            read = pq.ParquetFile(file).iter_batches(DLT_ROWS, columns=["event_id", "items"])
            for ids, lists in ((b["event_id"], b["items"]) for b in read):
                lines = pa.RecordBatch.from_struct_array(pc.list_flatten(lists))
                of_lines = ids.take(pc.list_parent_indices(lists))
                yield pa.Table.from_batches([lines]).append_column("event_id", of_lines)

    return [events, items]


def _run_dlt(data: Any, schema: str, **options: Any) -> None:
    import dlt

    server = "{PGUSER}:{PGPASSWORD}@{PGHOST}:{PGPORT}/{PGDATABASE}".format(**os.environ)
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["NORMALIZE__WORKERS"] = str(len(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            "events",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(f"postgresql://{server}"),
            dataset_name=schema,
        )
        pipeline.run(data, **options).raise_on_failed_jobs()


LOADERS: dict[str, Callable[[list[str], str], None]] = {
    loader.__name__: loader
    for loader in (
        pandas_to_sql,
        pandas_to_sql_multi,
        spark_jdbc,
        dlt_rows,
        dlt_csv,
        dlt_parquet,
    )
}

if __name__ == "__main__":
    _, name, folder, schema = sys.argv
    LOADERS[name](sorted(map(str, Path(folder).glob("*.parquet"))), schema)
