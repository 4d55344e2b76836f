"""JSON: one object per line, or one array of objects; what is none is kept as it is, flagged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson
import pyarrow as pa

from ingestion.contract.rules import LONGEST_ROW_BYTES, OVERSIZE_ROW
from ingestion.files import JSON_GAP, Split, open_input
from ingestion.readers.cleaning import cleaned_line, cleaned_value
from ingestion.readers.rows import (
    SHOWN_OF_OVERSIZE,
    Line,
    LineReader,
    Repairs,
    as_text,
    bad_rows,
    is_blank,
    json_text,
    line_text,
    rows_and_bad,
)

# In its shape, a line's digits are all alike, and so are its brackets: much quicker than a regex.
_SHAPE = bytes.maketrans(b"123456789[", b"000000000{")
# The quick parser makes floats of whole numbers beyond 64 bits, and ids lose digits.
_LONG_NUMBER = b"0" * 19
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKET = re.compile(rb"[\[\]{}]")
_NEITHER_OPENS_NOR_BREAKS = bytes(set(range(256)) - set(b"[{\n"))
_BEFORE_OBJECT = re.compile(r",\s*(?=\{)")
# Files of two arrays, or of lines after one, are made by putting exports together.
_BETWEEN_ARRAYS = re.compile(r"\]\s*\[?")
DEEPEST = 200
ELEMENTS_PER_BATCH = 5_000
# Their objects fit the processor's cache: twice as fast as a batch at once.
LINES_AT_ONCE = 250
BYTES_AT_ONCE = 2**17


def read_jsonl(split: Split, wanted: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    reader = LineReader(split)
    decoder = _decoder(wanted)
    for first, block in reader.blocks():
        parsed = _Parsed(wanted)
        for number, some in _some_lines(first, block):
            texts = _parsed_at_once(some, decoder)
            if texts is None:
                parsed.add_lines(reader.lines(number, some), reader.repairs)
            else:
                parsed.add_texts(number, texts)
        yield from parsed.batches(split, reader.repairs)
        yield from reader.oversize(wanted)
        reader.repairs.clear()


def read_json_array(split: Split, wanted: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Yield the elements of a file that is one array; rows are numbered by element, from 1."""
    with open_input(split.path, split.compression) as stream:
        text = stream.read().decode("utf-8", errors="surrogateescape")
    lines: list[Line] = []
    long: list[tuple[int, str]] = []
    repairs: Repairs = {}
    for number, element in enumerate(_elements(text, set(wanted)), 1):
        line, repaired = cleaned_line(element.encode("utf-8", errors="surrogateescape"))
        if len(line) > LONGEST_ROW_BYTES:
            long.append((number, line_text(line[:SHOWN_OF_OVERSIZE])))
            continue
        lines.append((number, line))
        if repaired:
            repairs[number] = repaired
        if len(lines) == ELEMENTS_PER_BATCH:
            yield from _parse(split, lines, repairs, wanted)
            lines, repairs = [], {}
    yield from _parse(split, lines, repairs, wanted)
    if long:
        yield bad_rows(split, long, wanted, issue=OVERSIZE_ROW)


def _parse(
    split: Split, lines: list[Line], repairs: Repairs, wanted: tuple[str, ...]
) -> Iterator[pa.RecordBatch]:
    parsed = _Parsed(wanted)
    parsed.add_lines(lines, repairs)
    yield from parsed.batches(split, repairs)


def _elements(text: str, wanted: set[str]) -> Iterator[str]:
    """Yield the text of each element; one that is broken ends where the next one begins."""
    decoder = json.JSONDecoder()
    known = set[str]()
    position = text.index("[") + 1
    while True:
        position = JSON_GAP.match(text, position).end()  # type: ignore[union-attr]
        if position >= len(text):
            return
        behind = _BETWEEN_ARRAYS.match(text, position)
        if behind:
            position = behind.end()
            continue
        try:
            value, end = decoder.raw_decode(text, position)
            known = set(value) if isinstance(value, dict) else known
            yield text[position:end]
        except (ValueError, RecursionError):
            end = _end_of_broken(text, position, known, wanted)
            yield text[position:end].rstrip(", \r\n\t").removesuffix("]")
        position = end


def _end_of_broken(text: str, start: int, known: set[str], wanted: set[str]) -> int:
    """Return where the next element begins: an object with mostly the names of the last good one.

    Objects inside the broken element have other names, so they are not taken for elements. Before
    the first good one, most of an element's names must be `wanted`.
    """
    decoder = json.JSONDecoder()
    for boundary in _BEFORE_OBJECT.finditer(text, start):
        try:
            value, _ = decoder.raw_decode(text, boundary.end())
        except (ValueError, RecursionError):
            continue
        alike = known & set(value) if known else wanted & set(value)
        if 2 * len(alike) >= len(known or value) > 0:
            return boundary.end()
    return len(text)


