"""Attribution and cohorts counted a second time, in plain Python, from the events themselves.

Nothing here knows the models' SQL. The rules are those that the field publishes:

- first, last, last non-direct, linear, position-based and time-decay attribution: Google Analytics
  Help, "Attribution modeling overview" (40 % to the first and the last interaction each, 20 % to
  those between; a half-life of seven days);
- Markov chains: Anderl, Becker, von Wangenheim and Schumann (2016), "Mapping the customer journey",
  International Journal of Research in Marketing 33(3): the removal effect of a channel is the
  probability to visit it times the probability of a conversion from there on;
- cohorts: users grouped by the month or week of their first event or order.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from typing import Any

Row = dict[str, Any]
Shares = list[Fraction]

LOOKBACK = timedelta(days=30)
GAP = timedelta(minutes=30)
START, ORDER, NULL = "(start)", "(order)", "(null)"


@dataclass
class Session:
    """Events of one visitor without a gap of more than half an hour."""

    session_id: str
    visitor: str
    channel: str
    user: str
    started_at: datetime
    orders: int = 0


@dataclass
class Order:
    """Purchase events with one order id; the touches are sessions, the earliest first."""

    order_id: str
    user: str
    session: Session
    ordered_at: datetime
    amount: Decimal | None
    touches: list[Session] = field(default_factory=list)


# -- events to sessions and orders ---------------------------------------------------------------


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Return the events by time, then by the bytes of their ids."""
    return sorted(rows, key=lambda row: (row["at"], row["event_id"].encode()))


def users_of_visitors(rows: Iterable[Row]) -> dict[str, str]:
    """Return each visitor's user: the latest user id seen on it, else the visitor."""
    users: dict[str, str] = {}
    for row in in_order(rows):
        users.setdefault(row["visitor_id"], "visitor " + row["visitor_id"])
        if row["user_id"]:
            users[row["visitor_id"]] = row["user_id"]
    return users


def with_users(rows: Iterable[Row]) -> list[Row]:
    """Return the events in order, each with its user."""
    users = users_of_visitors(rows)
    return [{**row, "user": row["user_id"] or users[row["visitor_id"]]} for row in in_order(rows)]


def sessions_of(rows: Iterable[Row]) -> dict[str, Session]:
    """Return the session of each event."""
    users = users_of_visitors(rows)
    found: dict[str, Session] = {}
    latest: dict[str, tuple[datetime, Session]] = {}
    for row in in_order(rows):
        visitor = row["visitor_id"]
        at, session = latest.get(visitor, (None, None))
        if session is None or at is None or row["at"] - at > GAP:
            text = f"{visitor}\x1f{row['event_id']}"
            key = hashlib.md5(text.encode()).hexdigest()
            session = Session(key, visitor, "Direct", users[visitor], row["at"])
        if session.channel == "Direct":
            session.channel = row["channel"]
        if row["user_id"]:
            session.user = row["user_id"]
        latest[visitor] = (row["at"], session)
        found[row["event_id"]] = session
    return found


def orders_of(rows: Iterable[Row], sessions: dict[str, Session]) -> list[Order]:
    """Return the orders with their touches."""
    purchases: dict[str, list[Row]] = defaultdict(list)
    for row in with_users(rows):
        if row["event_type"] == "purchase":
            purchases[row["order_id"]].append(row)
    orders = []
    for order_id, events in purchases.items():
        first = events[0]
        totals = [row["order_total"] for row in events if row["order_total"] is not None]
        session = sessions[first["event_id"]]
        amount = Decimal(totals[0]) if totals else None
        orders.append(Order(order_id, first["user"], session, first["at"], amount))
    every = {id(session): session for session in sessions.values()}.values()
    for order in orders:
        order.touches = by_start(
            session
            for session in every
            if session is order.session
            or (
                session.user == order.user
                and timedelta(0) <= order.ordered_at - session.started_at <= LOOKBACK
            )
        )
    return orders


