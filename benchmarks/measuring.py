"""Whole commands in homes of their own: how long they take, and how much memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from ingestion.postgres import connection_parameters
from ingestion.settings import Settings

PROJECT = Path(__file__).resolve().parent.parent
CLICKMART = str(Path(sys.executable).parent / "clickmart")
MODELS_ALONE = ("build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
FORMATS = ("parquet", "jsonl", "csv")
SAMPLE_SECONDS = 0.2


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
    """Return what a process and its children hold: their own each, and once what they share.

    The exact figure (PSS) has the kernel walk through all pages of each process. With PostgreSQL's
    shared buffers that took a quarter of two cores from what was to be measured.
    """
    own, shared = 0, 0
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return 0
    for process in processes:
        try:
            memory = process.memory_info()
        except psutil.Error:
            continue
        own += memory.rss - memory.shared
        shared = max(shared, memory.shared)
    return own + shared


def run(arguments: list[str], home: Path, **environment: str) -> tuple[float, float, str]:
    """Run a clickmart command; return its seconds, its peak memory in MB and what it printed."""
    return run_program([CLICKMART, *arguments], home, environment)


def run_program(
    words: list[str], home: Path, environment: Mapping[str, str] | None = None
) -> tuple[float, float, str]:
    """Run any program as `run` does a command.

    Raises SystemExit, with the last line it wrote, when it fails.
    """
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            words,
            env={**os.environ, **(environment or {}), "CLICKMART_HOME": str(home)},
            cwd=PROJECT,
            stdout=output,
            stderr=errors,
            text=True,
        )
        memory = PeakMemory(process.pid, home)
        process.wait()
        seconds, peak_mb = time.monotonic() - began, memory.stop()
        output.seek(0)
        errors.seek(0)
        printed, said = output.read(), errors.read().strip().splitlines()
    if process.returncode != 0:
        command = " ".join((Path(words[0]).name, *words[1:]))
        raise SystemExit(f"{command} ended: {process.returncode}: {said[-1] if said else ''}")
    return seconds, peak_mb, printed


@contextmanager
def empty_home() -> Iterator[Path]:
    """Hand out a home with a server; at the end of the block it is stopped, and all is gone."""
    home = Path(tempfile.mkdtemp(prefix="clickmart-bench-"))
    try:
        run(["db", "start"], home)
        yield home
    finally:
        run(["db", "stop"], home)
        shutil.rmtree(home, ignore_errors=True)


def size_options(sessions: int) -> list[str]:
    """Return the words that ask for a shop of so many sessions."""
    return ["--sessions", str(sessions), "--users", str(max(1, sessions // 10))]


def generate(home: Path, sessions: int, format_: str = "parquet") -> Path:
    """Generate the events of a size in the home; return their folder."""
    out = home / format_
    run(["generate", "--out", str(out), "--format", format_, *size_options(sessions)], home)
    return out / "events"


def server_of(home: Path) -> dict[str, Any]:
    """Return psycopg2's arguments for the home's server."""
    return connection_parameters(replace(Settings.load(), home=home))


def execute(home: Path, *statements: str) -> list[tuple[Any, ...]]:
    """Execute statements by themselves on the home's server; return the rows of the last."""
    connection = psycopg2.connect(**server_of(home))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()


def say(sessions: int, what: str, seconds: float) -> None:
    """Print a figure as soon as it is there."""
    print(f"{sessions:>9,} sessions  {what:<48} {seconds:9.2f} s", flush=True)
