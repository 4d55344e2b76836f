"""Score the marts against the generator's truth: `make score`, by default at a million events.

`clickmart up` in an empty home of its own, then each total and each row of the marts beside what
the truth files say: sessions, users, orders, carts, bots, attribution. Anything but equality is a
fault, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq

from ingestion import postgres
from ingestion.settings import Settings

CLICKMART = str(Path(sys.executable).parent / "clickmart")
SESSIONS = 87_000
Row = dict[str, Any]
Rows = Iterator[tuple[Any, ...]]
Query = Callable[[str], list[tuple[Any, ...]]]

TOTALS = {
    "events": "select count(*) from marts.fct_events",
    "sessions": "select count(*) from marts.fct_sessions",
    "human_sessions": "select sum(session_count) from marts.fct_daily_metrics",
    "bot_sessions": "select count(*) from marts.fct_sessions where is_bot",
    "bot_visitors": "select count(*) from marts.dim_visitors where is_bot",
    "bot_events": "select count(*) from marts.fct_events where is_bot",
    "visitors": "select count(*) from marts.dim_visitors",
    "users": "select count(*) from marts.dim_users where is_identified",
    "cart_sessions": "select count(*) from marts.fct_carts",
    "purchase_sessions": "select count(*) from marts.fct_sessions where is_converted",
    "abandoned_carts": "select count(*) from marts.fct_carts where is_abandoned",
    "abandoned_amount": "select sum(lost_revenue_amount) from marts.fct_carts",
    "orders": "select count(*) from marts.fct_orders",
    "gross_amount": "select sum(gross_amount) from marts.fct_orders",
    "refunds": "select count(*) from marts.fct_refunds",
    "refund_amount": "select sum(refund_amount) from marts.fct_refunds",
    "rows": "select sum(read_count) from marts.fct_load_quality",
    "duplicates": "select sum(same_load_duplicate_count) from marts.fct_load_quality",
    "malformed": "select sum(waiting_count) from marts.fct_load_quality",
}
"""Queries by the name of the number in the truth's summary."""

FIRST_EVENTS = """
    from marts.fct_sessions as s inner join marts.fct_events as e
    on s.session_id = e.session_id and e.session_event_number = 1
"""
TOUCH = "select order_id, channel, attributed_revenue_amount from marts.fct_attribution as a inner \
join marts.fct_orders as o using (order_key) where a.attribution_model = "
ROWS = {
    "sessions": "select s.visitor_id, e.event_id, s.started_at, s.ended_at, s.event_count, "
    "s.product_view_count, s.add_to_cart_count, s.order_count, s.is_bot, s.is_converted "
    + FIRST_EVENTS,
    "session_users": "select e.event_id, s.user_key::text " + FIRST_EVENTS,
    "session_channels": "select e.event_id, s.channel " + FIRST_EVENTS,
    "bots": "select visitor_id from marts.dim_visitors where is_bot",
    "orders": "select order_id, event_id, visitor_id, user_key::text, ordered_at, line_count, "
    "purchase_event_count, gross_amount, tax_amount, shipping_amount, discount_amount, coupon, "
    "refund_amount, net_amount from marts.fct_orders",
    "carts": "select e.event_id, c.is_abandoned, c.lost_revenue_amount, c.is_recovered "
    + FIRST_EVENTS
    + "inner join marts.fct_carts as c on s.session_id = c.session_id",
    "first_touch": TOUCH + "'first_touch'",
    "last_touch": TOUCH + "'last_touch'",
    "last_non_direct": TOUCH + "'last_non_direct'",
    "events_by_type": "select event_type, count(*) from marts.fct_events group by event_type",
    "malformed_by_reason": "select reason, sum(quarantined_count) "
    "from marts.fct_quarantine_reasons group by reason",
}
"""Queries by the name of the method of Truth that gives the same rows."""


def key(*values: str) -> str:
    """Return the warehouse's key of the values."""
    digest = hashlib.md5("\x1f".join(values).encode(), usedforsecurity=False).hexdigest()
    return str(UUID(digest))


