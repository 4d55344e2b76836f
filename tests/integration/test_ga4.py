"""Three real days of GA4's export, from the load to the marts, in both kinds of session.

What is expected is computed from the files alone.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ingestion import batch, embedded, postgres
from ingestion.settings import Settings
from tests.dbt_runs import run_dbt

Rows = list[dict[str, Any]]
Query = Callable[[str], list[tuple[Any, ...]]]

LOADED = {
    "custom": 61046,
    "page_view": 34421,
    "product_view": 11548,
    "checkout_step": 800,
    "search": 767,
    "checkout_start": 493,
    "purchase": 115,
    "product_list_view": 9,
}
# What dbt says of a model, of a test, and of what is only documented.
GOOD = {"success", "pass", "no-op"}
TIMEOUT_MICROSECONDS = 30 * 60 * 1_000_000
COLUMNS = (
    "user_pseudo_id",
    "event_name",
    "event_timestamp",
    "event_params",
    "items",
    "ecommerce",
)
report = logging.getLogger(__name__).info


class Days:
    """A home with the three days loaded, in which sessions are the source's."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.settings = self.settings_of("source")
        self.result = batch.LoadResult(None)

    def settings_of(self, session_source: str) -> Settings:
        """Return settings by which sessions are made from `session_source`."""
        settings = replace(Settings.load(), home=self.home, lake=str(self.home / "lake"))
        settings.dbt_vars["session_source"] = session_source
        return settings

    def build(self, session_source: str) -> set[str]:
        """Build and test the warehouse, unit tests too; return the verdicts that dbt gave."""
        ran = run_dbt(self.settings, "build", session_source=session_source)
        return {str(result.status) for result in ran}

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """Return a query's rows."""
        with postgres.connect(self.settings) as connection, connection.cursor() as cursor:
            cursor.execute(text)
            return list(cursor.fetchall())


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory, spark: Any, ga4_folder: Path) -> Iterator[Days]:
    """The three days, loaded into a home of their own."""
    loaded = Days(tmp_path_factory.mktemp("ga4"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLICKMART_HOME", str(loaded.home))
        embedded.start(loaded.settings)
        try:
            loaded.result = batch.ingest(
                loaded.settings, [str(ga4_folder / "*.parquet")], "ga4", report=report, spark=spark
            )
            yield loaded
        finally:
            embedded.stop(loaded.settings)


@pytest.fixture(scope="module")
def query(days: Days) -> Query:
    """A function that returns a query's rows from the home of the three days."""
    return days.query


@pytest.fixture(scope="module")
def rows(ga4_folder: Path) -> Rows:
    """The rows of the files that can be loaded: those whose items all name a product."""
    found = [
        row
        for path in sorted(ga4_folder.glob("*.parquet"))
        for row in pq.read_table(path, columns=list(COLUMNS)).to_pylist()
    ]
    return [row for row in found if all(map(names_product, row["items"]))]


def test_every_event_of_the_public_sample_is_loaded(days: Days, query: Query, rows: Rows) -> None:
    assert (days.result.read, days.result.duplicate) == (109202, 0)
    assert days.result.reasons == {"missing_product_id": 3}
    assert dict(query("select event_type, count(*) from raw.events group by 1")) == LOADED
    assert days.result.loaded == len(rows) == sum(LOADED.values())
    ((visitors, items, order_total),) = query(
        "select count(distinct visitor_id), (select count(*) from raw.event_items), "
        "sum(order_total) filter (where event_type = 'purchase') from raw.events"
    )
    assert visitors == len({row["user_pseudo_id"] for row in rows})
    assert items == sum(len(row["items"]) for row in rows)
    assert order_total == sum(row["ecommerce"]["purchase_revenue"] or 0 for row in rows)
    assert Counter(
        dict(query("select event_name, count(*) from raw.events group by 1"))
    ) == Counter(row["event_name"] for row in rows)


def test_source_sessions_are_ga4s_own(days: Days, query: Query, rows: Rows) -> None:
    # Every row has exactly one session id (`number_of` fails otherwise): no gap splits anything.
    ids = ((row["user_pseudo_id"], str(number_of(row, "ga_session_id"))) for row in rows)
    expected = Counter(ids)
    assert days.build("source") == GOOD
    found = query(
        "select s.visitor_id, e.source_session_id, s.event_count, count(*) "
        "from marts.fct_sessions as s inner join marts.fct_events as e using (session_id) "
        "group by s.session_id, s.visitor_id, e.source_session_id, s.event_count"
    )
    assert len(found) == len(expected)
    assert {(visitor, session): count for visitor, session, count, _ in found} == expected
    assert all(event_count == count for _, _, event_count, count in found)
    assert query("select count(*), sum(gross_amount) from marts.fct_orders") == [orders_of(rows)]
    # GA4's `source` names the shop's own host in more than a quarter of the sessions.
    own = "utm_source like '%googlemerchandisestore.com'"
    assert query(f"select count(*) from raw.events where {own}")[0][0] > 20_000
    assert query(f"select count(*) from marts.fct_sessions where {own}") == [(0,)]


@pytest.mark.slow
def test_derived_sessions_are_split_by_gaps(days: Days, query: Query, rows: Rows) -> None:
    batch.bring_up_to_date(days.settings_of("derived"), report)
    assert days.build("derived") == GOOD
    found = query(
        "select visitor_id, (extract(epoch from started_at) * 1000000)::bigint, event_count "
        "from marts.fct_sessions"
    )
    assert Counter(found) == Counter(gap_sessions(rows))


def number_of(row: dict[str, Any], name: str) -> int:
    """Return the whole number of a parameter that the event has exactly once."""
    (found,) = (p["value"]["int_value"] for p in row["event_params"] if p["key"] == name)
    return int(found)


def names_product(item: dict[str, Any]) -> bool:
    return not {item["item_id"], item["item_name"]} <= {None, "", "(not set)"}


def orders_of(rows: Rows) -> tuple[int, float]:
    """Return how many orders there are, and their total: the first of each transaction counts.

    The record's `transaction_id` is (not set) throughout; the parameter has it.
    """
    orders: dict[int, float] = {}
    for row in sorted(rows, key=lambda row: int(row["event_timestamp"])):
        if row["event_name"] == "purchase":
            order_id = number_of(row, "transaction_id")
            orders.setdefault(order_id, row["ecommerce"]["purchase_revenue"])
    return len(orders), sum(orders.values())


def gap_sessions(rows: Rows) -> Iterator[tuple[str, int, int]]:
    """Yield visitor, first event's microseconds and number of events of each session by gaps."""
    times: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        times[row["user_pseudo_id"]].append(row["event_timestamp"])
    for visitor, unordered in times.items():
        ordered = sorted(unordered)
        starts = [ordered[0]] + [
            after for before, after in pairwise(ordered) if after - before > TIMEOUT_MICROSECONDS
        ]
        for start, end in zip(starts, [*starts[1:], ordered[-1] + 1], strict=True):
            yield visitor, start, sum(start <= time < end for time in ordered)
