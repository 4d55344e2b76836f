"""JSON lines: one object per line; a line that is none is kept as it is, flagged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa

from ingestion.files import Split
from ingestion.readers.rows import (
    Line,
    as_text,
    bad_rows,
    json_text,
    line_batches,
    line_text,
    row_batch,
)


def read_jsonl(split: Split, wanted: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    for lines in line_batches(split):
        yield from _parse_jsonl(split, lines, wanted)


def _parse_jsonl(
    split: Split, lines: list[Line], wanted: tuple[str, ...]
) -> Iterator[pa.RecordBatch]:
    numbers: list[int] = []
    rows: list[dict[str, Any]] = []
    bad: list[tuple[int, str]] = []
    for number, line in lines:
        row = _json_object(line)
        if row is None:
            bad.append((number, line_text(line)))
        else:
            numbers.append(number)
            rows.append(row)
    if rows:
        columns = [pa.array([as_text(row.pop(n, None)) for row in rows], "string") for n in wanted]
        extra = pa.array([json_text(row) if row else None for row in rows], pa.string())
        yield row_batch(split, pa.array(numbers, pa.int64()), columns, wanted, extra=extra)
    if bad:
        yield bad_rows(split, bad, wanted)


def _json_object(line: bytes) -> dict[str, Any] | None:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return row if isinstance(row, dict) else None
