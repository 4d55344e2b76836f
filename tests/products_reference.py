"""Products, carts and affinity computed a second time, in plain Python, from the raw events.

Written from docs/definitions.md, and for affinity from the papers: support and confidence as in
Agrawal, Imielinski and Swami, "Mining association rules between sets of items in large databases"
(SIGMOD 1993); lift, there called interest, as in Brin, Motwani, Ullman and Tsur, "Dynamic itemset
counting and implication rules for market basket data" (SIGMOD 1997). Plain loops over small data:
nothing here is fast, and nothing is shared with the models.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import groupby, permutations
from typing import Any

from ingestion.settings import PROJECT_DIR

TIMEOUT = timedelta(minutes=30)
RECOVERY = timedelta(days=7)
Row = dict[str, Any]
Person = tuple[str, str]


@dataclass
class Item:
    """A product of an event; `unit_price` is the source's."""

    line_id: str
    product_id: str
    quantity: int
    unit_price: Decimal | None


@dataclass
class Event:
    """An event with its items, its session's first event and its person."""

    event_id: str
    type: str
    at: datetime
    visitor_id: str
    user_id: str | None
    order_id: str | None
    currency: str
    is_declared_bot: bool
    items: list[Item]
    session: str = ""
    person: Person = ("", "")

    @property
    def day(self) -> date:
        """The day in UTC."""
        return self.at.astimezone(timezone.utc).date()

    @property
    def products(self) -> set[str]:
        """The products of the event."""
        return {item.product_id for item in self.items}


@dataclass
class Order:
    """An order: its first purchase event, and the pieces and worth of each product."""

    event: Event
    pieces: Counter[str] = field(default_factory=Counter)
    revenue: Counter[str] = field(default_factory=Counter)


class Shop:
    """All events, with sessions, persons, bots and orders found."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.events = sorted(events, key=lambda e: (e.at, e.event_id.encode()))
        self.rates = exchange_rates()
        self._find_persons()
        self.sessions = self._split_sessions()
        self.bots = self._find_bots()
        self.orders = self._find_orders()
        self.ordered_sessions = {order.event.session for order in self.orders}

    def _find_persons(self) -> None:
        latest = {e.visitor_id: e.user_id for e in self.events if e.user_id is not None}
        for e in self.events:
            user = e.user_id or latest.get(e.visitor_id)
            e.person = ("user", user) if user else ("visitor", e.visitor_id)

    def _split_sessions(self) -> dict[str, list[Event]]:
        sessions: dict[str, list[Event]] = {}
        open_session: dict[str, list[Event]] = {}
        for e in self.events:
            before = open_session.get(e.visitor_id)
            if before is None or e.at - before[-1].at > TIMEOUT:
                before = open_session[e.visitor_id] = sessions[e.event_id] = []
            before.append(e)
            e.session = before[0].event_id
        return sessions

    def _find_bots(self) -> set[str]:
        return {
            s[0].visitor_id
            for s in self.sessions.values()
            if any(e.is_declared_bot for e in s)
            or (len(s) >= 50 and (s[-1].at - s[0].at) / (len(s) - 1) < timedelta(seconds=1))
        }

    def _find_orders(self) -> list[Order]:
        orders: dict[tuple[str, str], Order] = {}
        lines = set()
        for e in self.events:
            if e.type != "purchase":
                continue
            key = ("order", e.order_id) if e.order_id else ("event", e.event_id)
            order = orders.setdefault(key, Order(e))
            for item in e.items:
                if (key, item.line_id) in lines:
                    continue
                lines.add((key, item.line_id))
                order.pieces[item.product_id] += item.quantity
                if item.unit_price is not None:
                    worth = self.converted(item.unit_price * item.quantity, order.event)
                    order.revenue[item.product_id] += worth  # type: ignore[assignment]
        return list(orders.values())

    def converted(self, amount: Decimal, event: Event) -> Decimal:
        """The amount in US dollars, at the rate of the event's day."""
        rate = max(r for r in self.rates[event.currency] if r[0] <= event.day)[1]
        return rounded(amount * rate, 4)

    def counted(self) -> Iterator[list[Event]]:
        """The sessions of visitors who are no bots."""
        return (s for s in self.sessions.values() if s[0].visitor_id not in self.bots)

    def session_person(self, session: str) -> Person:
        """The person of the session's last event with a user id, else the visitor's."""
        events = self.sessions[session]
        known = [e.person for e in events if e.user_id is not None]
        return known[-1] if known else events[-1].person


