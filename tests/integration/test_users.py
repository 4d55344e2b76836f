"""Segments, funnels and journeys: each row equals that of a second implementation in Python.

The events are random, with many at one moment and on the borders of windows, late logins, bots,
wrong clocks, reloaded orders and refunds before and after; beside them stand generated ones, whose
truth is known.
"""

from __future__ import annotations

import json
import logging
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest

from ingestion import batch
from ingestion.generate.options import GenerateOptions
from ingestion.generate.run import generate
from ingestion.postgres import connect
from ingestion.settings import Settings
from tests import users_reference as reference
from tests.dbt_runs import run_dbt
from tests.users_reference import Event, User

Row = dict[str, Any]
Rows = list[tuple[Any, ...]]

START = datetime(2025, 9, 1, 15, tzinfo=timezone.utc)
DAYS = 115
ZONE = ZoneInfo("America/New_York")
VARS = {
    "reporting_timezone": "America/New_York",
    "user_funnel_window_days": 7,
    "checkout_steps": "shipping,payment",
    "journey_path_max_steps": 2,
    "journey_top_paths": 6,
    "segment_new_days": 9,
    "segment_active_days": 20,
}
FUNNEL = ("product_view", "add_to_cart", "checkout_start", "purchase")
CHECKOUT = ("checkout_start", "shipping", "payment", "purchase")
TYPES = (*FUNNEL, *FUNNEL, "product_view", "checkout_step", "checkout_step", "page_view", "mine")
STEPS: tuple[Row, ...] = (
    {"properties": {"step": "Shipping", "step_number": 1}},
    {"properties": {"step_name": " payment "}},
    {"properties": {"properties": {"step": 2}}, "event_name": "Checkout Step Viewed"},
    {"properties": {"properties": {"step": 3}}, "event_name": "Payment Info Entered"},
    {"properties": {"contexts": [{"data": {}}, {"data": {"step": 4}}]}},
    {"event_name": "add_shipping_info"},
    {},
)
PAGES = (
    ("https://shop.example", "home"),
    ("https://shop.example/?utm_source=x", "home"),
    ("https://www.shop.example/c/shoes?page=2#top", "category"),
    ("/c/shoes", "category"),
    ("https://shop.example/cart#now", None),
    (None, "cart"),
    (None, None),
)


