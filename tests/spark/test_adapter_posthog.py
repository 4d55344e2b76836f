"""PostHog's batch exports: what each event becomes, in either form of the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.adapters import adapter_for
from ingestion.files import inspect
from ingestion.readers import read
from ingestion.readers.hashing import Hashing, hashed_id
from ingestion.validate import validate

Judge = Callable[..., list[dict[str, Any]]]


def event(name: str = "$pageview", /, *, web: bool = True, **properties: Any) -> dict[str, Any]:
    """A row of the export in JSON lines; of a browser, or of a server's library."""
    of_library = {"$lib": "web", "$device_id": "dev-1"} if web else {"$lib": "posthog-node"}
    return {
        "uuid": "0195-a",
        "event": name,
        "distinct_id": "dev-1" if web else "ann",
        "timestamp": "2026-03-01T10:00:00.123456+00:00",
        "created_at": "2026-03-01T10:00:02+00:00",
        "properties": {**of_library, **properties},
    }


FULL = {
    **event(
        "Order Completed",
        **{
            "$session_id": "s-1",
            "$current_url": "https://shop.example/thanks",
            "$referrer": "https://search.example/",
            "$browser": "Firefox",
            "$os": "Linux",
            "$device_type": "Desktop",
            "$geoip_country_code": "CL",
            "$browser_language": "es-CL",
            "$raw_user_agent": "curl/8.5.0",
            "$ip": "203.0.113.7",
        },
        order_id="o-1",
        subtotal=20,
        total=25.5,
        tax="3.80",
        shipping=1.7,
        discount=2,
        coupon="SPRING",
        currency="usd",
        products=[
            {"product_id": 55, "name": "Cup", "category": "Home", "price": 9.5, "quantity": 2},
            {"sku": "s-2", "price": "1.0", "variant": "red"},
        ],
    ),
    "person_id": "person-1",
    "person_properties": {"email": "ann@example.com"},
    "elements_chain": "",
    "ip": "203.0.113.7",
}


@pytest.fixture
def judge_parquet(spark: Any, tmp_path: Path) -> Judge:
    """A function that writes events to a Parquet file and returns them validated, in order."""

    def run(rows: list[dict[str, Any]], hashing: Hashing | None = None) -> list[dict[str, Any]]:
        path = tmp_path / "events.parquet"
        pq.write_table(pa.Table.from_pylist([as_parquet(row) for row in rows]), path)
        adapter = adapter_for("posthog")
        frames = read(spark, inspect([path]), adapter.columns, partitions=2, hashing=hashing)
        found = validate(adapter.candidates(frames[0]), "posthog").collect()
        return sorted((row.asDict(recursive=True) for row in found), key=lambda r: r["source_row"])

    return run


def as_parquet(row: dict[str, Any]) -> dict[str, Any]:
    """The row as the Parquet form holds it: objects as text, times typed."""

    def value(given: Any, name: str) -> Any:
        if name in ("timestamp", "created_at"):
            return datetime.fromisoformat(given).astimezone(timezone.utc)
        return json.dumps(given) if isinstance(given, dict) else given

    return {name: value(given, name) for name, given in row.items()}


@pytest.mark.both_engines
def test_an_order_in_full(judge: Judge) -> None:
    (row,) = judge([FULL], "posthog")
    expected = {
        "event_id": "0195-a",
        "event_type": "purchase",
        "event_name": "Order Completed",
        "visitor_id": "dev-1",
        "user_id": None,
        "source_session_id": "s-1",
        "page_url": "https://shop.example/thanks",
        "referrer": "https://search.example/",
        "device_type": "desktop",
        "browser": "Firefox",
        "os": "Linux",
        "country": "CL",
        "language": "es-CL",
        "order_id": "o-1",
        "order_total": Decimal("25.5"),
        "tax": Decimal("3.8"),
        "shipping": Decimal("1.7"),
        "discount": Decimal(2),
        "coupon": "SPRING",
        "currency": "USD",
        "is_bot": True,
        "reasons": [],
    }
    assert {name: row[name] for name in expected} == expected
    assert row["event_ts"].isoformat() == "2026-03-01T10:00:00.123456"
    assert row["received_at"].isoformat() == "2026-03-01T10:00:02"
    assert [tuple(item.values()) for item in row["items"]] == [
        ("1", "55", "Cup", "Home", None, None, 2, Decimal("9.5"), None),
        ("2", "s-2", None, None, None, "red", None, Decimal(1), None),
    ]
    properties = json.loads(row["properties"])
    assert properties["subtotal"] == 20
    assert properties["person_id"] == "person-1"
    assert "203.0.113.7" not in row["properties"]
    assert "ann@example.com" not in row["properties"]


