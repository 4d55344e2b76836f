"""Mapped files: each form of a value, of an id and of products, on this machine's engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.adapters import adapter_for
from ingestion.batch import validated
from ingestion.errors import InputError
from ingestion.files import inspect
from ingestion.settings import Settings

BASE = "source: shop\nevent_id: id\nevent_type: what\nevent_ts: at\nvisitor_id: who\n"
ROW = {"id": "e1", "what": "purchase", "at": "2026-03-01T10:00:00Z", "who": "v1"}

Map = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def mapped(judge: Any, tmp_path: Path) -> Map:
    """A function that returns rows, judged by the base mapping with changed and further lines."""

    def run(lines: str, rows: Any, suffix: str = ".jsonl") -> list[dict[str, Any]]:
        changed = {line.split(":")[0] for line in lines.splitlines()}
        kept = [line for line in BASE.splitlines() if line.split(":")[0] not in changed]
        path = tmp_path / "shop.yml"
        path.write_text("\n".join([*kept, lines]))
        found: list[dict[str, Any]] = judge(rows, str(path), suffix)
        return found

    return run


@pytest.mark.both_engines
def test_values_come_from_columns_paths_and_constants(mapped: Map) -> None:
    lines = (
        "user_id: [login, user.id]\ncountry: {column: geo.country, constant: XX}\n"
        "coupon: user.id.x\ncurrency: {constant: EUR}\norder_id: Order No\nbrowser: a.b"
    )
    rows = mapped(
        lines,
        [
            {**ROW, "user": {"id": 7, "club": True}, "geo": {"country": "DE"}, "Order No": 2**70},
            {**ROW, "login": "ann", "user": {"id": 7}, "a.b": "flat", "a": {"b": "deep", "c": 1.5}},
            {**ROW, "user": "ann", "geo": [1]},
        ],
    )
    assert [(r["user_id"], r["country"], r["order_id"], r["browser"]) for r in rows] == [
        ("7", "DE", str(2**70), None),
        ("ann", "XX", None, "flat"),
        (None, "XX", None, None),
    ]
    assert [json.loads(r["properties"] or "{}") for r in rows] == [
        {"user": {"club": True}},
        {"a": {"c": 1.5}},
        {"user": "ann", "geo": [1]},
    ]
    assert {(r["coupon"], r["currency"], *r["reasons"]) for r in rows} == {(None, "EUR")}


def test_event_names_map_to_types_and_the_rest_to_the_default(mapped: Map) -> None:
    rows = [{**ROW, "what": what} for what in ("look", "purchase", "dance")]
    types = "event_types: {look: product_view}\n"
    assert [r["event_type"] for r in mapped(types, rows)] == ["product_view", "purchase", "custom"]
    by_default = mapped(types + "default_event_type: page_view", rows)
    assert [(r["event_type"], r["event_name"]) for r in by_default][2] == ("page_view", "dance")
    (constant, *_) = mapped("event_type: {constant: page_view}", rows)
    assert constant["event_type"] == "page_view"


TIMES = {
    "2026-01-15 10:00:00": "2026-01-15T09:00:00",
    "2026-07-15T10:00:00.5": "2026-07-15T08:00:00.500000",
    "2026-07-15": "2026-07-14T22:00:00",
    "20260715": "2026-07-14T22:00:00",
    "2026-10-25 02:30:00": "2026-10-25T00:30:00",
    "2026-03-29 02:30:00": "2026-03-29T01:30:00",
    "2026-07-15T10:00:00Z": "2026-07-15T10:00:00",
    "2026-07-15 10:00:00 UTC": "2026-07-15T10:00:00",
    "2026-07-15T10:00+01:00": "2026-07-15T09:00:00",
    "1772359200": "2026-03-01T10:00:00",
}


def test_times_without_a_zone_are_local(mapped: Map) -> None:
    rows = mapped("timezone: Europe/Berlin", [{**ROW, "at": at} for at in TIMES])
    got = [row["event_ts"].replace(tzinfo=None).isoformat() for row in rows]
    assert dict(zip(TIMES, got, strict=True)) == TIMES


def test_an_event_id_may_be_a_hash(mapped: Map) -> None:
    rows = [{**ROW, "x": 1}, {**ROW, "x": 1}, {**ROW, "x": 2}, {**ROW, "who": "v2"}]
    of_row = [r["event_id"] for r in mapped("event_id: {hash: row}", rows)]
    assert [of_row.index(id_) for id_ in of_row] == [0, 0, 2, 3]
    of_who = [r["event_id"] for r in mapped("event_id: {hash: [who, session]}", rows)]
    assert [of_who.index(id_) for id_ in of_who] == [0, 0, 0, 3]
    (nothing,) = mapped("event_id: {hash: [session, who]}", [{**ROW, "who": None}])
    assert nothing["reasons"] == ["missing_event_id", "missing_visitor_id"]


LIST = """items:
  list: basket.lines
  product_id: [sku, product.id]
  quantity: n
  unit_price: {column: [price.cents, price], divide_by: 100}
