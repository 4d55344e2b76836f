"""Attribution, costs and cohorts: the marts' rows are those of a plain recount of the events."""

from __future__ import annotations

import csv
import json
import logging
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest

from ingestion.settings import Settings
from tests import attribution_reference as reference
from tests.attribution_reference import Order, Row
from tests.dbt_runs import run_dbt

Query = Callable[..., list[tuple[Any, ...]]]

START = datetime(2025, 11, 12, tzinfo=timezone.utc)
TRAFFIC: dict[str, Row] = {
    "Direct": {},
    "Email": {"utm_source": "newsletter", "utm_medium": "email"},
    "Paid Search": {"utm_source": "google", "utm_medium": "cpc"},
    "Paid Social": {"utm_source": "facebook", "utm_medium": "paid_social"},
    "Display": {"utm_source": "displaynet", "utm_medium": "display"},
    "Affiliates": {"utm_source": "dealhunter", "utm_medium": "affiliate"},
    "Organic Search": {"referrer": "https://www.google.com/"},
    "Referral": {"referrer": "https://blog.example.net/guide"},
}
WRONG_CLOCK = datetime(2015, 1, 1, tzinfo=timezone.utc)


class Shop:
    """Draws visits to a shop: users on several devices, orders loaded twice, sessions at once."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.rows: list[Row] = []
        self.order_count = 0
        for _ in range(900):
            # Few distinct times: sessions start at once, and exactly a lookback before an order.
            at = START + timedelta(hours=12 * self.draw.randrange(200))
            self.visit(f"v{self.draw.randrange(150)}", at)
        for _ in range(6):
            self.visit("bot", START + timedelta(days=self.draw.randrange(90)), is_bot=True)
        for at in (WRONG_CLOCK, START + timedelta(days=50)):
            self.visit("v1", at, is_buying=True)

    def visit(
        self, visitor: str, at: datetime, is_bot: bool = False, is_buying: bool = False
    ) -> None:
        """Add a session of one to four events, the last perhaps a purchase."""
        channel = self.draw.choice([*TRAFFIC, "Direct"])
        count = self.draw.randrange(1, 4)
        buys = is_buying or self.draw.random() < 0.25
        for i in range(count):
            is_purchase = buys and i == count - 1
            self.rows.append(
                {
                    "event_id": f"e{len(self.rows)}",
                    "event_type": "purchase" if is_purchase else "page_view",
                    "at": at + timedelta(minutes=7 * i),
                    "visitor_id": visitor,
                    "user_id": self.user_of(visitor),
                    "channel": channel if i == 0 else "Direct",
                    "order_id": self.order_id() if is_purchase else None,
                    "order_total": self.draw.choice([None, "10", "0.05", "33.33", "99.9"])
                    if is_purchase
                    else None,
                    "is_bot": is_bot or None,
                }
            )

    def user_of(self, visitor: str) -> str | None:
        """Return nobody mostly, the visitor's user, or now and then another one."""
        share = self.draw.random()
        if share < 0.6 or not visitor.startswith("v"):
            return None
        return f"u{self.draw.randrange(60)}" if share < 0.63 else f"u{int(visitor[1:]) % 60}"

    def order_id(self) -> str:
        if self.draw.random() > 0.06:
            self.order_count += 1
            return f"order {self.order_count}"
        return f"order {self.draw.randrange(self.order_count + 1)}"

    @property
    def counted(self) -> list[Row]:
        return [row for row in self.rows if not row["is_bot"]]

    def sent(self) -> list[Row]:
        """Return the events as the source would send them, shuffled."""
        sent = [
            {
                **{name: value for name, value in row.items() if name not in ("at", "channel")},
                **TRAFFIC[row["channel"]],
                "event_ts": row["at"].isoformat(),
            }
            for row in self.rows
        ]
        self.draw.shuffle(sent)
        return sent


