"""Lines of text with their numbers, and the batches that readers answer with."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa

from ingestion.contract.events import ITEMS, SOURCE_COLUMNS
from ingestion.contract.rules import (
    BYTE_ORDER_MARK_REMOVED,
    LONGEST_ROW_BYTES,
    OVERSIZE_ROW,
    UNPARSABLE_ROW,
)
from ingestion.files import UTF8_BOM, Split, open_input
from ingestion.readers.cleaning import cleaned_json, cleaned_line, is_clean

ROW_COLUMNS = (
    "file_id bigint, source_row bigint, record string, row_issue string, repairs array<string>"
)
ROW_NAMES = ("file_id", "source_row", "record", "row_issue", "repairs")
JSON_COLUMNS = {c.name for c in SOURCE_COLUMNS if c.type == "json"} | {ITEMS, "extra"}
CHUNK_BYTES = 4 * 2**20
SHOWN_OF_OVERSIZE = 10_000

Line = tuple[int, bytes]
Repairs = dict[int, tuple[str, ...]]
"""What was repaired, by row number; rows without repairs are not named."""


class LineReader:
    """Reads the lines of one split; knows what it repaired and which lines are too long."""

    def __init__(self, split: Split) -> None:
        self.repairs: Repairs = {}
        self._split = split
        self._oversize: list[Line] = []

    def batches(self) -> Iterator[list[Line]]:
        """Yield the lines, blank ones too, with their numbers in the file."""
        for first, block in self.blocks():
            yield self.lines(first, block)

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Yield some lines at a time as they stand in the file, each ended, and the first's number.

        Of a line that is too long there is the beginning.
        """
        first = self._split.first_row
        for block in self._blocks():
            ended = block if block.endswith(b"\n") else block + b"\n"
            yield first, ended
            first += ended.count(b"\n")

    def lines(self, first: int, block: bytes) -> list[Line]:
        """Return the lines of a block with their numbers, repaired, and without too long ones."""
        return self._cleaned(block.split(b"\n")[:-1], first, is_clean(block))

    def oversize(self, wanted: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        """Yield the lines seen so far that are too long to be read, cut short."""
        if self._oversize:
            bad = [(number, line_text(line[:SHOWN_OF_OVERSIZE])) for number, line in self._oversize]
            self._oversize = []
            yield bad_rows(self._split, bad, wanted, issue=OVERSIZE_ROW)

    def _blocks(self) -> Iterator[bytes]:
        """Yield the split's bytes in whole lines; of a line that is too long, its beginning."""
        split = self._split
        with open_input(split.path, split.compression) as stream:
            if split.start:
                stream.seek(split.start)
            left = split.stop - split.start if split.stop >= 0 else None
            rest = b""
            while left is None or left > 0:
                chunk = stream.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))
                if not chunk:
                    break
                left = None if left is None else left - len(chunk)
                whole, newline, rest = (rest + chunk).rpartition(b"\n")
                if newline:
                    yield whole + newline
                rest = rest[: LONGEST_ROW_BYTES + 1]
            if rest:
                yield rest

    def _cleaned(self, lines: list[bytes], first: int, clean: bool) -> list[Line]:
        if first == 1 and lines and lines[0].startswith(UTF8_BOM):
            lines[0] = lines[0].removeprefix(UTF8_BOM)
            self.repairs[1] = (BYTE_ORDER_MARK_REMOVED,)
        if clean and max(map(len, lines), default=0) <= LONGEST_ROW_BYTES:
            return list(enumerate(lines, first))
        kept = []
        for number, line in enumerate(lines, first):
            if len(line) > LONGEST_ROW_BYTES:
                self._oversize.append((number, line))
                continue
            if not clean:
                line, repairs = cleaned_line(line)
                if repairs:
                    self.repairs[number] = self.repairs.get(number, ()) + repairs
            kept.append((number, line))
        return kept


def line_text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace").rstrip("\r")


def rows_and_bad(
    split: Split,
    wanted: tuple[str, ...],
    numbers: list[int],
    columns: list[pa.Array],
    bad: list[tuple[int, str]],
    repairs: Repairs,
    *,
    extra: pa.Array | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows that were read, and those that could not be; each if there are any."""
    if numbers:
        yield row_batch(
            split,
            pa.array(numbers, pa.int64()),
            columns,
            wanted,
            extra=extra,
            repairs=_repairs_of(numbers, repairs),
        )
    if bad:
        yield bad_rows(split, bad, wanted)


def bad_rows(
    split: Split,
    bad: list[tuple[int, str]],
    wanted: tuple[str, ...],
    *,
    issue: str = UNPARSABLE_ROW,
) -> pa.RecordBatch:
    nulls = [pa.nulls(len(bad), pa.string())] * len(wanted)
    return row_batch(
        split,
        pa.array([number for number, _ in bad], pa.int64()),
        nulls,
        wanted,
        record=pa.array([text for _, text in bad], pa.string()),
        issue=issue,
    )


def row_batch(
    split: Split,
    numbers: pa.Array,
    columns: list[pa.Array],
    wanted: tuple[str, ...],
    *,
    record: pa.Array | None = None,
    extra: pa.Array | None = None,
    issue: str | None = None,
    repairs: pa.Array | None = None,
) -> pa.RecordBatch:
    count = len(numbers)
    nulls = pa.nulls(count, pa.string())
    extra = nulls if extra is None else extra
    cleaned = [
        cleaned_json(column)
        if name in JSON_COLUMNS and column.type == pa.string()
        else (column, {})
        for name, column in zip([*wanted, "extra"], [*columns, extra], strict=True)
    ]
    repairs = with_repairs(repairs, [masks for _, masks in cleaned], count)
    return pa.RecordBatch.from_arrays(
        [
            _repeated(split.file_id, pa.int64(), count),
            numbers,
            nulls if record is None else record,
            _repeated(issue, pa.string(), count),
            pa.nulls(count, pa.list_(pa.string())) if repairs is None else repairs,
            *[column for column, _ in cleaned],
        ],
        names=[*ROW_NAMES, *wanted, "extra"],
    )


def with_repairs(
    repairs: pa.Array | None, masks: list[dict[str, pa.Array]], count: int
) -> pa.Array | None:
    """Return the rows' repairs and those that masks by code tell of; each code once in a row."""
    found = [(code, mask.to_pylist()) for by_code in masks for code, mask in by_code.items()]
    if not found:
        return repairs
    known = [None] * count if repairs is None else repairs.to_pylist()
    codes = [
        [*dict.fromkeys([*(known[i] or ()), *(code for code, mask in found if mask[i])])] or None
        for i in range(count)
    ]
    return pa.array(codes, pa.list_(pa.string()))


def _repairs_of(numbers: list[int], repairs: Repairs) -> pa.Array | None:
    """Return the repairs of the rows as a column, None where there are none."""
    if not repairs:
        return None
    return pa.array([repairs.get(number) for number in numbers], pa.list_(pa.string()))


def _repeated(value: Any, type_: pa.DataType, count: int) -> pa.Array:
    return pa.array([value], type_).take(pa.array([0] * count, pa.int32()))


def json_text(value: Any) -> str:
    """Return a value as JSON; what JSON has no form for is a text, and no number is null."""
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:  # a whole number of more than 64 bits, or more levels than orjson takes
        return json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_finite(v) for v in value]
    if isinstance(value, dict):
        return {name: _finite(v) for name, v in value.items()}
    return value


def is_blank(line: Line) -> bool:
    """Return whether a line holds nothing."""
    return not line[1].strip()


def as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json_text(value) if isinstance(value, dict | list) else str(value)
