"""Laws of the reader: any CSV is read back exactly, and damage to a line stays in that line."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion import files, readers
from ingestion.readers import csv_lines
from ingestion.readers import rows as lines_of

WANTED = {"id": "string", "text": "string", "more": "string"}
VALUE = st.text(alphabet='ab ,"\n\r;é\t', max_size=8)
PLAIN = st.text(alphabet='ab ,";é\t', max_size=8)
SIZE = st.integers(min_value=1, max_value=60)
repeatable = settings(derandomize=True, max_examples=150, deadline=None)


def read_back(content: bytes, chunk: int, split: int) -> dict[int, tuple[Any, ...]]:
    """Return the rows of a CSV file by number, read in chunks and splits of these sizes."""
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(lines_of, "CHUNK_BYTES", chunk),
        patch.object(files, "SPLIT_BYTES", split),
    ):
        path = Path(folder) / "a.csv"
        path.write_bytes(content)
        (file,) = files.inspect([path])
        return {
            row["source_row"]: (
                row["row_issue"],
                row["record"],
                row["repairs"],
                *(row[name] for name in (*WANTED, "extra")),
            )
            for part in file.splits
            for batch in readers.read_split(part, WANTED)
            for row in batch.to_pylist()
        }


def written(rows: list[tuple[str, str]]) -> bytes:
    """Return rows as CSV, each with its number as id."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(WANTED)
    writer.writerows((str(i), *row) for i, row in enumerate(rows))
    return stream.getvalue().encode()


@repeatable
@given(st.lists(st.tuples(VALUE, VALUE), max_size=30), SIZE, SIZE)
def test_what_is_written_as_csv_is_read_back(
    rows: list[tuple[str, str]], chunk: int, split: int
) -> None:
    found = read_back(written(rows), chunk, split)
    expected = [
        (None, None, None, str(i), text or None, more or None, None)
        for i, (text, more) in enumerate(rows)
    ]
    assert [found[number] for number in sorted(found)] == expected


@repeatable
@given(st.lists(st.tuples(PLAIN, PLAIN), min_size=2, max_size=20), st.data(), SIZE, SIZE)
def test_a_damaged_byte_changes_no_other_line(
    rows: list[tuple[str, str]], data: st.DataObject, chunk: int, split: int
) -> None:
    lines = written(rows).split(b"\n")
    number = data.draw(st.integers(min_value=1, max_value=len(rows)))
    line = bytearray(lines[number])
    at = data.draw(st.integers(min_value=0, max_value=len(line) - 1))
    line[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != ord("\n")))
    before = read_back(b"\n".join(lines), chunk, split)
    lines[number] = bytes(line)
    after = read_back(b"\n".join(lines), chunk, split)
    before.pop(number + 1)
    after.pop(number + 1, None)
    assert after == before


HEADER = st.sampled_from(["id,text,more", "id,text,other,more", "\ufeffid,text,more", "id,te\0xt"])
LINES = st.text(alphabet='a1,,"" \r\né\0', max_size=120)


@repeatable
@given(HEADER, LINES, SIZE, SIZE)
def test_a_block_is_read_as_its_lines_are(header: str, text: str, chunk: int, split: int) -> None:
    content = f"{header}\n{text}".encode()
    at_once = read_back(content, chunk, split)
    with patch.object(csv_lines, "_parse_block", return_value=None):
        assert at_once == read_back(content, chunk, split)


@repeatable
@given(st.lists(st.tuples(PLAIN, PLAIN), min_size=1, max_size=20))
def test_sound_lines_are_read_in_blocks(rows: list[tuple[str, str]]) -> None:
    with patch.object(lines_of.LineReader, "lines", side_effect=AssertionError):
        assert len(read_back(written(rows), 2**20, 2**20)) == len(rows)
