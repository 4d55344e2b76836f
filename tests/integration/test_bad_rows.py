"""The corpus of bad rows: each is planted among good ones, in every format, and gets its verdict.

Each case is a file of its own with the bad row before, between and after two good ones; all files
go into one load. "The counts add up" then says of every case that it took no neighbour with it.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion import batch
from ingestion.adapters import adapter_for
from ingestion.files import inspect
from ingestion.readers import read
from ingestion.settings import Settings
from ingestion.validate import validate

ID = "@ID@"
COLUMNS = (
    "event_id",
    "event_type",
    "event_ts",
    "received_at",
    "visitor_id",
    "user_id",
    "order_id",
    "order_total",
    "page_url",
    "search_term",
    "coupon",
    "is_bot",
    "properties",
    "items",
    "note",
)
GOOD = {
    "event_id": ID,
    "event_type": "page_view",
    "event_ts": "2026-03-01T10:00:00Z",
    "visitor_id": "v1",
}
FORMATS = ("csv", "jsonl", "json", "parquet")
TEXT = ("csv", "parquet")
JSON = ("jsonl", "json")
COPIES = 3


@dataclass(frozen=True)
class Case:
    """A bad row and its verdict: `reasons` (then it is quarantined), else `loaded` and `repairs`.

    The row is a good one with `changes`, or the bytes of `raw` (with ID in place of its id).
    `rows` is how many rows a reader makes of one copy.
    """

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    raw: bytes | None = None
    formats: tuple[str, ...] = FORMATS
    reasons: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    loaded: dict[str, Any] = field(default_factory=dict)
    items: list[tuple[Any, ...]] | None = None
    rows: int = 1


def csv_line(**changes: Any) -> bytes:
    """Return a row as a line of CSV, without its line break."""
    row = {**GOOD, **changes}
    stream = io.StringIO()
    csv.writer(stream).writerow([as_text(row.get(c)) for c in COLUMNS])
    return stream.getvalue().removesuffix("\r\n").encode()


def as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def json_line(**changes: Any) -> bytes:
    """Return a row as a line of JSON; what is no ASCII stands in it as UTF-8."""
    row = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
    return json.dumps(row, ensure_ascii=False).encode()


def quarantined(name: str, reason: str, **changes: Any) -> Case:
    return Case(name, changes, reasons=(reason,))


def loaded(name: str, expected: dict[str, Any] | None = None, **changes: Any) -> Case:
    return Case(name, changes, loaded={**changes, **(expected or {})})


def one_item(name: str, reason: str, **changes: Any) -> Case:
    return Case(name, {"items": [{"product_id": "p1", **changes}]}, reasons=(reason,))


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


SQL = "'; drop table raw.events; --"
FORWARDED = ", ".join(f"203.0.113.{i % 250}" for i in range(12_000))

VALUES = (
    # -- times
    *(
        quarantined(f"time {text!r}", "invalid_event_ts", event_ts=text)
        for text in (
            "2026-02-30T10:00:00Z",
            "2026-03-01T10:00:60Z",
            "2026-03-01T24:00:01Z",
            "-1772359200",
            "17723592001234567890",
            "01/03/2026",
            "10:00",
            "2026",
            "10000-01-01T00:00:00Z",
            "٢٠٢٦-٠٣-٠١T10:00:00Z",
            "NaN",
            "null",
        )
    ),
    *(
        quarantined(f"time {text!r}", "event_ts_out_of_range", event_ts=text)
        for text in (
            "0001-01-01T00:00:00Z",
            "1999-12-31T23:59:59.999999Z",
            "2100-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "177235920",
        )
        if text != "177235920"
    ),
    quarantined("seconds taken for milliseconds", "event_ts_out_of_range", event_ts=177235920000),
    quarantined("no time", "missing_event_ts", event_ts=None),
    quarantined("blank time", "missing_event_ts", event_ts="  "),
    quarantined("time is true", "invalid_event_ts", event_ts=True),
    quarantined("time is a list", "invalid_event_ts", event_ts=["2026-03-01"]),
    loaded("date alone", {"event_ts": "2026-03-01 00:00:00+00"}, event_ts="2026-03-01"),
    loaded("no zone", {"event_ts": "2026-03-01 10:00:00+00"}, event_ts="2026-03-01 10:00:00"),
    loaded("milliseconds", {"event_ts": "2026-03-01 10:00:00+00"}, event_ts=1772359200000),
    # -- amounts
    *(
        quarantined(f"amount {text!r}", "invalid_number", order_total=text)
        for text in (
            "NaN",
            "inf",
            "-Infinity",
            "1,5",
            "1.000,50",
            "$5",
            "5 EUR",
            "1_000",
            "0x1F",
            "1d",
            "1f",
            "١٢",
            "9" * 400,
            "1e400",
            "1e18",
            "--1",
            "1.2.3",
            ".",
            "e5",
            "true",
        )
    ),
    quarantined("amount is NaN", "invalid_number", order_total=float("nan")),
    quarantined("amount is infinite", "invalid_number", order_total=float("inf")),
    quarantined("amount is true", "invalid_number", order_total=True),
    quarantined("amount is a list", "invalid_number", order_total=[1]),
    quarantined("amount below zero", "amount_out_of_range", order_total="-0.01"),
    quarantined("amount of a thousand million", "amount_out_of_range", order_total=10**9),
    loaded("amount -0", {"order_total": Decimal(0)}, order_total="-0"),
    loaded("amount +5", {"order_total": Decimal(5)}, order_total="+5"),
    loaded("amount 5.", {"order_total": Decimal(5)}, order_total="5."),
    loaded("amount .5", {"order_total": Decimal("0.5")}, order_total=".5"),
    loaded("amount 1.5e2", {"order_total": Decimal(150)}, order_total="1.5e2"),
    loaded("six places", {"order_total": Decimal("12.3457")}, order_total="12.345678"),
    loaded("half up", {"order_total": Decimal("0.0001")}, order_total="0.00005"),
    loaded("leading zeros", {"order_total": Decimal("7.5")}, order_total="0" * 30 + "7.50"),
    # -- quantities and items
    one_item("quantity 0", "quantity_out_of_range", quantity=0),
    one_item("quantity -1", "quantity_out_of_range", quantity=-1),
    one_item("quantity 1e7", "quantity_out_of_range", quantity=10_000_000),
    one_item("quantity 1.5", "invalid_number", quantity=1.5),
    one_item("quantity beyond 32 bits", "invalid_number", quantity=10**10),
    one_item("quantity is text", "invalid_number", quantity="two"),
    one_item("price NaN as text", "invalid_number", unit_price="NaN"),
    one_item("price below zero", "amount_out_of_range", unit_price=-1),
    one_item("price 1e18", "invalid_number", unit_price=1e18),
    one_item("blank product", "missing_product_id", product_id=" "),
    one_item("no product", "missing_product_id", product_id=None),
    one_item("product id too long", "oversize_row", product_id="p" * 513),
    one_item("line id too long", "oversize_row", line_id="\U0001f600" * 129),
    quarantined(
        "repeated line ids",
        "repeated_line_id",
        items=[{"product_id": "p", "line_id": "1"}, {"product_id": "q", "line_id": "1"}],
    ),
    quarantined(
        "line id equal to a position",
        "repeated_line_id",
        items=[{"product_id": "p", "line_id": "2"}, {"product_id": "q"}],
    ),
    quarantined("items are an object", "invalid_items", items={"product_id": "p"}),
    quarantined("items are a number", "invalid_items", items=3),
    quarantined("items are broken JSON", "invalid_items", items='[{"product_id": "p"'),
    quarantined("items are deep", "invalid_items", items=nested(5_000)),
    quarantined("items are a list of texts", "invalid_items", items=["p1", "p2"]),
    quarantined("items are a list of nulls", "invalid_items", items=[None, None]),
    quarantined("null among items", "invalid_items", items=[{"product_id": "p"}, None]),
    quarantined("text among items", "invalid_items", items=[{"product_id": "p"}, "q"]),
    Case("no items", {"items": []}, items=[]),
    Case(
        "many items",
        {"items": [{"product_id": f"p{i}"} for i in range(10_000)]},
        items=[(str(i + 1), f"p{i}", None, None) for i in range(10_000)],
    ),
    Case(
        "items of other types",
        {"items": [{"product_id": 17, "quantity": "2", "unit_price": 1e2, "new": {"a": 1}}]},
        items=[("1", "17", 2, Decimal(100))],
    ),
    # -- ids
    quarantined("no event id", "missing_event_id", event_id=None),
    quarantined("blank event id", "missing_event_id", event_id="   "),
    quarantined("no event type", "missing_event_type", event_type=None),
    quarantined("blank event type", "missing_event_type", event_type=""),
    quarantined("no visitor", "missing_visitor_id", visitor_id=None),
    *(
        quarantined(f"{name} too long", "oversize_row", **{name: "x" * 513})
        for name in ("event_id", "visitor_id", "user_id", "order_id")
    ),
    loaded("visitor of 512 wide characters", visitor_id="\U0001f600" * 512),
    loaded("SQL", visitor_id=SQL, order_id=SQL, search_term=SQL, coupon=SQL),
    loaded("quotes and breaks", visitor_id="a\"b'c\nd\te\\f%s{}", search_term='"\r\n"'),
    loaded("a blank line within", search_term="a\n\n \n\nb"),
    loaded("COPY's own words", visitor_id="\\N", order_id="\\.", coupon="\\x41"),
    loaded("emoji and right-to-left marks", visitor_id="\U0001f600\u202e\u200fx", coupon="\ufeffx"),
    loaded("a formula", search_term="=cmd()|' /C calc'!A0", coupon="@SUM(1)"),
    loaded("id beyond 64 bits", {"visitor_id": str(2**70)}, visitor_id=2**70),
    loaded("id of 400 digits", {"visitor_id": "7" * 400}, visitor_id=int("7" * 400)),
    loaded("id is a fraction", {"visitor_id": "1.5"}, visitor_id=1.5),
    loaded("id is true", {"visitor_id": "true"}, visitor_id=True),
    loaded("words for nothing", visitor_id="null", user_id="NaN", order_id="undefined"),
    # -- types, flags, properties
    loaded(
        "type in capitals",
        {"event_type": "custom", "event_name": "Purchase"},
        event_type="Purchase",
    ),
    loaded("type of SQL", {"event_type": "custom", "event_name": SQL}, event_type=SQL),
    loaded("bot yes", {"is_bot": True}, is_bot="YES"),
    loaded("bot perhaps", {"is_bot": None}, is_bot="perhaps"),
    quarantined("address too long", "oversize_row", page_url="/" * 8_193),
    quarantined("properties too long", "oversize_row", properties={"a": "x" * 2_000_000}),
    quarantined("another column too long", "oversize_row", note="x" * 2_000_000),
    loaded("properties are a list", {"properties": [1, None]}, properties=[1, None]),
    loaded("properties are a number", {"properties": 3}, properties=3),
    loaded("properties are no JSON", {"properties": {"unparsed": "{a: 1}"}}, properties="{a: 1}"),
    loaded(
        "properties are a list, and another column",
        {"properties": {"properties": "[1]", "note": "n"}},
        properties="[1]",
        note="n",
    ),
    loaded(
        "properties end in a line break, and another column",
        {"properties": {"a": 1, "note": "n"}},
        properties='{"a": 1}\n',
        note="n",
    ),
    loaded(
        "properties are deep",
        {"properties": {"unparsed": nested(100_000)}},
        properties=nested(100_000),
    ),
    loaded(
        "properties of a thousand levels, and an escape",
        {"properties": json.loads(nested(900))},
        properties=nested(900),
    ),
    loaded(
        "a long chain of addresses",
        {"properties": {"forwarded": None}},
        properties={"forwarded": FORWARDED},
    ),
    Case(
        "NUL",
        {"search_term": "a\0b", "user_id": "\0"},
        repairs=("nul_removed",),
        loaded={"search_term": "ab", "user_id": None},
    ),
    Case(
        "NUL escaped in JSON texts",
        {"properties": '{"a\\u0000": "b\\u0000c"}', "items": '[{"product_id": "p\\u0000q"}]'},
        formats=TEXT,
        repairs=("nul_removed",),
        loaded={"properties": {"a": "bc"}},
        items=[("1", "pq", None, None)],
    ),
    Case(
        "lone surrogates escaped in JSON texts",
        {"properties": '{"a": "\\ud800"}', "items": '[{"product_id": "p\\udfffq"}]'},
        formats=TEXT,
        repairs=("lone_surrogate_replaced",),
        loaded={"properties": {"a": "\ufffd"}},
        items=[("1", "p\ufffdq", None, None)],
    ),
    Case(
        "a clock far ahead",
        {"event_ts": "2027-01-01T00:00:00Z", "received_at": "2026-03-01T10:00:00Z"},
        repairs=("clock_skew_corrected",),
        loaded={"event_ts": "2026-03-01 10:00:00+00"},
    ),
)


def broken_json(name: str, raw: bytes, *, formats: tuple[str, ...] = JSON) -> Case:
    return Case(name, raw=raw, formats=formats, reasons=("unparsable_row",))


def repaired_json(name: str, raw: bytes, term: str, *repairs: str) -> Case:
    return Case(name, raw=raw, formats=JSON, repairs=repairs, loaded={"search_term": term})


TERM = json_line(search_term="@")
JSON_BYTES = (
    broken_json("half an object", b'{"event_id": "@ID@", "event_type": "page'),
    broken_json("an object without quotes", b"{event_id: @ID@}"),
    broken_json("single quotes", b"{'event_id': '@ID@'}"),
    broken_json("two objects on one line", json_line() + json_line(), formats=("jsonl",)),
    broken_json("an object and a comma", json_line() + b",", formats=("jsonl",)),
    broken_json("a comma before the end", json_line()[:-1] + b",}"),
    broken_json("a list", b'["@ID@"]'),
    broken_json("a text", b'"@ID@"'),
    broken_json("a number", b"17"),
    broken_json("null", b"null"),
    broken_json("words", b"ERROR 502 Bad Gateway", formats=("jsonl",)),
    broken_json("deep brackets", b"[" * 100_000, formats=("jsonl",)),
    broken_json("deep objects", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    broken_json("a raw tab in a text", TERM.replace(b'@"', b'\t"')),
    repaired_json("NUL escaped", TERM.replace(b'"@"', b'"a\\u0000b"'), "ab", "nul_removed"),
    repaired_json("NUL raw", TERM.replace(b'"@"', b'"a\0b"'), "ab", "nul_removed"),
    repaired_json("NUL legal", TERM.replace(b'"@"', b'"\\\\u0000"'), "\\u0000"),
    repaired_json(
        "latin-1", TERM.replace(b'"@"', b'"caf\xe9"'), "caf\ufffd", "invalid_utf8_replaced"
    ),
    repaired_json(
        "overlong", TERM.replace(b'"@"', b'"\xc0\xaf"'), "\ufffd" * 2, "invalid_utf8_replaced"
    ),
    repaired_json(
        "a sequence cut short",
        TERM.replace(b'"@"', b'"\xf0\x9f\x98"'),
        "\ufffd",
        "invalid_utf8_replaced",
    ),
    repaired_json(
        "CESU surrogates",
        TERM.replace(b'"@"', b'"\xed\xa0\xbd\xed\xb8\x80"'),
        "\ufffd" * 6,
        "invalid_utf8_replaced",
    ),
    repaired_json(
        "high surrogate", TERM.replace(b'"@"', b'"\\ud83dx"'), "\ufffdx", "lone_surrogate_replaced"
    ),
    repaired_json(
        "low surrogate", TERM.replace(b'"@"', b'"x\\ude00"'), "x\ufffd", "lone_surrogate_replaced"
    ),
    repaired_json("surrogate pair", TERM.replace(b'"@"', b'"\\ud83d\\ude00"'), "\U0001f600"),
    repaired_json(
        "the same name twice", json_line(search_term="a")[:-1] + b', "search_term": "b"}', "b"
    ),
    repaired_json("a byte order mark within", TERM.replace(b'"@"', b'"\xef\xbb\xbfx"'), "\ufeffx"),
    Case(
        "a number of 5,000 digits",
        raw=json_line()[:-1] + b', "n": ' + b"1" * 5_000 + b"}",
        formats=JSON,
        reasons=("unparsable_row",),
    ),
    Case(
        "NaN and a long number among the properties",
        raw=json_line()[:-1] + b', "n": NaN, "m": 123456789012345678901234}',
        formats=JSON,
        loaded={"properties": {"n": None, "m": 123456789012345678901234}},
    ),
    *(
        Case(
            f"{depth} levels and an escape",
            raw=json_line()[:-1] + b', "n\\u0041": ' + nested(depth).encode() + b"}",
            formats=JSON,
            loaded={"properties": {"nA": json.loads(nested(depth))}},
        )
        for depth in (50, 190)
    ),
    *(
        Case(
            f"{depth} levels and an escape",
            raw=json_line()[:-1] + b', "n\\u0041": ' + nested(depth).encode() + b"}",
            formats=JSON,
            reasons=("unparsable_row",),
        )
        for depth in (300, 700, 980, 1_010, 1_500)
    ),
    Case(
        "a line of 9 MB",
        raw=json_line(note="x" * 9_000_000),
        formats=JSON,
        reasons=("oversize_row",),
    ),
)


def broken_csv(name: str, raw: bytes, *, rows: int = 1) -> Case:
    return Case(name, raw=raw, formats=("csv",), reasons=("unparsable_row",), rows=rows)


def repaired_csv(name: str, raw: bytes, term: str, *repairs: str) -> Case:
    return Case(name, raw=raw, formats=("csv",), repairs=repairs, loaded={"search_term": term})


LINE = csv_line()
CSV_TERM = csv_line(search_term="@")
HEADER = ",".join(COLUMNS).encode()
CSV_BYTES = (
    broken_csv("too few columns", b"@ID@,page_view"),
    broken_csv("too many columns", LINE + b","),
    broken_csv("a million columns", b"," * 1_000_000),
    broken_csv("words", b"ERROR 502 Bad Gateway"),
    broken_csv("an open quote", CSV_TERM.replace(b",@,", b',"@,')),
    broken_csv("a stray quote", CSV_TERM.replace(b",@,", b',5" nail,')),
    broken_csv("a quote that opens late", CSV_TERM.replace(b",@,", b',a"b,"c,')),
    broken_csv("a torn row", CSV_TERM.replace(b",@,", b",a\n,"), rows=2),
    broken_csv("a carriage return within", CSV_TERM.replace(b",@,", b",a\rb,")),
    Case(
        "the header again",
        raw=HEADER,
        formats=("csv",),
        reasons=("invalid_event_ts", "invalid_number", "invalid_items"),
    ),
    repaired_csv("doubled quotes", CSV_TERM.replace(b",@,", b',"say ""x""",'), 'say "x"'),
    repaired_csv("text behind a quoted text", CSV_TERM.replace(b",@,", b',"a"b,'), "ab"),
    repaired_csv("inches", CSV_TERM.replace(b",@,", b',5" x 3",'), '5" x 3"'),
    repaired_csv("a carriage return in quotes", CSV_TERM.replace(b",@,", b',"a\rb",'), "a\rb"),
    repaired_csv("a Windows line end", CSV_TERM + b"\r", "@"),
    repaired_csv("NUL raw", CSV_TERM.replace(b",@,", b",a\0b,"), "ab", "nul_removed"),
    repaired_csv(
        "latin-1 in a column",
        CSV_TERM.replace(b",@,", b",\xe9,"),
        "\ufffd",
        "invalid_utf8_replaced",
    ),
    repaired_csv(
        "both in a quoted line break",
        CSV_TERM.replace(b",@,", b',"a\0\n\xe9",'),
        "a\n\ufffd",
        "nul_removed",
        "invalid_utf8_replaced",
    ),
    Case("a line of 9 MB", raw=b"x" * 9_000_000, formats=("csv",), reasons=("oversize_row",)),
    Case(
        "a text of 200 kB with line breaks",
        {"coupon": "x\n" * 40 + "y" * 200_000},
        formats=("csv",),
        loaded={"coupon": "x\n" * 40 + "y" * 200_000},
    ),
)
CASES = (*VALUES, *JSON_BYTES, *CSV_BYTES)
PLANTED = [(case, format_) for case in CASES for format_ in case.formats]


