"""When things happen: growth, week, hour of day, the spike and the outage.

Sessions are drawn in *busy time*, where every moment is equally likely, and mapped to the clock
through the cumulated weight of the period's hours. All times are milliseconds since 1970, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timezone
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ingestion.generate.options import GenerateOptions

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

# Weekends at 0.7 of a Wednesday (measured on a real shop); Monday first.
WEEKDAY_WEIGHTS = (0.96, 1.00, 1.00, 0.98, 0.90, 0.70, 0.70)
# A quiet night, a plateau through the day, a peak in the evening.
HOUR_WEIGHTS = (
    *(0.35, 0.22, 0.16, 0.13, 0.13, 0.18, 0.32, 0.55, 0.78, 0.95, 1.05, 1.10),
    *(1.12, 1.10, 1.08, 1.08, 1.10, 1.15, 1.25, 1.40, 1.50, 1.40, 1.05, 0.65),
)
GROWTH = 0.4  # the last day's traffic against the first day's
SPIKE_FACTOR = 3.0
SPIKE_AT = 0.4  # share of the period before the spike day
OUTAGE_AT = 0.6  # share of the period before the outage's day
OUTAGE_FIRST_HOUR = 13
OUTAGE_HOURS = 4
# No session starts this shortly before the outage, so that a bot's burst is never cut in two.
CALM_BEFORE_OUTAGE_MS = 5 * MINUTE_MS
# Strictly over the 30 minutes of the session definition.
LEAST_PAUSE_MS = 31 * MINUTE_MS + 1

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Timeline:
    """The period's clock. `cumulated[h]` is the share of all traffic before hour h."""

    start: int
    end: int
    cumulated: NDArray[np.float64]
    outage: tuple[int, int] | None
    spike_day: date | None

    def at(self, busy_time: NDArray[np.float64]) -> Ints:
        """Map busy time (0 to 1) to the clock."""
        hours = np.interp(busy_time, self.cumulated, np.arange(len(self.cumulated)))
        return self.start + (hours * HOUR_MS).astype(np.int64)

    def is_in_outage(self, times: Ints, margin: int = 0) -> NDArray[np.bool_]:
        """Say which times lie in the outage, or up to `margin` before it."""
        if self.outage is None:
            return np.zeros(len(times), bool)
        return (times >= self.outage[0] - margin) & (times < self.outage[1])

    def after_outage(self, times: Ints, margin: int = 0) -> Ints:
        """Move the times that lie in the outage behind it, in their order."""
        if self.outage is None:
            return times
        late = (times - (self.outage[0] - margin)) // 16
        return np.where(self.is_in_outage(times, margin), self.outage[1] + late, times)


@lru_cache(maxsize=4)
def timeline(options: GenerateOptions) -> Timeline:
    """Build the period's clock."""
    first = datetime.combine(options.start_date, datetime.min.time(), timezone.utc)
    start = int(first.timestamp()) * SECOND_MS
    days = np.arange(options.days)
    weights = np.array(WEEKDAY_WEIGHTS)[(days + options.start_date.weekday()) % 7]
    weights = weights * (1 + GROWTH * days / options.days)
    spike_day = None
    if options.spike:
        spike = int(options.days * SPIKE_AT)
        weights[spike] *= SPIKE_FACTOR
        spike_day = date.fromordinal(options.start_date.toordinal() + spike)
    hours = (weights[:, None] * np.array(HOUR_WEIGHTS)[None, :]).ravel()
    outage = None
    if options.outage:
        hour = int(options.days * OUTAGE_AT) * 24 + OUTAGE_FIRST_HOUR
        hours[hour : hour + OUTAGE_HOURS] = 0
        outage = (start + hour * HOUR_MS, start + (hour + OUTAGE_HOURS) * HOUR_MS)
    cumulated = np.concatenate([[0.0], np.cumsum(hours)]) / hours.sum()
    return Timeline(start, start + options.days * DAY_MS, cumulated, outage, spike_day)


def spread(line: Timeline, visitors: Ints, starts: Ints, durations: Ints) -> Ints:
    """Move sessions later where needed, so that a visitor's sessions lie a pause apart.

    The arrays are sorted by (visitor, start). The outage is kept free of starts. A session starts
    at the latest of what its predecessors allow: a running maximum once their lengths are taken
    off, kept within the visitor by a step higher than any time.
    """
    taken = np.cumsum(durations + LEAST_PAUSE_MS) - (durations + LEAST_PAUSE_MS)
    first_of_visitor = np.concatenate([[0], np.flatnonzero(np.diff(visitors)) + 1])
    counts = np.diff(np.concatenate([first_of_visitor, [len(visitors)]]))
    taken = taken - np.repeat(taken[first_of_visitor], counts)
    moved = starts - line.start
    highest = int((moved + durations + LEAST_PAUSE_MS).max()) + int(taken.max()) + DAY_MS
    step = visitors * (2 * highest)
    while True:
        moved = np.maximum.accumulate(moved - taken + step) - step + taken
        clear = line.after_outage(moved + line.start, CALM_BEFORE_OUTAGE_MS) - line.start
        if np.array_equal(clear, moved):
            return np.asarray(moved + line.start)
        moved = clear
