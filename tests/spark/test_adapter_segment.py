"""Segment's raw calls: what each becomes. Ids are invented; the shapes are those it publishes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from ingestion.adapters.segment import EVENT_TYPE_OF
from tests.conftest import REAL_DATA

Judge = Callable[..., list[dict[str, Any]]]
Rows = list[dict[str, Any]]


def call(**changes: Any) -> dict[str, Any]:
    """Return a `track` call; a change to None leaves the key out."""
    row = {
        "type": "track",
        "event": "Product Viewed",
        "messageId": "m-1",
        "anonymousId": "a-1",
        "timestamp": "2026-03-01T10:00:00.000Z",
        "receivedAt": "2026-03-01T10:00:01.000Z",
        **changes,
    }
    return {name: value for name, value in row.items() if value is not None}


@pytest.fixture
def segment(judge: Judge) -> Callable[..., Rows]:
    """A function that returns calls as they are judged."""
    return lambda *calls: judge(list(calls), "segment")


def clock(row: dict[str, Any]) -> str:
    return str(row["event_ts"].replace(tzinfo=None).isoformat())


def test_the_examples_of_the_spec_all_become_events(judge: Judge) -> None:
    path = REAL_DATA / "segment" / "spec_examples.ndjson"
    if not path.exists():
        pytest.skip(f"real data not at hand: {path} (set CLICKMART_REAL_DATA to its folder)")
    rows = judge(path.read_text(), "segment")
    assert [row["reasons"] for row in rows] == [[]] * 25
    assert len({row["event_id"] for row in rows}) == 25
    assert Counter(row["event_type"] for row in rows) == {
        "custom": 11,
        "checkout_step": 3,
        "product_list_view": 2,
        "add_to_cart": 2,
        "search": 1,
        "product_click": 1,
        "product_view": 1,
        "remove_from_cart": 1,
        "checkout_start": 1,
        "purchase": 1,
        "refund": 1,
    }
    assert sum(len(row["items"] or []) for row in rows) == 27
    order = next(row for row in rows if row["event_type"] == "purchase")
    assert (order["order_total"], order["tax"], order["shipping"], order["discount"]) == (
        Decimal("27.5"),
        Decimal(2),
        Decimal(3),
        Decimal("2.5"),
    )
    assert (order["coupon"], order["currency"]) == ("hasbros", "USD")
    assert [(i["line_id"], i["quantity"], i["unit_price"]) for i in order["items"]] == [
        ("1", 1, Decimal(19)),
        ("2", 2, Decimal(3)),
    ]
    assert not any("203.0.113" in (row["properties"] or "") for row in rows)
    assert {row["currency"] for row in rows} == {None, "USD"}


@pytest.mark.both_engines
def test_every_kind_of_call_is_kept(segment: Callable[..., Rows]) -> None:
    rows = segment(
        call(type="page", event=None, category="Docs", name="Home", properties={"title": "T"}),
        call(type="screen", event=None, name="Cart"),
        call(type="identify", event=None, userId="u-1", traits={"email": "ann@example.com"}),
        call(type="group", event=None, userId="u-1", groupId="g-1", traits={"name": "Acme"}),
        call(type="alias", event=None, anonymousId=None, userId="u-2", previousId="a-9"),
        call(event="Song Played"),
    )
    assert [row["reasons"] for row in rows] == [[]] * 6
    assert [(row["event_type"], row["event_name"]) for row in rows] == [
        ("page_view", "page"),
        ("page_view", "screen"),
        ("custom", "identify"),
        ("custom", "group"),
        ("custom", "alias"),
        ("custom", "Song Played"),
    ]
    assert [row["page_type"] for row in rows] == ["Docs", "Cart", None, None, None, None]
    assert [(row["visitor_id"], row["user_id"]) for row in rows[2:5]] == [
        ("a-1", "u-1"),
        ("a-1", "u-1"),
        ("a-9", "u-2"),
    ]
    assert json.loads(rows[0]["properties"]) == {
        "title": "T",
        "name": "Home",
        "category": "Docs",
    }
    assert json.loads(rows[3]["properties"]) == {"groupId": "g-1"}
    assert json.loads(rows[4]["properties"]) == {"previousId": "a-9"}


def test_the_names_of_both_versions_of_the_spec_are_mapped(segment: Callable[..., Rows]) -> None:
    rows = segment(*[call(event=name.title()) for name in EVENT_TYPE_OF])
    assert [row["event_type"] for row in rows] == list(EVENT_TYPE_OF.values())


def test_the_clock_of_the_sender_is_corrected_as_segment_does(
    segment: Callable[..., Rows],
) -> None:
    times = {
        "timestamp": "2026-03-01T10:00:00Z",
        "receivedAt": "2026-03-01T12:00:00Z",
        "sentAt": "2026-03-01T20:00:00.500Z",
        "originalTimestamp": "2026-03-01T19:59:00.250Z",
    }
    without = [(), ("timestamp",), ("timestamp", "sentAt"), ("timestamp", "originalTimestamp")]
    rows = segment(*[call(**{**times, **dict.fromkeys(names)}) for names in without])
    assert [row["reasons"] for row in rows] == [[]] * 4
    assert [clock(row) for row in rows] == [
        "2026-03-01T10:00:00",
        "2026-03-01T11:58:59.750000",
        "2026-03-01T19:59:00.250000",
        "2026-03-01T12:00:00",
    ]
    assert {row["received_at"].hour for row in rows} == {12}


def test_a_server_names_the_user_alone(segment: Callable[..., Rows]) -> None:
    (row,) = segment(call(anonymousId=None, userId=9007199254740993))
    assert (row["visitor_id"], row["user_id"]) == ("9007199254740993", "9007199254740993")


def test_products_in_a_list_and_alone(segment: Callable[..., Rows]) -> None:
    rows = segment(
        call(properties={"product_id": "p1", "sku": "s1", "price": "18.990", "quantity": 2}),
        call(properties={"sku": "s1", "name": "N", "variant": "V", "brand": "B"}),
        call(event="Viewed Product", properties={"id": 7, "sku": "s7", "category": "C"}),
        call(event="Cart Viewed", properties={"products": [{"product_id": "p1"}, {"sku": "s2"}]}),
        call(event="Cart Viewed", properties={"products": []}),
        call(event="Promotion Viewed", properties={"promotion_id": "x", "name": "N"}),
    )
    assert [row["reasons"] for row in rows] == [[]] * 6
    ids = [[item["product_id"] for item in row["items"] or []] for row in rows]
    assert ids == [["p1"], ["s1"], ["7"], ["p1", "s2"], [], []]
    first = rows[0]["items"][0]
    assert (first["line_id"], first["quantity"], first["unit_price"]) == ("1", 2, Decimal("18.99"))
    assert (rows[1]["items"][0]["brand"], rows[1]["items"][0]["variant"]) == ("B", "V")


def test_the_total_is_taken_before_the_revenue(segment: Callable[..., Rows]) -> None:
    rows = segment(
        call(event="Order Completed", properties={"order_id": "o", "total": 30, "revenue": 25}),
        call(event="order completed ", properties={"orderId": 17, "revenue": "25.00"}),
        call(event="Order Completed", properties={"order_id": "o", "currency": "eur"}),
    )
    assert [(row["order_id"], row["order_total"], row["event_type"]) for row in rows] == [
        ("o", Decimal(30), "purchase"),
        ("17", Decimal(25), "purchase"),
        ("o", None, "purchase"),
    ]
    assert rows[2]["currency"] == "EUR"


def test_a_bad_row_is_set_aside_alone(segment: Callable[..., Rows]) -> None:
    bad = {
        "missing_event_id": call(messageId=None),
        "missing_event_type": call(type=None),
        "missing_visitor_id": call(anonymousId=None),
        "invalid_event_ts": call(timestamp="yesterday"),
        "missing_event_ts": call(timestamp=None, receivedAt=None),
        "invalid_number": call(event="Order Completed", properties={"total": "25,00"}),
        "invalid_items": call(event="Cart Viewed", properties={"products": "p1"}),
        "quantity_out_of_range": call(properties={"product_id": "p", "quantity": 0}),
        "missing_product_id": call(event="Cart Viewed", properties={"products": [{"name": "N"}]}),
    }
    mixed = call(event="Cart Viewed", properties={"products": [{"sku": "s"}, 5]})
    rows = segment(*bad.values(), mixed, call())
    assert [row["reasons"][0] for row in rows[:-1]] == [*bad, "invalid_items"]
    assert rows[-1]["reasons"] == []


def test_an_event_of_the_shops_own_may_call_anything_a_total(
    segment: Callable[..., Rows],
) -> None:
    own = {"total": "many", "products": "all", "shipping": "express", "order_id": "o"}
    (row,) = segment(call(event="Report Opened", properties=own))
    assert (row["reasons"], row["order_id"], row["items"]) == ([], None, None)
    assert json.loads(row["properties"]) == own


def test_the_context_tells_traffic_device_and_place(segment: Callable[..., Rows]) -> None:
    context = {
        "page": {"url": "https://x.example/?gclid=g%2D1&utm_term=a+b", "referrer": "https://r/"},
        "campaign": {"name": "spring", "source": "news", "medium": "email", "id": "77"},
        "device": {"type": "android", "model": "M", "id": "d-1", "advertisingId": "ad-1"},
        "os": {"name": "Android", "version": "14"},
        "location": {"country": "DE", "latitude": 52.5},
        "locale": "de-DE",
        "ip": "203.0.113.7",
        "traits": {"email": "ann@example.com"},
        "userAgent": "Mozilla/5.0 (compatible; bingbot/2.0)",
    }
    (row,) = segment(call(context=context, integrations={"All": True}, channel="client"))
    names = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "click_id")
    assert [row[name] for name in names] == ["news", "email", "spring", "a b", None, "g-1"]
    assert (row["page_url"], row["referrer"]) == (context["page"]["url"], "https://r/")
    assert [row[n] for n in ("device_type", "os", "country", "language", "is_bot")] == [
        "mobile",
        "Android",
        "DE",
        "de-DE",
        True,
    ]
    kept = json.loads(row["properties"])
    assert kept["channel"] == "client"
    assert kept["context"]["campaign"]["id"] == "77"
    assert kept["context"]["device"] == {"model": "M", "type": "android"}
    for dropped in ("203.0.113.7", "ann@example.com", "d-1", "ad-1", "52.5", "integrations"):
        assert dropped not in row["properties"]


def test_a_call_with_nothing_but_what_makes_an_event(segment: Callable[..., Rows]) -> None:
    rows = segment(call(), call(context={}, properties={}), call(properties=None, context=None))
    assert [row["reasons"] for row in rows] == [[]] * 3
    assert [row["properties"] for row in rows] == [None] * 3
    assert [row["items"] for row in rows] == [None] * 3


def test_an_unreadable_context_costs_the_context_alone(segment: Callable[..., Rows]) -> None:
    rows = segment(call(context="x", properties=["y"]), call(context={"page": "z", "locale": "en"}))
    assert [row["reasons"] for row in rows] == [[], []]
    assert json.loads(rows[0]["properties"]) == {"properties": '["y"]'}
    assert rows[1]["language"] == "en"