def test_parquet_and_json_lines_give_the_same_event(judge: Judge, judge_parquet: Judge) -> None:
    rows = [FULL, {**FULL, "uuid": "0195-b", "event": "x", "properties": {}}]
    pairs = zip(judge(rows, "posthog"), judge_parquet(rows), strict=True)
    for from_json, from_parquet in pairs:
        ignored = ("file_id", "is_bot", "properties")
        assert {k: v for k, v in from_json.items() if k not in ignored} == {
            k: v for k, v in from_parquet.items() if k not in ignored
        }
        assert json.loads(from_json["properties"]) == json.loads(from_parquet["properties"])


PEOPLE = {
    "anonymous": (event(), ("dev-1", None)),
    "identified": ({**event(**{"$is_identified": True}), "distinct_id": "ann"}, ("dev-1", "ann")),
    "logged out": (
        {**event(**{"$is_identified": False, "$user_id": "ann"}), "distinct_id": "dev-2"},
        ("dev-1", None),
    ),
    "of an older library": (
        {**event(**{"$user_id": "ann"}), "distinct_id": "ann"},
        ("dev-1", "ann"),
    ),
    "identify": (
        {**event("$identify", **{"$anon_distinct_id": "dev-1"}), "distinct_id": "ann"},
        ("dev-1", "ann"),
    ),
    "identify without a device": (
        event("$identify", web=False, **{"$anon_distinct_id": "dev-9"}),
        ("dev-9", "ann"),
    ),
    "server": (event("order_completed", web=False), ("ann", "ann")),
    "server, nobody known": (
        event("order_completed", web=False, **{"$process_person_profile": False}),
        ("ann", None),
    ),
    "app without a device id": (event(web=False, **{"$lib": "posthog-ios"}), ("ann", None)),
}


def test_visitors_are_devices_and_users_are_who_was_identified(judge: Judge) -> None:
    rows = judge([row for row, _ in PEOPLE.values()], "posthog")
    got = zip(PEOPLE, [(row["visitor_id"], row["user_id"]) for row in rows], strict=True)
    assert dict(got) == {name: people for name, (_, people) in PEOPLE.items()}


TYPES = {
    "$pageview": "page_view",
    "$screen": "page_view",
    "Products Searched": "search",
    "Product List Filtered": "product_list_view",
    "product_clicked": "product_click",
    "productViewed": "product_view",
    "Product Added": "add_to_cart",
    "add_to_cart": "add_to_cart",
    "product removed": "remove_from_cart",
    "Checkout Started": "checkout_start",
    "checkout-step-viewed": "checkout_step",
    "Payment Info Entered": "checkout_step",
    "ORDER COMPLETED": "purchase",
    "purchase": "purchase",
    "Order Refunded": "refund",
    "Order Cancelled": "custom",
    "Cart Viewed": "custom",
    "$autocapture": "custom",
}


def test_names_in_any_spelling_become_types_and_are_kept(judge: Judge) -> None:
    rows = judge([event(name) for name in TYPES], "posthog")
    assert {row["event_name"]: row["event_type"] for row in rows} == TYPES


def test_an_event_that_names_one_product_is_a_list_of_it(judge: Judge) -> None:
    rows = judge(
        [
            event("Product Added", product_id="p1", name="Cup", price=2, quantity=3),
            event("Cart Viewed", items=[{"item_id": "p2"}, {"id": "p3"}]),
            event("Product Added", products=None),
        ],
        "posthog",
    )
    found = [
        [
            (i["line_id"], i["product_id"], i["product_name"], i["quantity"])
            for i in r["items"] or []
        ]
        for r in rows
    ]
    assert found == [
        [("1", "p1", "Cup", 3)],
        [("1", "p2", None, None), ("2", "p3", None, None)],
        [],
    ]


