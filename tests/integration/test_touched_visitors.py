"""Pre-aggregates that follow the touched visitors equal those computed anew, after every load."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ingestion import aggregates
from ingestion.aggregates import compute
from ingestion.postgres import connect
from ingestion.settings import Settings

Query = Callable[..., list[tuple[Any, ...]]]
Row = dict[str, Any]

START = datetime(2026, 3, 1, 22, tzinfo=timezone.utc)
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
        """Return 20 quick events of a visitor: three such batches make it a bot."""
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
def by_source(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that sets `session_source`."""

    def run(session_source: str) -> None:
        variables = {**empty.dbt_vars, "session_source": session_source}
        monkeypatch.setitem(empty.__dict__, "dbt_vars", variables)

    return run


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How each refresh went, "touched" or "whole"; any share of touched events is taken."""
    found: list[str] = []
    monkeypatch.setattr(compute, "MOST_TOUCHED_SHARE", 1.0)
    for way in ("touched", "whole"):
        true = getattr(aggregates, f"stage_{way}")

        def spy(*args: Any, way: str = way, true: Any = true) -> Any:
            found.append(way)
            return true(*args)

        monkeypatch.setattr(aggregates, f"stage_{way}", spy)
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
@pytest.mark.parametrize("seed", range(8))
def test_after_each_load_the_aggregates_are_those_of_a_full_computation(
    ingest: Any,
    spark: Any,
    empty: Settings,
    query: Query,
    by_source: Callable[[str], None],
    ways: list[str],
    session_source: str,
    seed: int,
) -> None:
    by_source(session_source)
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
