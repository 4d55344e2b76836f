"""Laws of the reader: any CSV is read back exactly, and damage to a line stays in that line."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingestion import files, readers
from ingestion.readers import csv_lines, json_rows
from ingestion.readers import rows as lines_of

WANTED = {"id": "string", "text": "string", "more": "string"}
VALUE = st.text(alphabet='ab ,"\n\r;é\t', max_size=8)
PLAIN = st.text(alphabet='ab ,";é\t', max_size=8)
SIZE = st.integers(min_value=1, max_value=60)
repeatable = settings(derandomize=True, max_examples=150, deadline=None)


def read_back(
    content: bytes, chunk: int, split: int, name: str = "a.csv"
) -> dict[int, tuple[Any, ...]]:
    """Return the rows of a file of lines by number, read in chunks and splits of these sizes."""
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(lines_of, "CHUNK_BYTES", chunk),
        patch.object(files, "SPLIT_BYTES", split),
    ):
        path = Path(folder) / name
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


# -- JSON lines ----------------------------------------------------------------------------------

NAME = st.sampled_from(['"id"', '"text"', '"more"', '"te\\u0078t"', '"other"', "id"])
ODD = (
    *("null", "true", "-0", "-0.0", "1.50", "1e2", "01", "1e400", "0.1234567890123456789012345"),
    *("18446744073709551616", "-9223372036854775809", "1" * 4400, "NaN", "tru", "", "'a'"),
    *('"\\u0000"', '"\\\\u0000"', '"\\ud83d\\ude00"', '"\\ud800"', '"\\x"', '"\0"', '"\t"', '"é"'),
    *('"\udcff"', '"open', "1}{", '1}\n{"id":2', '{\n"a":1}', "[1,\n2]", "[" * 199 + "]" * 199),
    *("[" * 200 + "]" * 200, "[" * 2000 + "]" * 2000, '{"a":1,"a":[2.0,"]"],"":null}', "[[],{}]"),
    *('{"big":18446744073709551616,"long":1.00000000000000000000001}', "[1,]", '"{}"', "[{"),
)
JSON_VALUE = st.one_of(
    st.sampled_from(ODD),
    st.text(max_size=5).map(json.dumps),
    st.integers().map(str),
    st.floats().map(json.dumps),
)
MEMBERS = st.lists(st.tuples(NAME, JSON_VALUE), max_size=4)
SPACE = st.sampled_from(["", "", "", " ", "\r", "x", "\ufeff"])
JSON_LINE = st.one_of(
    st.builds(
        lambda before, members, after: (
            before + "{" + ",".join(f"{name}:{value}" for name, value in members) + "}" + after
        ),
        SPACE,
        MEMBERS,
        SPACE,
    ),
    st.sampled_from(["", " ", "[1]", '"a"', "null", "{}", "{},{}", '{"id":1} {"id":2}']),
)
SOUND = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        WANTED,
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | PLAIN,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
            max_leaves=5,
        ),
    ),
)


def lines_read(lines: list[str], *, at_once: int, ending: str = "\n") -> Any:
    """Return the rows of lines of JSON, so many bytes of them parsed at once."""
    content = ending.join([*lines, ""]).encode("utf-8", errors="surrogateescape")
    with patch.object(json_rows, "BYTES_AT_ONCE", at_once):
        return read_back(content, 2**20, 2**20, "a.jsonl")


@settings(repeatable, max_examples=300)
@example(['{"id":1} {"id":2}', '{"id":', "3}"], 1000, "\n")
@example(['{"id":' + "[" * 200 + "]" * 200 + "}"], 1000, "\n")
@example(['{"id":' + "[" * 199 + "]" * 199 + "}"], 1000, "\n")
@example(['{"id":"\\u0000"}'], 1000, "\n")
@example(['{"id":"\0"}'], 1000, "\n")
@example(['{"id":"\udcff"}'], 1000, "\n")
@example(['{"id":1}', "  ", '{"id":2}'], 1000, "\n")
@given(st.lists(JSON_LINE, max_size=8), st.integers(0, 100), st.sampled_from(["\n", "\r\n"]))
def test_lines_of_json_are_read_at_once_as_by_themselves(
    lines: list[str], at_once: int, ending: str
) -> None:
    lines = ['{"id":0}', *lines]  # so that it is not taken for an array
    found = lines_read(lines, at_once=at_once, ending=ending)
    with patch.object(json_rows, "_parsed_at_once", return_value=None):
        assert found == lines_read(lines, at_once=at_once, ending=ending)


@repeatable
@given(st.lists(SOUND, min_size=1, max_size=20))
def test_sound_lines_of_json_are_read_at_once(rows: list[dict[str, Any]]) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    with patch.object(json_rows, "json_object", side_effect=AssertionError):
        assert len(lines_read(lines, at_once=2**17)) == len(rows)
