"""The marts on quality, recounted in plain Python from `raw` by the words of docs/definitions.md.

Sessions by the gaps follow Google Analytics' rule (30 minutes without an event end a session,
support.google.com/analytics/answer/12798876); the usual number of events is Tukey's median of the
same weekday, and a count is unusual beyond three times the square root of it, as for any Poisson
count (the "three sigma" rule of Shewhart's control charts).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

Row = dict[str, Any]
NO_IDS = {"", "(not set)", "0", "null", "undefined", "none"}
OFF_PAGE = {"purchase", "refund", "custom"}
WITH_PRODUCTS = {"product_click", "product_view", "add_to_cart", "remove_from_cart", "purchase"}


def rate(part: int, whole: int, places: str = "0.000001") -> Decimal | None:
    """Return a share, rounded as the marts round it; None of nothing."""
    return (Decimal(part) / whole).quantize(Decimal(places), ROUND_HALF_UP) if whole else None


@dataclass(frozen=True)
class Quality:
    """The rows of `raw.events`, each with its `items`, and the definitions."""

    events: list[Row]
    variables: Row

    def day(self, moment: datetime) -> date:
        return moment.astimezone(ZoneInfo(self.variables["reporting_timezone"])).date()

    @cached_property
    def by_visitor(self) -> dict[str, list[Row]]:
        found = defaultdict(list)
        for event in sorted(self.events, key=in_order):
            found[event["visitor_id"]].append(event)
        return found

    @cached_property
    def sessions(self) -> list[list[Row]]:
        """Return the sessions, each as its events: what is whole by the gaps, and the pieces."""
        return [piece for session in self.whole_sessions for piece in self.pieces(session)]

    def pieces(self, session: list[Row]) -> list[list[Row]]:
        """Cut a session at each so many hours since its start and at each so many events."""
        hours = timedelta(hours=self.variables["session_max_hours"])
        start, found = session[0]["event_ts"], defaultdict(list)
        for number, event in enumerate(session):
            # An event right at the hour belongs to the piece before it.
            passed = -((start - event["event_ts"]) // hours)
            found[max(passed, 1), number // self.variables["session_max_events"]].append(event)
        return list(found.values())

    @cached_property
    def whole_sessions(self) -> list[list[Row]]:
        """Return the sessions by the gaps alone, each as its events."""
        timeout = timedelta(minutes=self.variables["session_timeout_minutes"])
        found = []
        for events in self.by_visitor.values():
            found.append([events[0]])
            for before, event in pairwise(events):
                if event["event_ts"] - before["event_ts"] > timeout:
                    found.append([])
                found[-1].append(event)
        return found

    @cached_property
    def bots(self) -> set[str]:
        return {
            session[0]["visitor_id"]
            for session in self.sessions
            if any(event["is_bot"] for event in session)
            or (
                len(session) >= self.variables["bot_min_session_events"]
                and seconds(session) / (len(session) - 1)
                < self.variables["bot_max_mean_gap_seconds"]
            )
        }

    @cached_property
    def days(self) -> list[date]:
        """Return each day from the first to the last event, but for gaps of more than a year."""
        dates = sorted({self.day(event["event_ts"]) for event in self.events})
        found = [dates[0]]
        for before, after in pairwise(dates):
            gap = (after - before).days
            found += [after - timedelta(days=n) for n in range(gap if gap <= 366 else 1)][::-1]
        return found

    # -- the marts -------------------------------------------------------------------------------

    def tracking(self, first: date, last: date) -> set[tuple[Any, ...]]:
        """Return the rows of fct_tracking_quality; the span is that of the data."""
        events, orders, sessions = defaultdict(list), defaultdict(list), Counter[date]()
        for event in self.events:
            events[self.day(event["event_ts"])].append(event)
        for order in self.orders:
            orders[self.day(order[0]["event_ts"])].append(order)
        for session in self.sessions:
            sessions[self.day(session[0]["event_ts"])] += 1
        runaways = Counter(row[1] for row in self.runaways())
        return {
            (
                day,
                first <= day <= last,
                *self._of_events(events[day]),
                *self._of_orders(orders[day]),
                sessions[day],
                runaways[day],
            )
            for day in self.days
        }

    def _of_events(self, events: list[Row]) -> Iterable[Any]:
        late_after = timedelta(minutes=self.variables["late_event_minutes"])
        known = {event["visitor_id"] for event in self.events if event["user_id"]}
        received = [event for event in events if event["received_at"]]
        delays = [event["received_at"] - event["event_ts"] for event in received]
        days = [(self.day(e["received_at"]), self.day(e["event_ts"])) for e in received]
        late = sum(delay > late_after for delay in delays)
        bots = sum(event["visitor_id"] in self.bots for event in events)
        unknown = sum(event["visitor_id"] not in known for event in events)
        on_page = [event for event in events if event["event_type"] not in OFF_PAGE]
        of_product = [event for event in events if event["event_type"] in WITH_PRODUCTS]
        purchases = [event for event in events if event["event_type"] == "purchase"]
        longest = max(max(delays, default=timedelta()), timedelta()).total_seconds() / 3600
        return (
            *(len(events), len(received), late, rate(late, len(received))),
            sum(after > before for after, before in days),
            sum(delay < timedelta() for delay in delays),
            Decimal(longest).quantize(Decimal("0.01"), ROUND_HALF_UP) if received else None,
            sum(bool(event["is_bot"]) for event in events),
            *(bots, rate(bots, len(events)), unknown, rate(unknown, len(events))),
            *(len(on_page), sum(not event["page_url"] for event in on_page)),
            *(len(of_product), sum(not event["items"] for event in of_product)),
            *(len(purchases), sum(order_id(event) is None for event in purchases)),
        )

    @cached_property
    def orders(self) -> list[list[Row]]:
        """Return the orders, each as its purchase events."""
        found = defaultdict(list)
        for event in sorted(self.events, key=in_order):
            if event["event_type"] == "purchase":
                found[order_id(event) or ("none", event["event_id"])].append(event)
        return list(found.values())

    @staticmethod
    def _of_orders(orders: list[list[Row]]) -> Iterable[int]:
        lines = [
            {
                item["line_id"]: item["unit_price"]
                for event in order[::-1]
                for item in event["items"]
            }
            for order in orders
        ]
        prices = [price for order in lines for price in order.values()]
        has_total = [any(event["order_total"] is not None for event in order) for order in orders]
        has_price = [any(price is not None for price in order.values()) for order in lines]
        return (
            len(orders),
            sum(not (a or b) for a, b in zip(has_total, has_price, strict=True)),
            sum(order[0]["currency"] is None for order in orders),
            len(prices),
            prices.count(None),
        )

    def volumes(self, first: date, last: date) -> set[tuple[Any, ...]]:
        """Return the rows of fct_event_type_volumes."""
        counted = Counter(
            (self.day(event["event_ts"]), event["event_type"])
            for event in self.events
            if event["visitor_id"] not in self.bots
        )
        days = [day for day in self.days if first <= day <= last]
        types = {event_type for day, event_type in counted if first <= day <= last}
        return {self._volume(counted, day, name, first) for day in days for name in types}

    def _volume(
        self, counted: Counter[tuple[date, str]], day: date, name: str, first: date
    ) -> tuple[Any, ...]:
        weeks = range(1, self.variables["volume_usual_weeks"] + 1)
        before = [day - timedelta(weeks=n) for n in weeks if day - timedelta(weeks=n) >= first]
        count, factor = counted[day, name], self.variables["volume_unusual_ratio"]
        if not before:
            return day, name, count, 0, None, None, False
        usual = Decimal(str(median(counted[earlier, name] for earlier in before)))
        is_far = count * factor < usual or count > usual * factor
        is_chance = abs(count - usual) <= 3 * max(usual, Decimal(1)).sqrt()
        ratio = (count / usual).quantize(Decimal("0.0001"), ROUND_HALF_UP) if usual else None
        return day, name, count, len(before), usual, ratio, len(before) > 2 and is_far > is_chance

    def disagreement(self) -> set[tuple[Any, ...]]:
        """Return the rows of fct_session_disagreement."""
        counts = defaultdict(Counter[str])
        ours, theirs = defaultdict(set), defaultdict(set)
        for number, session in enumerate(self.sessions):
            if session[0]["visitor_id"] in self.bots:
                continue
            ids = {source_session(event) for event in session} - {None}
            day = counts[self.day(session[0]["event_ts"])]
            day.update(derived=1, unidentified=not ids, events=len(session))
            day["events_without"] += sum(source_session(event) is None for event in session)
            for name in ids:
                ours[name].add(number)
                theirs[number].add(name)
        for name, numbers in ours.items():
            first = next(e for e in self.by_visitor[name[0]] if source_session(e) == name)
            split = len(numbers) > 1
            merged = any(len(theirs[number]) > 1 for number in numbers)
            counts[self.day(first["event_ts"])].update(
                source=1, split=split, merged=merged, agreeing=not (split or merged)
            )
        names = ("derived", "unidentified", "source", "agreeing", "split", "merged")
        return {
            (
                *(day, *(counts[day][name] for name in names)),
                *(rate(counts[day][name], counts[day]["source"]) for name in names[3:]),
                *(counts[day]["events"], counts[day]["events_without"]),
            )
            for day in self.days
        }

    def runaways(self) -> list[tuple[Any, ...]]:
        """Return first event, day, events, whether too long and too large, and pieces of each."""
        hours, most = self.variables["session_max_hours"], self.variables["session_max_events"]
        return [
            (
                *(session[0]["event_id"], self.day(session[0]["event_ts"]), len(session)),
                *(seconds(session) > hours * 3600, len(session) > most),
                len(self.pieces(session)),
            )
            for session in self.whole_sessions
            if seconds(session) > hours * 3600 or len(session) > most
        ]


def in_order(event: Row) -> tuple[datetime, bytes]:
    """Order events as the definitions do: by time, then by id, byte by byte."""
    return event["event_ts"], event["event_id"].encode()


def seconds(session: list[Row]) -> float:
    return float((session[-1]["event_ts"] - session[0]["event_ts"]).total_seconds())


def order_id(event: Row) -> str | None:
    text = event["order_id"]
    return None if text is None or text.strip().lower() in NO_IDS else str(text)


def source_session(event: Row) -> tuple[str, str] | None:
    name = event["source_session_id"]
    return (event["visitor_id"], name) if name and name.strip() else None