def by_start(sessions: Iterable[Session]) -> list[Session]:
    return sorted(sessions, key=lambda session: (session.started_at, session.session_id))


# -- the six rules -------------------------------------------------------------------------------


def only(place: int, count: int) -> Shares:
    return [Fraction(int(i == place)) for i in range(count)]


def last_non_direct(order: Order) -> Shares:
    places = [i for i, touch in enumerate(order.touches) if touch.channel != "Direct"]
    return only(places[-1] if places else len(order.touches) - 1, len(order.touches))


def position_based(order: Order) -> Shares:
    count = len(order.touches)
    if count <= 2:
        return [Fraction(1, count)] * count
    between = [Fraction(1, 5) / (count - 2)] * (count - 2)
    return [Fraction(2, 5), *between, Fraction(2, 5)]


def time_decay(order: Order) -> Shares:
    with localcontext() as context:
        context.prec = 40
        week = Decimal(7 * 24 * 3600)
        weights = []
        for touch in order.touches:
            seconds = Decimal(str((order.ordered_at - touch.started_at).total_seconds()))
            weights.append(Decimal("0.5") ** (seconds / week))
    rounded = [Fraction(weight.quantize(Decimal("1e-12"), ROUND_HALF_UP)) for weight in weights]
    return [weight / sum(rounded) for weight in rounded]


RULES: dict[str, Callable[[Order], Shares]] = {
    "first_touch": lambda order: only(0, len(order.touches)),
    "last_touch": lambda order: only(len(order.touches) - 1, len(order.touches)),
    "last_non_direct": last_non_direct,
    "linear": lambda order: [Fraction(1, len(order.touches))] * len(order.touches),
    "position_based": position_based,
    "time_decay": time_decay,
}


# -- Markov --------------------------------------------------------------------------------------


def paths_of(sessions: dict[str, Session], orders: Sequence[Order]) -> list[list[str]]:
    """Return the paths: one per order, and one per user without any, back from the last session."""
    paths = [[START, *(touch.channel for touch in order.touches), ORDER] for order in orders]
    buyers = {order.user for order in orders}
    others: dict[str, list[Session]] = defaultdict(list)
    for session in {id(session): session for session in sessions.values()}.values():
        if session.user not in buyers:
            others[session.user].append(session)
    for theirs in others.values():
        last = max(session.started_at for session in theirs)
        kept = by_start(s for s in theirs if last - s.started_at <= LOOKBACK)
        paths.append([START, *(session.channel for session in kept), NULL])
    return paths


