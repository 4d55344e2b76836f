"""The Delta logs: which files are part of the lake, and the ledger of how they came to be."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from ingestion.contract.events import (
    ITEMS,
    ITEMS_SPARK_TYPE,
    LOAD_COLUMNS,
    SOURCE_COLUMNS,
    spark_ddl,
)
from ingestion.errors import InputError
from ingestion.lake.tables import PARTITIONS, SCHEMAS, LakeFile, Table, paths

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Kind = Literal["load", "erasure"]
# The names under which a log keeps the number of the last load and of the last erasure.
APPLICATIONS: dict[Kind, str] = {"load": "clickmart", "erasure": "clickmart erasures"}
# Files that replace committed ones wait here, outside the tables, until PostgreSQL has committed.
REWRITTEN = "rewritten"


@dataclass(frozen=True)
class Change:
    """What one load or erasure does to the lake. `ledger` is JSON: the rows of `ops` it wrote."""

    kind: Kind
    number: int
    added: Sequence[LakeFile]
    removed: Sequence[LakeFile]
    ledger: str


@dataclass(frozen=True)
class Commit:
    """A change as the log of the events tells it; `ledger` has rows by table of `ops`."""

    version: int
    kind: Kind
    number: int
    ledger: dict[str, list[dict[str, Any]]]


# -- writing -------------------------------------------------------------------------------------


def commit(lake: str, change: Change) -> int:
    """Bring a change into the Delta logs, at once per table; return the events' version.

    Repeating it changes nothing: each log holds the change's number as a transaction. The log of
    the events comes first and carries the ledger, so what it tells is always whole.
    """
    for table in SCHEMAS:
        added = [file for file in change.added if file.table == table]
        removed = [file for file in change.removed if file.table == table]
        if table == "events" or added or removed:
            _put_in_place(lake, added)
            _commit_table(lake, table, change, added, removed)
    shutil.rmtree(Path(lake) / REWRITTEN, ignore_errors=True)
    return version(lake)


def _put_in_place(lake: str, files: Iterable[LakeFile]) -> None:
    for file in files:
        waiting = file.under(Path(lake) / REWRITTEN)
        if waiting.exists():
            waiting.replace(file.under(lake))


def _commit_table(
    lake: str, table: Table, change: Change, added: list[LakeFile], removed: list[LakeFile]
) -> None:
    from deltalake import CommitProperties, Transaction
    from deltalake.transaction import AddAction, RemoveAction

    delta = _open(lake, table) or _create(lake, table)
    application = APPLICATIONS[change.kind]
    if (delta.transaction_version(application) or 0) >= change.number:
        return
    now = int(time.time() * 1000)
    actions: list[AddAction | RemoveAction] = [
        AddAction(
            path=file.path,
            size=file.byte_count,
            partition_values=_partition_values(file),
            modification_time=0,
            data_change=True,
            stats=json.dumps({"numRecords": file.row_count}),
        )
        for file in added
    ]
    actions += [
        RemoveAction(file.path, True, now, file.byte_count, _partition_values(file))
        for file in removed
    ]
    ledger = {"ledger": change.ledger} if table == "events" else {}
    delta.create_write_transaction(
        actions,
        mode="append",
        schema=delta.schema(),
        partition_by=PARTITIONS[table],
        commit_properties=CommitProperties(
            custom_metadata={f"{change.kind}_id": str(change.number), **ledger},
            app_transactions=[Transaction(application, change.number)],
        ),
    )


def _create(lake: str, table: Table) -> Any:
    from deltalake import DeltaTable, Schema

    (Path(lake) / table).mkdir(parents=True, exist_ok=True)
    fields = [("load_id", pa.int64())]
    fields += [("event_date", pa.date32())] if "event_date" in PARTITIONS[table] else []
    return DeltaTable.create(
        str(Path(lake) / table),
        schema=Schema.from_arrow(pa.schema([*SCHEMAS[table], *fields])),
        partition_by=PARTITIONS[table],
        # The log is the ledger's second copy: its entries must never expire.
        configuration={"delta.enableExpiredLogCleanup": "false"},
    )


def _partition_values(file: LakeFile) -> dict[str, str | None]:
    values: dict[str, str | None] = {"load_id": str(file.load_id)}
    if file.event_date is not None:
        values["event_date"] = file.event_date
    return values


# -- clearing away -------------------------------------------------------------------------------


def remove_uncommitted(lake: str, last_load_id: int) -> None:
    """Remove what loads after the last one, and erasures, left behind when they were killed."""
    for table in SCHEMAS:
        for folder in (Path(lake) / table).glob("load_id=*"):
            if int(folder.name.split("=", 1)[1]) > last_load_id:
                shutil.rmtree(folder)
    shutil.rmtree(Path(lake) / REWRITTEN, ignore_errors=True)


def remove_unnamed(lake: str, load_id: int | None = None) -> None:
    """Delete the files, of one load or of all, that the logs do not name now.

    Versions of the lake that named them can then no longer be read in full.
    """
    for table in SCHEMAS:
        root = Path(lake) / table
        folder = root if load_id is None else root / f"load_id={load_id}"
        lying = {path for path in folder.rglob("*.parquet") if "_delta_log" not in path.parts}
        if lying:
            for path in lying - {root / name for name in _paths(lake, table)}:
                path.unlink()


# -- reading -------------------------------------------------------------------------------------


def version(lake: str) -> int:
    """Return the version of the events table; -1 before its first commit."""
    table = _open(lake, "events")
    return -1 if table is None else int(table.version())


def last_numbers(lake: str) -> tuple[int, int]:
    """Return the numbers of the last load and of the last erasure in the log, 0 for none."""
    table = _open(lake, "events")
    if table is None:
        return 0, 0
    load, erasure = (table.transaction_version(name) or 0 for name in APPLICATIONS.values())
    return int(load), int(erasure)


def event_paths(lake: str) -> set[str]:
    """Return the paths, within their table, of the events' files that the log names now."""
    return _paths(lake, "events")


