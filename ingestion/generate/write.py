"""Files of events: Parquet, CSV and JSON lines, with the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.contract.events import ITEM_COLUMNS, SOURCE_COLUMNS, ColumnType
from ingestion.generate.columns import MONEY, TIMESTAMP, Items, as_csv, as_json, csv_field
from ingestion.generate.defects import DEFECT_NAMES, DEFECTS
from ingestion.generate.options import Format
from ingestion.generate.rows import Rows

ZSTD_LEVEL = 1
ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "string": pa.string(),
    "json": pa.string(),
    "timestamp": TIMESTAMP,
    "decimal(18,4)": MONEY,
    "int": pa.int32(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
}
ITEM_TYPE = pa.struct([(column.name, ARROW_TYPES[column.type]) for column in ITEM_COLUMNS])
EVENT_SCHEMA = pa.schema(
    [(column.name, ARROW_TYPES[column.type]) for column in SOURCE_COLUMNS]
    + [("items", pa.list_(ITEM_TYPE))]
)
"""The native format: the contract's source columns and the items."""

CODED_COLUMNS = [
    *(c.name for c in SOURCE_COLUMNS if c.type in ("string", "json") and c.name != "event_id"),
    *(f"items.list.element.{column.name}" for column in ITEM_COLUMNS),
]

TIMES = [c.name for c in SOURCE_COLUMNS if c.type == "timestamp"]
ENCODINGS = {
    **dict.fromkeys(TIMES, "DELTA_BINARY_PACKED"),  # they differ little from row to row
    "event_id": "DELTA_LENGTH_BYTE_ARRAY",  # all are as long, so their lengths vanish
}


def write_rows(rows: Rows, path: Path, form: Format) -> None:
    """Write a block's file."""
    if form == "parquet":
        _write_parquet(rows, path)
        return
    lines = _csv_lines(rows) if form == "csv" else _json_lines(rows)
    header = (",".join(EVENT_SCHEMA.names) + "\n").encode() if form == "csv" else b""
    with path.open("wb") as file:
        file.write(header)
        file.write(_text(lines))


def _write_parquet(rows: Rows, path: Path) -> None:
    arrays = [column.arrow() for column in rows.columns.values()] + [rows.items.arrow()]
    # Codes go into the file as they are; without Arrow's own schema they are read as strings.
    pq.write_table(
        pa.table(arrays, names=EVENT_SCHEMA.names),
        path,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=CODED_COLUMNS,
        column_encoding=ENCODINGS,
        # Nobody looks for a range of other columns, and theirs cost a quarter of the writing.
        write_statistics=TIMES,
        store_schema=False,
        store_decimal_as_integer=True,
        row_group_size=max(len(rows), 1),
    )


# -- text -----------------------------------------------------------------------------------------


def _csv_lines(rows: Rows) -> pa.Array:
    fields = {name: as_csv(column) for name, column in rows.columns.items()}
    fields = _with_text_defects(fields, rows, quote="")
    items = _item_lists(rows.items)
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(items, '"', '""'), '"', "")
    return _broken_lines(_joined([*fields.values(), quoted], ","), rows)


def _json_lines(rows: Rows) -> pa.Array:
    values = {name: as_json(column) for name, column in rows.columns.items()}
    values = _with_text_defects(values, rows, quote='"')
    first, *others = values
    members = [
        pc.binary_join_element_wise('{"' + first + '":', values[first].fill_null("null"), ""),
        *(_member(name, values[name]) for name in others),
        _member("items", _item_lists(rows.items)),
        pa.repeat(pa.scalar("}"), len(rows)),
    ]
    return _broken_lines(_joined(members, ""), rows)


def _member(name: str, values: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(f',"{name}":', values, "")


def _joined(parts: list[pa.Array], separator: str) -> pa.Array:
    return pc.binary_join_element_wise(
        *parts, separator, null_handling="replace", null_replacement=""
    )


def _item_lists(items: Items) -> pa.Array:
    """Return each row's items as a JSON array, null where it has none."""
    names = list(items.columns)
    values = [as_json(column) for column in items.columns.values()]
    first = pc.binary_join_element_wise('{"' + names[0] + '":', values[0], "")
    members = [_member(name, value) for name, value in zip(names[1:], values[1:], strict=True)]
    objects = _joined([first, *members, pa.repeat(pa.scalar("}"), len(first))], "")
    return pc.binary_join_element_wise("[", pc.binary_join(items.lists(objects), ","), "]", "")


def _with_text_defects(
    fields: dict[str, pa.Array], rows: Rows, *, quote: str
) -> dict[str, pa.Array]:
    """Put words where a time or a number belongs."""
    broken = dict(fields)
    for number, defect in enumerate(DEFECTS):
        is_hit = rows.defect == number
        if defect.text and is_hit.any():
            text = quote + defect.text + quote
            broken[defect.column] = pc.if_else(pa.array(is_hit), text, broken[defect.column])
    return broken


def _broken_lines(lines: pa.Array, rows: Rows) -> pa.Array:
    """Break whole lines: cut short, with a column too many, or no object at all.

    A line is cut before its quoted fields, so that it takes no other line with it.
    """
    hits = np.flatnonzero(rows.defect >= DEFECT_NAMES.index("cut_line"))
    if len(hits) == 0:
        return lines
    replaced = []
    for row in hits.tolist():
        line, name = lines[row].as_py(), DEFECT_NAMES[rows.defect[row]]
        if name == "cut_line":
            replaced.append(line[: 30 + row % 20])
        else:
            replaced.append(f"{line},{csv_field('surplus')}" if name == "extra_column" else "[1,2]")
    is_hit = np.zeros(len(lines), bool)
    is_hit[hits] = True
    return pc.replace_with_mask(lines, pa.array(is_hit), pa.array(replaced))


def _text(lines: pa.Array) -> pa.Buffer:
    """Return all lines with their ends as one buffer: that of an array of strings."""
    ended = pc.binary_join_element_wise(lines, "\n", "")
    offsets = np.frombuffer(ended.buffers()[1], np.int32)
    return ended.buffers()[2][: int(offsets[len(ended)])]