# -- planting ------------------------------------------------------------------------------------


def planted(case: Case, format_: str, key: str) -> tuple[bytes, list[int]]:
    """Return a file's content, and the numbers of its rows that the case's copies make."""
    bad = [
        copy_of(case, format_).replace(ID.encode(), f"{key}-bad{i}".encode()) for i in range(COPIES)
    ]
    good = [
        (csv_line() if format_ == "csv" else json_line()).replace(
            ID.encode(), f"{key}-good{i}".encode()
        )
        for i in range(COPIES - 1)
    ]
    parts = [part for pair in zip(bad, [*good, None], strict=True) for part in pair if part]
    if format_ == "json":
        return b"[" + b",\n".join(parts) + b"]", [1, 3, 5]
    numbers, line = [], 2 if format_ == "csv" else 1
    for i, part in enumerate(parts):
        if i % 2 == 0:
            numbers.extend(range(line, line + case.rows))
        line += part.count(b"\n") + 1
    head = [HEADER] if format_ == "csv" else []
    return b"\n".join([*head, *parts]) + b"\n", numbers


def copy_of(case: Case, format_: str) -> bytes:
    if case.raw is not None:
        return case.raw
    return csv_line(**case.changes) if format_ == "csv" else json_line(**case.changes)


def planted_table(case: Case, key: str) -> pa.Table:
    rows = []
    for i in range(COPIES):
        rows.append({**GOOD, **case.changes, "key": f"{key}-bad{i}"})
        rows.append({**GOOD, "key": f"{key}-good{i}"})
    texts = [
        {name: (as_text(row.get(name)) or "").replace(ID, row["key"]) or None for name in COLUMNS}
        for row in rows[:-1]
    ]
    return pa.Table.from_pylist(texts, pa.schema([(name, pa.string()) for name in COLUMNS]))