class Shop:
    """Draws the events of visitors who mostly come on few days, and often at once."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.orders: list[tuple[str, datetime]] = []

    def events(self, visitors: int) -> list[Row]:
        rows = [row for number in range(visitors) for row in self.visitor(f"r{number}")]
        rows += [self.event("r-ahead", START.replace(year=2099), "page_view")]
        rows += [self.event("r-behind", START.replace(year=2001), "page_view")]
        rows += [self.refund() for _ in range(200)]
        for number, row in enumerate(rows):
            # Not in the order in which they were drawn, and not that of a locale.
            row["event_id"] = f"{self.draw.choice('aBzZ')}{number * 7919 % 10007}"
        return rows

    def visitor(self, visitor: str) -> Iterator[Row]:
        first = self.draw.randrange(DAYS)
        days = [min(first + self.draw.choice((0, 0, 7, 7, 30, 45)), DAYS) for _ in range(3)]
        user = self.draw.choice((None, None, f"u{self.draw.randrange(60)}"))
        is_bot = self.draw.random() < 0.03 or None
        for _ in range(self.draw.randrange(1, 16)):
            second = self.draw.choice((0, 0, 1, 60, 300, 5000))
            at = START + timedelta(days=self.draw.choice(days), seconds=second)
            row = self.event(visitor, at, self.draw.choice(TYPES))
            yield {**row, "user_id": self.draw.choice((None, user)), "is_bot": is_bot}

    def event(self, visitor: str, at: datetime, event_type: str) -> Row:
        url, page_type = self.draw.choice(PAGES)
        row: Row = {
            "event_type": event_type,
            "event_ts": at.isoformat(),
            "visitor_id": visitor,
            "page_url": url,
            "page_type": page_type,
            "device_type": self.draw.choice((None, "mobile", "desktop")),
        }
        if event_type == "checkout_step":
            row |= self.draw.choice(STEPS)
        if event_type in ("product_view", "add_to_cart", "purchase"):
            row["items"] = self.items()
        if event_type == "purchase":
            order_id = f"o{self.draw.randrange(400)}"
            self.orders.append((order_id, at))
            row |= {"order_id": order_id, "order_total": self.draw.choice((None, 10, 25.5, 80))}
        return row

    def items(self) -> list[Row]:
        """Return lines; of each product some name the category, and of two nobody does."""
        products = self.draw.choices(range(10), k=self.draw.randrange(4))
        return [
            {
                "line_id": f"l{line}",
                "product_id": f"p{number}",
                "category": None if number > 7 or line == 1 else f"c{number % 3}",
                "unit_price": self.draw.choice((None, 3, 7.5)),
            }
            for line, number in enumerate(products)
        ]

    def refund(self) -> Row:
        order_id, at = self.draw.choice(self.orders)
        moved = at + timedelta(days=self.draw.choice((-40, -20, 0, 5, 40)))
        total = self.draw.choice((None, 4, 10, 90))
        return {
            **self.event(f"back-{order_id}", min(moved, START + timedelta(days=DAYS)), "refund"),
            "order_id": order_id,
            "order_total": total,
        }


def kept(row: Row) -> Row:
    return {name: value for name, value in row.items() if value is not None}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory, spark: Any) -> Path:
    """Generated events within the same months, and their truth."""
    out = tmp_path_factory.mktemp("generated") / "shop"
    generate(spark, GenerateOptions(people=80, sessions=500, days=60, start_date=START.date()), out)
    return out


@pytest.fixture(scope="module")
def query(
    settings: Settings,
    spark: Any,
    forget_all: Callable[[], None],
    generated: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Rows]:
    """A function that returns a query's rows, from a warehouse of all these events."""
    forget_all()
    path = tmp_path_factory.mktemp("random") / "events.jsonl"
    rows = Shop(11).events(400)
    path.write_text("".join(json.dumps(kept(row)) + "\n" for row in rows))
    for part in (path, generated / "events"):
        report = logging.getLogger(__name__).info
        load = batch.ingest(settings, [str(part)], "native", report=report, spark=spark)
        assert part != path or load.loaded == len(rows)
    build(settings)

    def run(text: str) -> Rows:
        with connect(settings) as connection, connection.cursor() as cursor:
            cursor.execute(text)
            return list(cursor.fetchall())

    return run


def build(settings: Settings) -> None:
    """Build the subjects and all they need, with their tests."""
    subjects = ("users", "funnels", "journeys")
    run_dbt(
        *(settings, "build", "--exclude-resource-type", "unit_test"),
        *("--indirect-selection", "cautious"),
        *("--select", *(f"+path:warehouse/models/marts/{subject}" for subject in subjects)),
        "months_of_users_add_up_to_the_users",
        "funnels_and_journeys_count_what_the_core_counts",
        **VARS,
    )


@pytest.fixture(scope="module")
def events(query: Callable[[str], Rows]) -> list[Event]:
    """All counted events."""
    products = defaultdict(set)
    for event_id, product_id in query("select event_id, product_id from raw.event_items"):
        products[event_id].add(product_id)
    return [
        Event(*row[:-1], row[-1] or {}, frozenset(products[row[0]]))
        for row in query(
            "select e.event_id, e.event_type, e.event_at, e.visitor_id, e.user_key::text, "
            "e.session_id::text, e.page_url, e.page_type, e.event_name, r.properties "
            "from marts.fct_events as e join raw.events as r using (event_id) where not e.is_bot"
        )
    ]


