"""COPY loads' events from the lake's files into `raw`, but for the rows that are duplicates.

One connection, inside the caller's transaction: what is copied exists when the load does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import sql

from ingestion import lake
from ingestion.contract.events import ITEM_COLUMNS, Column
from ingestion.readers import json_text
from ingestion.stage import (
    EVENTS,
    ITEM_COUNT,
    ORIGIN,
    copy_batches,
    copy_into,
    event_batches,
    item_batches,
)

LOAD = Column("load_id", "bigint")
RAW_EVENTS = (*EVENTS, ITEM_COUNT, LOAD)
RAW_ITEMS = (Column("event_id"), *ITEM_COLUMNS, LOAD)
ITEM_NAMES = [column.name for column in RAW_ITEMS]
PROPERTIES = "properties"
TEXT_NAMES = ["file_id", "source_row", PROPERTIES]
# PostgreSQL fails on JSON that nests too deep, also where it only asks whether the text is valid.
MOST_BRACKETS = 4_000


class Rows:
    """Rows of input files, by file and number."""

    def __init__(self, rows: Iterable[tuple[int, int]] = ()) -> None:
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


@dataclass(frozen=True)
class Part:
    """A load's files in the lake, and those of their rows that are to be left out."""

    root: str
    load_id: int
    files: Sequence[lake.LakeFile]
    left_out: Rows

    def batches(
        self, table: lake.Table, read: Callable[[Iterable[str]], Iterator[pa.RecordBatch]]
    ) -> Iterator[pa.RecordBatch]:
        """Yield what `read` finds in the files of a table, with the number of the load."""
        for batch in read(lake.paths(self.root, self.files, table)):
            mask = self.left_out.among(batch)
            rows = batch if mask is None else batch.filter(pc.invert(mask))
            load_ids = pa.repeat(pa.scalar(self.load_id, pa.int64()), rows.num_rows)
            yield rows.append_column(LOAD.name, load_ids)


def fill(cursor: Any, parts: Sequence[Part], *, afresh: bool) -> int:
    """COPY the parts' events and their items into `raw`; return how many events there were.

    Once more where PostgreSQL does not take some properties for JSON: those are kept whole, as
    {"unparsed": text}. With `afresh`, what `raw` holds of events and items is emptied before.
    """
    cursor.execute("savepoint filling")
    try:
        return _fill(cursor, parts, afresh=afresh, is_careful=False)
    except (psycopg2.DataError, psycopg2.errors.StatementTooComplex):
        cursor.execute("rollback to savepoint filling")
    return _fill(cursor, parts, afresh=afresh, is_careful=True)


def _fill(cursor: Any, parts: Sequence[Part], *, afresh: bool, is_careful: bool) -> int:
    count = 0
    with _keys_made_afterwards(cursor) if afresh else nullcontext():
        for part in parts:
            unreadable = _unreadable_rows(cursor, part) if is_careful else Rows()
            count += _copy(cursor, part, unreadable, freeze=afresh)
    return count


def _copy(cursor: Any, part: Part, unreadable: Rows, *, freeze: bool) -> int:
    events = (
        _with_readable_properties(batch, unreadable)
        for batch in part.batches("events", event_batches)
    )
    items = (batch.select(ITEM_NAMES) for batch in part.batches("events", item_batches))
    table = sql.Identifier("raw", "events")
    count = copy_into(cursor, table, RAW_EVENTS, events, freeze=freeze)
    copy_into(cursor, sql.Identifier("raw", "event_items"), RAW_ITEMS, items, freeze=freeze)
    return count


def is_empty(cursor: Any) -> bool:
    """Return whether `raw` holds no events."""
    cursor.execute(
        "select not exists (select from raw.events) and not exists (select from raw.event_items)"
    )
    return bool(cursor.fetchone()[0])


@contextmanager
def _keys_made_afterwards(cursor: Any) -> Iterator[None]:
    """Empty `raw.events` and `raw.event_items`, to be filled in the block without primary keys.

    Keys built from all rows at once take a fifth of the time; and what the transaction itself
    truncated goes to disk without WAL where `wal_level` is minimal. See docs/decisions/0010.
    """
    cursor.execute("truncate raw.events, raw.event_items")
    cursor.execute(
        "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint "
        "where contype = 'p' and conrelid in ('raw.events'::regclass, 'raw.event_items'::regclass)"
    )
    keys = cursor.fetchall()
    for table, name, _ in keys:
        cursor.execute(f"alter table {table} drop constraint {name}")
    yield
    for table, name, definition in keys:
        cursor.execute(f"alter table {table} add constraint {name} {definition}")


# -- properties that are no JSON -----------------------------------------------------------------


def _unreadable_rows(cursor: Any, part: Part) -> Rows:
    """Return the rows whose properties PostgreSQL does not take for JSON: only it knows."""
    texts = (batch.select(TEXT_NAMES) for batch in part.batches("events", event_batches))
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


def _with_readable_properties(batch: pa.RecordBatch, unreadable: Rows) -> pa.RecordBatch:
    mask = unreadable.among(batch)
    if mask is None:
        return batch
    place = batch.schema.get_field_index(PROPERTIES)
    texts = [
        json_text({"unparsed": text}) if is_bad else text
        for text, is_bad in zip(batch.column(place).to_pylist(), mask.to_pylist(), strict=True)
    ]
    return batch.set_column(place, PROPERTIES, pa.array(texts, pa.string()))
