"""Pre-aggregates follow the touched visitors: after every load they are those computed anew.

And in both ways of making sessions they are dbt's, and those of a plain recount.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ingestion import aggregates
from ingestion.aggregates import compute
from ingestion.errors import UsageError
from ingestion.postgres import connect
from ingestion.settings import Settings
from tests.dbt_runs import run_dbt

Query = Callable[..., list[tuple[Any, ...]]]
Row = dict[str, Any]

START = datetime(2026, 3, 1, 22, tzinfo=timezone.utc)
# Low enough for sessions to be cut, by hours and by events; bots are found in the pieces.
LIMITS = {"session_max_hours": 2, "session_max_events": 25, "bot_min_session_events": 22}
TYPES = ("page_view", "product_view", "add_to_cart", "purchase", "purchase", "refund", "mine")


class Shop:
    """Draws events in which everything meets: late logins, shared orders, late bots, duplicates."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.sent: list[Row] = []

    def batch(self, count: int) -> list[Row]:
        """Return so many new events, a bit of a bot's burst and some of the old ones, shuffled."""
        rows = [self.event(len(self.sent) + i) for i in range(count)]
        rows += self.burst(len(self.sent) + count)
        again = self.draw.choices(self.sent, k=3) if self.sent else []
        self.sent += rows
        rows = [*rows, *({**row, "user_id": "other"} for row in again)]
        self.draw.shuffle(rows)
        return rows

    def event(self, number: int) -> Row:
        choose = self.draw.choice
        return {
            "event_id": f"e{number}",
            "event_type": choose(TYPES),
            # Few distinct times: sessions meet and part, and events happen at once.
            "event_ts": self.at(choose(range(0, 60 * 36, 20)) * 60),
            "visitor_id": f"v{self.draw.randrange(50)}",
            "user_id": choose([None] * 3 + [f"u{self.draw.randrange(30)}"]),
            "source_session_id": choose([None, " ", "s1", "s2"]),
            "order_id": choose([None, "0", *[f"o{self.draw.randrange(25)}"] * 6]),
            "order_total": choose([None, None, 10, 25.5]),
            "currency": choose([None, "EUR", "XXX"]),
            "is_bot": True if self.draw.random() < 0.01 else None,
            "items": [
                {"line_id": line, "product_id": choose("xyz"), "unit_price": choose([None, 3])}
                for line in "ab"[: self.draw.randrange(3)]
            ],
        }

    def burst(self, start: int) -> list[Row]:
        """Return 20 quick events of a visitor: two such batches make it a bot."""
        visitor = f"v{self.draw.randrange(3)}"
        began = self.draw.choice([0, 12]) * 3600 + self.draw.randrange(20)
        return [
            {**self.event(start + i), "visitor_id": visitor, "event_ts": self.at(began + i / 4)}
            for i in range(20)
        ]

    @staticmethod
    def at(seconds: float) -> str:
        return (START + timedelta(seconds=seconds)).isoformat()


@pytest.fixture
def sessions_by(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that sets `session_source`, and other vars."""

    def run(session_source: str, **others: Any) -> None:
        variables = {**empty.dbt_vars, **LIMITS, "session_source": session_source, **others}
        monkeypatch.setitem(empty.__dict__, "dbt_vars", variables)

    return run


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How each refresh went, "touched" or "whole"; any share of touched events is taken."""
    found: list[str] = []
    monkeypatch.setattr(compute, "MOST_TOUCHED_SHARE", 1.0)
    for way in ("touched", "whole"):
        true = getattr(compute.Computation, way)

        def spy(*args: Any, way: str = way, true: Any = true) -> Any:
            found.append(way)
            return true(*args)

        monkeypatch.setattr(compute.Computation, way, spy)
    return found


def recounted(rows: list[Row], session_source: str) -> dict[str, tuple[str, int, int]]:
    """Return each event's session, by its first event, the visitor's how many, and its number."""
    found: dict[str, tuple[str, int, int]] = {}
    last: dict[tuple[str, str], tuple[datetime, str]] = {}
    whole: dict[tuple[str, str], list[datetime]] = {}
    pieces: dict[tuple[str, str], tuple[int, int]] = {}
    started, counted = Counter[str](), Counter[str]()
    numbers: dict[str, int] = {}
    longest = timedelta(hours=LIMITS["session_max_hours"])
    for row in sorted(rows, key=lambda row: (row["event_ts"], row["event_id"].encode())):
        at, visitor = datetime.fromisoformat(row["event_ts"]), row["visitor_id"]
        name = (row["source_session_id"] or "").strip() if session_source == "source" else ""
        previous, first = last.get((visitor, name), (None, ""))
        if previous is None or (not name and at - previous > timedelta(minutes=30)):
            whole[visitor, name] = []
        times = whole[visitor, name]
        times.append(at)
        # An event right at the hour belongs to the piece before it.
        hours = max(-((times[0] - at) // longest), 1)
        piece = (hours, (len(times) - 1) // LIMITS["session_max_events"])
        if len(times) == 1 or piece != pieces[visitor, name]:
            pieces[visitor, name] = piece
            first = row["event_id"]
            started[visitor] += 1
            numbers[first] = started[visitor]
        last[visitor, name] = (at, first)
        counted[first] += 1
        found[row["event_id"]] = (first, numbers[first], counted[first])
    return found


def contents(query: Query) -> dict[str, list[tuple[Any, ...]]]:
    return {
        name: query(f"select * from raw.{name} order by {', '.join(keys)}")
        for name, keys in aggregates.KEYS.items()
    }


def anew(spark: Any, settings: Settings, query: Query) -> dict[str, list[tuple[Any, ...]]]:
    """Return what a full computation gives."""
    with connect(settings) as connection, connection.cursor() as cursor:
        aggregates.invalidate(cursor)
    aggregates.refresh(spark, settings)
    return contents(query)


@pytest.mark.parametrize("session_source", ["derived", "source"])
@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))]
)
def test_after_each_load_the_aggregates_are_those_of_a_full_computation(
    ingest: Any,
    spark: Any,
    empty: Settings,
    query: Query,
    sessions_by: Callable[[str], None],
    ways: list[str],
    monkeypatch: pytest.MonkeyPatch,
    session_source: str,
    seed: int,
) -> None:
    sessions_by(session_source)
    if seed == 0:  # the visitors are taken in three parts
        monkeypatch.setattr(compute, "EVENTS_AT_ONCE", 100)
    shop = Shop(seed)
    ingest(shop.batch(160))
    for size in (1, 10, 3):
        before = contents(query)
        ways.clear()
        ingest(shop.batch(size))
        assert ways == ["touched"]
        followed = contents(query)
        assert followed != before
        assert followed == anew(spark, empty, query)


