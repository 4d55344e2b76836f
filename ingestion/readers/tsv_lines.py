"""Tab-separated lines without a header and without quotes: the columns go by position."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from ingestion.files import Split
from ingestion.readers.rows import LineReader, bad_rows, line_text, repairs_of, row_batch


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
        if rows:
            columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
            repairs = repairs_of(numbers, reader.repairs)
            yield row_batch(split, pa.array(numbers, pa.int64()), columns, wanted, repairs=repairs)
        if bad:
            yield bad_rows(split, bad, wanted)
        yield from reader.oversize(wanted)
        reader.repairs.clear()
