"""The lake's three tables: their columns, their partitions, and what is known of a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from ingestion.contract.arrow import arrow_fields, arrow_type
from ingestion.contract.events import ITEMS, ITEMS_SPARK_TYPE, LOAD_COLUMNS, SOURCE_COLUMNS

Table = Literal["events", "quarantine", "duplicates"]

# load_id and event_date are partitions: they stand in the path and in the Delta log.
SCHEMAS: dict[Table, pa.Schema] = {
    "events": pa.schema(
        [
            *arrow_fields(SOURCE_COLUMNS),
            *arrow_fields(column for column in LOAD_COLUMNS if column.name != "load_id"),
            pa.field(ITEMS, arrow_type(ITEMS_SPARK_TYPE)),
        ]
    ),
    "quarantine": pa.schema(
        [
            ("source", pa.string()),
            ("file_id", pa.int64()),
            ("source_row", pa.int64()),
            ("reasons", pa.list_(pa.string())),
            ("record", pa.string()),
        ]
    ),
    "duplicates": pa.schema(
        [("file_id", pa.int64()), ("source_row", pa.int64()), ("event_id", pa.string())]
    ),
}
PARTITIONS: dict[Table, list[str]] = {
    "events": ["load_id", "event_date"],
    "quarantine": ["load_id"],
    "duplicates": ["load_id"],
}


@dataclass(frozen=True)
class LakeFile:
    """A written file: `path` is relative to its table's folder; `event_date` is ISO."""

    table: Table
    path: str
    event_date: str | None
    row_count: int
    byte_count: int

    @property
    def load_id(self) -> int:
        """The load whose rows the file holds, as its path says."""
        return int(self.path.split("/", 1)[0].removeprefix("load_id="))

    def under(self, root: str | Path) -> Path:
        """Return where the file lies, in a lake with this root."""
        return Path(root) / self.table / self.path


def paths(root: str, files: Iterable[LakeFile], table: Table) -> list[str]:
    """Return where those of the files lie that are of the table."""
    return [str(file.under(root)) for file in files if file.table == table]
