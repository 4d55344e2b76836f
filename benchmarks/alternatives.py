"""Loading the same Parquet files by what a user would do instead of `clickmart ingest`.

Each loader makes tables of its own, is timed as a whole program, and must have loaded every row.
All but Spark run in an environment of their own, so that their packages do not meet the project's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq

from benchmarks import loaders, plain_copy
from benchmarks.measuring import (
    CLICKMART,
    PROJECT,
    empty_home,
    execute,
    generate,
    run_program,
    say,
    server_of,
)
from ingestion.settings import home_dir
from ingestion.spark import has_java

REQUIREMENTS = PROJECT / "benchmarks" / "requirements.txt"
SCHEMA = "alternative"
TRIAL_ROWS = 500
INGEST = "clickmart ingest"
APPENDS = "No validation, duplicates stay, no keys. A second run doubles the rows."
IN_PARTS = APPENDS + " A failure leaves a part of them."
NOTED = APPENDS + " A failed run can be resumed."


@dataclass(frozen=True)
class Way:
    """A way to load: its name in the tables, what it leaves out, and up to which size it is run."""

    name: str
    leaves_out: str
    most_sessions: int = 10**9


WAYS = {
    "pandas_to_sql": Way("pandas, to_sql", IN_PARTS),
    # An insert of many rows is compiled anew each time: more than ten minutes at a million events.
    "pandas_to_sql_multi": Way("pandas, to_sql(method='multi')", IN_PARTS, 10_000),
    "spark_jdbc": Way("Apache Spark, JDBC writer", IN_PARTS),
    "dlt_rows": Way("dlt, as it comes", NOTED),
    "dlt_csv": Way("dlt, Arrow to COPY of CSV", NOTED),
    "dlt_parquet": Way("dlt, Arrow to Parquet and ADBC", NOTED),
}
COPY = Way("plain COPY, one process", APPENDS)
OURS = Way(INGEST, "")


@dataclass(frozen=True)
class Alternative:
    """One way to load the same files. The ratio is in times of `clickmart ingest`."""

    what: str
    sessions: int
    events: int
    seconds: float
    events_per_second: float
    ratio: float
    peak_memory_mb: float | None
    leaves_out: str


def measure_alternatives(sessions: int, runs: int) -> list[Alternative]:
    """Measure each way at one size; medians over the runs, memory the largest of them."""
    found: dict[Way, list[tuple[float, float | None]]] = {}
    events = [_load_once(sessions, found) for _ in range(runs)][-1]
    ours = median(seconds for seconds, _ in found[OURS])
    return [
        Alternative(
            way.name,
            sessions,
            events,
            round(seconds := median(seconds for seconds, _ in figures), 2),
            round(events / seconds),
            round(seconds / ours, 2),
            max((round(peak) for _, peak in figures if peak), default=None),
            way.leaves_out,
        )
        for way, figures in found.items()
    ]


def _load_once(sessions: int, found: dict[Way, list[tuple[float, float | None]]]) -> int:
    def note(way: Way, seconds: float, peak_mb: float | None) -> None:
        found.setdefault(way, []).append((seconds, peak_mb))
        say(sessions, way.name, seconds)

    with empty_home() as home:
        files = generate(home, sessions)
        paths = sorted(files.glob("*.parquet"))
        rows = sum(int(pq.read_metadata(path).num_rows) for path in paths)
        _make_trial(paths[0], home / "trial")
        for loader, way in WAYS.items():
            if sessions <= way.most_sessions and _can_run(loader, way, home):
                note(way, *load(loader, files, home, rows))
        execute(home, "checkpoint")
        names = list(map(str, paths))
        note(COPY, plain_copy.measure(names, server_of(home), keys=False, processes=1), None)
        execute(home, "checkpoint")
        words = [CLICKMART, "ingest", str(files), "--source", "native", "--json"]
        seconds, peak_mb, printed = run_program(words, home)
        _check_count(INGEST, int(json.loads(printed)["read"]), rows)
        note(OURS, seconds, peak_mb)
    return rows


def _make_trial(path: Path, folder: Path) -> None:
    folder.mkdir()
    first = next(pq.ParquetFile(path).iter_batches(TRIAL_ROWS))
    with pq.ParquetWriter(folder / path.name, first.schema) as writer:
        writer.write_batch(first)


def _can_run(loader: str, way: Way, home: Path) -> bool:
    """Load a few rows: what the loader fetches at its first use is there then."""
    if loader == "spark_jdbc" and not has_java():
        print(f"{way.name}: not measured, there is no Java for it")
        return False
    try:
        load(loader, home / "trial", home, TRIAL_ROWS)
    except SystemExit as error:
        print(f"{way.name}: not measured: {error}")
        return False
    return True


def load(loader: str, files: Path, home: Path, rows: int) -> tuple[float, float]:
    """Load the files by a loader; return the seconds and the peak memory in MB.

    Raises SystemExit when it fails, or when its table of events does not have so many rows.
    """
    drop = f"drop schema if exists {SCHEMA} cascade"
    execute(home, drop, f"create schema {SCHEMA}", "checkpoint")
    python = sys.executable if loader == "spark_jdbc" else str(loaders_python())
    words = [python, str(Path(loaders.__file__)), loader, str(files), SCHEMA]
    names = ("host", "port", "user", "password", "dbname")
    server = {f"PG{n.upper()}": str(value) for n, value in server_of(home).items() if n in names}
    server["PGDATABASE"] = server.pop("PGDBNAME")
    seconds, peak_mb, _ = run_program(words, home, server)
    loaded = execute(home, f"select count(*) from {SCHEMA}.events")[0][0]
    _check_count(loader, loaded, rows)
    execute(home, drop)
    return seconds, peak_mb


def _check_count(what: str, loaded: int, rows: int) -> None:
    if loaded != rows:
        raise SystemExit(f"{what} loaded {loaded:,} of {rows:,} rows.")


def loaders_python() -> Path:
    """Return the interpreter of the loaders' own environment, made at its first use."""
    folder = home_dir() / "benchmarks"
    python, installed = folder / "bin" / "python", folder / "requirements.txt"
    if not installed.exists() or installed.read_text() != REQUIREMENTS.read_text():
        print(f"Installing the loaders into {folder} (once) ...", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        install = ["-m", "pip", "install", "--quiet", "--requirement", str(REQUIREMENTS)]
        subprocess.run([str(python), *install], check=True)
        installed.write_text(REQUIREMENTS.read_text())
    return python


def versions() -> dict[str, str]:
    """Return the versions of what the loaders' environment was made for."""
    words = [str(loaders_python()), "-m", "pip", "list", "--format", "json"]
    listed = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    installed = {package["name"].lower(): package["version"] for package in listed}
    names = ("pandas", "sqlalchemy", "dlt", "adbc-driver-postgresql")
    return {name: installed[name] for name in names}