@pytest.fixture(scope="module")
def sessions(query: Callable[[str], Rows]) -> dict[str, tuple[date, str]]:
    """The month and device of each counted session."""
    return {
        session_id: (day.replace(day=1), device or "(unknown)")
        for session_id, day, device in query(
            "select session_id::text, session_date, device_type from marts.fct_sessions "
            "where not is_bot"
        )
    }


# -- funnels -------------------------------------------------------------------------------------


def reached(row: tuple[Any, ...]) -> list[datetime]:
    return [at for at in row if at is not None]


@pytest.mark.parametrize(
    ("mart", "key", "window"),
    [
        ("fct_session_funnels", "session_id", timedelta.max),
        ("fct_user_funnels", "user_key", timedelta(days=7)),
    ],
)
def test_funnels_are_those_of_window_funnel(
    query: Callable[[str], Rows], events: list[Event], mart: str, key: str, window: timedelta
) -> None:
    window = min(window, timedelta(days=365))
    columns = ", ".join(f"{step}_at" for step in FUNNEL)
    found = {
        row[0]: (row[1], reached(row[2:]))
        for row in query(
            f"select {key}::text, furthest_step_number, {columns} from marts.{mart} "
            "where furthest_step_number > 0"
        )
    }
    steps = [reference.is_type(step) for step in FUNNEL]
    expected = {}
    for name, own in reference.grouped(events, lambda event: getattr(event, key)).items():
        times = [
            (e.event_at, FUNNEL.index(e.event_type) + 1) for e in own if e.event_type in FUNNEL
        ]
        if level := reference.window_funnel_level(times, len(FUNNEL), window):
            expected[name] = (level, reference.funnel(own, steps, window))
    assert found == expected
    assert {level for level, _ in found.values()} == {1, 2, 3, 4}


def test_checkout_funnels_are_those_of_window_funnel(
    query: Callable[[str], Rows], events: list[Event]
) -> None:
    found = defaultdict(list)
    for session_id, step, *rest in query(
        "select session_id::text, step, is_reached, step_at, previous_step_seconds, "
        "checkout_start_seconds from marts.fct_checkout_funnels order by session_id, step_number"
    ):
        found[session_id].append((step, *rest))
    steps = [reference.is_step(step) for step in CHECKOUT]
    expected = {}
    for name, own in reference.grouped(events, lambda event: event.session_id).items():
        if times := reference.funnel(own, steps, timedelta(days=365)):
            expected[name] = [checkout_row(number, times) for number in range(len(CHECKOUT))]
    assert found == expected
    assert len({sum(row[1] for row in rows) for rows in found.values()}) == len(CHECKOUT)


def checkout_row(number: int, times: list[datetime]) -> tuple[Any, ...]:
    if number >= len(times):
        return CHECKOUT[number], False, None, None, None
    before = (times[number] - times[number - 1]).total_seconds() if number else None
    return (
        CHECKOUT[number],
        True,
        times[number],
        None if before is None else milliseconds(before),
        milliseconds((times[number] - times[0]).total_seconds()),
    )


def milliseconds(seconds: float) -> Decimal:
    return Decimal(seconds).quantize(Decimal("0.001"))


def test_checkout_steps_are_shown_as_the_sources_name_them(
    query: Callable[[str], Rows], events: list[Event], sessions: dict[str, tuple[date, str]]
) -> None:
    expected = defaultdict(list)
    for event in events:
        if event.event_type in ("checkout_start", "checkout_step", "purchase"):
            month, _ = sessions[event.session_id]
            expected[(month, *reference.checkout_step(event))].append(event.session_id)
    found = query(
        "select month_start_date, source_step, step, step_number, event_count, session_count "
        "from marts.fct_checkout_steps"
    )
    assert sorted(found, key=str) == sorted(
        (
            (
                *key,
                CHECKOUT.index(key[2]) + 1 if key[2] in CHECKOUT else None,
                len(ids),
                len({*ids}),
            )
            for key, ids in expected.items()
        ),
        key=str,
    )
    assert len({row[1] for row in found}) > 8


