"""Measure Clickmart on this machine: `make bench`, or `make bench ARGS="--sessions 100000"`.

`--suite ingest` measures loading instead: each format beside a plain COPY of the same rows, in the
same run (see plain_copy.py); `ingest-parquet` does so for that format alone. `--suite build`
measures dbt's models: from nothing, with 1 % of new events, and with none. 87,000 sessions are
about a million events. Each size starts from an empty home. The figures are those of whole
commands, as a user would type them; memory is the proportional set size of the command, its
children and PostgreSQL together, sampled. Results go to benchmarks/results/ with the machine, the
versions and the commit.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import plain_copy
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.postgres import connection_parameters
from ingestion.settings import Settings

PROJECT = Path(__file__).resolve().parent.parent
CLICKMART = str(Path(sys.executable).parent / "clickmart")
SAMPLE_SECONDS = 0.2
DEFAULT_SESSIONS = (10_000, 100_000)
FORMATS = ("parquet", "jsonl", "csv")
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
    seconds, peak_mb, printed, _ = run_in_steps(arguments, home)
    return seconds, peak_mb, printed


def run_in_steps(
    arguments: list[str], home: Path
) -> tuple[float, float, str, list[tuple[str, float]]]:
    """Run a command as `run` does; return its steps too, with the second each began in."""
    environment = {**os.environ, "CLICKMART_HOME": str(home)}
    began = time.monotonic()
    process = subprocess.Popen(
        [CLICKMART, *arguments],
        env=environment,
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    memory = PeakMemory(process.pid, home)
    # What a command prints at its end fits a pipe; the steps are read as they come.
    steps = [(line.strip(), time.monotonic() - began) for line in process.stderr or ()]
    printed, _ = process.communicate()
    peak_mb = memory.stop()
    if process.returncode != 0:
        said = steps[-1][0] if steps else ""
        raise SystemExit(f"clickmart {' '.join(arguments)} ended: {process.returncode}: {said}")
    return time.monotonic() - began, peak_mb, printed, steps


@contextmanager
def empty_home() -> Iterator[Path]:
    """Hand out an empty home; at the end of the block its server is stopped and it is gone."""
    home = Path(tempfile.mkdtemp(prefix="clickmart-bench-"))
    try:
        yield home
    finally:
        run(["db", "stop"], home)
        shutil.rmtree(home, ignore_errors=True)


def measure(sessions: int, runs: int) -> list[Measurement]:
    """Measure every command at one size."""
    found: dict[str, list[tuple[float, float]]] = {}
    events = 0
    for _ in range(runs):
        with empty_home() as home:
            events = _measure_once(home, sessions, found)
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


# -- loading, beside a plain COPY ----------------------------------------------------------------


@dataclass(frozen=True)
class Loading:
    """One way to load the same events. Ratios are times of the plain COPY in one process."""

    what: str
    sessions: int
    events: int
    seconds: float
    seconds_without_aggregates: float
    ratio_without_keys: float
    ratio_with_keys: float
    peak_memory_mb: float | None


def measure_loading(sessions: int, runs: int, formats: Sequence[str] = FORMATS) -> list[Loading]:
    """Measure the plain COPY and the ingest of each format, at one size; medians over the runs."""
    found: dict[str, list[tuple[float, float, float | None]]] = {}
    events = 0
    for _ in range(runs):
        with empty_home() as home:
            events = _load_once(home, sessions, formats, found)
    plain, keyed = (median(f[0] for f in found[_plain(keys, 1)]) for keys in (False, True))
    return [
        Loading(
            what,
            sessions,
            events,
            round(median(f[0] for f in figures), 2),
            round(loading := median(f[1] for f in figures), 2),
            round(loading / plain, 2),
            round(loading / keyed, 2),
            max((round(f[2]) for f in figures if f[2]), default=None),
        )
        for what, figures in found.items()
    ]


def _plain(keys: bool, processes: int) -> str:
    kept = "with keys" if keys else "without keys"
    return f"plain COPY, Parquet, {kept}, {processes} process{'es' if processes > 1 else ''}"


def _load_once(
    home: Path,
    sessions: int,
    formats: Sequence[str],
    found: dict[str, list[tuple[float, float, float | None]]],
) -> int:
    def note(what: str, seconds: float, loading: float, peak_mb: float | None) -> None:
        found.setdefault(what, []).append((seconds, loading, peak_mb))
        print(f"{sessions:>9,} sessions  {what:<46} {seconds:8.2f} s  {loading:8.2f} s", flush=True)

    size = ["--sessions", str(sessions), "--users", str(max(1, sessions // 10))]
    read = 0
    for format_ in formats:
        run(["db", "start"], home)
        files = home / "files"
        run(["generate", "--out", str(files), "--format", format_, *size], home)
        if format_ == "parquet":
            server = connection_parameters(replace(Settings.load(), home=home))
            paths = sorted(map(str, (files / "events").glob("*.parquet")))
            for keys in (False, True):
                for processes in sorted({1, len(os.sched_getaffinity(0))}):
                    seconds = plain_copy.measure(paths, server, keys=keys, processes=processes)
                    note(_plain(keys, processes), seconds, seconds, None)
        words = ["ingest", str(files / "events"), "--source", "native", "--json"]
        seconds, peak_mb, printed, steps = run_in_steps(words, home)
        read = int(json.loads(printed)["read"]) if format_ == "parquet" else read
        note(f"ingest, {format_}", seconds, steps[-1][1], peak_mb)
        run(["db", "stop"], home)
        shutil.rmtree(home)
    return read


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


def write(suite: str, results: Sequence[Result]) -> Path:
    """Write the results as JSON and as a table."""
    about = machine()
    folder = PROJECT / "benchmarks" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{about['date']}-{about['cores']}-cores-{about['engine']}"
    name += "" if suite == "commands" else f"-{suite}"
    rows = [asdict(result) for result in results]
    (folder / f"{name}.json").write_text(json.dumps({**about, "results": rows}, indent=2) + "\n")
    lines = [f"# {name}", "", ", ".join(f"{k} {v}" for k, v in about.items()), ""]
    lines += [f"| {' | '.join(title.replace('_', ' ') for title in rows[0])} |"]
    lines += [f"|{'|'.join('---' if isinstance(v, str) else '--:' for v in rows[0].values())}|"]
    lines += [f"| {' | '.join(map(_cell, row.values()))} |" for row in rows]
    (folder / f"{name}.md").write_text("\n".join(lines) + "\n")
    return folder / f"{name}.md"


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:,}"


# -- dbt's models, from nothing and behind new loads ---------------------------------------------

NEW_SHARE = 0.01
MODELS_ALONE = ("build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")


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
        print(f"{sessions:>9,} sessions  {what:<24} {seconds:8.2f} s", flush=True)

    run(["db", "start"], home)
    size = ["--sessions", str(sessions), "--users", str(max(1, sessions // 10))]
    run(["generate", "--out", str(home / "files"), "--format", "parquet", *size], home)
    _set_latest_apart(home / "files" / "events", home / "latest")
    ingest = ["ingest", "--source", "native", "--max-quarantined", "100", "--json"]
    _, _, printed = run([*ingest, str(home / "files" / "events")], home)
    note("from nothing", "--full-refresh")
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


Result = Measurement | Loading | Build
SUITES: dict[str, Callable[[int, int], Sequence[Result]]] = {
    "commands": measure,
    "ingest": measure_loading,
    "ingest-parquet": partial(measure_loading, formats=("parquet",)),
    "build": measure_builds,
}


def main() -> None:
    """Measure all sizes and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", choices=SUITES, default="commands")
    parser.add_argument("--sessions", type=int, nargs="+", default=list(DEFAULT_SESSIONS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cores", type=int, default=None, help="use only so many cores")
    arguments = parser.parse_args()
    if arguments.cores:
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: arguments.cores]))
    measured = SUITES[arguments.suite]
    results = [r for sessions in arguments.sessions for r in measured(sessions, arguments.runs)]
    print(write(arguments.suite, results))


if __name__ == "__main__":
    main()
