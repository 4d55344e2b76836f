"""The same work by other means: a load on Apache Spark, dbt's SQL in DuckDB, events in one table.

DuckDB reads the events from the lake's Parquet files, PostgreSQL from its own tables. Both compute
the models' compiled SQL, translated by sqlglot, and write the result to a table.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import duckdb
import sqlglot
from deltalake import DeltaTable

from benchmarks.measuring import (
    CLICKMART,
    MODELS_ALONE,
    empty_home,
    execute,
    generate,
    run,
    run_program,
    say,
)
from ingestion.spark import has_java

STAGING = "stg_raw__events"
MODELS = {
    "int_visitors_identified": "user_key",
    "int_events_sessionized": "session_id",
    "int_sessions_aggregated": "session_id",
}
"""The models in the order they need each other, each with the key by which results are compared."""
INGEST = "clickmart ingest, Parquet"
DAY = "a day's events by type"
DAYS_ASKED = 15
# Ten times the events take ten times as long, that is half an hour.
SPARK_MOST_SESSIONS = 100_000


@dataclass(frozen=True)
class Engine:
    """One task on one engine. The ratio is in times of the engine that the project uses for it."""

    what: str
    engine: str
    sessions: int
    events: int
    seconds: float
    ratio: float
    peak_memory_mb: float | None


Found = dict[tuple[str, str], list[tuple[float, float | None]]]


def measure_engines(sessions: int, runs: int) -> list[Engine]:
    """Measure all engines at one size; medians over the runs."""
    found: Found = {}
    events = [_measure_once(sessions, found) for _ in range(runs)][-1]
    usual = {what: "Sail" if what == INGEST else "PostgreSQL" for what, _ in found}
    seconds = {key: median(seconds for seconds, _ in figures) for key, figures in found.items()}
    return [
        Engine(
            what,
            engine,
            sessions,
            events,
            round(seconds[what, engine], 2 if seconds[what, engine] > 1 else 4),
            round(seconds[what, engine] / seconds[what, usual[what]], 2),
            max((round(peak) for _, peak in figures if peak), default=None),
        )
        for (what, engine), figures in found.items()
    ]


def _measure_once(sessions: int, found: Found) -> int:
    def note(what: str, engine: str, seconds: float, peak_mb: float | None = None) -> None:
        found.setdefault((what, engine), []).append((seconds, peak_mb))
        say(sessions, f"{what}, {engine}", seconds)

    if sessions > SPARK_MOST_SESSIONS:
        print(f"Apache Spark: measured up to {SPARK_MOST_SESSIONS:,} sessions")
    elif has_java():
        with empty_home() as home:
            seconds, peak_mb, _ = _ingest(home, sessions, "local")
            note(INGEST, "Apache Spark", seconds, peak_mb)
    else:
        print("Apache Spark: not measured, there is no Java for it")
    with empty_home() as home:
        seconds, peak_mb, events = _ingest(home, sessions, "sail")
        note(INGEST, "Sail", seconds, peak_mb)
        run([*MODELS_ALONE, "--select", "+fct_events", *(f"+{m}" for m in MODELS)], home,
            DBT_TARGET_PATH=str(home / "target"))  # fmt: skip
        for (what, engine), seconds in (_compute_models(home) | _ask_for_days(home)).items():
            note(what, engine, seconds)
    return events


def _ingest(home: Path, sessions: int, engine: str) -> tuple[float, float, int]:
    files = generate(home, sessions)
    words = [CLICKMART, "ingest", str(files), "--source", "native", "--json"]
    seconds, peak_mb, printed = run_program(words, home, {"CLICKMART_SPARK": engine})
    return seconds, peak_mb, int(json.loads(printed)["read"])


def _compute_models(home: Path) -> dict[tuple[str, str], float]:
    """Compute the models in both databases; return the seconds.

    Raises SystemExit when the results differ.
    """
    manifest = home / "target" / "manifest.json"
    queries, settings = queries_of(manifest), settings_of(manifest)
    execute(home, "create schema alternative", "analyze", "checkpoint")
    found = {}
    with open_lake(home / "lake", home / "clickmart.duckdb") as database:
        for name, query in queries.items():
            began = time.monotonic()
            compute(database, name, query)
            found[name, "DuckDB"] = time.monotonic() - began
        for model, key in MODELS.items():
            began = time.monotonic()
            execute(home, *settings[model], f"create table alternative.{model} as {queries[model]}")
            found[model, "PostgreSQL"] = time.monotonic() - began
            counts = f"select count(*), count(distinct {key}), min({key}::text), max({key}::text)"
            ours = execute(home, f"{counts} from alternative.{model}")[0]
            theirs = database.execute(f"{counts} from intermediate.{model}").fetchone()
            if ours != theirs:
                raise SystemExit(f"{model}: PostgreSQL has {ours}, DuckDB {theirs}.")
    return {key: seconds for key, seconds in found.items() if key[0] in MODELS}


def _ask_for_days(home: Path) -> dict[tuple[str, str], float]:
    """Ask for days of the events, as they lie and in one table; return the medians in seconds."""
    execute(
        home,
        "create table alternative.one_table as table marts.fct_events",
        "create table alternative.indexed as table marts.fct_events",
        "create index on alternative.indexed (event_date)",
        "vacuum analyze marts.fct_events",
        "vacuum analyze alternative.one_table",
        "vacuum analyze alternative.indexed",
    )
    tables = {
        "PostgreSQL": "marts.fct_events",
        "PostgreSQL, one table": "alternative.one_table",
        "PostgreSQL, one table with the index": "alternative.indexed",
    }
    days = execute(
        home,
        "select event_date::text from marts.fct_events group by 1 "
        f"order by count(*) desc limit {DAYS_ASKED}",
    )
    return {(DAY, how): median(_seconds_of_day(home, table, day) for (day,) in days)
            for how, table in tables.items()}  # fmt: skip


def _seconds_of_day(home: Path, table: str, day: str) -> float:
    question = (
        f"explain (analyze, timing off, summary) select event_type, count(*) from {table} "
        f"where event_date = '{day}' group by event_type"
    )
    *_, (planning,), (execution,) = execute(home, question, question)
    return sum(float(line.split()[-2]) for line in (planning, execution)) / 1000


def queries_of(manifest: Path) -> dict[str, str]:
    """Return the SQL of the staging view and the models, as dbt wrote it for PostgreSQL."""
    nodes = json.loads(manifest.read_text())["nodes"]
    return {name: nodes[f"model.clickmart.{name}"]["compiled_code"] for name in (STAGING, *MODELS)}


def settings_of(manifest: Path) -> dict[str, list[str]]:
    """Return what each model has PostgreSQL set before it."""
    nodes = json.loads(manifest.read_text())["nodes"]
    return {
        name: [
            hook["sql"].replace("set local", "set")
            for hook in nodes[f"model.clickmart.{name}"]["config"]["pre-hook"]
        ]
        for name in MODELS
    }


def open_lake(lake: Path, file: Path) -> duckdb.DuckDBPyConnection:
    """Open a new DuckDB file whose `raw.events` are those of the lake, as in PostgreSQL.

    It uses as many threads as the process has cores. The file's name is the database's, so that
    the models' SQL finds its relations.
    """
    database = duckdb.connect(str(file), config={"threads": len(os.sched_getaffinity(0))})
    # As in PostgreSQL; without the second, `/` between whole numbers gives fractions.
    database.execute("set TimeZone = 'UTC'; set integer_division = true")
    for schema in ("raw", "staging", "intermediate"):
        database.execute(f"create schema {schema}")
    events, lost = (DeltaTable(str(lake / name)).file_uris() for name in ("events", "duplicates"))
    query = (
        "create view raw.events as select events.*, coalesce(len(items), 0) as item_count "
        f"from read_parquet({events}) as events"
    )
    if lost:
        query += f" anti join read_parquet({lost}) as lost using (load_id, file_id, source_row)"
    database.execute(query)
    return database


def compute(database: duckdb.DuckDBPyConnection, name: str, query: str) -> None:
    """Compute a model's SQL, written for PostgreSQL, in DuckDB; the staging view stays one."""
    (translated,) = sqlglot.transpile(query, read="postgres", write="duckdb")
    relation = f"view staging.{name}" if name == STAGING else f"table intermediate.{name}"
    database.execute(f"create {relation} as {translated}")
