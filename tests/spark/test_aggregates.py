"""Spark's pre-aggregates against a plain recount in Python."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from ingestion import aggregates
from ingestion.contract.events import ITEMS_SPARK_TYPE, SOURCE_COLUMNS, spark_ddl

VARIABLES = {
    "session_source": "derived",
    "session_timeout_minutes": 30,
    "session_max_hours": 24,
    "session_max_events": 10_000,
    "reporting_timezone": "UTC",
    "reporting_currency": "USD",
    "exclude_bots": True,
    "bot_min_session_events": 50,
    "bot_max_mean_gap_seconds": 1.0,
}
START = datetime(2026, 3, 1, tzinfo=timezone.utc)
RATES = [("USD", "2000-01-01", "1"), ("EUR", "2000-01-01", "1.25"), ("EUR", "2026-03-03", "1.5")]


def frames(spark: Any, events: list[dict[str, Any]], **changes: Any) -> dict[str, list[Any]]:
    """Return the pre-aggregates' rows of events, which may leave out any column."""
    names = [column.name for column in SOURCE_COLUMNS]
    rows = [
        (*(event.get(name) for name in names), [_item(i) for i in event.get("items", [])])
        for event in events
    ]
    schema = f"{spark_ddl(SOURCE_COLUMNS)}, items {ITEMS_SPARK_TYPE}"
    rates = spark.createDataFrame(RATES, "currency string, valid_from string, rate string")
    variables = {**VARIABLES, **changes}
    narrow = aggregates.narrowed(spark.createDataFrame(rows, schema))
    stretches = aggregates.stretches(narrow, variables)
    found = aggregates.aggregates(narrow, stretches, rates, variables, kept=lambda frame, _: frame)
    return {name: frame.collect() for name, frame in found.items()}


def _item(item: dict[str, Any]) -> tuple[Any, ...]:
    defaults = {"line_id": "1", "product_id": "p1"}
    names = ("line_id", "product_id", "product_name", "category", "brand", "variant", "quantity")
    price = Decimal(item["unit_price"]) if "unit_price" in item else None
    return (*({**defaults, **item}.get(name) for name in names), price, None)


def at(seconds: float, event_id: str, visitor: str = "v1", **changes: Any) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "event_type": "page_view",
        "event_ts": START + timedelta(seconds=seconds),
        "visitor_id": visitor,
        **changes,
    }


def key(*parts: str) -> str:
    return hashlib.md5("\x1f".join(parts).encode()).hexdigest()


@pytest.mark.both_engines
def test_a_gap_of_the_timeout_stays_and_a_longer_one_splits(spark: Any) -> None:
    found = frames(spark, [at(0, "a"), at(1800, "b"), at(3600.000001, "c")])
    sessions = {row.session_id: row.event_count for row in found["agg_sessions"]}
    assert sessions == {key("v1", "a"): 2, key("v1", "c"): 1}


def test_events_of_one_time_are_ordered_by_their_id(spark: Any) -> None:
    found = frames(spark, [at(0, "b"), at(0, "a")])
    assert [row.session_id for row in found["agg_sessions"]] == [key("v1", "a")]


def test_a_late_login_names_the_visitors_earlier_events(spark: Any) -> None:
    found = frames(spark, [at(0, "a"), at(9000, "b", user_id="u1"), at(0, "c", "v2")])
    users = {row.user_key: row.event_count for row in found["agg_users"]}
    assert users == {key("user", "u1"): 2, key("visitor", "v2"): 1}


def test_the_last_user_of_a_visitor_is_told_by_the_order_of_events(spark: Any) -> None:
    early = [at(i, f"a{i:02}", user_id=f"u{9 - i % 10}") for i in range(12)]
    found = frames(spark, [*early, at(11, "b", user_id="u2"), at(9000, "c")])
    users = {row.session_id: row.user_key for row in found["agg_sessions"]}
    assert users == {key("v1", "a00"): key("user", "u2"), key("v1", "c"): key("user", "u2")}