@pytest.mark.parametrize("session_source", ["derived", "source"])
def test_spark_and_dbt_make_the_sessions_of_a_plain_recount(
    ingest: Any,
    empty: Settings,
    query: Query,
    sessions_by: Callable[[str], None],
    session_source: str,
) -> None:
    sessions_by(session_source)
    shop = Shop(3)
    crowd = [
        {**shop.event(900 + i), "visitor_id": "v9", "source_session_id": "s1",
         "event_ts": shop.at(300 * i if i < 40 else 0)}
        for i in range(70)
    ]  # fmt: skip
    shop.sent += crowd
    ingest([*crowd, *shop.batch(160)])
    ingest(shop.batch(40))
    run_dbt(
        *(empty, "build", "--exclude-resource-type", "unit_test"),
        *("--select", "+path:tests/dbt/reconciliation", "+path:tests/dbt/core"),
        *("--indirect-selection", "cautious"),
        session_source=session_source,
        **LIMITS,
    )
    expected = recounted(shop.sent, session_source)
    rows = query(
        "select event_id, first_value(event_id) over (partition by session_id "
        "order by session_event_number), visitor_session_number, session_event_number, "
        "session_id = md5(visitor_id || chr(31) || first_value(event_id) over ("
        "partition by session_id order by session_event_number))::uuid, "
        "is_session_end = (session_event_number = count(*) over (partition by session_id)) "
        "from intermediate.int_events_sessionized inner join intermediate.int_sessions_aggregated "
        "using (session_id, visitor_id)"
    )
    assert {row[0]: row[1:4] for row in rows} == expected
    assert all(row[4] and row[5] for row in rows)
    assert query("select count(*) from raw.agg_sessions") == [
        (len({first for first, _, _ in expected.values()}),)
    ]


def test_a_visitor_with_a_third_of_all_events_is_followed_too(
    ingest: Any, spark: Any, empty: Settings, query: Query, ways: list[str]
) -> None:
    shop = Shop(5)
    rows = shop.batch(400)
    for row in rows[:150]:
        row["visitor_id"] = "v1"
    ingest(rows)
    for visitor in ("v1", "v40"):
        ingest([{**shop.event(1000), "event_id": f"late-{visitor}", "visitor_id": visitor}])
    assert ways[1:] == ["touched", "touched"]
    assert contents(query) == anew(spark, empty, query)


def test_where_most_events_are_touched_all_are_computed_anew(
    ingest: Any, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute, "MOST_TOUCHED_SHARE", 0.4)
    shop = Shop(1)
    for _ in range(2):
        ingest(shop.batch(50))
    assert ways == ["whole", "touched", "whole"]


def test_what_is_invalid_is_behind_and_is_computed_anew(
    ingest: Any, spark: Any, empty: Settings, query: Query, ways: list[str]
) -> None:
    ingest(Shop(1).batch(50))
    assert not aggregates.is_behind(empty)
    with connect(empty) as connection, connection.cursor() as cursor:
        cursor.execute("delete from raw.agg_users")
        aggregates.invalidate(cursor)
    assert aggregates.is_behind(empty)
    aggregates.refresh(spark, empty)
    assert not aggregates.is_behind(empty)
    assert ways == ["whole", "whole"]
    assert query("select count(*) > 0 from raw.agg_users") == [(True,)]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"session_source": "ga4"}, "'ga4'; it must be one of: derived, source"),
        ({"session_max_events": 0}, "session_max_events .* is 0; it must be a number from 1 on"),
        ({"session_max_hours": "day"}, "session_max_hours .* is 'day'; it must be a number"),
    ],
    ids=["session source", "no events", "no number"],
)
def test_what_makes_no_session_is_one_clear_line_before_anything_is_loaded(
    ingest: Any,
    query: Query,
    sessions_by: Callable[..., None],
    changed: dict[str, Any],
    said: str,
) -> None:
    sessions_by(**{"session_source": "derived", **changed})
    with pytest.raises(UsageError, match=said):
        ingest(Shop(1).batch(1))
    assert query("select count(*) from ops.loads") == [(0,)]