class Truth:
    """What the generator says is in the events; each method gives a mart's rows as they must be."""

    def __init__(self, folder: Path, recovery_days: int = 7, lookback_days: int = 30) -> None:
        self._folder = folder
        self._recovery = timedelta(days=recovery_days)
        self._lookback = timedelta(days=lookback_days)
        self.summary: Row = json.loads((folder / "summary.json").read_text())

    @cached_property
    def _sessions(self) -> list[Row]:
        return self._table("sessions")

    @cached_property
    def _orders(self) -> list[Row]:
        return self._table("orders")

    def _table(self, name: str) -> list[Row]:
        return list(pq.read_table(self._folder / f"{name}.parquet").to_pylist())

    @cached_property
    def _visitor_users(self) -> dict[str, str]:
        """Return each visitor's latest user: who is logged in stays so until the session ends."""
        known = (s for s in self._sessions if s["user_id"])
        by_time = sorted(known, key=lambda session: session["session_end"])
        return {session["visitor_id"]: session["user_id"] for session in by_time}

    def _user(self, row: Row) -> str:
        user_id = row["user_id"] or self._visitor_users.get(row["visitor_id"])
        return key("user", user_id) if user_id else key("visitor", row["visitor_id"])

    @cached_property
    def _sessions_of_user(self) -> dict[str, list[Row]]:
        """Return each user's sessions, but those of bots, in their order."""
        found = defaultdict(list)
        for session in self._sessions:
            if not session["is_bot"]:
                found[self._user(session)].append(session)
        return {user: sorted(sessions, key=_in_order) for user, sessions in found.items()}

    def sessions(self) -> Rows:
        for s in self._sessions:
            yield (
                *(s["visitor_id"], s["first_event_id"], s["session_start"], s["session_end"]),
                *(s["event_count"], s["product_view_count"], s["add_to_cart_count"]),
                *(s["order_count"], s["is_bot"], s["has_purchase"]),
            )

    def session_users(self) -> Rows:
        return ((s["first_event_id"], self._user(s)) for s in self._sessions)

    def session_channels(self) -> Rows:
        return ((s["first_event_id"], s["channel"]) for s in self._sessions)

    def bots(self) -> Rows:
        return ((v["visitor_id"],) for v in self._table("visitors") if v["is_bot"])

    def orders(self) -> Rows:
        for o in self._orders:
            yield (
                *(o["order_id"], o["first_event_id"], o["visitor_id"], self._user(o)),
                *(o["ordered_at"], o["line_count"], o["purchase_event_count"], o["gross_amount"]),
                *(o["tax_amount"], o["shipping_amount"], o["discount_amount"], o["coupon"]),
                *(o["refund_amount"], o["gross_amount"] - o["refund_amount"]),
            )

    def carts(self) -> Rows:
        ordered = defaultdict(list)
        for order in self._orders:
            ordered[self._user(order)].append(order["ordered_at"])
        for s in self._sessions:
            if s["has_cart"]:
                end, lost = s["session_end"], s["is_abandoned"]
                is_recovered = lost and any(
                    end < at <= end + self._recovery for at in ordered[self._user(s)]
                )
                amount = s["cart_amount"] if lost else Decimal(0)
                yield s["first_event_id"], lost, amount, is_recovered

    def first_touch(self) -> Rows:
        for order, touches in self._touches():
            yield order["order_id"], touches[0]["channel"], order["gross_amount"]

    def last_touch(self) -> Rows:
        for order, touches in self._touches():
            yield order["order_id"], touches[-1]["channel"], order["gross_amount"]

    def last_non_direct(self) -> Rows:
        for order, touches in self._touches():
            channels = [t["channel"] for t in touches]
            named = [channel for channel in channels if channel != "Direct"] or channels
            yield order["order_id"], named[-1], order["gross_amount"]

    def _touches(self) -> Iterator[tuple[Row, list[Row]]]:
        """Return each order with its own session and those that came before it in time."""
        for order in self._orders:
            at = order["ordered_at"]
            yield (
                order,
                [
                    session
                    for session in self._sessions_near(order)
                    if session["session_start"] <= at <= session["session_start"] + self._lookback
                ],
            )

    def _sessions_near(self, order: Row) -> list[Row]:
        """Return the sessions of the order's user, and its own: another user may have ended it."""
        at, visitor = order["ordered_at"], order["visitor_id"]
        near = self._sessions_of_user[self._user(order)]
        own = [
            session
            for session in self._sessions_of_visitor[visitor]
            if session["session_start"] <= at <= session["session_end"] and session not in near
        ]
        return sorted(near + own, key=_in_order)

    @cached_property
    def _sessions_of_visitor(self) -> dict[str, list[Row]]:
        found = defaultdict(list)
        for session in self._sessions:
            found[session["visitor_id"]].append(session)
        return found

    def events_by_type(self) -> Rows:
        return ((name, n) for name, n in self.summary["events_by_type"].items() if n)

    def malformed_by_reason(self) -> Rows:
        return iter(self.summary["malformed_by_reason"].items())


