"""What is asked of the generator, and how the work is cut into blocks.

A block is a set of visitors with all their sessions. Its content depends on the options and its
number alone: not on the engine, the partitions or the clock.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Literal, get_args

import numpy as np

from ingestion.errors import UsageError

Format = Literal["csv", "jsonl", "parquet"]

# About 45,000 events a block: enough to make numpy's calls cheap, small enough for any worker.
BLOCK_SESSIONS = 4_000
# Also a small shop comes as several files, so that more than one core has work.
LEAST_BLOCKS = 8

LONGEST_DAYS = 3_650
HIGHEST_RATE = 0.5
# The contract holds dates from 2000 until 2100; skewed clocks need room on both sides.
EARLIEST_START = date(2001, 1, 1)
LATEST_END = date(2099, 1, 1)


@dataclass(frozen=True)
class GenerateOptions:
    """The whole input of the generator: equal options give equal bytes.

    `people` are the known users, `sessions` the exact number of human sessions. `duplicate_rate`,
    `late_rate` and `malformed_rate` are shares of events, `bot_rate` and `clock_skew_rate` shares
    of visitors. `partitions` (how many tasks work) and nothing else has no effect on the output.
    Raises UsageError for a value that cannot be simulated.
    """

    people: int = 1_000
    products: int = 500
    sessions: int = 10_000
    days: int = 90
    start_date: date = date(2026, 1, 1)
    seed: int = 1
    format: Format = "parquet"
    partitions: int | None = None
    duplicate_rate: float = 0.0003
    late_rate: float = 0.01
    malformed_rate: float = 0.001
    bot_rate: float = 0.01
    clock_skew_rate: float = 0.005
    experiment: bool = True
    outage: bool = True
    spike: bool = True

    def __post_init__(self) -> None:
        for name in ("people", "products", "sessions"):
            _check_range(name, getattr(self, name), 1, 10**9)
        _check_range("days", self.days, 1, LONGEST_DAYS)
        _check_range("seed", self.seed, 0, 2**63 - 1)
        if self.partitions is not None:
            _check_range("partitions", self.partitions, 1, 10_000)
        for field in fields(self):
            if field.name.endswith("_rate"):
                _check_range(field.name, getattr(self, field.name), 0, HIGHEST_RATE)
        if self.format not in get_args(Format):
            known = ", ".join(get_args(Format))
            raise UsageError(f"format is {self.format!r}; it must be one of {known}.")
        if self.start_date < EARLIEST_START or self.end_date > LATEST_END:
            raise UsageError(
                f"The days {self.start_date} to {self.end_date} are out of range; "
                f"they must lie between {EARLIEST_START} and {LATEST_END}."
            )

    @property
    def end_date(self) -> date:
        """The first day after the period."""
        return self.start_date + timedelta(days=self.days)

    @property
    def block_count(self) -> int:
        """How many blocks, and so how many event files, there are."""
        return max(min(LEAST_BLOCKS, self.sessions), -(-self.sessions // BLOCK_SESSIONS))


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise UsageError(f"{name} is {value!r}; it must be from {low} to {high}.")


@dataclass(frozen=True)
class Block:
    """One block's share of the sessions and the people."""

    options: GenerateOptions
    number: int

    @property
    def session_count(self) -> int:
        """Human sessions of the block; over all blocks they sum to `options.sessions`."""
        first, end = self._share(self.options.sessions)
        return end - first

    @property
    def people(self) -> tuple[int, int]:
        """The known users of the block: the first one's number and the one after the last."""
        return self._share(self.options.people)

    def random(self, purpose: str) -> np.random.Generator:
        """Return the random numbers for one purpose, independent of all other purposes."""
        return random_for(self.options.seed, f"block {self.number}", purpose)

    def _share(self, total: int) -> tuple[int, int]:
        count = self.options.block_count
        return total * self.number // count, total * (self.number + 1) // count


def random_for(seed: int, *purpose: str) -> np.random.Generator:
    """Return a generator that depends on the seed and the purpose only; no global state."""
    return np.random.default_rng([seed, *(zlib.crc32(word.encode()) for word in purpose)])