@pytest.mark.both_engines
def test_orders_count_where_their_events_stand_among_others_of_one_time(spark: Any) -> None:
    bought = [
        at(1800.5, name, event_type="purchase", user_id=user)
        for name, user in (("b", "u1"), ("c", "u2"), ("d", "u1"))
    ]
    found = frames(spark, [at(0, "a"), *bought])
    orders = {row.session_id: (row.event_count, row.order_count) for row in found["agg_sessions"]}
    assert orders == {key("v1", "a"): (1, 0), key("v1", "b"): (3, 3)}
    users = {row.user_key: (row.event_count, row.order_count) for row in found["agg_users"]}
    assert users == {key("user", "u1"): (3, 2), key("user", "u2"): (1, 1)}


def test_an_order_shown_twice_counts_once_and_at_its_first_price(spark: Any) -> None:
    order = {"event_type": "purchase", "order_id": "o1", "items": [{"unit_price": "5"}]}
    found = frames(
        spark,
        [
            at(0, "a", **order, order_total=Decimal(7)),
            at(5, "b", **order, order_total=Decimal(9)),
            at(9, "c", event_type="purchase", order_id="(not set)", items=[{"unit_price": "2"}]),
            at(9, "d", event_type="purchase", items=[{"unit_price": "3", "quantity": 2}]),
        ],
    )
    (day,) = found["agg_daily_metrics"]
    assert (day.order_count, day.revenue_amount) == (3, Decimal(15))
    assert sum(row.purchased_quantity for row in found["agg_products"]) == 4


@pytest.mark.both_engines
def test_amounts_are_converted_at_the_rate_of_the_orders_day(spark: Any) -> None:
    def order(day: int, currency: str | None) -> dict[str, Any]:
        total = Decimal(100)
        name = f"{day}{currency}"
        return at(day * 86400, name, event_type="purchase", currency=currency, order_total=total)

    found = frames(
        spark, [order(0, "EUR"), order(2, "EUR"), order(4, None), order(6, "XXX"), order(8, "USD")]
    )
    revenue = [
        float(r.revenue_amount)
        for r in sorted(found["agg_daily_metrics"], key=lambda r: r.metric_date)
    ]
    assert revenue == [125, 150, 100, 0, 100]


@pytest.mark.both_engines
def test_bots_are_found_by_name_and_by_pace_and_left_out(spark: Any) -> None:
    events = [at(i * 0.9, f"fast{i:02}", "fast") for i in range(50)]
    events += [at(i * 1.0, f"slow{i:02}", "slow") for i in range(50)]
    events += [at(i * 0.9, f"few{i:02}", "few") for i in range(49)]
    viewed = {"event_type": "product_view", "items": [{}, {}]}
    events += [at(0, "named", "named", is_bot=True), at(9999, "named2", "named", **viewed)]
    found = frames(spark, events)
    bots = {row.visitor_id for row in found["agg_sessions"] if row.is_bot}
    assert bots == {"fast", "named"}
    assert found["agg_daily_metrics"][0].visitor_count == 2
    assert found["agg_products"] == []
    kept = frames(spark, events, exclude_bots=False)
    assert kept["agg_daily_metrics"][0].visitor_count == 4
    assert [row.view_count for row in kept["agg_products"]] == [1]


def test_an_order_belongs_to_who_gave_it_first_also_when_that_was_a_bot(spark: Any) -> None:
    order = {"event_type": "purchase", "order_id": "o1", "items": [{"unit_price": "5"}]}
    found = frames(spark, [at(0, "a", "bot", is_bot=True, **order), at(9, "b", "human", **order)])
    assert found["agg_daily_metrics"][0].order_count == 0
    assert found["agg_products"] == []


@pytest.mark.both_engines
def test_the_largest_valid_line_is_summed_exactly(spark: Any) -> None:
    line = {"unit_price": "999999999.9999", "quantity": 1_000_000}
    found = frames(spark, [at(0, "a", event_type="purchase", items=[line])])
    assert found["agg_daily_metrics"][0].revenue_amount == Decimal("999999999999900")


@pytest.mark.both_engines
def test_days_are_those_of_the_reporting_time_zone(spark: Any) -> None:
    found = frames(spark, [at(-1, "a"), at(86399, "b")], reporting_timezone="Asia/Tokyo")
    days = sorted(str(row.metric_date) for row in found["agg_daily_metrics"])
    assert days == ["2026-03-01", "2026-03-02"]


