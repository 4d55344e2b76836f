"""Sail and Apache Spark make the same warehouse of the same files, row by row."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingestion import embedded
from ingestion.generate.options import Format, GenerateOptions
from ingestion.generate.run import generate
from ingestion.postgres import connect
from ingestion.settings import Settings
from ingestion.spark import OLDEST_JAVA, has_java

# So short a run never earns back what the second compiler costs.
QUICK_JAVA = "-XX:TieredStopAtLevel=1"
TABLES = {
    "raw.events": "event_id",
    "raw.event_items": "event_id, line_id",
    "raw.quarantined_events": "file_id, source_row",
    "ops.duplicates": "load_id, file_id, source_row",
    "raw.agg_sessions": "session_id",
    "raw.agg_users": "user_key",
    "raw.agg_products": "metric_date, product_id",
    "raw.agg_daily_metrics": "metric_date",
}


def run(home: Path, engine: str, *arguments: Any) -> str:
    """Run the command line on an engine in a home; return what it printed."""
    ran = run_python(home, engine, "-m", "ingestion", *map(str, arguments))
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def run_python(home: Path, engine: str, *words: str) -> subprocess.CompletedProcess[str]:
    # An engine of this process must not be found by the other one.
    own = ("SPARK_", "SAIL_")
    return subprocess.run(
        [sys.executable, *words],
        env={
            **{name: v for name, v in os.environ.items() if not name.startswith(own)},
            "CLICKMART_HOME": str(home),
            "CLICKMART_SPARK": engine,
            "JAVA_TOOL_OPTIONS": QUICK_JAVA,
        },
        cwd=Settings().project_dir,
        capture_output=True,
        text=True,
    )


def contents(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    with connect(Settings(home=home)) as connection, connection.cursor() as cursor:
        found = {}
        for table, key in TABLES.items():
            cursor.execute(f"select * from {table} order by {key}")
            found[table] = cursor.fetchall()
        return found


def test_both_engines_load_the_same_rows(tmp_path: Path, spark: Any) -> None:
    if not has_java():
        pytest.skip(f"Apache Spark needs Java {OLDEST_JAVA}+ and there is none")
    shop = GenerateOptions(
        people=40, sessions=300, days=20, malformed_rate=0.02, duplicate_rate=0.02
    )
    formats: tuple[Format, ...] = ("csv", "jsonl", "parquet")
    for format_ in formats:
        generate(spark, replace(shop, format=format_), tmp_path / format_)
    found = {}
    for engine in ("sail", "local"):
        home = tmp_path / engine
        run(home, engine, "db", "start")
        try:
            folders = [tmp_path / format_ / "events" for format_ in formats]
            printed = run(home, engine, "ingest", *folders, "--source", "native", "--json")
            result = json.loads(printed)
            assert result["duplicate"] > result["loaded"] > result["quarantined"] > 0
            found[engine] = contents(home)
        finally:
            embedded.stop(Settings(home=home))
    for table in TABLES:
        assert found["sail"][table], table
        assert found["sail"][table] == found["local"][table], table


@pytest.mark.parametrize(("idle_seconds", "said"), [(1, "is not running"), (3600, "[1, 1]")])
def test_an_idle_engine_lives_as_long_as_it_is_told(
    tmp_path: Path, idle_seconds: int, said: str
) -> None:
    script = (
        "import time; from ingestion import spark; from ingestion.settings import Settings\n"
        f"spark.IDLE_SECONDS = {idle_seconds}\n"
        "with spark.session(Settings.load()) as session:\n"
        "    first = session.range(1).count(); time.sleep(4)\n"
        "    print([first, session.range(1).count()])\n"
    )
    ran = run_python(tmp_path, "sail", "-c", script)
    assert said in ran.stdout + ran.stderr
