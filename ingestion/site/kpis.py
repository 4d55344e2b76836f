"""The key figures of the last whole week, against the week before."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

Row = dict[str, Any]


@dataclass(frozen=True)
class Kpi:
    """One key figure: its texts, and what the change means for the shop."""

    label: str
    text: str
    change: str
    meaning: Literal["better", "worse", "same"]


@dataclass(frozen=True)
class Week:
    """A week's key figures. A week that is not whole is compared with nothing."""

    first: date
    last: date
    is_complete: bool
    is_compared: bool
    kpis: list[Kpi]


def number(value: float) -> str:
    """Return a count as text: 12,345."""
    return f"{value:,.0f}"


def amount(value: float) -> str:
    """Return an amount of money as text, without its currency: 1,234.50."""
    return f"{value:,.2f}"


def percent(value: float) -> str:
    """Return a share from 0 to 1 as text: 62.5 %, 2.46 %."""
    return f"{value * 100:,.{_percent_digits(value)}f} %"


def _percent_digits(value: float) -> int:
    return 2 if abs(value) < 0.1 else 1


def _ratio(numerator: str, denominator: str) -> Callable[[Row], float | None]:
    return lambda week: week[numerator] / week[denominator] if week[denominator] else None


def _of(column: str) -> Callable[[Row], float | None]:
    return lambda week: week[column]


# Label, how it is reckoned, how it is shown, and whether more of it is better.
KPIS: tuple[tuple[str, Callable[[Row], float | None], Callable[[float], str], bool], ...] = (
    ("Visitors", _of("visitor_count"), number, True),
    ("Sessions", _of("session_count"), number, True),
    ("Conversion", _ratio("converted_session_count", "session_count"), percent, True),
    ("Orders", _of("order_count"), number, True),
    ("Net revenue", _of("net_revenue_amount"), amount, True),
    ("Average order", _ratio("gross_revenue_amount", "order_count"), amount, True),
    (
        "Cart abandonment",
        _ratio("abandoned_cart_count", "add_to_cart_session_count"),
        percent,
        False,
    ),
    ("Lost in carts", _of("lost_revenue_amount"), amount, False),
)


def week_over_week(table: dict[str, Any]) -> Week | None:
    """Return the last whole week of a table of weeks, else the last one; None where there is none.

    It is compared with the week right before, if that is whole too.
    """
    weeks = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    if not weeks:
        return None
    whole = [week for week in weeks if week["is_complete"]]
    week = whole[-1] if whole else weeks[-1]
    first = date.fromisoformat(week["week_start_date"])
    before = next(
        (w for w in whole if w["week_start_date"] == str(first - timedelta(days=7))), None
    )
    return Week(
        first=first,
        last=first + timedelta(days=6),
        is_complete=week["is_complete"],
        is_compared=before is not None,
        kpis=[_kpi(week, before, *kpi) for kpi in KPIS],
    )


def _kpi(
    week: Row,
    before: Row | None,
    label: str,
    reckon: Callable[[Row], float | None],
    show: Callable[[float], str],
    more_is_better: bool,
) -> Kpi:
    value, previous = reckon(week), reckon(before) if before else None
    text = "none" if value is None else show(value)
    if value is None or previous is None:
        return Kpi(label, text, "", "same")
    if show is percent:
        digits = _percent_digits(value)
        change = f"{(value - previous) * 100:+.{digits}f} points"
    elif previous:
        change = f"{(value / previous - 1) * 100:+.1f} %"
    else:
        return Kpi(label, text, f"{show(previous)} the week before", "same")
    meaning: Literal["better", "worse", "same"] = "same"
    if re.search("[1-9]", change):
        meaning = "better" if (value > previous) == more_is_better else "worse"
    return Kpi(label, text, f"{change}, from {show(previous)}", meaning)