@pytest.mark.both_engines
def test_ids_of_the_source_are_sessions_of_one_visitor_whatever_the_gaps(spark: Any) -> None:
    ga4 = {"source_session_id": "1700000000"}  # a time in seconds: other visitors have it too
    found = frames(
        spark,
        [
            *(at(0, name, **ga4) for name in "ba"),
            at(0, "c", "v2", **ga4),
            at(50_000, "d", **ga4),
            at(100_000, "e", source_session_id="1700100000"),
            at(86_400, "f", **ga4),
        ],
        session_source="source",
    )
    sessions = {row.session_id: row.event_count for row in found["agg_sessions"]}
    assert sessions == {key("v1", "a"): 4, key("v2", "c"): 1, key("v1", "e"): 1}
    days = {str(row.metric_date): row.session_count for row in found["agg_daily_metrics"]}
    assert days == {"2026-03-01": 2, "2026-03-02": 1}


def test_gaps_split_the_events_that_have_no_id_of_the_source(spark: Any) -> None:
    events = [
        at(0, "a"),
        at(1, "b", source_session_id="s"),
        at(1800, "c", source_session_id=" "),
        at(1900, "d", source_session_id="s", event_type="purchase"),
        at(3601, "e", source_session_id=""),
    ]
    found = frames(spark, events, session_source="source")
    sessions = {row.session_id: (row.event_count, row.order_count) for row in found["agg_sessions"]}
    assert sessions == {key("v1", "a"): (2, 0), key("v1", "b"): (2, 1), key("v1", "e"): (1, 0)}


@pytest.mark.both_engines
@pytest.mark.parametrize("session_source", ["derived", "source"])
def test_a_session_is_cut_where_it_would_outgrow_the_limits(
    spark: Any, session_source: str
) -> None:
    limits = {"session_max_hours": 1, "session_max_events": 3, "session_timeout_minutes": 90}
    own = {"source_session_id": "s"}
    found = frames(
        spark,
        [
            *(at(0, name, **own) for name in "abcd"),  # three are the most, so d goes on
            at(3600, "e", **own),  # right at the hour: still in its piece
            at(3600.000001, "f", **own),
            at(3700, "g", **own),  # six events before it
            at(7200, "h", **own, event_type="purchase"),
            at(12_000, "i", **own),
            *(at(s, f"x{s}", "v2") for s in (0, 1800, 3600)),  # whole
        ],
        session_source=session_source,
        **limits,
    )
    sessions = {row.session_id: (row.event_count, row.order_count) for row in found["agg_sessions"]}
    assert sessions == {
        key("v1", "a"): (3, 0),
        key("v1", "d"): (2, 0),
        key("v1", "f"): (1, 0),
        key("v1", "g"): (2, 1),
        key("v1", "i"): (1, 0),
        key("v2", "x0"): (3, 0),
    }
    assert found["agg_daily_metrics"][0].session_count == 6


@pytest.mark.both_engines
def test_random_events_match_a_recount(spark: Any) -> None:
    draw = random.Random(7)
    events = [
        at(
            draw.randrange(0, 400_000) + draw.choice([0, 0.5]),
            f"e{i:04}",
            f"v{draw.randrange(12)}",
            event_type=draw.choice(["page_view", "product_view", "add_to_cart"]),
            user_id=draw.choice([None, None, None, "u1", "u2"]),
            items=[{"product_id": draw.choice("xyz")}],
        )
        for i in range(600)
    ]
    sessions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    last: dict[str, Any] = {}
    current: dict[str, str] = {}
    for event in sorted(events, key=lambda e: (e["event_ts"], e["event_id"])):
        visitor = event["visitor_id"]
        gap = event["event_ts"] - last.get(visitor, datetime.min.replace(tzinfo=timezone.utc))
        if gap > timedelta(minutes=30):
            current[visitor] = key(visitor, event["event_id"])
        last[visitor] = event["event_ts"]
        sessions[current[visitor]].append(event)
    found = frames(spark, events)
    assert {r.session_id: (r.event_count, r.product_view_count) for r in found["agg_sessions"]} == {
        session: (len(own), sum(e["event_type"] == "product_view" for e in own))
        for session, own in sessions.items()
    }
    views = defaultdict(int)
    for event in events:
        if event["event_type"] == "product_view":
            views[event["event_ts"].date(), event["items"][0]["product_id"]] += 1
    assert {
        (r.metric_date, r.product_id): r.view_count for r in found["agg_products"] if r.view_count
    } == views