def test_category_funnels_are_those_of_window_funnel(
    query: Callable[[str], Rows], events: list[Event]
) -> None:
    category_of = {
        product: category or "(unknown)"
        for product, category in query("select product_id, category from marts.dim_products")
    }
    of_category = defaultdict(list)
    for event in sorted(events, key=lambda event: event.place):
        for category in {category_of[product] for product in event.products}:
            of_category[event.session_id, category].append(event)
    steps = [reference.is_type(step) for step in ("product_view", "add_to_cart", "purchase")]
    expected = {
        key: times
        for key, own in of_category.items()
        if (times := reference.funnel(own, steps, timedelta(days=365)))
    }
    found = {
        (session_id, category): reached(times)
        for session_id, category, *times in query(
            "select session_id::text, category, product_view_at, add_to_cart_at, purchase_at "
            "from marts.fct_category_funnels"
        )
    }
    assert found == expected
    assert {len(times) for times in found.values()} == {1, 2, 3}


# -- journeys ------------------------------------------------------------------------------------


def test_transitions_are_those_counted_one_by_one(
    query: Callable[[str], Rows], events: list[Event], sessions: dict[str, tuple[date, str]]
) -> None:
    counts, session_counts = Counter[Any](), Counter[Any]()
    seconds: dict[Any, float] = defaultdict(float)
    for session_id, own in reference.grouped(events, lambda event: event.session_id).items():
        place = sessions[str(session_id)]
        for step, count in reference.transitions(own).items():
            counts[place, step] += count
            session_counts[place, step] += 1
        for event, following in pairwise(own):
            step = (event.event_type, following.event_type)
            seconds[place, step] += (following.event_at - event.event_at).total_seconds()
    from_counts = Counter[Any]()
    for (place, (step, _)), count in counts.items():
        from_counts[place, step] += count
    expected = {
        (*place, *step, count, from_counts[place, step[0]], session_counts[place, step])
        for (place, step), count in counts.items()
    }
    columns = "month_start_date, device_type, from_step, to_step"
    found = query(
        f"select {columns}, transition_count, from_step_count, session_count "
        "from marts.fct_journey_transitions"
    )
    assert set(found) == expected
    assert len(found) == len(expected)
    timed = query(
        f"select {columns}, total_step_seconds from marts.fct_journey_transitions "
        "where total_step_seconds is not null"
    )
    assert {row[:-1]: float(row[-1]) for row in timed} == pytest.approx(
        {(*place, *step): total for (place, step), total in seconds.items()}, abs=0.001
    )


def test_paths_are_those_followed_one_by_one(
    query: Callable[[str], Rows], events: list[Event], sessions: dict[str, tuple[date, str]]
) -> None:
    paths: dict[Any, Counter[str]] = defaultdict(Counter)
    for session_id, own in reference.grouped(events, lambda event: event.session_id).items():
        end, path = reference.path(own, VARS["journey_path_max_steps"])
        paths[(*sessions[str(session_id)], end)][path] += 1
    expected = [
        (*place, *row, counts.total())
        for place, counts in paths.items()
        for row in reference.top_paths(counts, VARS["journey_top_paths"])
    ]
    found = query(
        "select month_start_date, device_type, path_end, path_rank, journey_path, path_count, "
        "session_count, path_end_session_count from marts.fct_journey_paths"
    )
    assert sorted(found) == sorted(expected)
    assert any(" > ... > purchase" in row[4] for row in found)
    shares = query(
        "select sum(session_share_rate) from marts.fct_journey_paths "
        "group by month_start_date, device_type, path_end"
    )
    assert [float(share) for (share,) in shares] == pytest.approx([1] * len(shares), abs=1e-5)