def rounded(value: Decimal | Fraction, places: int) -> Decimal:
    """Round half away from zero, as PostgreSQL's numeric does."""
    if isinstance(value, Fraction):
        value = Decimal(value.numerator) / Decimal(value.denominator)
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def share(part: int, whole: int) -> Decimal | None:
    """A rate of six places; none of nothing."""
    return rounded(Fraction(part, whole), 6) if whole else None


def exchange_rates() -> dict[str, list[tuple[date, Decimal]]]:
    """What a unit of each currency is worth in US dollars, from which day on."""
    rates = defaultdict(list)
    with (PROJECT_DIR / "seeds" / "exchange_rates.csv").open() as stream:
        for row in csv.DictReader(stream):
            day = date.fromisoformat(row["valid_from"])
            rates[row["currency"]].append((day, Decimal(row["rate"])))
    return rates


# -- products by day -----------------------------------------------------------------------------

COUNTS = {"product_view": "views", "add_to_cart": "adds", "remove_from_cart": "removes"}


def product_metrics(shop: Shop) -> dict[tuple[date, str], Row]:
    """Return the counts of each day and product."""
    metrics: dict[tuple[date, str], Row] = defaultdict(
        lambda: {
            **dict.fromkeys((*COUNTS.values(), "orders", "pieces", "revenue"), 0),
            **{name: set() for name in ("viewed", "added", "bought")},
        }
    )
    for session in shop.counted():
        for e in session:
            for product in e.products if e.type in COUNTS else ():
                row = metrics[e.day, product]
                row[COUNTS[e.type]] += 1
                if e.type != "remove_from_cart":
                    row["viewed" if e.type == "product_view" else "added"].add(e.session)
    for order in shop.orders:
        if order.event.visitor_id in shop.bots:
            continue
        for product, pieces in order.pieces.items():
            row = metrics[order.event.day, product]
            row["orders"] += 1
            row["pieces"] += pieces
            row["revenue"] += order.revenue[product]
            row["bought"].add(order.event.session)
    return dict(metrics)


# -- affinity ------------------------------------------------------------------------------------


def baskets(shop: Shop, basis: str) -> list[set[str]]:
    """Return the products of each order, or of each session's views."""
    if basis == "order":
        found = [set(o.pieces) for o in shop.orders if o.event.visitor_id not in shop.bots]
    else:
        found = [
            {product for e in session if e.type == "product_view" for product in e.products}
            for session in shop.counted()
        ]
    return [basket for basket in found if basket]


def association_rules(
    all_baskets: list[set[str]], *, most_products: int, least_baskets: int
) -> set[tuple[Any, ...]]:
    """Return each rule X -> Y with its counts, support, confidence and lift.

    support(S) is the share of the transactions that contain S; confidence is
    support(X and Y) / support(X), lift support(X and Y) / (support(X) support(Y)).
    """
    kept = [basket for basket in all_baskets if len(basket) <= most_products]
    holders: dict[str, set[int]] = defaultdict(set)
    for number, basket in enumerate(kept):
        for product in basket:
            holders[product].add(number)
    rules = set()
    for x, y in permutations(holders, 2):
        both = holders[x] & holders[y]
        if len(both) < least_baskets:
            continue
        support_x, support_y, support_both = (
            Fraction(len(transactions), len(kept))
            for transactions in (holders[x], holders[y], both)
        )
        rules.add(
            (
                *(x, y, len(kept), len(all_baskets) - len(kept)),
                *(len(holders[x]), len(holders[y]), len(both)),
                rounded(support_both, 9),
                rounded(support_both / support_x, 6),
                rounded(support_both / (support_x * support_y), 6),
            )
        )
    return rules


# -- carts ---------------------------------------------------------------------------------------


def cart_of(shop: Shop, events: list[Event]) -> dict[str, Row]:
    """Return what a cart holds after these events, product by product, from its beginning."""
    cart: dict[str, Row] = {}
    for e in events:
        for item in sorted(e.items, key=lambda i: i.line_id.encode()):
            row = cart.setdefault(
                item.product_id,
                {"added": 0, "removed": 0, "price": None, "first_added": None},
            )
            row["added" if e.type == "add_to_cart" else "removed"] += item.quantity
            if e.type == "add_to_cart":
                row["first_added"] = row["first_added"] or e.at
            if item.unit_price is not None:
                row["price"] = shop.converted(item.unit_price, e)
            row["changed"] = e.at
    for row in cart.values():
        row["left"] = max(row["added"] - row["removed"], 0)
        row["worth"] = None if row["price"] is None else row["left"] * row["price"]
    return cart


