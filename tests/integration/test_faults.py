"""Faults of the system: killed at any step, PostgreSQL gone, disk full, two loads at once.

Whatever happens, the same command given again leaves what an undisturbed run leaves, row by row:
in `raw`, in the ledger and in the lake.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from ingestion import aggregates, batch, embedded, stage
from ingestion import load as ledger_of_load
from ingestion.errors import ClickmartError
from ingestion.postgres import connect, connection_parameters
from ingestion.settings import Settings
from tests.conftest import empty_warehouse
from tests.integration.killed import POINTS

Query = Callable[..., list[tuple[Any, ...]]]
State = dict[str, list[str]]

KILLER = Path(__file__).parent / "killed.py"
# When something was done, and the random names of files, are no content.
VOLATILE = {"started_at", "committed_at", "seconds", "aggregated_at", "path", "byte_count"}
TWICE = ("lake file", "stage copy", "lake commit", "aggregates fill")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with good, repeated and bad rows, in two formats."""
    folder = tmp_path_factory.mktemp("events")
    rows = [
        {
            "event_id": f"e{i % 57}",
            "event_type": ("page_view", "product_view", "purchase")[i % 3],
            "event_ts": f"2026-03-{1 + i % 9:02}T10:{i % 57:02}:00Z",
            "visitor_id": f"v{i % 7}",
            "items": [{"product_id": f"p{k}", "unit_price": "9.90"} for k in range(i % 3)],
        }
        for i in range(60)
    ]
    rows[5:5] = [{"event_id": "x", "event_type": "page_view", "visitor_id": "v1"}]
    lines = [json.dumps(row) for row in rows]
    lines[20:20] = ['{"event_id": "half']
    (folder / "a.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "b.csv").write_text(
        "event_id,event_type,event_ts,visitor_id\n"
        + "".join(f"c{i},page_view,2026-03-04T11:{i % 60:02}:00Z,v{i % 5}\n" for i in range(40))
        + "c99,page_view,soon,v1\n"
    )
    return folder


def command(*words: Any) -> list[str]:
    return [sys.executable, "-m", "ingestion", *map(str, words)]


def run(
    settings: Settings, words: list[str], **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        env={**os.environ, "CLICKMART_HOME": str(settings.home), **environment},
        cwd=settings.project_dir,
        capture_output=True,
        text=True,
    )


def state(settings: Settings) -> State:
    """Return the rows of `raw`, of the ledger and of the lake, as sorted texts."""
    found: State = {}
    with connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select schemaname || '.' || tablename from pg_tables "
            "where schemaname in ('raw', 'ops', 'stage') order by 1"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f"select * from {table}")
            names = [column.name for column in cursor.description]
            found[table] = sorted(
                str({n: v for n, v in zip(names, row, strict=True) if n not in VOLATILE})
                for row in cursor.fetchall()
            )
    for table in ("events", "quarantine"):
        found[f"lake {table}"], found[f"stray {table}"] = lake_rows(Path(settings.lake) / table)
    return found


def lake_rows(table: Path) -> tuple[list[str], list[str]]:
    """Return the rows of a lake's table, and the files on disk that no version names."""
    delta = DeltaTable(str(table))
    named = {uri.removeprefix("file://") for uri in delta.file_uris()}
    rows = [str(row) for uri in named for row in pq.ParquetFile(uri).read().to_pylist()]
    lying = {str(path) for path in table.glob("load_id=*/**/*.parquet")}
    return [*sorted(rows), f"version {delta.version()}"], sorted(lying - named)


@pytest.fixture(scope="module")
def undisturbed(settings: Settings, spark: Any, files: Path) -> State:
    """The state after one load of the files that nothing disturbed."""
    empty_warehouse(settings)
    result = load(settings, spark, files)
    assert result.quarantined == 3
    assert result.read == result.loaded + result.duplicate + result.quarantined
    return state(settings)


def load(settings: Settings, spark: Any, files: Path) -> Any:
    return batch.ingest(settings, [str(files)], "native", report=lambda _: None, spark=spark)