class _Parsed:
    """The rows of some lines: their numbers, the wanted members as texts, the others as JSON."""

    def __init__(self, wanted: tuple[str, ...]) -> None:
        self._wanted = wanted
        self._numbers: list[int] = []
        self._texts = [pa.array([], pa.struct([(name, pa.string()) for name in wanted]))]
        self._extra: list[str | None] = []
        self._bad: list[tuple[int, str]] = []

    def add_texts(self, first: int, texts: list[pa.Array]) -> None:
        """Add rows by their wanted members alone; `first` is the number of the first."""
        count = len(texts[0])
        self._numbers += range(first, first + count)
        self._texts.append(pa.StructArray.from_arrays(texts, fields=[*self._texts[0].type]))
        self._extra += [None] * count

    def add_lines(self, lines: list[Line], repairs: Repairs) -> None:
        """Parse each line by itself; those that hold no object are bad."""
        known = frozenset(self._wanted)
        for start in range(0, len(lines), LINES_AT_ONCE):
            rows = []
            some = lines[start : start + LINES_AT_ONCE]
            for number, row in _objects(some, repairs, self._bad):
                self._numbers.append(number)
                self._extra.append(_taken_apart(row, known))
                rows.append(row)
            self._texts.append(pa.array(rows, self._texts[0].type))

    def batches(self, split: Split, repairs: Repairs) -> Iterator[pa.RecordBatch]:
        """Yield the rows, and the bad lines."""
        columns = pa.concat_arrays(self._texts).flatten()
        extra = pa.array(self._extra, pa.string())
        yield from rows_and_bad(
            split, self._wanted, self._numbers, columns, self._bad, repairs, extra=extra
        )


# -- some lines at once --------------------------------------------------------------------------


def _decoder(wanted: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    """Return a decoder of objects that have wanted members alone."""
    members = [
        (f"member_{place}", Any, msgspec.field(name=name, default=None))
        for place, name in enumerate(wanted)
    ]
    row = msgspec.defstruct("Row", members, forbid_unknown_fields=True, gc=False)
    return msgspec.json.Decoder(row)


def _some_lines(first: int, block: bytes) -> Iterator[tuple[int, bytes]]:
    """Cut a block into some lines at a time, each with the number of its first line."""
    start = 0
    while start < len(block):
        stop = block.find(b"\n", start + BYTES_AT_ONCE) + 1 or len(block)
        yield first, (some := block[start:stop])
        first += some.count(b"\n")
        start = stop


def _parsed_at_once(lines: bytes, decoder: msgspec.json.Decoder[Any]) -> list[pa.Array] | None:
    """Return the members of the objects, a column each; None unless it is as good as one by one.

    So it is where each line is an object with no other member, nothing is to mend, and nothing
    nests too deep. Behind `}` no value goes on with `{`: where that is at each line's end, as many
    objects as lines means that each line is one.
    """
    if len(lines) > LONGEST_ROW_BYTES or (b"\\" in lines and b"\\u0000" in lines):
        return None
    most_brackets = max(map(len, lines.translate(None, _NEITHER_OPENS_NOR_BREAKS).split(b"\n")))
    if most_brackets > DEEPEST:
        return None
    try:
        rows = decoder.decode_lines(lines)
    except (ValueError, RecursionError):
        return None
    count = lines.count(b"\n")
    if len(rows) != count or lines.count(b"}\n{") != count - 1:
        return None
    return [_texts(values) for values in zip(*map(msgspec.structs.astuple, rows), strict=True)]


def _texts(values: tuple[Any, ...]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowTypeError, pa.ArrowInvalid):  # not all of them are texts
        return pa.array([v if v is None else as_text(v) for v in values], pa.string())


# -- each line by itself -------------------------------------------------------------------------


def _objects(
    lines: list[Line], repairs: Repairs, bad: list[tuple[int, str]]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the lines' objects with their numbers; add to `bad` the lines that hold none."""
    repaired: set[str] = set()
    for number, line in lines:
        row = json_object(line, repaired)
        if row is not None:
            yield number, row
        elif not is_blank((number, line)):
            bad.append((number, line_text(line)))
        if repaired:
            repairs[number] = (*repairs.get(number, ()), *sorted(repaired))
            repaired = set()


def _taken_apart(row: dict[str, Any], known: frozenset[str]) -> str | None:
    """Leave the known members in the row, as texts; return the others as JSON, if any."""
    others = None if row.keys() <= known else [name for name in row if name not in known]
    extra = json_text({name: row.pop(name) for name in others}) if others else None
    for name, value in row.items():
        if type(value) is not str:
            row[name] = as_text(value)
    return extra


def json_object(line: bytes, repairs: set[str]) -> dict[str, Any] | None:
    """Return the object a line holds, repaired, or None; add the repairs' codes."""
    shape = line.translate(_SHAPE)
    if shape.count(b"{") > DEEPEST and _is_deep(line):
        return None
    try:
        row = _exactly(line) if _LONG_NUMBER in shape else orjson.loads(line)
    except orjson.JSONDecodeError:
        row = _exactly(line)
    if not isinstance(row, dict):
        return None
    return cleaned_value(row, repairs) if b"\\" in line and b"\\u" in line else row


def _is_deep(line: bytes) -> bool:
    """Return whether a line nests deeper than every program behind can follow."""
    level, deepest = 0, 0
    for bracket in _BRACKET.findall(_TEXT.sub(b"", line)):
        level += 1 if bracket in b"[{" else -1
        deepest = max(deepest, level)
    return deepest > DEEPEST


def _exactly(line: bytes) -> Any:
    """Parse with the standard library: it takes lone surrogates and NaN, and keeps every digit."""
    try:
        return json.loads(line)
    except ValueError:
        return None