@pytest.fixture(scope="module")
def shop(
    settings: Settings,
    forget_all: Callable[[], None],
    spark: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Shop:
    """A shop whose events are loaded and whose marts are built."""
    from ingestion import batch

    forget_all()
    shop = Shop(11)
    path = tmp_path_factory.mktemp("shop") / "events.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in shop.sent()))
    report = logging.getLogger(__name__).info
    result = batch.ingest(settings, [str(path)], "native", report=report, spark=spark)
    assert result.loaded == len(shop.rows)
    run_dbt(
        *(settings, "build", "--exclude-resource-type", "unit_test"),
        *("--indirect-selection", "cautious"),
        *("--select", "+fct_channel_metrics", "+fct_user_cohorts"),
        "attribution_credits_sum_to_each_order",
    )
    return shop


@pytest.fixture(scope="module")
def orders(shop: Shop) -> list[Order]:
    """The orders of a recount, with their touches."""
    return reference.orders_of(shop.counted, reference.sessions_of(shop.counted))


@pytest.fixture(scope="module")
def effects(shop: Shop, orders: list[Order]) -> dict[str, Fraction]:
    """The removal effects of a recount."""
    sessions = reference.sessions_of(shop.counted)
    return reference.removal_effects(reference.paths_of(sessions, orders))


# -- attribution ---------------------------------------------------------------------------------


def test_the_recount_meets_what_the_rules_speak_of(orders: list[Order]) -> None:
    touches = [order.touches for order in orders]
    assert {len(theirs) for theirs in touches} >= {1, 2, 3, 4, 5}
    assert any(len(theirs) > len({t.channel for t in theirs}) for theirs in touches)
    assert any({t.channel for t in theirs} == {"Direct"} for theirs in touches)
    assert any(
        order.ordered_at - order.touches[0].started_at == reference.LOOKBACK for order in orders
    )
    assert any(a.started_at == b.started_at for t in touches for a, b in pairwise(t))
    assert any(order.user != order.session.user for order in orders)
    assert any(order.amount is None for order in orders)
    with_wrong_clock = {order.user for order in orders if order.ordered_at < START}
    assert with_wrong_clock & {order.user for order in orders if order.ordered_at >= START}


def test_every_removal_effect_is_the_published_product(
    effects: dict[str, Fraction], query: Query
) -> None:
    found = dict(
        query("select channel, removal_effect from intermediate.int_channel_removal_effects")
    )
    assert found.keys() == effects.keys() == TRAFFIC.keys()
    for channel, effect in effects.items():
        assert abs(Fraction(found[channel]) - effect) < Fraction(1, 10**23)


def test_every_credit_of_every_model_is_that_of_a_recount(
    orders: list[Order], effects: dict[str, Fraction], query: Query
) -> None:
    expected = reference.credits_of(orders, effects)
    found = query(
        "select o.order_id, replace(a.session_id::text, '-', ''), a.attribution_model, a.channel, "
        "a.touch_number, a.credit, a.attributed_revenue_amount "
        "from marts.fct_attribution as a join marts.fct_orders as o using (order_key)"
    )
    assert len(found) == len(expected)
    assert set(found) == expected


# -- costs ---------------------------------------------------------------------------------------


def spent(settings: Settings, last_day: date) -> dict[tuple[str, str], Decimal]:
    """Return the seed's costs by month and channel, in US dollars, up to the day."""
    costs: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    with (settings.project_dir / "seeds" / "channel_costs.csv").open() as file:
        for row in csv.DictReader(file):
            if row["cost_date"] <= last_day.isoformat():
                rate = {"USD": Decimal(1), "EUR": Decimal("1.08")}[row["currency"]]
                costs[row["cost_date"][:7], row["channel"]] += Decimal(row["cost_amount"]) * rate
    return dict(costs)


def test_costs_are_set_against_what_each_model_gives(
    settings: Settings,
    shop: Shop,
    orders: list[Order],
    effects: dict[str, Fraction],
    query: Query,
) -> None:
    costs = spent(settings, max(row["at"].date() for row in shop.counted))
    assert {month for month, _ in costs} == {"2026-01", "2026-02"}
    months = {order.order_id: f"{order.ordered_at:%Y-%m}" for order in orders}
    earned: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 2)
    for order_id, _, model, channel, _, credit, revenue in reference.credits_of(orders, effects):
        sums = earned[months[order_id], channel, model]
        earned[months[order_id], channel, model] = [sums[0] + credit, sums[1] + (revenue or 0)]
    found = query(
        "select to_char(month_start_date, 'YYYY-MM'), channel, attribution_model, "
        "attributed_order_count, attributed_revenue_amount, cost_amount, cost_per_order_amount, "
        "roas, has_example_cost from marts.fct_channel_metrics"
    )
    assert {row[:2] for row in found if row[5] is not None} == costs.keys()
    assert {row[:3] for row in found} >= earned.keys()
    for month, channel, model, *figures in found:
        count, revenue = earned[month, channel, model]
        cost = costs.get((month, channel))
        per_order, roas = None, None
        if cost is not None:
            per_order = reference.ratio(cost, count, "1e-4")
            roas = (revenue / cost).quantize(Decimal("1e-6"), ROUND_HALF_UP)
        assert figures == [count, revenue, cost, per_order, roas, cost is not None]


# -- cohorts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("period_type", ["month", "week"])
@pytest.mark.parametrize("cohort_type", ["activity", "purchase"])
def test_every_period_of_every_cohort_is_that_of_a_recount(
    shop: Shop, orders: list[Order], query: Query, period_type: str, cohort_type: str
) -> None:
    rows = [row for row in reference.with_users(shop.counted) if row["at"] >= START]
    sales = [
        (order.user, order.ordered_at.date(), order.amount or Decimal(0))
        for order in orders
        if order.ordered_at >= START
    ]
    days = [(row["user"], row["at"].date()) for row in rows]
    if cohort_type == "purchase":
        days = [(user, day) for user, day, _ in sales]
    last_day = max(row["at"].date() for row in shop.counted)
    expected = reference.cohorts_of(days, sales, period_type, last_day)
    found = query(
        "select cohort_start_date, period_number, period_start_date, cohort_user_count, "
        "active_user_count, retention_rate, active_user_count_change_rate, gross_revenue_amount, "
        "gross_revenue_change_rate, cumulative_revenue_amount, cumulative_revenue_per_user_amount "
        "from marts.fct_user_cohorts where period_type = %s and cohort_type = %s order by 1, 2",
        *(period_type, cohort_type),
    )
    assert found == expected
    assert {row[5] for row in found if row[1] == 0} == {1}
