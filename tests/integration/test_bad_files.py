"""Whole files that are not what they seem: refused in one clear line, or read in full."""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from ingestion.errors import InputError

Query = Callable[..., list[tuple[Any, ...]]]

HEADER = "event_id,event_type,event_ts,visitor_id"
CSV = "".join(
    f"{line}\n"
    for line in (HEADER, *(f"e{i},page_view,2026-03-01T10:00:0{i}Z,v1" for i in range(5)))
)
JSONL = "".join(
    json.dumps(dict(zip(HEADER.split(","), line.split(","), strict=True))) + "\n"
    for line in CSV.splitlines()[1:]
)
TABLE = pa.Table.from_pylist([json.loads(line) for line in JSONL.splitlines()])


def parquet(table: pa.Table = TABLE, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return bytes(sink.getvalue())


LONG = (
    HEADER + "\n" + "".join(f"e{i},page_view,2026-03-01,v{i * i}\n" for i in range(9000))
).encode()


@dataclass(frozen=True)
class Refused:
    """A file that is refused: its name, its content, and what the message says of it."""

    name: str
    content: bytes
    message: str


REFUSED = (
    Refused("empty.csv", b"", "the file is empty"),
    Refused("header alone.csv", HEADER.encode(), "No rows in"),
    Refused(
        "blank lines alone.csv", b"\n\n\n", "the first line is blank; it must name the columns"
    ),
    Refused("a blank first line.csv", b"\n" + CSV.encode(), "the first line is blank"),
    Refused("no rows.parquet", parquet(TABLE.slice(0, 0)), "No rows in"),
    Refused("utf16.csv", CSV.encode("utf-16"), "the file is UTF-16; save it as UTF-8"),
    Refused("utf16 without a mark.csv", CSV.encode("utf-16-le"), "seems to be UTF-16; save it as"),
    Refused("utf16 big.jsonl", JSONL.encode("utf-16-be"), "seems to be UTF-16; save it as UTF-8"),
    Refused(
        "mac.csv", CSV.replace("\n", "\r").encode(), "carriage returns alone; convert with: tr"
    ),
    Refused("semicolons.csv", CSV.replace(",", ";").encode(), "semicolons: export it with commas"),
    Refused("tabs.csv", CSV.replace(",", "\t").encode(), "tabs: export it with commas"),
    Refused("twice.csv", (HEADER + ",event_id\n").encode(), "two columns are named 'event_id'; re"),
    Refused("open quote.csv", b'"' + CSV.encode(), "the first line does not name the columns"),
    Refused("case.csv", CSV.replace("visitor_id", "Visitor_Id").encode(), "is it 'Visitor_Id'?"),
    Refused("no header.csv", CSV.partition("\n")[2].encode(), "missing column event_id"),
    Refused("json.csv", JSONL.encode(), "missing column event_id"),
    Refused(
        "one line of json.csv", JSONL.replace("\n", ",").encode() * 2000, "two columns are named"
    ),
    Refused("csv.jsonl", CSV.encode(), "6 of 6 rows are bad"),
    Refused("parquet.csv", parquet(), "the file is Parquet; rename it to end in .parquet"),
    Refused("csv.parquet", CSV.encode(), "not readable as parquet: .*fetch it again"),
    Refused("cut.parquet", parquet()[:-20], "not readable as parquet: .*fetch it again"),
    Refused("gzip.parquet", gzip.compress(parquet()), "not readable as parquet"),
    Refused("archive.csv", b"PK\x03\x04" + b"\0" * 50, "zip archive or a workbook; unpack it, or"),
    Refused("cut.csv.gz", gzip.compress(LONG)[:-500], "not readable as csv: .*fetch it again"),
    Refused("cut.csv.zst", zstandard.compress(LONG)[:-500], "not readable as csv: .*fetch it"),
    Refused("cut.csv.bz2", bz2.compress(LONG)[:-500], "not readable as csv: .*fetch it again"),
    Refused("garbage behind.csv.gz", gzip.compress(LONG) + b"garbage", "not readable as csv: .*fe"),
    Refused("damaged.jsonl.gz", gzip.compress(LONG)[:300] + b"xxxx" * 99, "not readable as jsonl"),
    Refused("notes.txt", CSV.encode(), "cannot tell the format by the name; it must end in"),
    Refused(
        "twice.parquet",
        parquet(pa.table([["a"], ["b"]], names=["event_id", "event_id"])),
        "two columns are named 'event_id'; rename one",
    ),
)


@pytest.mark.parametrize("file", REFUSED, ids=lambda file: file.name)
def test_a_file_is_refused_in_one_line_and_nothing_is_loaded(
    file: Refused, ingest: Any, query: Query, tmp_path: Path
) -> None:
    path = tmp_path / file.name
    path.write_bytes(file.content)
    with pytest.raises(InputError, match=file.message) as caught:
        ingest(path)
    first, *examples = str(caught.value).splitlines()
    assert str(path) in first or "rows are bad" in first
    assert len(first) < 600
    assert all(line.startswith("  ") for line in examples)
    assert query("select count(*) from ops.loads") == [(0,)]


def test_a_name_that_is_no_utf8_is_refused(ingest: Any, tmp_path: Path) -> None:
    path = tmp_path / "caf\udce9.csv"
    path.write_text(CSV)
    with pytest.raises(InputError, match="the name is not UTF-8; rename the file"):
        ingest(path)


READ = {
    "byte order mark.csv": b"\xef\xbb\xbf" + CSV.encode(),
    "byte order mark.jsonl": b"\xef\xbb\xbf" + JSONL.encode(),
    "Windows.csv": CSV.replace("\n", "\r\n").encode(),
    "no last line break.csv": CSV.rstrip().encode(),
    "blank lines.csv": CSV.replace("\n", "\n\n").encode(),
    "NUL behind the end.csv": CSV.encode() + b"\0" * 4096,
    "gzip without its ending.csv": gzip.compress(CSV.encode()),
    "two members.csv.gz": gzip.compress(CSV[:99].encode()) + gzip.compress(CSV[99:].encode()),
    "two frames.csv.zst": zstandard.compress(CSV[:99].encode())
    + zstandard.compress(CSV[99:].encode()),
    "two streams.csv.bz2": bz2.compress(CSV[:99].encode()) + bz2.compress(CSV[99:].encode()),
    "array.json": b" [" + ",".join(JSONL.splitlines()).encode() + b"]\n",
    "array of lines.json": b"[\n" + ",\n".join(JSONL.splitlines()).encode() + b"\n]\n",
    "two arrays.json": "".join(f"[{line}]\n" for line in JSONL.splitlines()).encode(),
    "array without an end.json": b"[" + ",".join(JSONL.splitlines()).encode(),
    "it's 100% \"odd\"\n'; drop table raw.events; -- é.csv": CSV.encode(),
    "[a]*?.csv": CSV.encode(),
}


@pytest.mark.parametrize("name", READ)
def test_a_file_is_read_in_full(name: str, ingest: Any, query: Query, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(READ[name])
    result = ingest(path)
    assert (result.read, result.loaded, result.quarantined) == (5, 5, 0)
    assert query("select path from ops.files") == [(str(path),)]
    marked = {"byte_order_mark_removed": 1} if name.startswith("byte order mark") else {}
    assert result.repairs == marked


def test_lines_behind_a_stray_list_are_read(ingest: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("[1, 2]\n" + JSONL)
    result = ingest(path)
    assert (result.read, result.loaded, result.reasons) == (6, 5, {"unparsable_row": 1})


def test_a_first_element_that_is_bad_is_quarantined_alone(ingest: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"event_id": "x"}, ' + ",".join(JSONL.splitlines()) + "]")
    result = ingest(path)
    assert (result.read, result.loaded, result.quarantined) == (6, 5, 1)


# -- Parquet: types of every kind ----------------------------------------------------------------

COUNT = TABLE.num_rows


def with_column(name: str, values: pa.Array) -> pa.Table:
    """Return the five good rows with a column replaced or added."""
    table = TABLE.drop_columns([name]) if name in TABLE.column_names else TABLE
    return table.append_column(name, values)


def third(value: Any, other: Any, type_: pa.DataType) -> pa.Array:
    """Return a column in which the third row has `value`."""
    return pa.array([value if i == 2 else other for i in range(COUNT)], type_)


def invalid_text(type_: pa.DataType) -> pa.Array:
    return third(b"a\0\xff", b"a", pa.binary()).view(type_)


LOOSE_ITEMS = pa.list_(
    pa.struct([("product_id", pa.string()), ("unit_price", pa.decimal128(38, 10))])
)
MICROSECOND = 1_772_359_200_000_000


@dataclass(frozen=True)
class Typed:
    """A column whose third row is odd; the row's reasons or repairs, or a value it must have."""

    name: str
    column: str
    values: pa.Array
    reasons: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    expected: tuple[str, Any] | None = None
    options: tuple[tuple[str, Any], ...] = ()


BOTH = ("invalid_utf8_replaced", "nul_removed")
TYPED = (
    Typed(
        "nanoseconds",
        "event_ts",
        third(MICROSECOND * 1000 + 1, MICROSECOND * 1000, pa.timestamp("ns", "UTC")),
        expected=("extract(epoch from event_ts)", Decimal("1772359200.000000")),
    ),
    Typed(
        "int96",
        "event_ts",
        third(MICROSECOND * 1000 + 7, MICROSECOND * 1000, pa.timestamp("ns")),
        options=(("use_deprecated_int96_timestamps", True),),
        expected=("extract(epoch from event_ts)", Decimal("1772359200.000000")),
    ),
    *(
        Typed(
            f"time {value} in {unit}",
            "event_ts",
            third(value, MICROSECOND // 10 ** (0 if unit == "us" else 3), pa.timestamp(unit)),
            reasons=("event_ts_out_of_range",),
        )
        for unit in ("us", "ms")
        for value in (2**63 - 1, -(2**63) + 1, 0)
    ),
    Typed(
        "no time", "event_ts", third(None, MICROSECOND, pa.timestamp("us")), ("missing_event_ts",)
    ),
    Typed(
        "receipt at the end of time",
        "received_at",
        third(-(2**63) + 1, None, pa.timestamp("us", "UTC")),
        expected=("event_id", "e2"),
    ),
    Typed(
        "wide decimals",
        "order_total",
        third(Decimal("12.3456780000"), None, pa.decimal128(38, 10)),
        expected=("order_total", Decimal("12.3457")),
    ),
    Typed(
        "decimals without places",
        "order_total",
        third(Decimal(10**17), Decimal(1), pa.decimal128(18, 0)),
        reasons=("invalid_number",),
    ),
    Typed("NaN", "order_total", third(float("nan"), 1.0, pa.float64()), ("invalid_number",)),
    Typed(
        "dictionary",
        "coupon",
        third("a", "b", pa.string()).dictionary_encode(),
        expected=("coupon", "a"),
    ),
    Typed("large text", "coupon", third("a", "b", pa.large_string()), expected=("coupon", "a")),
    Typed("text views", "coupon", third("a", "b", pa.string_view()), expected=("coupon", "a")),
    Typed("bytes", "coupon", third(b"a\0\xff", b"a", pa.binary()), (), BOTH, ("coupon", "a\ufffd")),
    Typed("no UTF-8", "coupon", invalid_text(pa.string()), (), BOTH, ("coupon", "a\ufffd")),
    Typed(
        "no UTF-8 in another column",
        "note",
        invalid_text(pa.string()),
        (),
        BOTH,
        ("properties", {"note": "a\ufffd"}),
    ),
    Typed(
        "items with other types",
        "items",
        third([{"product_id": "p", "unit_price": Decimal("1.5")}], None, LOOSE_ITEMS),
        expected=("(select unit_price from raw.event_items)", Decimal("1.5")),
    ),
    Typed("nested ids", "user_id", third({"a": 1}, None, pa.struct([("a", pa.int8())]))),
    Typed("a map", "note", third([("k", 1)], None, pa.map_(pa.string(), pa.int8()))),
    Typed("a day", "note", third(2**30, None, pa.int32()).cast(pa.date32())),
    Typed("a duration", "note", third(1, None, pa.duration("ns"))),
    Typed("a time of nanoseconds", "note", third(MICROSECOND * 1000 + 1, None, pa.timestamp("ns"))),
)


@pytest.mark.parametrize("case", TYPED, ids=lambda case: case.name)
def test_an_odd_value_of_a_type_takes_no_neighbour(
    case: Typed, ingest: Any, query: Query, tmp_path: Path
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(with_column(case.column, case.values), path, **dict(case.options))
    result = ingest(path)
    assert (result.read, result.loaded) == (COUNT, COUNT - bool(case.reasons))
    assert query("select source_row, reasons from raw.quarantined_events") == (
        [(3, list(case.reasons))] if case.reasons else []
    )
    assert result.repairs == dict.fromkeys(case.repairs, 1)
    if case.expected:
        expression, value = case.expected
        assert query(f"select {expression} from raw.events where event_id = 'e2'") == [(value,)]


def test_rows_of_a_damaged_page_are_set_aside_and_the_others_read(
    ingest: Any, query: Query, tmp_path: Path
) -> None:
    table = pa.concat_tables([TABLE, TABLE, TABLE]).set_column(
        0, "event_id", pa.array([f"page-{i:03}" for i in range(15)])
    )
    content = bytearray(
        parquet(
            table,
            row_group_size=5,
            compression="none",
            use_dictionary=False,
            write_page_checksum=True,
        )
    )
    at = content.index(b"page-007")
    content[at + 5 : at + 8] = b"999"
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    result = ingest(path, max_quarantined=50)
    assert (result.read, result.loaded, result.reasons) == (15, 10, {"unparsable_row": 5})
    rows = query("select source_row, record from raw.quarantined_events order by 1")
    assert [row for row, _ in rows] == [6, 7, 8, 9, 10]
    assert all("damaged" in record for _, record in rows)
