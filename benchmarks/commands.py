"""Whole commands, as a user would type them, and the generator by format."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.measuring import FORMATS, empty_home, run, say, size_options

Note = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Measurement:
    """One command at one size: medians over the runs, memory the largest of them."""

    command: str
    sessions: int
    events: int
    seconds: float
    events_per_second: float
    peak_memory_mb: float


def measure(sessions: int, runs: int) -> list[Measurement]:
    """Measure every command at one size."""
    return _medians(_commands_once, sessions, runs)


def measure_generating(sessions: int, runs: int) -> list[Measurement]:
    """Measure the generator at one size, format by format; its engine's start is left out."""
    return _medians(_generate_once, sessions, runs)


def _medians(once: Callable[[int, Note], int], sessions: int, runs: int) -> list[Measurement]:
    found: dict[str, list[tuple[float, float]]] = {}

    def note(command: str, seconds: float, peak_mb: float) -> None:
        found.setdefault(command, []).append((seconds, peak_mb))
        say(sessions, command, seconds)

    events = [once(sessions, note) for _ in range(runs)][-1]
    return [
        Measurement(
            command,
            sessions,
            events,
            round(median(seconds for seconds, _ in figures), 2),
            round(events / median(seconds for seconds, _ in figures)),
            round(max(peak for _, peak in figures)),
        )
        for command, figures in found.items()
    ]


def _commands_once(sessions: int, note: Note) -> int:
    size = size_options(sessions)
    with empty_home() as home:
        seconds, peak, _ = run(["up", *size], home)
        note("up", seconds, peak)
    with empty_home() as home:
        out = home / "files"
        seconds, peak, printed = run(["generate", "--out", str(out), "--json", *size], home)
        summary = json.loads(printed)
        note("generate", seconds, peak)
        note("generate, engine running", summary["seconds"], peak)
        seconds, peak, _ = run(["ingest", str(out / "events"), "--source", "native"], home)
        note("ingest", seconds, peak)
        seconds, peak, _ = run(["build"], home)
        note("build (dbt, with tests)", seconds, peak)
        seconds, peak, _ = run(["docs"], home)
        note("docs", seconds, peak)
    return int(summary["events"])


def _generate_once(sessions: int, note: Note) -> int:
    events = 0
    with empty_home() as home:
        for format_ in FORMATS:
            words = ["generate", "--out", str(home / format_), "--format", format_, "--json"]
            _, peak, printed = run([*words, *size_options(sessions)], home)
            summary = json.loads(printed)
            note(f"generate, {format_}", summary["seconds"], peak)
            events = int(summary["events"])
    return events
