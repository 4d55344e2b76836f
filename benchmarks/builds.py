"""dbt's models, from nothing and behind new loads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.measuring import MODELS_ALONE, empty_home, execute, generate, run, say

NEW_SHARE = 0.01


@dataclass(frozen=True)
class Build:
    """One build of all models. Ratios are times of the build from nothing."""

    what: str
    sessions: int
    events: int
    seconds: float
    ratio: float
    peak_memory_mb: float


def measure_builds(sessions: int, runs: int) -> list[Build]:
    """Measure builds of all models at one size; medians over the runs."""
    found: dict[str, list[tuple[float, float]]] = {}
    events = 0
    for _ in range(runs):
        with empty_home() as home:
            events = _build_in_turn(home, sessions, found)
    whole = median(seconds for seconds, _ in found["from nothing"])
    return [
        Build(
            what,
            sessions,
            events,
            round(seconds := median(seconds for seconds, _ in figures), 2),
            round(seconds / whole, 3),
            round(max(peak for _, peak in figures)),
        )
        for what, figures in found.items()
    ]


def _build_in_turn(home: Path, sessions: int, found: dict[str, list[tuple[float, float]]]) -> int:
    def note(what: str, *arguments: str) -> None:
        seconds, peak_mb, _ = run([*MODELS_ALONE, *arguments], home)
        found.setdefault(what, []).append((seconds, peak_mb))
        say(sessions, what, seconds)

    events = generate(home, sessions)
    _set_latest_apart(events, home / "latest")
    ingest = ["ingest", "--source", "native", "--max-quarantined", "100", "--json"]
    _, _, printed = run([*ingest, str(events)], home)
    note("from nothing", "--full-refresh")
    # What autovacuum and the checkpointer have done when a load comes hours after a build.
    execute(home, "vacuum (analyze)", "checkpoint")
    run([*ingest, str(home / "latest")], home)
    note("with 1 % of new events")
    note("with no new event")
    return int(json.loads(printed)["read"])


def _set_latest_apart(folder: Path, latest: Path) -> None:
    """Move the rows that were received last to files of their own."""
    paths = sorted(folder.glob("*.parquet"))
    received = pa.chunked_array([pq.read_table(p, columns=["received_at"])[0].combine_chunks()
                                 for p in paths])  # fmt: skip
    sorted_ = received.drop_null().take(pc.sort_indices(received.drop_null()))
    border = sorted_[int(len(sorted_) * (1 - NEW_SHARE))]
    latest.mkdir()
    for path in paths:
        rows = pq.read_table(path)
        is_late = pc.fill_null(pc.greater_equal(rows["received_at"], border), False)
        pq.write_table(rows.filter(is_late), latest / path.name, compression="zstd")
        pq.write_table(rows.filter(pc.invert(is_late)), path, compression="zstd")