def history(lake: str) -> list[Commit]:
    """Return the loads and erasures that the log tells of, the first one first.

    Raises InputError where there is no lake, or where its log lacks a ledger.
    """
    table = _open(lake, "events")
    if table is None:
        raise InputError(f"There is no lake in {lake}: nothing to rebuild from.")
    commits = []
    for entry in reversed(table.history()):
        for kind in APPLICATIONS:
            if (number := entry.get(f"{kind}_id")) is None:
                continue
            if "ledger" not in entry:
                raise InputError(
                    f"The lake's log has no ledger of {kind} {number}: an older version of "
                    "Clickmart wrote it. Load the files themselves anew."
                )
            ledger = json.loads(entry["ledger"])
            commits.append(Commit(int(entry["version"]), kind, int(number), ledger))
    return commits


def read_events(spark: SparkSession, lake: str, *, engine: str) -> DataFrame:
    """Return all committed events, with load_id and event_date."""
    root = str(Path(lake) / "events")
    paths = sorted(_paths(lake, "events"))
    if not paths:  # every event was erased or replaced
        columns = [c for c in (*SOURCE_COLUMNS, *LOAD_COLUMNS) if c.name != "load_id"]
        partitions = f"{ITEMS} {ITEMS_SPARK_TYPE}, load_id bigint, event_date date"
        return spark.createDataFrame([], f"{spark_ddl(tuple(columns))}, {partitions}")
    if engine == "sail":  # it reads the log itself, but no partitions from a list of files
        return spark.read.format("delta").load(root)
    return spark.read.option("basePath", root).parquet(*(f"{root}/{path}" for path in paths))


def read_written(
    spark: SparkSession, lake: str, load_id: int, files: Iterable[LakeFile]
) -> DataFrame:
    """Return the events of a load's files, which need not be committed, with the load's number."""
    from pyspark.sql import functions as F

    rows = spark.read.parquet(*paths(lake, files, "events"))
    return rows.withColumn("load_id", F.lit(load_id).cast("bigint"))


def _open(lake: str, table: Table) -> Any | None:
    from deltalake import DeltaTable

    path = str(Path(lake) / table)
    return DeltaTable(path) if DeltaTable.is_deltatable(path) else None


def _paths(lake: str, table: Table) -> set[str]:
    delta = _open(lake, table)
    return set() if delta is None else set(delta.get_add_actions().column("path").to_pylist())
