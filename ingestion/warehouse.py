"""Run dbt: the build with its progress, and the documentation as one file."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ingestion import postgres
from ingestion.dbt_process import DbtProcess, ready
from ingestion.errors import ClickmartError, UsageError
from ingestion.settings import Settings

_DONE = re.compile(r"(\d+) of (\d+) (?:OK|PASS|WARN|FAIL|ERROR|SKIP|NO-OP)\b")
_COLORS = re.compile(r"\x1b\[[0-9;]*m")
# A build is of the data. Unit tests are of the code: `make test` and bare dbt run them.
OF_DATA = ("--exclude-resource-type", "unit_test")
OnProgress = Callable[[int, int], None]


class BuildError(ClickmartError):
    """dbt ended with a failure; its log says where."""


@contextmanager
def exclusive(settings: Settings, report: Callable[[str], None]) -> Iterator[None]:
    """Hold the builders' lock for the block; say so if another build holds it."""
    text = "Another build is running: waiting for it"
    with postgres.exclusive(settings, "clickmart build", lambda: report(text)):
        yield


def dbt(settings: Settings, arguments: Sequence[str]) -> int:
    """Run dbt with its own output; return its exit code."""
    command = [sys.executable, "-m", "ingestion.dbt_process", *arguments]
    return subprocess.run(command, cwd=settings.project_dir).returncode


def prepare(process: DbtProcess) -> None:
    """Have the project read, and what a build does not compile compiled; do not wait for it."""
    process.begin(["parse", "--no-write-json"])
    process.begin(["compile", "--no-write-json", "--select", "resource_type:analysis"])


def build(process: DbtProcess, on_progress: OnProgress) -> str:
    """Run a whole `dbt build`, calling back with (done, total); return dbt's closing line.

    Raises BuildError with the first failures and the log's place.
    """
    closing_line = _run_quietly(process, ["build", *OF_DATA], on_progress)
    _keep_state(process.settings)
    return closing_line


def build_shown(settings: Settings, arguments: Sequence[str], *, only_changed: bool = False) -> int:
    """Run `dbt build` with its own output; return its exit code.

    It leaves out the unit tests, which are of the code. `only_changed` runs those of what was
    edited since the last whole build that succeeded, and leaves out what was not and does not
    depend on it. Raises UsageError when there was no such build.
    """
    selection = changed(settings) if only_changed else OF_DATA
    code = dbt(settings, ["build", *selection, *arguments])
    if code == 0 and not arguments:
        _keep_state(settings)
    return code


def changed(settings: Settings) -> list[str]:
    """Return dbt's words for what was edited since; none, which means all, if a var was."""
    kept = settings.home / "state"
    if not (kept / "manifest.json").exists():
        raise UsageError(
            "There is no whole build to compare with yet. Run `clickmart build` once, without "
            "further words."
        )
    if json.loads((kept / "vars.json").read_text()) != settings.dbt_vars:
        return []
    return ["--select", "state:modified+", "--state", str(kept)]


def rebuild(settings: Settings, on_progress: OnProgress) -> None:
    """Make every model anew, from nothing and without the tests; call back with (done, total).

    The snapshots, which outlive their models, drop the versions of users who are gone.
    """
    with ready(settings) as process:
        _run_quietly(process, ["run", "--full-refresh"], on_progress)
        _run_quietly(process, ["snapshot"])


def docs(process: DbtProcess, *, is_built: bool = False) -> Path:
    """Write the dbt documentation with its lineage as one HTML file; return its path.

    What it is made of is kept beside it: the site reads the lineage of columns from there. Where
    the same process was prepared and has run the whole build, all is compiled already.
    """
    _run_quietly(process, ["docs", "generate", "--static", *(["--no-compile"] if is_built else [])])
    settings = process.settings
    target = settings.home / "docs" / "index.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    for name in ("manifest.json", "catalog.json"):
        shutil.copyfile(settings.dbt_target / name, target.with_name(name))
    shutil.copyfile(settings.dbt_target / "static_index.html", target)
    return target


def manifest(settings: Settings) -> dict[str, Any]:
    """Return dbt's manifest: every model with its columns, as the project says now."""
    with ready(settings) as process:
        _run_quietly(process, ["parse"])
    return dict(json.loads((settings.dbt_target / "manifest.json").read_text()))


def _keep_state(settings: Settings) -> None:
    """Keep what the warehouse was built from: dbt's manifest, and the vars, which it lacks."""
    kept = settings.home / "state"
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "vars.json").write_text(json.dumps(settings.dbt_vars))
    shutil.copyfile(settings.dbt_target / "manifest.json", kept / "manifest.new")
    (kept / "manifest.new").replace(kept / "manifest.json")


def _run_quietly(
    process: DbtProcess, words: Sequence[str], on_progress: OnProgress | None = None
) -> str:
    log = process.settings.home / "logs" / f"dbt-{words[0]}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    tail: deque[str] = deque(maxlen=400)
    with log.open("w") as stream:
        for line in map(_uncolored, process.lines(words)):
            stream.write(line)
            tail.append(line.rstrip())
            if on_progress and (found := _DONE.search(line)):
                on_progress(int(found.group(1)), int(found.group(2)))
    if process.exit_code != 0:
        raise BuildError(f"dbt {words[0]} failed: {_first_failure(tail)} (log: {log})")
    return next((line for line in reversed(tail) if "Done." in line), "")


def _uncolored(line: str) -> str:
    return _COLORS.sub("", line)


def _first_failure(lines: Sequence[str]) -> str:
    for i, line in enumerate(lines):
        if "Failure in" in line or "Error in" in line or "Encountered an error" in line:
            return " ".join(part.split("  ", 1)[-1].strip() for part in list(lines)[i : i + 4])
    return lines[-1] if lines else "no output"
