"""Loading, beside a plain COPY of the same rows in the same run."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks import plain_copy
from benchmarks.measuring import (
    CLICKMART,
    FORMATS,
    empty_home,
    generate,
    run_program,
    say,
    server_of,
)

Found = dict[str, list[tuple[float, float | None]]]


@dataclass(frozen=True)
class Loading:
    """One way to load the same events. Ratios are times of the plain COPY in one process."""

    what: str
    sessions: int
    events: int
    seconds: float
    ratio_without_keys: float
    ratio_with_keys: float
    peak_memory_mb: float | None


def measure_loading(sessions: int, runs: int, formats: Sequence[str] = FORMATS) -> list[Loading]:
    """Measure the plain COPY and the ingest of each format, at one size; medians over the runs."""
    found: Found = {}
    read = [_load_once(sessions, format_, found) for _ in range(runs) for format_ in formats]
    plain, keyed = (median(f[0] for f in found[_plain(keys, 1)]) for keys in (False, True))
    return [
        Loading(
            what,
            sessions,
            read[0],
            round(seconds := median(f[0] for f in figures), 2),
            round(seconds / plain, 2),
            round(seconds / keyed, 2),
            max((round(f[1]) for f in figures if f[1]), default=None),
        )
        for what, figures in found.items()
    ]


def _plain(keys: bool, processes: int) -> str:
    kept = "with keys" if keys else "without keys"
    return f"plain COPY, Parquet, {kept}, {processes} process{'es' if processes > 1 else ''}"


def _load_once(sessions: int, format_: str, found: Found) -> int:
    def note(what: str, seconds: float, peak_mb: float | None) -> None:
        found.setdefault(what, []).append((seconds, peak_mb))
        say(sessions, what, seconds)

    with empty_home() as home:
        events = generate(home, sessions, format_)
        if format_ == "parquet":
            paths = sorted(map(str, events.glob("*.parquet")))
            for keys in (False, True):
                for processes in sorted({1, len(os.sched_getaffinity(0))}):
                    seconds = plain_copy.measure(
                        paths, server_of(home), keys=keys, processes=processes
                    )
                    note(_plain(keys, processes), seconds, None)
        words = [CLICKMART, "ingest", str(events), "--source", "native", "--json"]
        seconds, peak_mb, printed = run_program(words, home)
        note(f"ingest, {format_}", seconds, peak_mb)
        return int(json.loads(printed)["read"])