def said_with(settings: Settings, spark: Any, files: Path, step: str, instead: Any) -> str:
    """Return what a load says when it fails with something else in place of a step of staging."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, step, instead)
        with pytest.raises(ClickmartError) as failed:
            load(settings, spark, files)
    return str(failed.value)


def assert_same(found: State, expected: State) -> None:
    for name, rows in expected.items():
        assert found[name] == rows, name
    assert set(found) == set(expected)


# What a first load does not do.
LATER = ("aggregates",)
KILLS = [
    (point, when, 1) for point in POINTS if point not in LATER for when in ("before", "after")
] + [
    pytest.param(point, when, 2, marks=pytest.mark.slow)
    for point in TWICE
    for when in ("before", "after")
]


@pytest.mark.parametrize(("point", "when", "turn"), KILLS, ids=lambda value: str(value))
def test_killed_at_any_step_and_given_again_it_leaves_the_undisturbed_state(
    empty: Settings,
    spark: Any,
    files: Path,
    undisturbed: State,
    point: str,
    when: str,
    turn: int,
) -> None:
    words = [sys.executable, str(KILLER), point, when, str(turn)]
    ran = run(empty, [*words, "ingest", str(files), "--source", "native"])
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    load(empty, spark, files)
    assert_same(state(empty), undisturbed)


@pytest.mark.parametrize(
    "point", ["stage copy", "fill", "copy", "commit", *LATER, "aggregates fill"]
)
def test_killed_in_a_later_load_it_leaves_the_undisturbed_state(
    empty: Settings, spark: Any, files: Path, point: str
) -> None:
    first, second = files / "a.jsonl", files / "b.csv"
    for path in (first, second):
        load(empty, spark, path)
    expected = state(empty)
    empty_warehouse(empty)
    load(empty, spark, first)
    words = [sys.executable, str(KILLER), point, "after", "1"]
    ran = run(empty, [*words, "ingest", str(second), "--source", "native"])
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    load(empty, spark, second)
    assert_same(state(empty), expected)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25))
def test_killed_at_a_random_time_and_given_again_it_leaves_the_undisturbed_state(
    empty: Settings, spark: Any, files: Path, undisturbed: State, seed: int
) -> None:
    draw = random.Random(seed)
    for _ in range(2):
        process = start(empty, "ingest", files, "--source", "native")
        with suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(1, 9))
        process.kill()
        process.communicate()
    load(empty, spark, files)
    assert_same(state(empty), undisturbed)


def test_a_backend_that_is_ended_in_copy_stops_the_load_in_one_line(
    empty: Settings,
    spark: Any,
    files: Path,
    undisturbed: State,
) -> None:
    parameters = connection_parameters(empty)
    true = stage.copy_batches

    def interrupted(cursor: Any, columns: Any, batches: Iterator[Any]) -> str:
        pid = cursor.connection.get_backend_pid()

        def ending() -> Iterator[Any]:
            for rows in batches:
                yield rows
                other = psycopg2.connect(**parameters)
                with other, other.cursor() as second:
                    second.execute("select pg_terminate_backend(%s, 10000)", (pid,))
                other.close()

        return true(cursor, columns, ending())

    said = said_with(empty, spark, files, "copy_batches", interrupted)
    assert "PostgreSQL" in said
    assert "\n" not in said
    load(empty, spark, files)
    assert_same(state(empty), undisturbed)


@pytest.mark.parametrize("step", ["copy_keys", "copy_batches"])
def test_postgres_stopped_under_way_and_started_again(
    empty: Settings,
    spark: Any,
    files: Path,
    undisturbed: State,
    step: str,
) -> None:
    true, pid = getattr(stage, step), embedded.status(empty).pid
    assert pid is not None

    def stopping(*arguments: Any, **options: Any) -> Any:  # it may run in several tasks
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)  # a fast shutdown, as `clickmart db stop` asks for
        while psutil.pid_exists(pid):
            time.sleep(0.05)
        return true(*arguments, **options)

    assert "PostgreSQL" in said_with(empty, spark, files, step, stopping)
    embedded.start(empty)
    load(empty, spark, files)
    assert_same(state(empty), undisturbed)


def test_a_crash_of_postgres_that_empties_the_stages_loads_nothing(
    empty: Settings,
    spark: Any,
    files: Path,
    undisturbed: State,
) -> None:
    true = stage.copy_keys

    def crashing(*arguments: Any, **options: Any) -> Any:
        staged = true(*arguments, **options)
        server = psutil.Process(embedded.status(empty).pid)
        server.send_signal(signal.SIGQUIT)
        server.wait(30)
        embedded.start(empty)
        return staged

    assert "PostgreSQL" in said_with(empty, spark, files, "copy_keys", crashing)
    load(empty, spark, files)
    assert_same(state(empty), undisturbed)


def test_a_first_load_that_fails_leaves_no_pre_aggregates_though_they_were_ready(
    empty: Settings,
    spark: Any,
    files: Path,
    undisturbed: State,
    query: Query,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    are_ready, put = threading.Event(), aggregates._put

    def putting(*arguments: Any) -> None:
        put(*arguments)
        are_ready.set()

    def failing(*_: Any) -> None:
        assert are_ready.wait(60)
        assert query("select count(*) from raw.agg_sessions") == [(0,)]
        raise ClickmartError("no ledger")

    with monkeypatch.context() as patch:
        patch.setattr(aggregates, "_put", putting)
        patch.setattr(ledger_of_load, "_write_ledger", failing)
        with pytest.raises(ClickmartError, match="no ledger"):
            load(empty, spark, files)
    for table in ("raw.events", "raw.agg_sessions", "raw.agg_daily_metrics", "ops.aggregations"):
        assert query(f"select count(*) from {table}") == [(0,)], table
    load(empty, spark, files)
    assert_same(state(empty), undisturbed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own, of a mebibyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)],  # noqa: S607
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)  # noqa: S607


def test_a_full_disk_of_the_lake_stops_the_load_in_one_line(
    empty: Settings, files: Path, undisturbed: State, small_disk: Path
) -> None:
    lake = small_disk / "lake"
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    ballast.write_bytes(bytes(free - 8192))
    words = command("ingest", files, "--source", "native")
    ran = run(empty, words, CLICKMART_LAKE=str(lake))
    assert ran.returncode == 1
    assert "No space left on device" in ran.stderr.splitlines()[-1]
    assert "Traceback" not in ran.stderr
    ballast.unlink()
    ran = run(empty, words, CLICKMART_LAKE=str(lake))
    assert ran.returncode == 0, ran.stderr
    assert_same(state(replaced_lake(empty, lake)), undisturbed)


def replaced_lake(settings: Settings, lake: Path) -> Settings:
    from dataclasses import replace

    return replace(settings, lake=str(lake))


def test_two_loads_of_the_same_files_at_once_load_them_once(
    empty: Settings, files: Path, undisturbed: State
) -> None:
    both = [start(empty, "ingest", files, "--source", "native", "--json") for _ in range(2)]
    results = [finished(process) for process in both]
    assert sorted(str(result["load_id"]) for result in results) == ["1", "None"]
    assert_same(state(empty), undisturbed)


def test_two_loads_of_different_files_at_once_take_turns(
    empty: Settings, files: Path, query: Query
) -> None:
    both = [
        start(empty, "ingest", files / name, "--source", "native", "--json")
        for name in ("a.jsonl", "b.csv")
    ]
    results = [finished(process) for process in both]
    assert sorted(result["load_id"] for result in results) == [1, 2]
    assert [r["read"] == r["loaded"] + r["duplicate"] + r["quarantined"] for r in results] == [
        True,
        True,
    ]
    assert query("select count(*) from raw.events") == [(sum(r["loaded"] for r in results),)]
    assert query("select load_id from ops.loads order by committed_at") == [(1,), (2,)]
    assert query("select sum(event_count)::int from raw.agg_daily_metrics") == [
        (sum(r["loaded"] for r in results),)
    ]


def start(settings: Settings, *words: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*words),
        env={**os.environ, "CLICKMART_HOME": str(settings.home)},
        cwd=settings.project_dir,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    printed, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return dict(json.loads(printed))
