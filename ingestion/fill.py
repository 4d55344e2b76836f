"""COPY a load's events from the lake's files into `raw`, but for the rows that are duplicates.

One connection, inside the load's transaction: what is copied exists when the load does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import sql

from ingestion import lake
from ingestion.contract.events import EVENT_COLUMNS, ITEM_COLUMNS, Column
from ingestion.readers import json_text
from ingestion.stage import (
    MOST_BRACKETS,
    ORIGIN,
    copy_batches,
    copy_into,
    event_batches,
    item_batches,
)

LOAD = Column("load_id", "bigint")
RAW_ITEMS = (Column("event_id"), *ITEM_COLUMNS, LOAD)
ITEM_NAMES = [column.name for column in RAW_ITEMS]
PROPERTIES = "properties"
TEXT_NAMES = ["file_id", "source_row", PROPERTIES]


class Rows:
    """Rows of input files, by file and number."""

    def __init__(self, rows: Iterable[tuple[int, int]]) -> None:
        numbers: dict[int, list[int]] = defaultdict(list)
        for file_id, source_row in rows:
            numbers[file_id].append(source_row)
        self._numbers = {file_id: pa.array(own, pa.int64()) for file_id, own in numbers.items()}

    def among(self, batch: pa.RecordBatch) -> pa.Array | None:
        """Return a mask of those of the batch's rows that are these; None where there are none."""
        mask = None
        files, rows = batch.column("file_id"), batch.column("source_row")
        for file_id in pc.unique(files).to_pylist():
            if file_id in self._numbers:
                own = pc.and_(
                    pc.equal(files, file_id), pc.is_in(rows, value_set=self._numbers[file_id])
                )
                mask = own if mask is None else pc.or_(mask, own)
        return mask


def fill(
    cursor: Any,
    root: str,
    files: Sequence[lake.LakeFile],
    load_id: int,
    *,
    freeze: bool,
    unreadable: Rows | None = None,
) -> int:
    """COPY the events of the files, and their items, but for those in the table `duplicate`.

    The properties of `unreadable` rows are kept whole, as {"unparsed": text}. `freeze` is for
    tables that this very (sub)transaction has truncated. Returns how many events there were.
    """
    paths = _paths(root, files)
    cursor.execute("select file_id, source_row from duplicate")
    left_out = Rows(cursor.fetchall())

    def kept(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            mask = left_out.among(batch)
            rows = batch if mask is None else batch.filter(pc.invert(mask))
            yield _with_load_id(rows, load_id)

    events = (_with_readable_properties(batch, unreadable) for batch in kept(event_batches(paths)))
    items = (batch.select(ITEM_NAMES) for batch in kept(item_batches(paths)))
    table = sql.Identifier("raw", "events")
    count = copy_into(cursor, table, EVENT_COLUMNS, events, freeze=freeze)
    copy_into(cursor, sql.Identifier("raw", "event_items"), RAW_ITEMS, items, freeze=freeze)
    return count


def _paths(root: str, files: Sequence[lake.LakeFile]) -> list[str]:
    return [str(Path(root) / "events" / f.path) for f in files if f.table == "events"]


def _with_load_id(batch: pa.RecordBatch, load_id: int) -> pa.RecordBatch:
    load_ids = pa.repeat(pa.scalar(load_id, pa.int64()), batch.num_rows)
    return batch.append_column(LOAD.name, load_ids)


# -- properties that are no JSON -----------------------------------------------------------------


def unreadable_rows(cursor: Any, root: str, files: Sequence[lake.LakeFile]) -> Rows:
    """Return the rows whose properties PostgreSQL does not take for JSON: only it knows."""
    texts = (batch.select(TEXT_NAMES) for batch in event_batches(_paths(root, files)))
    name = copy_batches(cursor, (*ORIGIN, Column(PROPERTIES)), texts)
    cursor.execute(
        sql.SQL(
            "select file_id, source_row from {0} where properties is not null and case "
            "when octet_length(properties) > {1} "
            "and length(properties) - length(translate(properties, '[{{', '')) > {1} then true "
            "else not pg_input_is_valid(properties, 'jsonb') end"
        ).format(sql.Identifier("stage", name), sql.Literal(MOST_BRACKETS))
    )
    return Rows(cursor.fetchall())


def _with_readable_properties(batch: pa.RecordBatch, unreadable: Rows | None) -> pa.RecordBatch:
    mask = unreadable.among(batch) if unreadable else None
    if mask is None:
        return batch
    place = batch.schema.get_field_index(PROPERTIES)
    texts = [
        json_text({"unparsed": text}) if is_bad else text
        for text, is_bad in zip(batch.column(place).to_pylist(), mask.to_pylist(), strict=True)
    ]
    return batch.set_column(place, PROPERTIES, pa.array(texts, pa.string()))
