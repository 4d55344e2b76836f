"""Tab-separated lines without a header and without quotes: the columns go by position."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from ingestion.files import Split
from ingestion.readers.rows import LineReader, line_text, rows_and_bad


def read_tsv(split: Split, wanted: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Yield the rows; one that has not as many values as there are columns is flagged."""
    reader = LineReader(split)
    for lines in reader.batches():
        numbers, rows, bad = [], [], []
        for number, line in lines:
            if not line.strip(b" \r"):
                continue
            values = line.rstrip(b"\r").decode().split("\t")
            if len(values) == len(wanted):
                numbers.append(number)
                rows.append([value or None for value in values])
            else:
                bad.append((number, line_text(line)))
        columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        yield from rows_and_bad(split, wanted, numbers, columns, bad, reader.repairs)
        yield from reader.oversize(wanted)
        reader.repairs.clear()
