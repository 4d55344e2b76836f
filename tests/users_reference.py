"""Segments, funnels and journeys computed anew, in plain Python, from their published definitions.

- RFM: quintiles of the buyers, by last order, by orders, by net revenue; the first ones are the
  larger where five does not divide them (SQL's `ntile`).
- Frequency, recency and T: Fader, Hardie & Lee (2005), "Counting Your Customers" the Easy Way,
  Marketing Science 24(2), in days, as `lifetimes.utils.summary_data_from_transaction_data` gives
  them: repeat days, first to last day, first day to the end.
- Funnels: ClickHouse's documentation of `windowFunnel`, default mode.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby, pairwise
from typing import Any
from urllib.parse import urlsplit

UNKNOWN = "(unknown)"


@dataclass(frozen=True)
class Event:
    """An event as the facts tell it."""

    event_id: str
    event_type: str
    event_at: datetime
    visitor_id: str
    user_key: str
    session_id: str
    page_url: str | None = None
    page_type: str | None = None
    event_name: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    products: frozenset[str] = frozenset()

    @property
    def place(self) -> tuple[datetime, bytes]:
        """The place in the order of events."""
        return self.event_at, self.event_id.encode()


def grouped(
    events: Iterable[Event], key: Callable[[Event], Hashable]
) -> dict[Hashable, list[Event]]:
    """Return the events of each key, in their order."""
    found: dict[Hashable, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.place):
        found[key(event)].append(event)
    return found


# -- funnels -------------------------------------------------------------------------------------


def window_funnel_level(
    times: Sequence[tuple[datetime, int]], steps: int, window: timedelta
) -> int:
    """Return ClickHouse's level: (time, step from 1) in order; the latest start of each step."""
    start_of: list[datetime | None] = [None] * (steps + 1)
    for at, step in times:
        before = at if step == 1 else start_of[step - 1]
        if before is not None and at <= before + window:
            start_of[step] = before
    return max((step for step in range(1, steps + 1) if start_of[step]), default=0)


def funnel(
    events: Sequence[Event], steps: Sequence[Callable[[Event], bool]], window: timedelta
) -> list[datetime]:
    """Return when each step was reached: of all starts the furthest, then the earliest."""
    best: list[datetime] = []
    for number, event in enumerate(events):
        if not steps[0](event):
            continue
        reached, waiting = [event.event_at], list(steps[1:])
        for later in events[number + 1 :]:
            if waiting and waiting[0](later) and later.event_at <= event.event_at + window:
                reached.append(later.event_at)
                waiting.pop(0)
        best = max(best, reached, key=len)
    return best


def is_type(event_type: str) -> Callable[[Event], bool]:
    return lambda event: event.event_type == event_type


def checkout_step(event: Event) -> tuple[str, str]:
    """Return the step as the source says it, and the step it is."""
    if event.event_type != "checkout_step":
        return event.event_type, event.event_type
    own = event.properties
    nested = own.get("properties") or {}
    entities = [entity["data"].get("step") for entity in own.get("contexts") or []]
    said = [place.get(n) for n in ("step_name", "step", "step_number") for place in (own, nested)]
    texts = [str(text).strip() for text in [*said, *entities, event.event_name] if text is not None]
    source_step = next((text for text in texts if text), "checkout_step").lower()
    everything = f"{source_step} {event.event_name or ''}".lower()
    if "ship" in everything or "deliver" in everything:
        return source_step, "shipping"
    if "pay" in everything or "billing" in everything:
        return source_step, "payment"
    return source_step, source_step


def is_step(step: str) -> Callable[[Event], bool]:
    return lambda event: checkout_step(event)[1] == step


# -- journeys ------------------------------------------------------------------------------------


def transitions(session: Sequence[Event]) -> Counter[tuple[str, str]]:
    """Return how often each step followed each."""
    return Counter(pairwise(["(start)", *(event.event_type for event in session), "(exit)"]))


def path(session: Sequence[Event], most_steps: int) -> tuple[str, str]:
    """Return where a session leads, and its path."""
    steps = [step for step, _ in groupby(event.event_type for event in session)]
    end = "purchase" if "purchase" in steps else "(exit)"
    before = steps[: steps.index("purchase")] if end == "purchase" else steps
    cut = ["..."] if len(before) > most_steps else []
    return end.strip("()"), " > ".join([*before[:most_steps], *cut, end])


def top_paths(paths: Counter[str], most: int) -> list[tuple[int, str, int, int]]:
    """Return rank, path, number of paths and sessions; all but the top are one row."""
    ranked = sorted(paths.items(), key=lambda pair: (-pair[1], pair[0].encode()))
    rows = [(rank, name, 1, count) for rank, (name, count) in enumerate(ranked[:most], 1)]
    others = [count for _, count in ranked[most:]]
    return rows + [(most + 1, "(other)", len(others), sum(others))] * bool(others)


def page(event: Event) -> tuple[str, str]:
    """Return type and path of an event's page."""
    url = urlsplit(event.page_url or "")
    shown = url.path or ("/" if url.netloc else UNKNOWN)
    return event.page_type or UNKNOWN, shown


# -- segments ------------------------------------------------------------------------------------


@dataclass
class User:
    """What is known of a user on a day."""

    seen: list[date] = field(default_factory=list)
    sessions: int = 0
    order_days: list[date] = field(default_factory=list)
    net: Decimal = Decimal(0)


def quintiles(ranked: Sequence[str]) -> dict[str, int]:
    """Return the fifth of each, the first ones larger by one where it does not come out even."""
    size, larger = divmod(len(ranked), 5)
    fifths = [fifth for fifth in range(1, 6) for _ in range(size + (fifth <= larger))]
    return dict(zip(ranked, fifths, strict=True))


def scores(users: dict[str, User]) -> dict[str, tuple[int, int, int]]:
    """Return recency, frequency and monetary score of each buyer; ties by the key."""
    buyers = {key: user for key, user in users.items() if user.order_days}

    def ranked(by: Callable[[User], Any]) -> dict[str, int]:
        return quintiles(sorted(buyers, key=lambda key: (by(buyers[key]), key)))

    recency = ranked(lambda user: max(user.order_days))
    frequency = ranked(lambda user: (len(user.order_days), len(set(user.order_days))))
    monetary = ranked(lambda user: user.net)
    return {key: (recency[key], frequency[key], monetary[key]) for key in buyers}


def btyd(order_days: Sequence[date], end: date) -> tuple[int, int, int]:
    """Return frequency, recency and T of a buyer, in days."""
    first, last = min(order_days), max(order_days)
    return len(set(order_days)) - 1, (last - first).days, (end - first).days


def segment(user: User, monetary_score: int | None, end: date, new: int, active: int) -> str:
    """Return the first of the five segments whose rule fits."""
    if user.order_days:
        return "High Value" if monetary_score == 5 and user.net > 0 else "Converted"
    if (end - min(user.seen)).days < new:
        return "New"
    came_back = user.sessions > 1 and (end - max(user.seen)).days < active
    return "Engaged" if came_back else "Inactive"