def test_pages_are_those_counted_one_by_one(
    query: Callable[[str], Rows], events: list[Event], sessions: dict[str, tuple[date, str]]
) -> None:
    expected: dict[Any, Counter[str]] = defaultdict(Counter)
    for session_id, own in reference.grouped(events, lambda event: event.session_id).items():
        month, _ = sessions[str(session_id)]
        pages = Counter(reference.page(event) for event in own)
        for page, count in pages.items():
            expected[(month, *page)] += Counter(sessions=1, events=count)
        expected[(month, *reference.page(own[0]))]["entries"] += 1
        expected[(month, *reference.page(own[-1]))]["exits"] += 1
        expected[(month, *reference.page(own[0]))]["bounces"] += len(own) == 1
    names = ("sessions", "events", "entries", "exits", "bounces")
    found = query(
        "select month_start_date, page_type, page_path, session_count, event_count, "
        "entry_session_count, exit_session_count, bounce_session_count, exit_rate, bounce_rate "
        "from marts.fct_entry_exit_pages"
    )
    assert {row[:3]: row[3:8] for row in found} == {
        key: tuple(counts[name] for name in names) for key, counts in expected.items()
    }
    for *_, session_count, _, entries, exits, bounces, exit_rate, bounce_rate in found:
        assert float(exit_rate) == pytest.approx(exits / session_count, abs=1e-6)
        rate = None if bounce_rate is None else float(bounce_rate)
        assert rate == (pytest.approx(bounces / entries, abs=1e-6) if entries else None)


# -- segments ------------------------------------------------------------------------------------


class Facts:
    """What the facts say of users, with the days of wrong clocks taken for the last one."""

    def __init__(
        self, query: Callable[[str], Rows], events: list[Event], first: date, last: date
    ) -> None:
        self.seen = [
            (e.user_key, self.day(e.event_at), min(self.day(e.event_at), last)) for e in events
        ]
        self.sessions = query(
            "select user_key::text, session_date from marts.fct_sessions where not is_bot"
        )
        self.orders = query(
            "select order_key::text, user_key::text, order_date, gross_amount "
            "from marts.fct_orders where not is_bot"
        )
        self.refunds = query(
            "select order_key::text, refund_date, refund_amount from marts.fct_refunds"
        )
        self.first, self.last = first, last

    @staticmethod
    def day(at: datetime) -> date:
        return at.astimezone(ZONE).date()

    def users(self, end: date) -> dict[str, User]:
        """Return all users as of the end of a day, from what had happened by then."""
        users: dict[str, User] = defaultdict(User)
        for key, _, day in self.seen:
            if day <= end:
                users[key].seen.append(day)
        for key, day in self.sessions:
            if min(day, self.last) <= end:
                users[key].sessions += 1
        orders = {}
        for order_key, key, day, amount in self.orders:
            orders[order_key] = (key, day)
            if min(day, self.last) <= end:
                users[key].order_days.append(min(day, self.last))
                users[key].net += amount or 0
        for order_key, day, amount in self.refunds:
            key, order_day = orders.get(order_key, (None, date.max))
            if key and min(max(day, order_day), self.last) <= end:
                users[key].net -= amount or 0
        return {key: user for key, user in users.items() if user.seen}


@pytest.fixture(scope="module")
def facts(query: Callable[[str], Rows], events: list[Event]) -> Facts:
    ((first, last),) = query("select first_date, last_date from intermediate.int_span_observed")
    days = Counter(Facts.day(event.event_at) for event in events)
    assert last == max(day for day in days if day.year < 2099)
    # The days before the first hold less, all together, than a usual one after it.
    before = sum(count for day, count in days.items() if day.year > 2001 and day < first)
    usual = median(days[first + timedelta(days=number)] for number in range(28))
    assert before < usual
    assert first in days
    return Facts(query, events, first, last)