"""


@pytest.mark.both_engines
def test_products_come_from_a_list(mapped: Map) -> None:
    lines = [
        {"sku": "a", "n": 2, "price": {"cents": 950}},
        {"product": {"id": 3}, "price": "125", "colour": "red"},
    ]
    rows = mapped(
        LIST,
        [
            {**ROW, "basket": {"lines": lines, "note": "x"}},
            {**ROW, "basket": {"lines": []}},
            ROW,
            {**ROW, "basket": {"lines": "none"}},
            {**ROW, "basket": {"lines": [{"sku": "a", "n": "two"}]}},
            {**ROW, "basket": {"lines": [{"n": 1}]}},
        ],
    )
    assert [
        (i["line_id"], i["product_id"], i["quantity"], i["unit_price"]) for i in rows[0]["items"]
    ] == [("1", "a", 2, Decimal("9.5")), ("2", "3", None, Decimal("1.25"))]
    assert rows[0]["properties"] == '{"basket":{"note":"x"}}'
    assert [row["items"] for row in rows[1:4]] == [None, None, None]
    assert [row["reasons"] for row in rows[1:]] == [
        [],
        [],
        ["invalid_items"],
        ["invalid_number"],
        ["missing_product_id"],
    ]


def test_products_come_from_the_rows_own_columns(mapped: Map) -> None:
    csv = "id,what,at,who,sku,n,price\n"
    csv += "e1,purchase,2026-03-01,v1,a,2,1.5\ne2,page_view,2026-03-01,v1,,1,0\n"
    csv += "e3,purchase,2026-03-01,v1,a,many,1\n"
    rows = mapped("items: {product_id: sku, quantity: n, unit_price: price}", csv, ".csv")
    ((item,), none) = (rows[0]["items"], rows[1]["items"])
    assert (item["line_id"], item["product_id"], item["quantity"]) == ("e1", "a", 2)
    assert (none, json.loads(rows[1]["properties"])) == (None, {"n": "1", "price": "0"})
    assert [row["reasons"] for row in rows] == [[], [], ["invalid_number"]]


def test_of_several_forms_of_products_the_first_that_gives_any_counts(mapped: Map) -> None:
    lines = "items:\n  - {list: lines, product_id: sku}\n  - {product_id: sku}\n"
    rows = mapped(lines, [{**ROW, "sku": "a"}, {**ROW, "sku": "a", "lines": [{"sku": "b"}]}])
    assert [[i["product_id"] for i in row["items"]] for row in rows] == [["a"], ["b"]]
    assert [row["properties"] for row in rows] == [None, '{"sku":"a"}']


def test_amounts_of_a_smaller_unit_are_divided(mapped: Map) -> None:
    lines = "order_total: {column: cents, divide_by: 100}\n"
    rows = mapped(lines, [{**ROW, "cents": c} for c in (1999, "0", "x", None)])
    assert [row["order_total"] for row in rows] == [Decimal("19.99"), Decimal(0), None, None]
    assert [row["reasons"] for row in rows] == [[], [], ["invalid_number"], []]


def test_traffic_is_taken_from_the_address_unless_it_is_mapped(mapped: Map) -> None:
    row = {**ROW, "url": "https://a/?utm_source=n%20l&gclid=Z", "src": "mail"}
    (own,) = mapped("page_url: url", [row])
    assert (own["utm_source"], own["click_id"]) == ("n l", "Z")
    (given,) = mapped("page_url: url\nutm_source: src", [row])
    assert (given["utm_source"], given["click_id"]) == ("mail", None)


def test_bots_are_known_by_the_user_agent(mapped: Map) -> None:
    (row,) = mapped("user_agent: ua", [{**ROW, "ua": "curl/8.5.0"}])
    assert (row["is_bot"], row["properties"]) == (True, '{"user_agent":"curl/8.5.0"}')


def test_parquet_with_types_of_its_own_is_read(tmp_path: Path, spark: Any) -> None:
    mapping, path = tmp_path / "shop.yml", tmp_path / "rows.parquet"
    mapping.write_text(BASE.replace("who", "user.id") + LIST.replace("basket.", "") + "tax: tax")
    price = pa.struct([("cents", pa.decimal128(9, 2))])
    line = pa.struct([("sku", pa.string()), ("n", pa.int64()), ("price", price)])
    table = pa.table(
        {
            "id": pa.array([12345678901234567], pa.int64()),
            "what": ["purchase"],
            "at": pa.array([1772359200000], pa.timestamp("ms")),
            "user": pa.array([{"id": 7, "club": "gold"}]),
            "tax": pa.array([1.5], pa.float64()),
            "lines": pa.array(
                [[{"sku": "a", "n": 2, "price": {"cents": Decimal("950.00")}}]], pa.list_(line)
            ),
        }
    )
    pq.write_table(table, path)
    rows = validated(spark, Settings.load(), inspect([path]), adapter_for(str(mapping))).collect()
    (row,) = [row.asDict(recursive=True) for row in rows]
    assert (row["reasons"], row["event_id"], row["visitor_id"]) == ([], "12345678901234567", "7")
    assert row["event_ts"].isoformat() == "2026-03-01T10:00:00"
    assert (row["tax"], row["items"][0]["unit_price"]) == (Decimal("1.5"), Decimal("9.5"))
    assert row["properties"] == '{"user":{"club":"gold"}}'


def test_a_needed_column_that_a_file_lacks_stops_with_the_likely_one(tmp_path: Path) -> None:
    path = tmp_path / "shop.yml"
    path.write_text(BASE.replace("event_ts: at", "event_ts: [time, at]").replace("who", "user.id"))
    adapter = adapter_for(str(path))
    adapter.check_columns("a.csv", ("id", "what", "at", "user"))
    with pytest.raises(InputError, match=r"user_id'\?\), time or at \(is it 'tame'\?\);"):
        adapter.check_columns("a.csv", ("id", "what", "tame", "user_id"))
    assert adapter.person_columns == ("user.id",)
