"""Measure Clickmart on this machine: `make bench`, or `make bench ARGS="--sessions 100000"`.

Each suite measures something else (see docs/benchmarks.md, which a run writes anew): whole
`commands`; the generator (`generate`); loading beside a plain COPY of the same rows (`ingest`, and
`ingest-parquet` for that format alone) and beside what a user would load with instead
(`alternatives`); dbt's models from nothing, with 1 % of new events and with none (`build`); other
`engines`; the `reports`; and the room that events take (`storage`). 87,000 sessions are about a
million events. Each size starts from an empty home. Memory is that of the command, its children
and PostgreSQL together, sampled. Results go to benchmarks/results/ with the machine, the versions
and the commit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks import alternatives, builds, commands, engines, loading, report, storage, views
from benchmarks.measuring import PROJECT

DEFAULT_SESSIONS = (10_000, 100_000)
VERSIONS = (
    *("dbt-core", "dbt-postgres", "pyspark", "pysail", "pyarrow", "numpy", "deltalake"),
    *("duckdb", "sqlglot"),
)
SUITES: dict[str, Callable[[int, int], Sequence[Any]]] = {
    "commands": commands.measure,
    "generate": commands.measure_generating,
    "ingest": loading.measure_loading,
    "ingest-parquet": partial(loading.measure_loading, formats=("parquet",)),
    "alternatives": alternatives.measure_alternatives,
    "build": builds.measure_builds,
    "engines": engines.measure_engines,
    "reports": views.measure_views,
    "storage": storage.measure_storage,
}


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


def write(suite: str, about: dict[str, Any], results: Sequence[Any]) -> Path:
    """Write the results as JSON and as a table."""
    report.RESULTS.mkdir(parents=True, exist_ok=True)
    name = f"{about['date']}-{about['cores']}-cores-{about['engine']}"
    name += "" if suite == "commands" else f"-{suite}"
    rows = [asdict(result) for result in results]
    path = report.RESULTS / f"{name}.json"
    path.write_text(json.dumps({**about, "results": rows}, indent=2) + "\n")
    said = ", ".join(f"{k} {v}" for k, v in about.items())
    lines = [f"# {name}", "", said, "", *report.table(rows)]
    path.with_suffix(".md").write_text("\n".join(lines) + "\n")
    return path.with_suffix(".md")


def main() -> None:
    """Measure all sizes, write the results, and the page of all results anew."""
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
    about = {**machine(), "runs": arguments.runs}
    if arguments.suite == "alternatives":
        about |= alternatives.versions()
    print(write(arguments.suite, about, results))
    report.main()


if __name__ == "__main__":
    main()