def solved(matrix: list[Shares], constants: Shares) -> Shares:
    """Return the solution of a system of linear equations, exactly."""
    rows = [[*row, constant] for row, constant in zip(matrix, constants, strict=True)]
    for i in range(len(rows)):
        pivot = next(k for k in range(i, len(rows)) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(len(rows)):
            if k != i and rows[k][i]:
                factor = rows[k][i]
                rows[k] = [a - factor * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[-1] for row in rows]


def hits(rates: dict[tuple[str, str], Fraction], states: list[str], goal: str) -> dict[str, Any]:
    """Return each state's probability to come to the goal, one of absorption, sooner or later."""
    inner = [state for state in states if state != goal]
    matrix = [
        [Fraction(int(a == b)) - rates.get((a, b), Fraction(0)) for b in inner] for a in inner
    ]
    constants = [rates.get((a, goal), Fraction(0)) for a in inner]
    return dict(zip(inner, solved(matrix, constants), strict=True))


def removal_effects(paths: Iterable[Sequence[str]]) -> dict[str, Fraction]:
    """Return each channel's visit probability times its probability of eventual conversion."""
    steps = Counter(step for path in paths for step in pairwise(path))
    leaving: Counter[str] = Counter()
    for (state, _), count in steps.items():
        leaving[state] += count
    rates = {step: Fraction(count, leaving[step[0]]) for step, count in steps.items()}
    states = sorted(leaving)
    eventual = hits(rates, states, ORDER)
    return {
        channel: hits(rates, states, channel)[START] * eventual[channel]
        for channel in states
        if channel != START
    }


def markov(order: Order, effects: dict[str, Fraction]) -> Shares:
    """Share the order among its channels by their effects; a channel's touches share alike."""
    counts = Counter(touch.channel for touch in order.touches)
    total = sum(effects[channel] for channel in counts)
    return [effects[t.channel] / total / counts[t.channel] for t in order.touches]


# -- credits -------------------------------------------------------------------------------------


def floored(value: Fraction, places: int) -> Decimal:
    return Decimal(value.numerator * 10**places // value.denominator).scaleb(-places)


def to_18_places(share: Fraction) -> Fraction:
    with localcontext() as context:
        context.prec = 60
        value = Decimal(share.numerator) / Decimal(share.denominator)
        return Fraction(value.quantize(Decimal("1e-18"), ROUND_HALF_UP))


def cut(shares: Shares, whole: Decimal, places: int) -> list[Decimal]:
    """Return the parts of a whole, cut to so many places; the last has what is left over."""
    parts = [floored(to_18_places(share) * Fraction(whole), places) for share in shares]
    parts[-1] += whole - sum(parts)
    return parts


def credits_of(
    orders: Iterable[Order], effects: dict[str, Fraction]
) -> set[tuple[str, str, str, str, int, Decimal, Decimal | None]]:
    """Return order id, session id, model, channel, touch number, credit and revenue."""
    models = {**RULES, "markov": lambda order: markov(order, effects)}
    found = set()
    for order in orders:
        for model, rule in models.items():
            shares = rule(order)
            credit = cut(shares, Decimal(1), 6)
            revenue = [None] * len(shares) if order.amount is None else cut(shares, order.amount, 4)
            for i, touch in enumerate(order.touches):
                if shares[i]:
                    found.add(
                        (
                            *(order.order_id, touch.session_id, model, touch.channel, i + 1),
                            *(credit[i], revenue[i]),
                        )
                    )
    return found


# -- cohorts -------------------------------------------------------------------------------------


def period_start(period_type: str, day: date) -> date:
    if period_type == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday())


def following(period_type: str, start: date) -> date:
    return period_start(period_type, start + timedelta(days=31 if period_type == "month" else 7))


def ratio(part: Decimal | int, whole: Decimal | int | None, places: str) -> Decimal | None:
    if not whole:
        return None
    return (Decimal(part) / Decimal(whole)).quantize(Decimal(places), ROUND_HALF_UP)


def cohorts_of(
    days: Iterable[tuple[str, date]],
    sales: Sequence[tuple[str, date, Decimal]],
    period_type: str,
    last_day: date,
) -> list[tuple[Any, ...]]:
    """Return each period of each cohort of these users' days.

    Cohort, period number, period, size, active users, retention, their change, revenue, its change,
    cumulative revenue and that per user.
    """
    active: dict[str, set[date]] = defaultdict(set)
    for user, day in days:
        active[user].add(period_start(period_type, day))
    members: dict[date, set[str]] = defaultdict(set)
    for user, periods in active.items():
        members[min(periods)].add(user)
    found = []
    for cohort, users in members.items():
        period, number, total = cohort, 0, Decimal(0)
        count: int | None = None
        revenue: Decimal | None = None
        while period <= last_day:
            before_count, before_revenue = count, revenue
            count = sum(period in active[user] for user in users)
            revenue = sum(
                (
                    amount
                    for user, day, amount in sales
                    if user in users and period_start(period_type, day) == period
                ),
                Decimal(0),
            )
            total += revenue
            found.append(
                (
                    *(cohort, number, period, len(users), count),
                    ratio(count, len(users), "1e-6"),
                    ratio(count - (before_count or 0), before_count, "1e-6"),
                    revenue,
                    ratio(revenue - (before_revenue or 0), before_revenue, "1e-6"),
                    total,
                    ratio(total, len(users), "1e-4"),
                )
            )
            period, number = following(period_type, period), number + 1
    return sorted(found)