@pytest.fixture(scope="module")
def segments(facts: Facts) -> dict[date, dict[str, tuple[Any, ...]]]:
    """Scores, BTYD figures and segment of each user, at the end of each month."""
    ends, end = [], facts.first.replace(day=1)
    while end <= facts.last:
        end = (end + timedelta(days=32)).replace(day=1)
        ends.append(min(end - timedelta(days=1), facts.last))
    return {end: segmented(facts.users(end), end) for end in ends}


def segmented(users: dict[str, User], end: date) -> dict[str, tuple[Any, ...]]:
    scores = reference.scores(users)
    new, active = VARS["segment_new_days"], VARS["segment_active_days"]
    found = {}
    for key, user in users.items():
        own = scores.get(key, (None, None, None))
        figures = reference.btyd(user.order_days, end) if key in scores else (None, None, None)
        found[key] = (*own, *figures, reference.segment(user, own[2], end, new, active))
    return found


COLUMNS = (
    "recency_score, frequency_score, monetary_score, frequency, recency_days, age_days, segment"
)


def test_segments_are_those_of_the_published_definitions(
    query: Callable[[str], Rows], segments: dict[date, dict[str, tuple[Any, ...]]], facts: Facts
) -> None:
    found = {
        row[0]: row[1:] for row in query(f"select user_key::text, {COLUMNS} from marts.dim_users")
    }
    assert found == segments[facts.last]
    assert len({row[-1] for row in found.values()}) == 5


def test_each_months_segments_are_those_of_the_events_until_then(
    query: Callable[[str], Rows], segments: dict[date, dict[str, tuple[Any, ...]]], facts: Facts
) -> None:
    found: dict[date, dict[str, tuple[Any, ...]]] = defaultdict(dict)
    for key, end, *rest in query(
        f"select user_key::text, as_of_date, {COLUMNS} from intermediate.int_user_segments_monthly"
    ):
        found[end][key] = tuple(rest)
    assert found == {end: users for end, users in segments.items() if end != facts.last}
    assert len(found) > 2


def test_movements_are_those_between_the_months(
    query: Callable[[str], Rows], segments: dict[date, dict[str, tuple[Any, ...]]]
) -> None:
    expected, before = {}, dict[str, str]()
    for end, users in segments.items():
        after = {key: row[-1] for key, row in users.items()}
        moves = Counter((before.get(key, "(new)"), segment) for key, segment in after.items())
        came_from = Counter(before.get(key, "(new)") for key in after)
        for move, count in moves.items():
            expected[(end, *move)] = (count, came_from[move[0]])
        assert Counter(before.values()) == came_from - Counter({"(new)": came_from["(new)"]})
        before = after
    found = query(
        "select as_of_date, from_segment, to_segment, user_count, from_segment_user_count, "
        "movement_rate from marts.fct_user_segment_movements"
    )
    assert {row[:3]: row[3:5] for row in found} == expected
    for *_, count, total, rate in found:
        assert float(rate) == pytest.approx(count / total, abs=1e-6)


# -- the truth -----------------------------------------------------------------------------------


def test_the_marts_tell_the_truth_of_the_generated_sessions(
    query: Callable[[str], Rows], generated: Path
) -> None:
    rows = pq.read_table(generated / "truth" / "sessions.parquet").to_pylist()
    human = [row for row in rows if not row["is_bot"]]
    ids = dict(
        query(
            "select event_id, session_id::text from marts.fct_events "
            "where session_event_number = 1 and visitor_id !~ '^(r|back)-?[0-9o]'"
        )
    )

    def true(name: str) -> set[str]:
        return {ids[row["first_event_id"]] for row in human if row[name]}

    def told(text: str) -> set[str]:
        return {session_id for (session_id,) in query(text)} & set(ids.values())

    assert true("has_purchase")
    assert true("has_checkout") == told("select session_id::text from marts.fct_checkout_funnels")
    assert true("has_purchase") == told(
        "select session_id::text from intermediate.int_session_paths "
        "where path_end = 'purchase' and not is_bot"
    )
    assert true("product_view_count") == told(
        "select session_id::text from marts.fct_category_funnels"
    )