def cart_events(session: list[Event]) -> list[Event]:
    """Return the session's changes of the cart, none where it never added."""
    changes = [e for e in session if e.type in ("add_to_cart", "remove_from_cart")]
    return changes if any(e.type == "add_to_cart" for e in changes) else []


def worth_of(cart: dict[str, Row]) -> Decimal | None:
    """Return the worth of a cart; none while no price is known."""
    known = [row["worth"] for row in cart.values() if row["worth"] is not None]
    return sum(known, Decimal(0)) if known else None


def cart_changes(shop: Shop) -> set[tuple[Any, ...]]:
    """Return each change with its number, and the cart's quantity and worth after it."""
    changes = set()
    for session in shop.sessions.values():
        events = [e for e in cart_events(session) if e.items]
        for number, e in enumerate(events, start=1):
            cart = cart_of(shop, events[:number])
            quantity = sum(row["left"] for row in cart.values())
            changes.add((e.event_id, number, quantity, worth_of(cart), number == len(events)))
    return changes


def recovering_order(shop: Shop, session: list[Event]) -> Order | None:
    """Return the person's first order within the days after an abandoned cart."""
    person, end = shop.session_person(session[0].event_id), session[-1].at
    later = [
        order
        for order in shop.orders
        if order.event.person == person and end < order.event.at <= end + RECOVERY
    ]
    return min(later, key=lambda order: order.event.at, default=None)


def cart_items(shop: Shop) -> dict[tuple[str, str], Row]:
    """Return each session's cart, product by product, with what became of it."""
    found = {}
    for first, session in shop.sessions.items():
        is_abandoned = first not in shop.ordered_sessions
        recovery = recovering_order(shop, session) if is_abandoned else None
        bought: Counter[str] = Counter()
        for order in shop.orders:
            if order.event.session == first:
                bought.update(order.pieces)
        for product, row in cart_of(shop, cart_events(session)).items():
            found[first, product] = {
                **row,
                "day": session[0].day,
                "bought": bought[product],
                "is_abandoned": is_abandoned,
                "lost": (row["worth"] or Decimal(0)) if is_abandoned else Decimal(0),
                "is_recovered": recovery is not None,
                "recovered": recovery.pieces[product] if recovery else 0,
                "is_bot": session[0].visitor_id in shop.bots,
            }
    return found


# -- prices --------------------------------------------------------------------------------------


def prices(
    shop: Shop, *, first: date, last: date, least_observations: int
) -> set[tuple[str, str, int, date, date | None, date, Decimal, int, int]]:
    """Return each product's stretches of one price in one currency, see docs/definitions.md."""
    seen: dict[tuple[str, str], dict[date, dict[Decimal, dict[str, datetime]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(dict))
    )
    for session in shop.counted():
        for e in session:
            if e.type not in ("product_view", "add_to_cart") or not first <= e.day <= last:
                continue
            for item in e.items:
                if item.unit_price:
                    visitors = seen[item.product_id, e.currency][e.day][item.unit_price]
                    visitors[e.visitor_id] = max(e.at, visitors.get(e.visitor_id, e.at))
    found = set()
    for (product, currency), days in seen.items():
        stretches = merged(confirmed_runs(days, least_observations))
        for number, (price, start, seen_last, count, whole) in enumerate(stretches, start=1):
            end = stretches[number][1] if number < len(stretches) else None
            found.add((product, currency, number, start, end, seen_last, price, count, whole))
    return found


Run = tuple[Decimal, date, date, int, int]


def confirmed_runs(
    days: dict[date, dict[Decimal, dict[str, datetime]]], least_observations: int
) -> list[Run]:
    """Return the runs of days at one price that enough observations confirm."""
    of_day = []
    for day in sorted(days):
        price, visitors = max(
            days[day].items(), key=lambda p: (len(p[1]), max(p[1].values()), p[0])
        )
        of_day.append((price, day, len(visitors), sum(len(v) for v in days[day].values())))
    runs = []
    for price, group in groupby(of_day, key=lambda d: d[0]):
        run = list(group)
        count = sum(d[2] for d in run)
        if count >= least_observations:
            runs.append((price, run[0][1], run[-1][1], count, sum(d[3] for d in run)))
    return runs


def merged(runs: list[Run]) -> list[Run]:
    """Return the runs with neighbours of one price made one."""
    stretches: list[Run] = []
    for run in runs:
        if stretches and stretches[-1][0] == run[0]:
            price, start, _, count, whole = stretches.pop()
            run = (price, start, run[2], count + run[3], whole + run[4])
        stretches.append(run)
    return stretches
