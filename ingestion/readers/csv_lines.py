"""CSV: quick where each line is a record, careful where quotes do not add up.

A quoted field may hold line breaks; an open quote that no later line closes spoils its own line
alone.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from ingestion.contract.rules import LONGEST_ROW_BYTES
from ingestion.files import UTF8_BOM, Split, csv_header, first_line, open_input
from ingestion.readers.cleaning import is_clean
from ingestion.readers.rows import (
    Line,
    LineReader,
    Repairs,
    is_blank,
    json_text,
    line_text,
    rows_and_bad,
)

MOST_LINES_OF_A_RECORD = 100
_NEITHER_QUOTE_NOR_BREAK = bytes(set(range(256)) - set(b'"\n'))
csv.field_size_limit(2 * LONGEST_ROW_BYTES)

Parsed = tuple[tuple[list[int], pa.Table], list[tuple[int, str]]]
"""The rows with their numbers, and the numbers and texts of the lines that are none."""


def read_csv(split: Split, wanted: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    header = _header_of(split)
    reader = LineReader(split)
    carried: list[Line] = []
    for first, block in reader.blocks():
        parsed = None if carried else _parse_block(first, block, header)
        if parsed is not None:
            yield from _batches(split, parsed, header, wanted, {})
            continue
        lines = carried + _without_header(reader.lines(first, block), reader.repairs)
        lines, carried = _cut_at_open_quote(lines, len(header))
        yield from _parse_csv(split, lines, header, wanted, reader.repairs)
        yield from reader.oversize(wanted)
    yield from _parse_csv(split, carried, header, wanted, reader.repairs)


def _parse_block(first: int, block: bytes, header: tuple[str, ...]) -> Parsed | None:
    """Parse a block at once; None unless it is as good as line by line, and nothing is to mend."""
    if len(header) == 1 or len(block) > LONGEST_ROW_BYTES or not is_clean(block):
        return None
    if first == 1:
        if block.startswith(UTF8_BOM):
            return None
        first, block = 2, block.partition(b"\n")[2]
    if b'"' in block.translate(None, _NEITHER_QUOTE_NOR_BREAK).replace(b'""', b""):
        return None  # a line has an odd number of quotes
    table, rejected = _parsed_at_once(block, header)
    if table is None or _may_hold_blank_line(table, block):
        return None
    numbers = range(first, first + table.num_rows + len(rejected))
    return _told_apart(numbers, block.split(b"\n") if rejected else [], table, rejected)


def _may_hold_blank_line(table: pa.Table, block: bytes) -> bool:
    """Return whether a row of the table may be a blank line: then it has no value at all."""
    if not all(column.null_count for column in table.columns):
        return False
    return block.startswith((b"\n", b"\r")) or b"\n\n" in block or b"\n\r" in block


def _without_header(batch: list[Line], repairs: Repairs) -> list[Line]:
    """Take off the header; what was repaired in it is said of the first row."""
    if not batch or batch[0][0] != 1:
        return batch
    first = next((number for number, line in batch[1:] if line.strip()), None)
    if 1 in repairs and first is not None:
        repairs[first] = repairs.pop(1) + repairs.get(first, ())
    return batch[1:]


def _cut_at_open_quote(lines: list[Line], width: int) -> tuple[list[Line], list[Line]]:
    """Keep back the last lines when a quote opened in them may close in the next batch."""
    odd = [i for i, (_, line) in enumerate(lines) if line.count(b'"') % 2]
    at, is_odd = 0, set(odd)
    while at < len(odd) - 1:
        row, _ = _joined_record(lines, odd[at], is_odd, width)
        at += 2 if row is not None else 1
    if at < len(odd) and odd[at] >= len(lines) - MOST_LINES_OF_A_RECORD:
        return lines[: odd[at]], lines[odd[at] :]
    return lines, []


def _header_of(split: Split) -> tuple[str, ...]:
    with open_input(split.path, split.compression) as stream:
        return csv_header(first_line(stream))


def _parse_csv(
    split: Split,
    lines: list[Line],
    header: tuple[str, ...],
    wanted: tuple[str, ...],
    repairs: Repairs,
) -> Iterator[pa.RecordBatch]:
    plain, odd = _split_by_quotes(lines)
    for parsed in (
        _parse_plain([line for line in plain if not is_blank(line)], header),
        _parse_odd(lines, odd, header, repairs),
    ):
        yield from _batches(split, parsed, header, wanted, repairs)


def _batches(
    split: Split, parsed: Parsed, header: tuple[str, ...], wanted: tuple[str, ...], repairs: Repairs
) -> Iterator[pa.RecordBatch]:
    (numbers, table), bad = parsed
    columns = [_column(table, header, name, len(numbers)) for name in wanted]
    extra = _extra_of(table, header, wanted)
    yield from rows_and_bad(split, wanted, numbers, columns, bad, repairs, extra=extra)


def _split_by_quotes(lines: list[Line]) -> tuple[list[Line], list[int]]:
    """Separate lines that stand alone from the positions of those with an odd number of quotes."""
    odd = [i for i, (_, line) in enumerate(lines) if b'"' in line and line.count(b'"') % 2]
    if not odd:
        return lines, odd
    inside = _inside_quotes(odd)
    return [line for i, line in enumerate(lines) if i not in inside], odd


def _inside_quotes(odd: list[int]) -> set[int]:
    """Return the positions of odd lines, and of the lines a quoted line break may bind to them."""
    inside = set(odd)
    for opening, closing in itertools.pairwise(odd):
        if closing - opening <= MOST_LINES_OF_A_RECORD:
            inside.update(range(opening, closing + 1))
    return inside


def _parse_plain(lines: list[Line], header: tuple[str, ...]) -> Parsed:
    """Parse lines that hold one record each, quickly; each alone where the quick way is unsure."""
    if not lines:
        return ([], _table([], header)), []
    table, rejected = _parsed_at_once(b"\n".join(line for _, line in lines) + b"\n", header)
    if table is None:
        return _parse_alone(lines, header)
    numbers, texts = [number for number, _ in lines], [line for _, line in lines]
    return _told_apart(numbers, texts, table, rejected)


def _told_apart(
    numbers: Sequence[int], lines: list[bytes], table: pa.Table, rejected: list[int]
) -> Parsed:
    """Tell the numbers of the table's rows from the lines that are none; blank ones are neither."""
    gone = {number - 1 for number in rejected}
    bad = [(numbers[i], line_text(lines[i])) for i in sorted(gone) if lines[i].strip()]
    return ([number for i, number in enumerate(numbers) if i not in gone], table), bad