def test_totals_fall_back_from_the_whole_to_the_part(judge: Judge) -> None:
    given = [
        {"total": 4, "revenue": 3},
        {"revenue": 3, "subtotal": 2},
        {"subtotal": 2},
        {"value": 1},
    ]
    rows = judge([event("Order Completed", **values) for values in given], "posthog")
    assert [row["order_total"] for row in rows] == [4, 3, 2, 1]
    (added,) = judge([event("Product Added", product_id="p", value=9)], "posthog")
    assert added["order_total"] is None


def test_a_campaign_of_an_earlier_session_is_not_this_ones(judge: Judge) -> None:
    url = {"$current_url": "https://shop.example/?utm_source=url&gclid=g-1"}
    entry = {"$session_entry_url": "https://shop.example/"}
    sticky = {"utm_source": "earlier", "fbclid": "f-0"}
    rows = judge(
        [
            event(**sticky),
            event(**sticky, **url),
            event(**sticky, **entry),
            event(**sticky, **entry, **{"$session_entry_utm_source": "entry"}),
        ],
        "posthog",
    )
    assert [(row["utm_source"], row["click_id"]) for row in rows] == [
        ("earlier", "f-0"),
        ("url", "g-1"),
        (None, None),
        ("entry", None),
    ]


def test_flags_searches_and_direct_visits(judge: Judge) -> None:
    flag = {"$feature_flag": "checkout", "$feature_flag_response": "test"}
    rows = judge(
        [
            event("$feature_flag_called", **flag),
            event("Products Searched", query="cups"),
            event(**{"$referrer": "$direct"}),
        ],
        "posthog",
    )
    assert (rows[0]["experiment_id"], rows[0]["variant_id"]) == ("checkout", "test")
    assert rows[1]["search_term"] == "cups"
    assert rows[2]["referrer"] is None


def test_the_least_a_row_may_hold(judge: Judge) -> None:
    least = {"uuid": "u", "event": "e", "distinct_id": "d", "timestamp": "2026-03-01T10:00:00Z"}
    (row,) = judge([least], "posthog")
    assert (row["reasons"], row["items"], row["properties"]) == ([], None, None)


BAD = {
    "missing_event_id": {**event(), "uuid": None},
    "missing_event_type": {**event(), "event": " "},
    "invalid_event_ts": {**event(), "timestamp": "soon"},
    "missing_visitor_id": {**event(), "distinct_id": "", "properties": {}},
    "invalid_items": event("Order Completed", products="two cups"),
    "invalid_number": event("Order Completed", total="free"),
    "missing_product_id": event("Order Completed", products=[{"name": "Cup"}]),
    "quantity_out_of_range": event("Product Added", product_id="p1", quantity=0),
}


def test_a_bad_row_is_named_and_leaves_its_neighbours(judge: Judge) -> None:
    rows = judge([row for bad in BAD.values() for row in (bad, event())], "posthog")
    assert [row["reasons"] for row in rows[::2]] == [[reason] for reason in BAD]
    assert all(row["reasons"] == [] for row in rows[1::2])


def test_with_a_key_ids_are_hashed_inside_the_properties_too(judge_parquet: Judge) -> None:
    key = b"secret"
    hashing = Hashing(key, adapter_for("posthog").person_columns)
    identify = event("$identify", **{"$anon_distinct_id": "dev-1", "distinct_id": "ann"})
    broken = {**event(), "properties": "{ann"}
    rows = judge_parquet([{**identify, "distinct_id": "ann"}, broken], hashing)
    assert rows[0]["visitor_id"] == hashed_id(key, "dev-1")
    assert rows[0]["user_id"] == hashed_id(key, "ann")
    assert not [row for row in rows if "dev-1" in str(row) or "ann" in str(row)]
