"""Ranges of dates, as the command line names them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from ingestion.errors import UsageError


@dataclass(frozen=True)
class DateRange:
    """Dates of events in UTC, the first and the last included.

    Raises UsageError where the first comes after the last.
    """

    first: date = date.min
    last: date = date.max - timedelta(days=1)

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise UsageError(f"The first date, {self.first}, is after the last, {self.last}.")

    @classmethod
    def parse(cls, text: str) -> DateRange:
        """Read FROM:TO, such as 2026-03-01:2026-03-07. Raises UsageError for what is none."""
        first, colon, last = text.partition(":")
        if not colon:
            raise UsageError(f"{text!r} is no range; it must be as 2026-03-01:2026-03-07.")
        return cls.between(first, last)

    @classmethod
    def between(cls, first: str | None, last: str | None) -> DateRange:
        """Read two dates; None is an open end. Raises UsageError for what is no date."""
        given = {"first": first, "last": last}
        return cls(**{name: _date(text) for name, text in given.items() if text is not None})

    @property
    def start(self) -> datetime:
        """The first moment of the range."""
        return datetime.combine(self.first, datetime.min.time(), timezone.utc)

    @property
    def stop(self) -> datetime:
        """The first moment after the range."""
        return datetime.combine(self.last + timedelta(days=1), datetime.min.time(), timezone.utc)

    def has(self, day: str | None) -> bool:
        """Return whether an ISO date lies in the range."""
        return day is not None and self.first <= date.fromisoformat(day) <= self.last


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no date; it must be as 2026-03-01.") from None