def key_of(number: int, format_: str) -> str:
    return f"{format_}{number}"


@dataclass(frozen=True)
class Outcome:
    """What became of a case's file."""

    events: dict[int, dict[str, Any]]
    items: dict[int, list[tuple[Any, ...]]]
    quarantined: dict[int, tuple[list[str], str | None]]
    repairs: dict[int, list[str] | None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cases, a file each."""
    folder = tmp_path_factory.mktemp("corpus")
    for number, case in enumerate(CASES):
        for format_ in case.formats:
            key = key_of(number, format_)
            if format_ == "parquet":
                pq.write_table(planted_table(case, key), folder / f"{key}.parquet")
            else:
                suffix = "jsonl" if format_ == "json" else format_
                (folder / f"{key}.{suffix}").write_bytes(planted(case, format_, key)[0])
    return folder


@pytest.fixture(scope="module")
def result(
    settings: Settings, spark: Any, folder: Path, forget_all: Callable[[], None]
) -> batch.LoadResult:
    """The one load of them all."""
    forget_all()
    return batch.ingest(
        settings,
        [str(folder)],
        "native",
        max_quarantined=100,
        report=lambda _: None,
        spark=spark,
    )


@pytest.fixture(scope="module")
def outcomes(
    settings: Settings,
    spark: Any,
    folder: Path,
    result: batch.LoadResult,  # noqa: ARG001
) -> dict[str, Outcome]:
    """What became of each file, by its key."""
    from ingestion.postgres import connect

    with connect(settings) as connection, connection.cursor() as cursor:

        def query(text: str) -> Iterator[tuple[Any, ...]]:
            cursor.execute(text)
            return iter(cursor.fetchall())

        cursor.execute("set local timezone = 'UTC'")
        paths = {
            file_id: Path(path).stem
            for file_id, path in query("select file_id, path from ops.files")
        }
        found = {key: Outcome({}, {}, {}, {}) for key in paths.values()}
        for file_id, row, event in query(
            "select file_id, source_row, to_jsonb(e) from raw.events as e"
        ):
            found[paths[file_id]].events[row] = event
        for file_id, row, *item in query(
            "select file_id, source_row, i.line_id, product_id, quantity, unit_price "
            "from raw.event_items as i inner join raw.events using (event_id) "
            "order by length(i.line_id), i.line_id"
        ):
            found[paths[file_id]].items.setdefault(row, []).append(tuple(item))
        for file_id, row, reasons, record in query(
            "select file_id, source_row, reasons, record from raw.quarantined_events"
        ):
            found[paths[file_id]].quarantined[row] = (reasons, record)
    for row in judged(spark, folder):
        found[paths[row.file_id]].repairs[row.source_row] = row.repairs
    return found


def judged(spark: Any, folder: Path) -> list[Any]:
    """Return the repairs of each row: the ledger has but their sums."""
    adapter = adapter_for("native")
    files = inspect(sorted(folder.iterdir()))
    return [
        row
        for rows in read(spark, files, adapter.columns, partitions=4)
        for row in validate(adapter.candidates(rows), "native")
        .select("file_id", "source_row", "repairs")
        .collect()
    ]


# -- verdicts ------------------------------------------------------------------------------------


def test_the_corpus_is_large_and_its_names_are_its_own() -> None:
    names = Counter((case.name, format_) for case, format_ in PLANTED)
    assert len({case.name for case in CASES}) >= 90
    assert max(names.values()) == 1


def test_every_row_of_the_corpus_is_accounted_for(result: batch.LoadResult) -> None:
    good = len(PLANTED) * (COPIES - 1)
    bad = sum(COPIES * case.rows for case, _ in PLANTED if case.reasons)
    kept = sum(COPIES for case, _ in PLANTED if not case.reasons)
    assert (result.read, result.loaded, result.duplicate, result.quarantined) == (
        good + bad + kept,
        good + kept,
        0,
        bad,
    )
    reasons = Counter(
        reason for case, _ in PLANTED for reason in case.reasons for _ in range(COPIES * case.rows)
    )
    repairs = Counter(
        repair for case, _ in PLANTED for repair in case.repairs for _ in range(COPIES)
    )
    assert result.reasons == dict(reasons)
    assert result.repairs == dict(repairs)


@pytest.mark.parametrize(
    ("case", "format_"), PLANTED, ids=[f"{format_}: {case.name[:60]}" for case, format_ in PLANTED]
)
def test_a_bad_row_gets_its_verdict_and_takes_no_neighbour(
    case: Case, format_: str, outcomes: dict[str, Outcome]
) -> None:
    key = key_of(CASES.index(case), format_)
    outcome = outcomes[key]
    numbers = [1, 3, 5] if format_ == "parquet" else planted(case, format_, key)[1]
    ids = {event["event_id"] for event in outcome.events.values()}
    assert ids >= {f"{key}-good{i}" for i in range(COPIES - 1)}
    if case.reasons:
        got = {row: tuple(reasons) for row, (reasons, _) in outcome.quarantined.items()}
        assert got == dict.fromkeys(numbers, case.reasons)
        assert all(record for _, record in outcome.quarantined.values())
        return
    assert outcome.quarantined == {}
    for number in numbers:
        check_loaded(outcome, number, case)


def check_loaded(outcome: Outcome, number: int, case: Case) -> None:
    event = outcome.events[number]
    names = [name for name in case.loaded if name not in ("items", "note")]
    expected = {name: shown(name, case.loaded[name]) for name in names}
    assert {name: shown(name, event[name]) for name in names} == expected
    assert tuple(outcome.repairs[number] or ()) == case.repairs
    if case.items is not None:
        assert outcome.items.get(number, []) == case.items


def shown(name: str, value: Any) -> Any:
    if name == "event_ts":
        return datetime.fromisoformat(value).astimezone() - timedelta(0)
    if name == "order_total" and value is not None:
        return Decimal(str(value))
    return value