def _parsed_at_once(data: bytes, header: tuple[str, ...]) -> tuple[pa.Table | None, list[int]]:
    """Parse lines that hold one record each; None where it is unsure that each line is a row.

    Also the numbers, from 1, of the lines that are no records. A quote that opens late swallows
    line breaks, and a carriage return makes one. With no such return within a line, as many rows
    as lines means that each line is a row.
    """
    rejected: list[int] = []

    def reject(row: Any) -> str:
        rejected.append(row.number)
        return "skip"

    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
        return None, []
    try:
        table = _pyarrow_csv(data, header, reject)
    except pa.ArrowInvalid:
        return None, []
    is_sure = table.num_rows + len(rejected) == data.count(b"\n")
    return (table if is_sure else None), rejected


def _pyarrow_csv(data: bytes, header: tuple[str, ...], reject: Callable[[Any], str]) -> pa.Table:
    return pa_csv.read_csv(
        pa.BufferReader(data),
        read_options=pa_csv.ReadOptions(
            column_names=[str(i) for i in range(len(header))],
            use_threads=False,
            block_size=max(len(data) + 1, 1024),
        ),
        parse_options=pa_csv.ParseOptions(invalid_row_handler=reject, ignore_empty_lines=False),
        convert_options=pa_csv.ConvertOptions(
            column_types={str(i): pa.string() for i in range(len(header))},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


def _parse_alone(lines: list[Line], header: tuple[str, ...]) -> Parsed:
    numbers, rows, bad = [], [], []
    for number, line in lines:
        row = _record_of_line(line_text(line), len(header))
        if row is None:
            bad.append((number, line_text(line)))
        else:
            numbers.append(number)
            rows.append(row)
    return (numbers, _table(rows, header)), bad


def _parse_odd(
    lines: list[Line], odd: list[int], header: tuple[str, ...], repairs: Repairs
) -> Parsed:
    """Join records that span lines; where that gives no record, each line stands for itself.

    What was repaired in any of its lines is said of the row.
    """
    numbers: list[int] = []
    rows: list[list[str]] = []
    bad: list[tuple[int, str]] = []
    position, inside, is_odd = 0, sorted(_inside_quotes(odd)) if odd else [], set(odd)
    while position < len(inside):
        at = inside[position]
        row, used = _joined_record(lines, at, is_odd, len(header))
        number, line = lines[at]
        if row is not None:
            numbers.append(number)
            rows.append(row)
            mended = [repairs.get(n, ()) for n, _ in lines[at : at + used]]
            if any(mended):
                repairs[number] = tuple(dict.fromkeys(itertools.chain(*mended)))
        elif not is_blank(lines[at]):
            bad.append((number, line_text(line)))
        position += used
    return (numbers, _table(rows, header)), bad


def _joined_record(
    lines: list[Line], at: int, odd: set[int], width: int
) -> tuple[list[str] | None, int]:
    if at not in odd:
        return _record_of_line(line_text(lines[at][1]), width), 1
    for end in range(at + 1, min(at + MOST_LINES_OF_A_RECORD, len(lines))):
        if end in odd:
            text = b"\n".join(line for _, line in lines[at : end + 1])
            row = _record_of_lines(line_text(text), width)
            return (row, end - at + 1) if row is not None else (None, 1)
    return None, 1


def _record_of_line(text: str, width: int) -> list[str] | None:
    """Return a line's values as the quick parser reads them: quotes within a text stand as such."""
    try:  # an open quote would swallow the second line
        records = list(csv.reader([text, ""]))
    except csv.Error:
        return None
    return records[0] if len(records) == 2 and len(records[0]) == width else None


def _record_of_lines(text: str, width: int) -> list[str] | None:
    """Return the values of a record with line breaks: here every quote must be in its place."""
    try:
        records = list(csv.reader([text], strict=True))
    except csv.Error:
        return None
    return records[0] if len(records) == 1 and len(records[0]) == width else None


def _table(rows: list[list[str]], header: tuple[str, ...]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [[] for _ in header]
    return pa.table(
        {str(i): pa.array([v or None for v in c], pa.string()) for i, c in enumerate(columns)}
    )


def _column(table: pa.Table, header: tuple[str, ...], name: str, count: int) -> pa.Array:
    if name not in header:
        return pa.nulls(count, pa.string())
    return table.column(header.index(name)).combine_chunks()


def _extra_of(table: pa.Table, header: tuple[str, ...], wanted: tuple[str, ...]) -> pa.Array:
    """Return a JSON object of each row's values that no wanted column takes, null without any."""
    rest = {name: _column(table, header, name, 0) for name in header if name not in wanted}
    if not rest:
        return pa.nulls(table.num_rows, pa.string())
    rows = pa.table(rest).to_pylist()
    kept = ({name: value for name, value in row.items() if value is not None} for row in rows)
    return pa.array([json_text(row) if row else None for row in kept], pa.string())
