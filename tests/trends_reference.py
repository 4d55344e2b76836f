"""Hours, trends and anomalies, once more, from plain lists of what happened when.

- Days, weeks and months of a time zone by `zoneinfo`; moving averages of rates are sums divided by
  sums.
- The modified z score: Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993), of square
  roots, which make the spread of a count the same whatever its size (Bartlett, 1936: 0.5).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from math import sqrt
from statistics import median
from zoneinfo import ZoneInfo

Figure = tuple[Decimal, int]
"""A numerator and a denominator: of a count, 1."""
VISITS = ("event_count", "visitor_count", "session_count")
ONE_BY_ONE = ("visitor_count", "session_count", "order_count")


def rounded(value: Decimal, places: int = 6) -> Decimal:
    """Return the value as PostgreSQL rounds it."""
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def hour_of(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return the start of the moment's hour on the zone's clocks, in UTC."""
    local = moment.astimezone(zone)
    return local.replace(minute=0, second=0, microsecond=0).astimezone(timezone.utc)


def hours_of(day: date, zone: ZoneInfo) -> list[datetime]:
    """Return the starts of the hours of a day of the zone: 23, 24 or 25."""
    first = datetime(day.year, day.month, day.day, tzinfo=timezone.utc) - timedelta(days=1)
    moments = (first + timedelta(minutes=15 * step) for step in range(3 * 96))
    found = {hour_of(m, zone) for m in moments if m.astimezone(zone).date() == day}
    return sorted(found)


@dataclass(frozen=True)
class Visit:
    """What a shop is counted by: events, sessions (at their start) and orders, by visitor."""

    kind: str
    at: datetime
    visitor: str
    amount: Decimal = Decimal(0)
    is_converted: bool = False


def figures(visits: list[Visit]) -> dict[str, Figure]:
    """Return each metric of a period's visits as numerator and denominator."""
    of = {kind: [v for v in visits if v.kind == kind] for kind in ("event", "session", "order")}
    revenue = sum((order.amount for order in of["order"]), Decimal(0))
    converted = sum(session.is_converted for session in of["session"])
    return {
        "event_count": (Decimal(len(of["event"])), 1),
        "visitor_count": (Decimal(len({event.visitor for event in of["event"]})), 1),
        "session_count": (Decimal(len(of["session"])), 1),
        "order_count": (Decimal(len(of["order"])), 1),
        "gross_revenue_amount": (revenue, 1),
        "conversion_rate": (Decimal(converted), len(of["session"])),
        "average_order_amount": (revenue, len(of["order"])),
    }


def value(figure: Figure) -> Decimal | None:
    """Return a numerator divided by its denominator, to six places."""
    numerator, denominator = figure
    return rounded(numerator / denominator) if denominator else None


def start_of(day: date, period: str) -> date:
    """Return the first day of the date's week or month."""
    if period == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "month" else day


def before(start: date, period: str) -> date:
    """Return the start of the period to compare with: of a day the same weekday."""
    if period == "month":
        return (start - timedelta(days=1)).replace(day=1)
    return start - timedelta(days=7)


def trends(
    by_day: dict[date, list[Visit]], period: str
) -> Iterator[tuple[date, str, bool, Figure, Decimal | None, list[Decimal | None]]]:
    """Return each period's metrics, with the change rate and the averages of 7 and 28 days."""
    grouped: dict[date, list[date]] = defaultdict(list)
    for day in by_day:
        grouped[start_of(day, period)].append(day)
    whole = {start for start, days in grouped.items() if len(days) == length(start, period)}
    of = {start: figures([v for d in days for v in by_day[d]]) for start, days in grouped.items()}
    for start, metrics in of.items():
        past = before(start, period)
        for metric, figure in metrics.items():
            change = None
            if start in whole and past in whole:
                change = change_rate(value(figure), value(of[past][metric]))
            averages = [
                average([of[s][metric] for s in window])
                if window and whole >= set(window)
                else None
                for window in windows(start, period)
            ]
            yield start, metric, start in whole, figure, change, averages


def length(start: date, period: str) -> int:
    """Return how many days the whole period has."""
    if period == "month":
        return ((start + timedelta(days=31)).replace(day=1) - start).days
    return 7 if period == "week" else 1


def windows(start: date, period: str) -> tuple[list[date], list[date]]:
    """Return the periods that the averages of 7 and of 28 days are of."""
    step = {"day": 1, "week": 7}.get(period)
    if step is None:
        return [], []
    four_weeks = [start - timedelta(days=days) for days in range(0, 28, step)]
    return (four_weeks[:7] if period == "day" else []), four_weeks


def average(window: list[Figure]) -> Decimal | None:
    """Return the sum of the numerators divided by that of the denominators."""
    return value((sum((n for n, _ in window), Decimal(0)), sum(d for _, d in window)))


def change_rate(now: Decimal | None, past: Decimal | None) -> Decimal | None:
    """Return by what share of the past value the present one differs."""
    return rounded((now - past) / abs(past)) if now is not None and past else None


@dataclass(frozen=True)
class Point:
    """A value of a metric's series, and with what others it may be compared."""

    day: date
    hour: int | None
    value: Decimal


def scores(metric: str, series: dict[datetime, Point], weeks: int) -> dict[datetime, float | None]:
    """Return the modified z score of each point, null where fewer than 3 others are alike."""
    expected = expected_roots(series, weeks)
    # Points of which nothing was expected say nothing of how far the others stray.
    strayed: dict[date, list[float]] = defaultdict(list)
    for at, root in expected.items():
        if root > 0:
            strayed[series[at].day].append(abs(sqrt(series[at].value) - root))
    least = 0.6745 * 0.5 if metric in ONE_BY_ONE else 0.0
    found: dict[datetime, float | None] = dict.fromkeys(series)
    for at, root in expected.items():
        days = (series[at].day + timedelta(step) for step in range(-7 * weeks, 7 * weeks + 1))
        near = [by for day in days for by in strayed.get(day, [])]
        spread = max(median(near), least) if near else least
        if spread:
            found[at] = 0.6745 * (sqrt(series[at].value) - root) / spread
    return found


def expected_roots(series: dict[datetime, Point], weeks: int) -> dict[datetime, float]:
    """Return the median root of the same weekday and hour in the weeks around, of 3 at least."""
    alike: dict[tuple[date, int | None], list[float]] = defaultdict(list)
    for point in series.values():
        alike[point.day, point.hour].append(sqrt(point.value))
    found = {}
    for at, point in series.items():
        days = (point.day + timedelta(weeks=week) for week in range(-weeks, weeks + 1) if week)
        others = [root for day in days for root in alike.get((day, point.hour), [])]
        if len(others) >= 3:
            found[at] = median(others)
    return found