def _in_order(session: Row) -> tuple[Any, str]:
    return session["session_start"], key(session["visitor_id"], session["first_event_id"])


@dataclass(frozen=True)
class Score:
    """One comparison: how much or how many there truly are and were found, and what differs."""

    what: str
    true: Decimal
    found: Decimal
    missing: Decimal
    wrong: Decimal

    @property
    def is_exact(self) -> bool:
        """Say whether nothing is missing and nothing is wrong."""
        return not self.missing and not self.wrong


def score_total(query: Query, truth: Truth, name: str) -> Score:
    """Compare a number of the truth's summary with the marts."""
    true, found = Decimal(truth.summary[name]), Decimal(query(TOTALS[name])[0][0])
    return Score(name, true, found, max(true - found, Decimal(0)), max(found - true, Decimal(0)))


def score_rows(query: Query, truth: Truth, name: str) -> Score:
    """Compare rows: those of the truth that the marts lack, and those they have too many."""
    true, found = Counter(getattr(truth, name)()), Counter(query(ROWS[name]))
    counts = (counter.total() for counter in (true, found, true - found, found - true))
    return Score(f"{name}, row by row", *map(Decimal, counts))


def all_scores(query: Query, truth: Truth) -> list[Score]:
    """Return every total and every table of rows."""
    totals = [score_total(query, truth, name) for name in TOTALS]
    return totals + [score_rows(query, truth, name) for name in ROWS]


def scored(home: Path, sessions: int) -> list[Score]:
    """Make a warehouse in the home and score it."""
    environment = {**os.environ, "CLICKMART_HOME": str(home)}
    size = ["--sessions", str(sessions), "--users", str(max(1, sessions // 10))]
    try:
        subprocess.run([CLICKMART, "up", *size], env=environment, check=True)
        settings = Settings(home=home, lake=str(home / "lake"))
        with postgres.connect(settings) as connection, connection.cursor() as cursor:

            def query(text: str) -> list[tuple[Any, ...]]:
                cursor.execute(text)
                return list(cursor.fetchall())

            return all_scores(query, Truth(home / "generated" / "truth"))
    finally:
        subprocess.run([CLICKMART, "db", "stop"], env=environment, check=False)


def main() -> None:
    """Score one size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    home = Path(tempfile.mkdtemp(prefix="clickmart-score-"))
    try:
        found = scored(home, parser.parse_args().sessions)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(f"\n{'':<34}{'true':>16}{'found':>16}{'missing':>12}{'wrong':>12}")
    for score in found:
        figures = f"{score.true:>16,}{score.found:>16,}{score.missing:>12,}{score.wrong:>12,}"
        print(f"{score.what:<34}{figures}")
    sys.exit(not all(score.is_exact for score in found))


if __name__ == "__main__":
    main()
