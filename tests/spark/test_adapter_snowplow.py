"""Snowplow's enriched events: what each becomes. Ids are invented; the format is the published."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingestion.adapters import adapter_for
from ingestion.adapters.snowplow import COLUMN_NAMES, EVENT_TYPE_OF
from ingestion.files import expand, inspect
from ingestion.readers import read

Judge = Callable[..., list[dict[str, Any]]]
Rows = list[dict[str, Any]]
SNOWPLOW = "iglu:com.snowplowanalytics.snowplow"
SHOP = f"{SNOWPLOW}.ecommerce"
EVENT = {
    "event": "page_view",
    "event_id": "e-1",
    "collector_tstamp": "2026-03-01 10:00:01.000",
    "derived_tstamp": "2026-03-01 10:00:00.123",
    "domain_userid": "d-1",
}


def described(schema: str, data: Any, version: str = "1-0-0") -> dict[str, Any]:
    """Return self-describing JSON."""
    return {"schema": f"{schema}/jsonschema/{version}", "data": data}


def entity(name: str, /, **data: Any) -> dict[str, Any]:
    """Return an entity of the e-commerce vendor."""
    return described(f"{SHOP}/{name}", data)


def line(contexts: Any = None, own: Any = None, derived: Any = None, **values: str) -> str:
    """Return an enriched event: its values by name, in their places among 131."""
    row = dict.fromkeys(COLUMN_NAMES, "") | EVENT | values
    for name, schema, data in (
        ("contexts", f"{SNOWPLOW}/contexts", contexts),
        ("unstruct_event", f"{SNOWPLOW}/unstruct_event", own),
        ("derived_contexts", f"{SNOWPLOW}/contexts", derived),
    ):
        if data is not None:
            row[name] = json.dumps(described(schema, data))
    if own is not None:
        row |= {"event": "unstruct"} if "event" not in values else {}
    return "\t".join(row.values())


def action(type_: str, *entities: Any, **values: str) -> str:
    """Return an event of the e-commerce plug-in."""
    own = described(f"{SHOP}/snowplow_ecommerce_action", {"type": type_}, "1-0-2")
    return line(contexts=list(entities), own=own, event_name="snowplow_ecommerce_action", **values)


@pytest.fixture
def snowplow(judge: Judge) -> Callable[..., Rows]:
    """A function that returns lines as they are judged."""
    return lambda *lines: judge("".join(f"{text}\n" for text in lines), "snowplow", ".tsv")


def clock(row: dict[str, Any]) -> str:
    return str(row["event_ts"].replace(tzinfo=None).isoformat())


def test_the_columns_stand_in_their_published_places() -> None:
    places = {
        "app_id": 1,
        "event_id": 7,
        "user_ipaddress": 14,
        "network_userid": 18,
        "page_url": 30,
        "contexts": 53,
        "unstruct_event": 59,
        "ti_quantity": 73,
        "useragent": 78,
        "doc_height": 108,
        "mkt_clickid": 117,
        "derived_contexts": 123,
        "derived_tstamp": 125,
        "true_tstamp": 131,
    }
    assert {name: COLUMN_NAMES.index(name) + 1 for name in places} == places
    assert len(set(COLUMN_NAMES)) == 131


@pytest.mark.both_engines
def test_every_kind_of_event_is_kept(snowplow: Callable[..., Rows]) -> None:
    search = described(f"{SNOWPLOW}/site_search", {"terms": ["red", "shoes"], "totalResults": 3})
    foreign = described("iglu:com.acme/refund", {"reason": "late"})
    rows = snowplow(
        line(),
        line(event="page_ping", pp_yoffset_max="90"),
        line(event="struct", event_name="event", se_category="cart", se_action="refund"),
        line(own=search, event_name="site_search"),
        line(own=foreign, event_name="refund"),
        line(own=described("iglu:com.snowplowanalytics.mobile/screen_view", {"name": "Cart"})),
        *[action(name) for name in ("promo_view", "trns_error", *list(EVENT_TYPE_OF)[3:9])],
        action("checkout_step", entity("checkout_step", step=1)),
        action("checkout_step", entity("checkout_step", step=2, coupon_code="C")),
    )
    assert [row["reasons"] for row in rows] == [[]] * len(rows)
    assert [(row["event_type"], row["event_name"]) for row in rows] == [
        ("page_view", "page_view"),
        ("custom", "page_ping"),
        ("custom", "refund"),
        ("search", "site_search"),
        ("custom", "refund"),
        ("page_view", "screen_view"),
        ("custom", "promo_view"),
        ("custom", "trns_error"),
        ("product_list_view", "list_view"),
        ("product_click", "list_click"),
        ("product_view", "product_view"),
        ("add_to_cart", "add_to_cart"),
        ("remove_from_cart", "remove_from_cart"),
        ("checkout_step", "checkout_step"),
        ("checkout_start", "checkout_step"),
        ("checkout_step", "checkout_step"),
    ]
    assert rows[3]["search_term"] == "red shoes"
    assert json.loads(rows[3]["properties"])["event_data"] == search["data"]
    assert json.loads(rows[1]["properties"])["pp_yoffset_max"] == "90"
    assert rows[-1]["coupon"] == "C"


def test_orders_of_the_plug_in(snowplow: Callable[..., Rows]) -> None:
    product = {"id": "p1", "category": "a/b", "price": 12.50, "currency": "eur", "quantity": 2}
    buy = {"transaction_id": "t-1", "revenue": 30, "currency": "EUR", "tax": 4.75, "shipping": 5}
    rows = snowplow(
        action(
            "transaction",
            entity("transaction", **buy, discount_code="D", discount_amount=1.5),
            entity("product", **product, brand="B", variant="V", name="N", position=1),
            entity("product", **{**product, "id": "p2", "quantity": None}),
            entity("user", id="u-7", email="ann@example.com"),
        ),
        action("refund", entity("refund", transaction_id="t-1", currency="EUR", refund_amount=9)),
        action(
            "add_to_cart",
            entity("product", **product),
            entity("cart", total_value=25, currency="EUR"),
        ),
        action("product_view", entity("product", **product)),
    )
    assert [row["reasons"] for row in rows] == [[]] * 4
    assert [(row["event_type"], row["order_id"], row["order_total"]) for row in rows] == [
        ("purchase", "t-1", Decimal(30)),
        ("refund", "t-1", Decimal(9)),
        ("add_to_cart", None, None),
        ("product_view", None, None),
    ]
    assert [row["currency"] for row in rows] == ["EUR"] * 4
    order = rows[0]
    assert [order[name] for name in ("tax", "shipping", "discount", "coupon")] == [
        Decimal("4.75"),
        Decimal(5),
        Decimal("1.5"),
        "D",
    ]
    names = ("line_id", "product_id", "category", "quantity", "unit_price")
    assert [tuple(item[name] for name in names) for item in order["items"]] == [
        ("1", "p1", "a/b", 2, Decimal("12.5")),
        ("2", "p2", "a/b", None, Decimal("12.5")),
    ]
    kept = json.loads(order["properties"])["contexts"]
    assert [found["schema"].split("/")[1] for found in kept] == [
        "transaction",
        "product",
        "product",
    ]
    assert kept[1]["data"]["position"] == 1


def test_the_older_orders_come_as_a_row_per_product(snowplow: Callable[..., Rows]) -> None:
    sold = {"event": "transaction_item", "ti_orderid": "t-1", "ti_name": "N", "ti_currency": "GBP"}
    shirt = {**sold, "ti_sku": "s1", "ti_price": "10.0", "ti_quantity": "2"}
    cart = {"sku": "s1", "unitPrice": 3.49, "quantity": 2, "currency": "GBP"}
    total = {"tr_orderid": "t-1", "tr_total": "1.2E2", "tr_tax": "5", "tr_currency": "GBP"}
    rows = snowplow(
        line(event="transaction", event_id="e-0", **total, tr_shipping="", tr_total_base="140"),
        line(event_id="e-1", **shirt),
        line(event_id="e-2", **{**shirt, "ti_sku": "s2"}),
        line(event_id="e-3", **shirt),
        line(event_id="e-4", **{**shirt, "ti_price": "8.0"}),
        line(own=described(f"{SNOWPLOW}/add_to_cart", cart), event_name="add_to_cart"),
        line(own=described(f"{SNOWPLOW}/remove_from_cart", cart)),
    )
    assert [row["reasons"] for row in rows] == [[]] * 7
    assert [row["event_type"] for row in rows] == [
        *["purchase"] * 5,
        "add_to_cart",
        "remove_from_cart",
    ]
    assert {row["order_id"] for row in rows[:5]} == {"t-1"}
    assert [row["order_total"] for row in rows] == [Decimal(120), *[None] * 6]
    assert rows[0]["items"] is None
    items = [row["items"][0] for row in rows[1:]]
    assert [(i["product_id"], i["quantity"], i["unit_price"]) for i in items] == [
        ("s1", 2, Decimal(10)),
        ("s2", 2, Decimal(10)),
        ("s1", 2, Decimal(10)),
        ("s1", 2, Decimal(8)),
        ("s1", 2, Decimal("3.49")),
        ("s1", 2, Decimal("3.49")),
    ]
    of_order = [item["line_id"] for item in items[:4]]
    assert of_order[0] == of_order[2]
    assert len(set(of_order)) == 3
    assert {row["currency"] for row in rows} == {"GBP"}


def test_the_clock_and_the_ids_fall_back_as_published(snowplow: Callable[..., Rows]) -> None:
    sent = {"dvce_sent_tstamp": "2026-03-01 20:00:00.500"}
    created = {"dvce_created_tstamp": "2026-03-01 19:59:00.250"}
    cases = [
        {"true_tstamp": "2026-03-01 09:00:00"},
        {"derived_tstamp": "", "true_tstamp": "2026-03-01 09:00:00", **sent, **created},
        {"derived_tstamp": "", **sent, **created, "domain_userid": "", "network_userid": "n-1"},
        {"derived_tstamp": "", **sent, "domain_userid": "", "user_fingerprint": "f-1"},
        {"derived_tstamp": "", "collector_tstamp": "", **created, "domain_userid": ""}
        | {"user_id": "u-1"},
    ]
    session = described(f"{SNOWPLOW}/client_session", {"sessionId": "c-1", "userId": "x-1"})
    rows = snowplow(
        *[line(**case) for case in cases],
        line(contexts=[session], domain_sessionid="s-1"),
        line(contexts=[session], domain_sessionidx="3"),
        line(domain_sessionidx="3"),
    )
    assert [row["reasons"] for row in rows] == [[]] * 8
    assert [clock(row) for row in rows[:5]] == [
        "2026-03-01T10:00:00.123000",
        "2026-03-01T09:00:00",
        "2026-03-01T09:59:00.750000",
        "2026-03-01T10:00:01",
        "2026-03-01T19:59:00.250000",
    ]
    assert [row["visitor_id"] for row in rows[:5]] == ["d-1", "d-1", "n-1", "f-1", "u-1"]
    assert [row["source_session_id"] for row in rows[5:]] == ["s-1", "c-1", "3"]
    assert not any("x-1" in (row["properties"] or "") for row in rows)


def test_traffic_device_place_and_bots(snowplow: Callable[..., Rows]) -> None:
    yauaa = {"deviceClass": "Phone", "agentName": "Chrome", "operatingSystemName": "Android"}
    ua = {"useragentFamily": "Firefox", "osFamily": "Linux"}
    iab = described("iglu:com.iab.snowplow/spiders_and_robots", {"spiderOrRobot": True})
    columns = {
        "page_url": "https://x.example/a?utm_source=q&utm_content=c%20d&fbclid=f",
        "page_referrer": "https://r.example/",
        "mkt_source": "news",
        "mkt_campaign": "spring",
        "mkt_clickid": "g-1",
        "dvce_type": "Computer",
        "br_family": "Safari",
        "br_lang": "en-GB",
        "geo_country": "GB",
        "geo_city": "Leeds",
        "user_ipaddress": "203.0.113.7",
        "ip_organization": "Acme",
        "geo_latitude": "53.79",
        "refr_domain_userid": "other-1",
        "app_id": "shop",
    }
    page = entity("page", type="product", language="en")
    rows = snowplow(
        line(contexts=[page], **columns),
        line(derived=[described("iglu:nl.basjes/yauaa_context", yauaa, "1-0-4"), iab]),
        line(derived=[described(f"{SNOWPLOW}/ua_parser_context", ua)], useragent="curl/8.5.0"),
        line(br_type="Robot", dvce_type="Unknown", page_url="https://x.example/?fbclid=f"),
    )
    assert [row["reasons"] for row in rows] == [[]] * 4
    first = rows[0]
    names = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "click_id", "page_type")
    assert [first[name] for name in names] == ["news", None, "spring", "c d", "g-1", "product"]
    assert [(row["device_type"], row["browser"], row["os"]) for row in rows] == [
        ("desktop", "Safari", None),
        ("mobile", "Chrome", "Android"),
        (None, "Firefox", "Linux"),
        (None, None, None),
    ]
    assert [row["is_bot"] for row in rows] == [None, True, True, True]
    assert (first["country"], first["language"], rows[3]["click_id"]) == ("GB", "en-GB", "f")
    assert json.loads(first["properties"]) == {
        "app_id": "shop",
        "geo_city": "Leeds",
        "dvce_type": "Computer",
        "contexts": [page],
    }


def test_a_bad_row_is_set_aside_alone(snowplow: Callable[..., Rows]) -> None:
    bad = {
        "unparsable_row": line() + "\t",
        "missing_event_id": line(event_id=" "),
        "missing_event_type": line(event=""),
        "missing_visitor_id": line(domain_userid=""),
        "missing_event_ts": line(derived_tstamp="", collector_tstamp=""),
        "invalid_event_ts": line(derived_tstamp="soon"),
        "invalid_number": line(event="transaction", tr_total="free"),
        "invalid_items": line(contexts=[]).replace('"data": []', '"data": ['),
        "missing_product_id": action("product_view", entity("product", price=1)),
        "quantity_out_of_range": line(event="transaction_item", ti_sku="s", ti_quantity="0"),
        "event_ts_out_of_range": line(derived_tstamp="1970-01-01 00:00:00"),
    }
    others = (
        line(derived=[]).replace('"data": []', '"data": "x"'),
        line(contexts=["x"]),
        line(unstruct_event="{"),
    )
    rows = snowplow(*bad.values(), *others, line())
    assert [row["reasons"] for row in rows] == [[code] for code in bad] + [
        ["invalid_items"],
        ["invalid_items"],
        ["invalid_items"],
        [],
    ]
    assert rows[-1]["properties"] is None


def test_archives_are_read_whatever_their_names(spark: Any, tmp_path: Path) -> None:
    run = tmp_path / "run=2026-03-01-10-00-00"
    run.mkdir()
    (run / "_SUCCESS").write_text("")
    (run / "part-00000").write_text(line(event_id="e-1") + "\n" + line(event_id="e-2") + "\r\n")
    (run / "part-00001.gz").write_bytes(gzip.compress(line(event_id="e-3").encode()))
    adapter = adapter_for("snowplow")
    files = inspect(expand([str(tmp_path)], adapter.format), adapter.format)
    (rows,) = read(spark, files, adapter.columns, partitions=2)
    found = adapter.candidates(rows).select("event_id", "parse_issues").collect()
    assert sorted((row.event_id, row.parse_issues) for row in found) == [
        ("e-1", []),
        ("e-2", []),
        ("e-3", []),
    ]
