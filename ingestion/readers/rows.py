"""Lines of text with their numbers, and the batches that readers answer with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa

from ingestion.files import UTF8_BOM, Split, open_input

ROW_COLUMNS = "file_id bigint, source_row bigint, record string, is_unparsable boolean"
CHUNK_BYTES = 4 * 2**20

Line = tuple[int, bytes]


def line_batches(split: Split) -> Iterator[list[Line]]:
    """Yield the split's lines that are not blank, with their numbers in the file."""
    with open_input(split.path, split.compression) as stream:
        if split.start:
            stream.seek(split.start)
        left = split.stop - split.start if split.stop >= 0 else None
        number, rest = split.first_row, b""
        while left is None or left > 0:
            chunk = stream.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))
            if not chunk:
                break
            left = None if left is None else left - len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            yield _numbered(lines, number)
            number += len(lines)
        yield _numbered([rest], number)


def _numbered(lines: list[bytes], first: int) -> list[Line]:
    if first == 1 and lines:
        lines[0] = lines[0].removeprefix(UTF8_BOM)
    return [(number, line) for number, line in enumerate(lines, first) if line and line.strip()]


def line_text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace").rstrip("\r")


def bad_rows(split: Split, bad: list[tuple[int, str]], wanted: tuple[str, ...]) -> pa.RecordBatch:
    nulls = [pa.nulls(len(bad), pa.string())] * len(wanted)
    return row_batch(
        split,
        pa.array([number for number, _ in bad], pa.int64()),
        nulls,
        wanted,
        record=pa.array([text for _, text in bad], pa.string()),
        is_unparsable=True,
    )


def row_batch(
    split: Split,
    numbers: pa.Array,
    columns: list[pa.Array],
    wanted: tuple[str, ...],
    *,
    record: pa.Array | None = None,
    extra: pa.Array | None = None,
    is_unparsable: bool = False,
) -> pa.RecordBatch:
    count = len(numbers)
    nulls = pa.nulls(count, pa.string())
    return pa.RecordBatch.from_arrays(
        [
            pa.array([split.file_id], pa.int64()).take(pa.array([0] * count, pa.int32())),
            numbers,
            nulls if record is None else record,
            pa.array([is_unparsable] * count, pa.bool_()),
            *columns,
            nulls if extra is None else extra,
        ],
        names=["file_id", "source_row", "record", "is_unparsable", *wanted, "extra"],
    )


def json_text(value: Any) -> str:
    return orjson.dumps(value).decode()


def as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json_text(value) if isinstance(value, dict | list) else str(value)
