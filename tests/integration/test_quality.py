"""The marts on quality equal a plain recount of the same events, in both session modes."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ingestion import batch
from ingestion.postgres import connect
from ingestion.settings import Settings
from tests.conftest import empty_warehouse
from tests.dbt_runs import run_dbt
from tests.quality_reference import Quality, Row

START = datetime(2026, 3, 1, tzinfo=timezone.utc)
DAYS = 42
VARIABLES = {
    "reporting_timezone": "America/New_York",
    "session_max_hours": 3,
    "session_max_events": 40,
    "volume_usual_weeks": 4,
    "late_event_minutes": 45,
}
TYPES = (
    *("page_view", "search", "product_list_view", "product_click", "product_view", "product_view"),
    *("add_to_cart", "remove_from_cart", "checkout_start", "purchase", "purchase", "refund"),
    "wishlist",
)
DELAYS = (None, timedelta(seconds=2), timedelta(minutes=45), timedelta(minutes=46),
          timedelta(days=3, hours=5), timedelta(minutes=-20))  # fmt: skip
STOPPED_TYPE, STOPS_AT = "search", START + timedelta(days=35)


def drawn(draw: random.Random) -> Iterator[Row]:
    """Yield events in which everything meets: gaps, ids, late rows, bots, runaways, bad clocks."""
    number = iter(range(10**6))

    def event(visitor: str, at: datetime, **changes: Any) -> Row:
        delay, choose = draw.choice(DELAYS), draw.choice
        event_type = choose(TYPES)
        if event_type == STOPPED_TYPE and at >= STOPS_AT:
            event_type = "page_view"
        row = {
            "event_id": f"e{next(number)}",
            "event_type": event_type,
            "event_ts": at.isoformat(),
            "received_at": (at + delay).isoformat() if delay else None,
            "visitor_id": visitor,
            "user_id": choose([None, None, f"u{draw.randrange(9)}"]),
            "source_session_id": choose([None, " ", "s1", "s1", "s2"]),
            "page_url": choose([None, "", "https://a.example/x", "https://a.example/y"]),
            "order_id": choose([None, "0", *[f"o{draw.randrange(300)}"] * 4]),
            "order_total": choose([None, None, 10]),
            "currency": choose([None, "EUR"]),
            "items": [
                {"line_id": line, "product_id": choose("xyz"), "unit_price": choose([None, 3])}
                for line in "ab"[: draw.randrange(3)]
            ],
        }
        return {**row, **changes}

    for visit in range(700):
        at = START + timedelta(minutes=draw.randrange(DAYS * 24 * 60))
        known = {"user_id": None} if visit % 3 else {}
        for _ in range(draw.randrange(1, 9)):
            yield event(f"v{visit % 400}", at, **known)
            at += timedelta(minutes=draw.choice([0, 1, 5, 20, 30, 31]))
    for day in range(DAYS):  # enough of one type on each day for its absence to be seen
        if START + timedelta(days=day) < STOPS_AT:
            for n in range(15):
                at = START + timedelta(days=day, hours=15, minutes=n)
                yield event(f"w{day}-{n}", at, event_type=STOPPED_TYPE)
    for n in range(60):  # a bot by its pace, and one that says so
        at = START + timedelta(days=5, milliseconds=400 * n)
        yield event("quick", at, source_session_id="q")
        if n < 5:
            yield event("honest", at, is_bot=n == 2)
    for n in range(31):  # runaways: by time, by both, and one exactly as long as may be
        yield event("tv", START + timedelta(days=9, minutes=29 * n), source_session_id="t")
    for n in range(90):
        yield event("tab", START + timedelta(days=9, minutes=4 * n), source_session_id="t")
    for n in range(10):
        yield event("edge", START + timedelta(days=9, minutes=20 * n))
    for year in (2001, 2031):
        yield event("clock", START.replace(year=year), received_at=None)


@pytest.fixture(scope="module")
def sent() -> list[Row]:
    return list(drawn(random.Random(11)))


@pytest.fixture(scope="module")
def database(settings: Settings, spark: Any, sent: list[Row], tmp_path_factory: Any) -> Settings:
    """Two loads: half the events and some of them twice, then the rest, old and bad ones."""
    empty_warehouse(settings)
    half, folder = len(sent) // 2, tmp_path_factory.mktemp("quality")
    bad = [{"event_id": f"bad{n}", "event_type": "page_view"} for n in range(4)]
    bad[0].update(visitor_id="v1", event_ts="soon")
    for number, rows in enumerate((sent[:half] + sent[:7], sent[half:] + sent[:5] + bad)):
        path = folder / f"{number}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        batch.ingest(
            settings,
            [str(path)],
            "native",
            max_quarantined=10,
            report=logging.getLogger(__name__).info,
            spark=spark,
        )
    return settings


def dbt(settings: Settings, session_source: str, *arguments: str) -> None:
    results = run_dbt(settings, *arguments, session_source=session_source, **VARIABLES)
    warnings = {result.node.path for result in results if result.status == "warn"}
    # The events are made to lack what those tests look for.
    assert {path for path in warnings if not path.startswith("source/")} == set()


Marts = dict[str, list[tuple[Any, ...]]]
MARTS = {
    "fct_tracking_quality": "*",
    "fct_event_type_volumes": "*",
    "fct_session_disagreement": "*",
    "fct_load_quality": "load_id, read_count, loaded_count, duplicate_count, quarantined_count, "
    "same_load_duplicate_count, waiting_count",
    "fct_quarantine_reasons": "load_id, reason, quarantined_count, waiting_count",
}


def read(settings: Settings) -> Marts:
    with connect(settings) as connection, connection.cursor() as cursor:
        found = {}
        for mart, columns in MARTS.items():
            cursor.execute(f"select {columns} from marts.{mart}")
            found[mart] = list(cursor.fetchall())
        cursor.execute(
            "select e.event_id, r.session_date, r.event_count, is_too_long, is_too_large, "
            "piece_count from marts.fct_runaway_sessions as r inner join marts.fct_events as e "
            "on r.session_id = e.session_id and e.session_event_number = 1"
        )
        found["fct_runaway_sessions"] = list(cursor.fetchall())
        cursor.execute(
            "select e.event_id, event_count, is_continuation from marts.fct_sessions "
            "inner join marts.fct_events as e using (session_id) where session_event_number = 1"
        )
        found["fct_sessions"] = list(cursor.fetchall())
        cursor.execute("select first_date, last_date from intermediate.int_span_observed")
        found["span"] = list(cursor.fetchall())
        return found


@pytest.fixture(scope="module")
def marts(database: Settings) -> Marts:
    without_tests = ("--exclude-resource-type", "unit_test", "test")
    dbt(database, "derived", "build", "-s", "+marts.quality", *without_tests)
    dbt(database, "derived", "test", "-s", "marts.quality", "intermediate.quality")
    return read(database)


@pytest.fixture(scope="module")
def recount(database: Settings) -> Quality:
    with connect(database) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select to_jsonb(e) - 'properties', event_ts, received_at, (select coalesce("
            "jsonb_agg(to_jsonb(i)), '[]') from raw.event_items as i where i.event_id = e.event_id)"
            " from raw.events as e"
        )
        events = [
            {**event, "event_ts": at, "received_at": received, "items": items}
            for event, at, received, items in cursor.fetchall()
        ]
    return Quality(events, {**database.dbt_vars, **VARIABLES})


def as_set(rows: list[tuple[Any, ...]]) -> set[tuple[Any, ...]]:
    assert len(set(rows)) == len(rows)
    return set(rows)


def test_every_event_arrived(recount: Quality, sent: list[Row]) -> None:
    assert {e["event_id"] for e in recount.events} == {row["event_id"] for row in sent}


def test_tracking_quality_is_that_of_a_plain_recount(marts: Marts, recount: Quality) -> None:
    found = marts["fct_tracking_quality"]
    assert as_set(found) == recount.tracking(*marts["span"][0])
    assert all(any(row[column] for row in found) for column in range(len(found[0])))
    # Beside the wrong clocks, a first or last day with few events may lie outside the span.
    assert {row[0].year for row in found if not row[1]} - {2026} == {2001, 2031}
    assert sum(row[0].year == 2026 and not row[1] for row in found) <= 2


def test_volumes_of_types_are_those_of_a_plain_recount(marts: Marts, recount: Quality) -> None:
    found = marts["fct_event_type_volumes"]
    assert as_set(found) == recount.volumes(*marts["span"][0])
    stopped = [row for row in found if row[1] == STOPPED_TYPE and row[0] > STOPS_AT.date()]
    assert len(stopped) == DAYS - 36
    assert all(row[2] == 0 and row[6] for row in stopped)


def test_disagreement_of_sessions_is_that_of_a_plain_recount(
    marts: Marts, recount: Quality
) -> None:
    found = marts["fct_session_disagreement"]
    assert as_set(found) == recount.disagreement()
    assert all(sum(row[column] for row in found) > 0 for column in (1, 2, 3, 4, 5, 6, 10, 11))


def test_runaway_sessions_are_those_of_a_plain_recount(marts: Marts, recount: Quality) -> None:
    found = marts["fct_runaway_sessions"]
    assert as_set(found) == set(recount.runaways())
    # Together 14.5 hours in pieces of three; six hours and 90 events; 60 quick events.
    assert sorted(row[2:] for row in found) == [
        (31, True, False, 5),
        (60, False, True, 2),
        (90, True, True, 4),
    ]


def test_no_session_outgrows_the_limits(marts: Marts, recount: Quality) -> None:
    assert as_set(marts["fct_sessions"]) == {
        (piece[0]["event_id"], len(piece), number > 0)
        for session in recount.whole_sessions
        for number, piece in enumerate(recount.pieces(session))
    }


def test_loads_are_accounted_for(marts: Marts, sent: list[Row]) -> None:
    half = len(sent) // 2
    rest = len(sent) - half
    assert sorted(marts["fct_load_quality"]) == [
        (1, half + 7, half, 7, 0, 7, 0),
        (2, rest + 9, rest, 5, 4, 0, 4),
    ]
    assert sorted(marts["fct_quarantine_reasons"]) == [
        (2, "invalid_event_ts", 1, 1),
        (2, "missing_event_ts", 3, 3),
        (2, "missing_visitor_id", 3, 3),
    ]


def test_the_disagreement_is_the_same_where_the_source_decides(
    database: Settings, marts: Marts
) -> None:
    dbt(database, "source", "run", "-s", "int_events_sessionized+,+marts.quality")
    anew = read(database)
    assert as_set(anew["fct_runaway_sessions"]) != set(marts["fct_runaway_sessions"])
    for mart in ("fct_session_disagreement", "fct_event_type_volumes"):
        assert as_set(anew[mart]) == set(marts[mart]), mart
