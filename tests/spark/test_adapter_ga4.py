"""GA4's BigQuery export: what each event becomes, in either form of the file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.adapters import adapter_for
from ingestion.files import inspect
from ingestion.readers import read
from ingestion.validate import validate

Judge = Callable[..., list[dict[str, Any]]]
Param = tuple[str, Any]

VALUE = pa.struct(
    [
        ("string_value", pa.string()),
        ("int_value", pa.int64()),
        ("float_value", pa.float64()),
        ("double_value", pa.float64()),
    ]
)
ITEM = pa.struct(
    [
        ("item_name", pa.string()),
        ("item_id", pa.string()),
        ("item_brand", pa.string()),
        ("item_category", pa.string()),
        ("item_category2", pa.string()),
        ("price", pa.float64()),
        ("quantity", pa.int64()),
        ("item_list_name", pa.string()),
        ("coupon", pa.int64()),
    ]
)
ECOMMERCE = pa.struct(
    [
        ("purchase_revenue", pa.float64()),
        ("refund_value", pa.float64()),
        ("tax_value", pa.float64()),
        ("shipping_value", pa.float64()),
        ("transaction_id", pa.string()),
    ]
)
SCHEMA = pa.schema(
    [
        ("event_date", pa.string()),
        ("event_timestamp", pa.int64()),
        ("event_name", pa.string()),
        ("event_params", pa.list_(pa.struct([("value", VALUE), ("key", pa.string())]))),
        ("event_bundle_sequence_id", pa.int64()),
        ("user_id", pa.int64()),  # as a column without any value is typed
        ("user_pseudo_id", pa.string()),
        ("ecommerce", ECOMMERCE),
        ("items", pa.list_(ITEM)),
    ]
)


def params(**values: Any) -> list[dict[str, Any]]:
    """Parameters as the export writes them in JSON: numbers as text, the other kinds null."""

    def value(given: Any) -> dict[str, Any]:
        kinds = {str: "string_value", int: "int_value", float: "double_value"}
        return {
            **dict.fromkeys(kinds.values()),
            "float_value": None,
            **({} if given is None else {kinds[type(given)]: str(given)}),
        }

    return [{"key": name, "value": value(given)} for name, given in values.items()]


def event(**changes: Any) -> dict[str, Any]:
    """An event in the export's JSON form; a change to None leaves the column out."""
    row = {
        "event_date": "20260301",
        "event_timestamp": "1772359200000001",
        "event_name": "page_view",
        "event_params": params(ga_session_id=1772359000),
        "event_bundle_sequence_id": "77",
        "user_pseudo_id": "11.22",
        **changes,
    }
    return {name: value for name, value in row.items() if value is not None}


FULL = event(
    event_name="purchase",
    event_params=params(
        ga_session_id=1772359000,
        page_location="https://shop.example/thanks?utm_source=news%20letter&gclid=c-1",
        page_title='Say "hi"',
        value=12345678.5,
        currency="eur",
        coupon="SPRING",
        empty=None,
        share=0.25,
        engagement_time_msec=12,
    ),
    ecommerce={
        "purchase_revenue": "12345678.5",
        "refund_value": None,
        "tax_value": "1.0",
        "shipping_value": "4.95",
        "transaction_id": "T-1",
    },
    items=[
        {
            "item_id": "p1",
            "item_name": "Cup",
            "item_brand": "(not set)",
            "item_category": "Home",
            "item_category2": "Kitchen",
            "price": "9.5",
            "quantity": "2",
            "item_list_name": "Related",
            "coupon": None,
        },
        {"item_id": "(not set)", "item_name": "Plate", "price": "3.0", "quantity": None},
    ],
)


def as_parquet(row: dict[str, Any], type_: pa.DataType) -> Any:
    """The value of the JSON form as the column of the Parquet form holds it."""
    if row is None:
        return None
    if pa.types.is_list(type_):
        return [as_parquet(value, type_.value_type) for value in row]
    if pa.types.is_struct(type_):
        return {field.name: as_parquet(row.get(field.name), field.type) for field in type_}
    if pa.types.is_integer(type_):
        return int(row)  # type: ignore[call-overload]
    return float(row) if pa.types.is_floating(type_) else row  # type: ignore[arg-type]


