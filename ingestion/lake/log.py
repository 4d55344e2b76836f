"""The Delta logs: which files are part of the lake."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingestion.lake.tables import PARTITIONS, SCHEMAS, LakeFile, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

APPLICATION = "clickmart"


def commit(lake: str, load_id: int, files: Iterable[LakeFile]) -> int:
    """Add a load's files to the Delta logs, at once per table; return the events' version.

    Repeating it changes nothing: the log holds the load's number as a transaction. Files of the
    load that are not given are removed: nothing will ever name them.
    """
    chosen = list(files)
    for table in SCHEMAS:
        own = [file for file in chosen if file.table == table]
        _commit_table(lake, table, load_id, own)
        _remove_others(Path(lake) / table, load_id, {file.path for file in own})
    return version(lake)


def _remove_others(root: Path, load_id: int, named: set[str]) -> None:
    for path in (root / f"load_id={load_id}").rglob("*.parquet"):
        if path.relative_to(root).as_posix() not in named:
            path.unlink()


def version(lake: str) -> int:
    """Return the version of the events table; -1 before its first commit."""
    table = _open(lake, "events")
    return -1 if table is None else int(table.version())


def remove_uncommitted(lake: str, last_load_id: int) -> None:
    """Remove what loads after the last one left behind when they were killed."""
    for table in SCHEMAS:
        for folder in (Path(lake) / table).glob("load_id=*"):
            if int(folder.name.split("=", 1)[1]) > last_load_id:
                shutil.rmtree(folder)


def _open(lake: str, table: Table) -> Any | None:
    from deltalake import DeltaTable

    path = str(Path(lake) / table)
    return DeltaTable(path) if DeltaTable.is_deltatable(path) else None


def _commit_table(lake: str, table: Table, load_id: int, files: list[LakeFile]) -> None:
    from deltalake import CommitProperties, DeltaTable, Schema, Transaction
    from deltalake.transaction import AddAction, RemoveAction

    delta = _open(lake, table)
    if delta is None:
        (Path(lake) / table).mkdir(parents=True, exist_ok=True)
        fields = [("load_id", pa.int64())]
        fields += [("event_date", pa.date32())] if "event_date" in PARTITIONS[table] else []
        schema = pa.schema([*SCHEMAS[table], *fields])
        delta = DeltaTable.create(
            str(Path(lake) / table),
            schema=Schema.from_arrow(schema),
            partition_by=PARTITIONS[table],
        )
    if (delta.transaction_version(APPLICATION) or 0) >= load_id:
        return
    actions: list[AddAction | RemoveAction] = [
        AddAction(
            path=file.path,
            size=file.byte_count,
            partition_values=_partition_values(file, load_id),
            modification_time=0,
            data_change=True,
            stats=json.dumps({"numRecords": file.row_count}),
        )
        for file in files
    ]
    properties = CommitProperties(
        custom_metadata={"load_id": str(load_id)},
        app_transactions=[Transaction(APPLICATION, load_id)],
    )
    delta.create_write_transaction(
        actions,
        mode="append",
        schema=delta.schema(),
        partition_by=PARTITIONS[table],
        commit_properties=properties,
    )


def _partition_values(file: LakeFile, load_id: int) -> dict[str, str | None]:
    values: dict[str, str | None] = {"load_id": str(load_id)}
    if file.event_date is not None:
        values["event_date"] = file.event_date
    return values


def read_events(spark: SparkSession, lake: str, *, engine: str) -> DataFrame:
    """Return all committed events, with load_id and event_date."""
    root = str(Path(lake) / "events")
    if engine == "sail":  # it reads the log itself, but no partitions from a list of files
        return spark.read.format("delta").load(root)
    from deltalake import DeltaTable

    return spark.read.option("basePath", root).parquet(*DeltaTable(root).file_uris())
