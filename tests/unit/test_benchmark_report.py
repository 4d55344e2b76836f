"""The page of the benchmarks: it shows the newest results, all of them, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.report import Run


def write(folder: Path, *, suite: str = "", rows: list[dict[str, Any]], **about: Any) -> Path:
    """Write a file of results as a run does."""
    about = {
        "date": "2026-11-21", "commit": "abc1234", "cores": 2, "memory_gb": 25,
        "system": "Linux x86_64", "python": "3.11.7", "engine": "default", "pyspark": "4.1.2",
        **about,
    }  # fmt: skip
    name = f"{about['date']}-{about['cores']}-cores-{about['engine']}{suite and '-'}{suite}.json"
    (folder / name).write_text(json.dumps({**about, "results": rows}))
    return folder / name


def row(what: str = "ingest", events: int = 1000, seconds: float = 1.5, **more: Any) -> Any:
    return {"what": what, "sessions": events // 10, "events": events, "seconds": seconds,
            "peak_memory_mb": None, **more}  # fmt: skip


def test_the_page_of_the_project_is_that_of_its_results() -> None:
    assert report.PAGE.read_text() == report.page(report.newest(report.RESULTS))


def test_every_suite_has_a_place_on_the_page() -> None:
    from benchmarks import run

    assert set(report.SECTIONS) == set(run.SUITES)


@pytest.mark.parametrize(
    ("suite", "engine"), [("", "default"), ("ingest-parquet", "default"), ("engines", "local")]
)
def test_a_file_is_read_by_its_name(tmp_path: Path, suite: str, engine: str) -> None:
    found = Run.read(write(tmp_path, suite=suite, engine=engine, rows=[row()]))
    assert (found.suite, found.about["engine"], found.rows) == (
        suite or "commands",
        engine,
        [row()],
    )


def test_the_newest_run_of_each_suite_and_engine_counts(tmp_path: Path) -> None:
    write(tmp_path, suite="ingest", date="2026-11-20", cores=8, rows=[row(seconds=1)])
    write(tmp_path, suite="ingest", date="2026-12-01", rows=[row(seconds=2)])
    write(tmp_path, suite="ingest", date="2026-10-30", engine="local", rows=[row(seconds=3)])
    write(tmp_path, suite="build", date="2026-01-01", rows=[row(seconds=4)])
    found = [(run.name, run.rows[0]["seconds"]) for run in report.newest(tmp_path)]
    assert found == [("ingest-default", 2), ("ingest-local", 3), ("build-default", 4)]


def test_the_page_says_figures_machine_and_command(tmp_path: Path) -> None:
    write(tmp_path, suite="ingest", engine="local", runs=3,
          rows=[row(events=9000, seconds=1234.5), row(events=1000)])  # fmt: skip
    page = report.page(report.newest(tmp_path))
    assert "| ingest | 900 | 9,000 | 1,234.5 |  |" in page
    assert "2026-11-21, commit abc1234, 2 cores, 25 GB, Linux x86_64, Python 3.11.7" in page
    assert "pyspark 4.1.2" in page
    assert ('CLICKMART_SPARK=local make bench ARGS="--suite ingest --cores 2 --sessions 100 900 '
            '--runs 3"') in page  # fmt: skip
    assert "## dbt's models" not in page


@pytest.mark.parametrize("sizes", [(1000,), (1000, 9000)], ids=["bars", "lines"])
def test_a_picture_names_every_row_and_is_the_same_each_time(
    tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    rows = [
        row(what, events, seconds, peak_memory_mb=memory)
        for events in sizes
        for what, seconds, memory in (("COPY", 2, None), ("ingest", 5, 900))
    ]
    run = Run.read(write(tmp_path, suite="ingest", rows=rows))
    pictures = []
    for _ in range(2):
        report.draw(run, tmp_path)
        pictures.append((tmp_path / "benchmark-ingest-default.svg").read_text())
    assert pictures[0] == pictures[1]
    assert all(f">{text}<" in pictures[0] for text in ("COPY", "ingest", "seconds", "memory, MB"))