@pytest.fixture
def judge_parquet(spark: Any, tmp_path: Path) -> Judge:
    """A function that writes events to a Parquet file and returns them validated, in order."""

    def run(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        path = tmp_path / "events_20260301.parquet"
        typed = [as_parquet(row, pa.struct(list(SCHEMA))) for row in rows]
        pq.write_table(pa.Table.from_pylist(typed, SCHEMA), path)
        adapter = adapter_for("ga4")
        (frame,) = read(spark, inspect([path]), adapter.columns, partitions=2)
        found = validate(adapter.candidates(frame), "ga4").collect()
        return sorted((row.asDict(recursive=True) for row in found), key=lambda r: r["source_row"])

    return run


def same_but_for_the_file(row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name not in ("file_id", "properties")}
    return {**kept, "properties": json.loads(row["properties"])["event_params"]}


@pytest.mark.both_engines
def test_a_purchase_in_full(judge: Judge) -> None:
    (row,) = judge([FULL], "ga4")
    expected = {
        "event_type": "purchase",
        "event_name": "purchase",
        "visitor_id": "11.22",
        "user_id": None,
        "source_session_id": "1772359000",
        "order_id": "T-1",
        "order_total": Decimal("12345678.5"),
        "tax": Decimal(1),
        "shipping": Decimal("4.95"),
        "coupon": "SPRING",
        "currency": "EUR",
        "utm_source": "news letter",
        "click_id": "c-1",
        "reasons": [],
    }
    assert {name: row[name] for name in expected} == expected
    assert row["event_ts"].isoformat() == "2026-03-01T10:00:00.000001"
    assert [tuple(item.values()) for item in row["items"]] == [
        ("1", "p1", "Cup", "Home/Kitchen", None, None, 2, Decimal("9.5"), None),
        ("2", "Plate", "Plate", None, None, None, None, Decimal(3), None),
    ]
    properties = json.loads(row["properties"])
    assert properties["event_params"] == {
        "ga_session_id": 1772359000,
        "page_location": "https://shop.example/thanks?utm_source=news%20letter&gclid=c-1",
        "page_title": 'Say "hi"',
        "value": 12345678.5,
        "currency": "eur",
        "coupon": "SPRING",
        "empty": None,
        "share": 0.25,
        "engagement_time_msec": 12,
    }
    assert properties["items"] == [{"item_list_name": "Related"}, {}]
    assert properties["event_date"] == "20260301"


def test_parquet_and_json_give_the_same_event_under_the_same_id(
    judge: Judge, judge_parquet: Judge
) -> None:
    rows = [FULL, event(), event(event_name="refund", items=[], event_params=params(value=5.0))]
    from_json, from_parquet = judge(rows, "ga4"), judge_parquet(rows)
    assert [same_but_for_the_file(row) for row in from_parquet[:2]] == [
        same_but_for_the_file(row) for row in from_json[:2]
    ]
    assert from_parquet[2]["event_id"] == from_json[2]["event_id"]


def test_the_id_knows_true_repeats_whatever_their_form(judge: Judge) -> None:
    reordered = {**FULL, "event_params": FULL["event_params"][::-1]}
    numbers = json.loads(json.dumps(FULL).replace('"9.5"', "9.50").replace('"77"', "77"))
    without_nulls = json.loads(json.dumps(FULL).replace(', "float_value": null', ""))
    later = {**FULL, "traffic_source": {"source": "google"}, "geo": {"country": "Chile"}}
    rows = judge([FULL, reordered, numbers, without_nulls, later], "ga4")
    assert len({row["event_id"] for row in rows}) == 1


OTHERS: dict[str, dict[str, Any]] = {
    "visitor": {"user_pseudo_id": "11.23"},
    "user": {"user_id": "u1"},
    "microsecond": {"event_timestamp": "1772359200000002"},
    "name": {"event_name": "scroll"},
    "bundle": {"event_bundle_sequence_id": "78"},
    "batch page": {"batch_page_id": "1"},
    "batch order": {"batch_ordering_id": "1"},
    "batch event": {"batch_event_index": "1"},
    "stream": {"stream_id": "9"},
    "parameter": {"event_params": params(ga_session_id=1772359001)},
    "fraction": {"event_params": params(ga_session_id=1772359000, share=0.251)},
    "item": {"items": [{"item_id": "p1"}]},
    "price": {"items": [{"item_id": "p1", "price": "2.5"}]},
}


def test_the_id_tells_apart_what_differs_in_one_thing(judge: Judge) -> None:
    rows = judge([event(), *[event(**changes) for changes in OTHERS.values()]], "ga4")
    assert len({row["event_id"] for row in rows}) == len(OTHERS) + 1


TYPES = {
    "page_view": "page_view",
    "screen_view": "page_view",
    "view_search_results": "search",
    "search": "search",
    "view_item_list": "product_list_view",
    "select_item": "product_click",
    "view_item": "product_view",
    "add_to_cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart",
    "begin_checkout": "checkout_start",
    "add_shipping_info": "checkout_step",
    "add_payment_info": "checkout_step",
    "purchase": "purchase",
    "refund": "refund",
    "view_promotion": "custom",
    "session_start": "custom",
}


def test_names_become_types_and_are_kept(judge: Judge) -> None:
    rows = judge([event(event_name=name) for name in TYPES], "ga4")
    assert {row["event_name"]: row["event_type"] for row in rows} == TYPES


def test_the_least_a_row_may_hold(judge: Judge) -> None:
    least = {"event_timestamp": 1772359200000001, "event_name": "e", "user_pseudo_id": "1.2"}
    (row,) = judge([least], "ga4")
    assert (row["reasons"], row["items"], row["properties"]) == ([], None, None)


def test_a_visitor_without_consent_is_known_by_the_user_or_set_aside(judge: Judge) -> None:
    rows = judge([event(user_pseudo_id=None, user_id="u1"), event(user_pseudo_id=None)], "ga4")
    assert [(r["visitor_id"], r["user_id"], r["reasons"]) for r in rows] == [
        ("u1", "u1", []),
        (None, None, ["missing_visitor_id"]),
    ]


def test_order_ids_and_totals_come_from_the_parameters_where_the_record_has_none(
    judge: Judge,
) -> None:
    unset = {"transaction_id": "(not set)", "purchase_revenue": None}
    given = params(transaction_id=5009612654, value=7, tax=0.5)
    rows = judge(
        [
            event(event_name="purchase", ecommerce=unset, event_params=given),
            event(event_name="purchase", ecommerce=unset),
            event(event_name="refund", ecommerce={"transaction_id": "T", "refund_value": "3.5"}),
            event(event_name="add_to_cart", ecommerce=unset, event_params=params(value=7)),
        ],
        "ga4",
    )
    assert [(r["order_id"], r["order_total"], r["tax"]) for r in rows] == [
        ("5009612654", Decimal(7), Decimal("0.5")),
        ("(not set)", None, None),
        ("T", Decimal("3.5"), None),
        (None, None, None),
    ]


def test_a_quantity_of_zero_is_none_where_products_are_only_shown(judge: Judge) -> None:
    items = [{"item_id": "p1", "quantity": "0"}]
    rows = judge([event(event_name=n, items=items) for n in ("view_item", "purchase")], "ga4")
    assert rows[0]["items"][0]["quantity"] is None
    assert [row["reasons"] for row in rows] == [[], ["quantity_out_of_range"]]


def test_traffic_is_the_events_own_and_never_the_visitors_first(judge: Judge) -> None:
    first = {"traffic_source": {"source": "first", "medium": "first", "name": "first"}}
    url = "https://shop.example/?utm_source=url&utm_medium=email&fbclid=f-1"
    of_params = params(source="param", campaign="(not set)", page_location=url)
    collected = {"manual_source": "own", "manual_campaign_name": "c", "gclid": "g-1"}
    rows = judge(
        [
            event(**first),
            event(**first, event_params=params(page_location=url)),
            event(**first, event_params=of_params),
            event(**first, event_params=of_params, collected_traffic_source=collected),
        ],
        "ga4",
    )
    names = ("utm_source", "utm_medium", "utm_campaign", "click_id")
    assert [tuple(row[name] for name in names) for row in rows] == [
        (None, None, None, None),
        ("url", "email", None, "f-1"),
        ("param", "email", None, "f-1"),
        ("own", "email", "c", "g-1"),
    ]
    assert json.loads(rows[0]["properties"])["traffic_source"]["source"] == "first"


BAD = {
    "invalid_event_ts": {"event_timestamp": "yesterday"},
    "missing_event_type": {"event_name": ""},
    "invalid_items": {"items": "none"},
    "invalid_number": {"items": [{"item_id": "p1", "price": "cheap"}]},
    "missing_product_id": {"items": [{"item_id": "(not set)", "item_name": ""}]},
    "amount_out_of_range": {"event_name": "purchase", "ecommerce": {"purchase_revenue": "-1"}},
}


def test_a_bad_row_is_named_and_leaves_its_neighbours(judge: Judge) -> None:
    rows = judge([row for bad in BAD.values() for row in (event(**bad), event())], "ga4")
    assert [row["reasons"] for row in rows[::2]] == [[reason] for reason in BAD]
    assert all(row["reasons"] == [] for row in rows[1::2])


def test_a_table_of_the_public_sample_in_its_json_form(judge: Judge, ga4_folder: Path) -> None:
    rows = judge((ga4_folder / "events_sample.json").read_text(), "ga4", ".json")
    assert Counter(row["event_type"] for row in rows) == {
        "checkout_start": 11,
        "add_to_cart": 5,
        "product_click": 2,
        "product_view": 1,
        "purchase": 1,
    }
    assert all(row["reasons"] == [] for row in rows)
    assert len({row["event_id"] for row in rows}) == 20
