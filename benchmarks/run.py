"""Measure Clickmart on this machine: `make bench`, or `make bench ARGS="--sessions 100000"`.

Each size starts from an empty home. The figures are those of whole commands, as a user would type
them; memory is the proportional set size of the command, its children and PostgreSQL together,
sampled. Results go to benchmarks/results/ with the machine, the versions and the commit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import psutil

PROJECT = Path(__file__).resolve().parent.parent
CLICKMART = str(Path(sys.executable).parent / "clickmart")
SAMPLE_SECONDS = 0.2
DEFAULT_SESSIONS = (10_000, 100_000)
VERSIONS = ("dbt-core", "dbt-postgres", "pyspark", "pysail", "pyarrow", "numpy", "deltalake")


@dataclass(frozen=True)
class Measurement:
    """One command at one size: medians over the runs, memory the largest of them."""

    command: str
    sessions: int
    events: int
    seconds: float
    events_per_second: float
    peak_memory_mb: float


class PeakMemory:
    """Samples the memory of a command with its children, and of PostgreSQL, until stopped."""

    def __init__(self, pid: int, home: Path) -> None:
        self.peak_mb = 0.0
        self._pid, self._home = pid, home
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Return the largest sum seen, in MB."""
        self._stop.set()
        self._thread.join()
        return self.peak_mb

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            total = sum(_tree_bytes(pid) for pid in (self._pid, _postgres_pid(self._home)) if pid)
            self.peak_mb = max(self.peak_mb, total / 1e6)


def _postgres_pid(home: Path) -> int | None:
    try:
        return int((home / "postgres" / "postmaster.pid").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _tree_bytes(pid: int) -> int:
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for process in processes:
        try:
            full = process.memory_full_info()
            total += getattr(full, "pss", full.rss)
        except psutil.Error:
            continue
    return total


def run(arguments: list[str], home: Path) -> tuple[float, float, str]:
    """Run a clickmart command; return its seconds, its peak memory in MB and what it printed."""
    environment = {**os.environ, "CLICKMART_HOME": str(home)}
    began = time.monotonic()
    process = subprocess.Popen(
        [CLICKMART, *arguments],
        env=environment,
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    memory = PeakMemory(process.pid, home)
    printed, _ = process.communicate()
    peak_mb = memory.stop()
    if process.returncode != 0:
        raise SystemExit(f"clickmart {' '.join(arguments)} ended with {process.returncode}")
    return time.monotonic() - began, peak_mb, printed


def measure(sessions: int, runs: int) -> list[Measurement]:
    """Measure every command at one size."""
    found: dict[str, list[tuple[float, float]]] = {}
    events = 0
    for _ in range(runs):
        home = Path(tempfile.mkdtemp(prefix="clickmart-bench-"))
        try:
            events = _measure_once(home, sessions, found)
        finally:
            run(["db", "stop"], home)
            shutil.rmtree(home, ignore_errors=True)
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


def _measure_once(home: Path, sessions: int, found: dict[str, list[tuple[float, float]]]) -> int:
    def note(command: str, seconds: float, peak_mb: float) -> None:
        found.setdefault(command, []).append((seconds, peak_mb))
        print(f"{sessions:>9,} sessions  {command:<24} {seconds:8.2f} s  {peak_mb:6,.0f} MB")

    people = str(max(1, sessions // 10))
    size = ["--sessions", str(sessions), "--users", people]
    run(["db", "start"], home)
    seconds, peak, _ = run(["up", *size], home)
    note("up", seconds, peak)
    run(["db", "stop"], home)
    shutil.rmtree(home)
    run(["db", "start"], home)
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


def machine() -> dict[str, Any]:
    """Say on what the figures were measured."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        cwd=PROJECT,
        capture_output=True,
        text=True,
    ).stdout.strip()
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "engine": os.environ.get("CLICKMART_SPARK") or "default",
        **{name: version(name) for name in VERSIONS},
    }


def write(measurements: list[Measurement]) -> Path:
    """Write the results as JSON and as a table."""
    about = machine()
    folder = PROJECT / "benchmarks" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{about['date']}-{about['cores']}-cores-{about['engine']}"
    rows = [asdict(measurement) for measurement in measurements]
    (folder / f"{name}.json").write_text(json.dumps({**about, "results": rows}, indent=2) + "\n")
    lines = [f"# {name}", "", ", ".join(f"{k} {v}" for k, v in about.items()), ""]
    lines += [
        "| command | events | seconds | events/s | peak memory, MB |",
        "|---|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {m.command} | {m.events:,} | {m.seconds:,} | {m.events_per_second:,.0f} "
        f"| {m.peak_memory_mb:,.0f} |"
        for m in measurements
    ]
    (folder / f"{name}.md").write_text("\n".join(lines) + "\n")
    return folder / f"{name}.md"


def main() -> None:
    """Measure all sizes and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=list(DEFAULT_SESSIONS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cores", type=int, default=None, help="use only so many cores")
    arguments = parser.parse_args()
    if arguments.cores:
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: arguments.cores]))
    found = [m for sessions in arguments.sessions for m in measure(sessions, arguments.runs)]
    print(write(found))


if __name__ == "__main__":
    main()
