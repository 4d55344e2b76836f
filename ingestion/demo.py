"""The main job: generated events, from nothing to a browsable warehouse."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Protocol

from psycopg2 import sql

from ingestion import batch, embedded, postgres, warehouse
from ingestion.dbt_process import DbtProcess
from ingestion.errors import UsageError
from ingestion.generate import GenerateOptions, generate
from ingestion.settings import Settings
from ingestion.spark import engine_name, parallelism, session

SHOWN_MARTS = ("fct_events", "fct_sessions", "fct_orders", "dim_users", "dim_products")


class Steps(Protocol):
    """Shows the work as it goes."""

    def start(self, text: str) -> None:
        """Begin the next step."""

    def progress(self, done: int, total: int) -> None:
        """Say how far the step has come."""


@dataclass(frozen=True)
class UpResult:
    """Where everything is, and how much of it there is."""

    docs: Path
    site: Path
    row_counts: dict[str, int]
    seconds: float


def up(settings: Settings, options: GenerateOptions, dbt: DbtProcess, steps: Steps) -> UpResult:
    """Start the database, generate, ingest, build, document and show; what is done is kept.

    Raises UsageError when the warehouse holds events made with other options, or a user's own.
    """
    began = time.monotonic()
    _generate_and_ingest(settings, options, dbt, steps)
    with warehouse.exclusive(settings, steps.start):
        steps.start("Building and testing the warehouse with dbt")
        Thread(target=import_module, args=["ingestion.site.write"]).start()  # half a second
        warehouse.build(dbt, steps.progress)
    steps.start("Writing the documentation")
    docs = warehouse.docs(dbt, is_built=True)
    steps.start("Writing the site")
    from ingestion.site.write import write

    site = write(settings)
    return UpResult(docs, site, _row_counts(settings), time.monotonic() - began)


def _generate_and_ingest(
    settings: Settings, options: GenerateOptions, dbt: DbtProcess, steps: Steps
) -> None:
    """Have the events loaded, and the project read meanwhile."""
    events = settings.home / "generated"
    steps.start(f"Starting PostgreSQL and the engine ({engine_name(settings)})")
    with ThreadPoolExecutor() as pool:
        database = pool.submit(embedded.start, settings)
        with session(settings) as spark:
            database.result()
            _check_same_options(settings, events, options)
            warehouse.prepare(dbt)
            if not (events / "options.json").exists():
                steps.start(f"Generating {options.sessions:,} sessions")
                tasks = replace(options, partitions=parallelism(spark, settings))
                generate(spark, tasks, events, steps.progress)
                (events / "options.json").write_text(_as_json(options))
            batch.ingest(
                settings, [str(events / "events")], "native", report=steps.start, spark=spark
            )


def _as_json(options: GenerateOptions) -> str:
    return json.dumps({**asdict(options), "partitions": None}, default=str, indent=2)


def _check_same_options(settings: Settings, events: Path, options: GenerateOptions) -> None:
    made = events / "options.json"
    if made.exists():
        if made.read_text() == _as_json(options):
            return
        raise UsageError(
            "This warehouse holds events generated with other options. Start afresh with "
            "`make clean`, or beside it with CLICKMART_HOME=another/folder."
        )
    with postgres.connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from ops.loads")
        if cursor.fetchone()[0]:
            raise UsageError(
                "This warehouse holds events of your own: generated ones would mix with them. "
                "Build it with `clickmart build`, or try `up` with CLICKMART_HOME=another/folder."
            )


def _row_counts(settings: Settings) -> dict[str, int]:
    counts = {}
    with postgres.connect(settings) as connection, connection.cursor() as cursor:
        for mart in SHOWN_MARTS:
            table = sql.Identifier("marts", mart)
            cursor.execute(sql.SQL("select count(*) from {}").format(table))
            counts[f"marts.{mart}"] = int(cursor.fetchone()[0])
    return counts
