"""One home, one PostgreSQL and one engine session for the whole run, on this machine alone."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ingestion.settings import EMBEDDED_MARK, LIBPQ_VARIABLES, Settings

# Before anything else is imported: the tests never touch the user's own database or lake.
HOME = Path(tempfile.mkdtemp(prefix="clickmart-test-"))
for name in (*LIBPQ_VARIABLES, EMBEDDED_MARK, "CLICKMART_LAKE"):
    os.environ.pop(name, None)
os.environ["CLICKMART_HOME"] = str(HOME)
os.environ["DBT_TARGET_PATH"] = str(HOME / "target")
os.environ["DBT_LOG_PATH"] = str(HOME / "logs")

REAL_DATA = Path(
    os.environ.get("CLICKMART_REAL_DATA") or Settings().project_dir.parent / "shared" / "data"
)


@pytest.fixture(scope="session", autouse=True)
def _remove_home() -> Iterator[None]:
    yield
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def settings() -> Iterator[Settings]:
    """Settings of a running PostgreSQL of the tests' own."""
    from ingestion import embedded

    embedded.start(Settings.load())
    yield Settings.load()
    embedded.stop(Settings.load())


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """The engine's session: Apache Spark or Sail, as on a user's machine."""
    from ingestion.spark import session

    with session(Settings.load()) as spark:
        yield spark


def empty_database(settings: Settings) -> None:
    """Empty all tables of `raw` and `ops`."""
    from ingestion.postgres import connect

    with connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select string_agg(format('%I.%I', schemaname, tablename), ', ') from pg_tables "
            "where schemaname in ('raw', 'ops')"
        )
        cursor.execute(f"truncate {cursor.fetchone()[0]}")


def empty_warehouse(settings: Settings) -> None:
    """Empty all tables of `raw` and `ops`, and the lake."""
    empty_database(settings)
    shutil.rmtree(settings.lake, ignore_errors=True)


@pytest.fixture
def lose_database(settings: Settings) -> Callable[[], None]:
    """A function that empties the database and leaves the lake."""
    return lambda: empty_database(settings)


@pytest.fixture(scope="session")
def forget_all(settings: Settings) -> Callable[[], None]:
    """A function that empties the database and the lake."""
    return lambda: empty_warehouse(settings)


@pytest.fixture
def empty(settings: Settings, forget_all: Callable[[], None]) -> Settings:
    """Settings of a database and a lake without any load."""
    forget_all()
    return settings


@pytest.fixture
def query(settings: Settings) -> Callable[..., list[tuple[Any, ...]]]:
    """A function that returns a query's rows."""
    from ingestion.postgres import connect

    def run(text: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with connect(settings) as connection, connection.cursor() as cursor:
            cursor.execute(text, parameters)
            return list(cursor.fetchall())

    return run


WHOLE_STATE = {
    "ops.loads": "aggregated_at",
    "ops.files": "",
    "ops.lake_files": "",
    "ops.duplicates": "",
    "ops.erasures": "marts_rebuilt_at",
    "raw.events": "",
    "raw.event_items": "",
    "raw.quarantined_events": "",
    "raw.agg_sessions": "",
    "raw.agg_users": "",
    "raw.agg_products": "",
    "raw.agg_daily_metrics": "",
}
"""The tables that a rebuild restores, each with a column that may differ."""


@pytest.fixture
def whole_state(query: Callable[..., list[tuple[Any, ...]]]) -> Callable[[], dict[str, Any]]:
    """A function that returns every row of every table that a rebuild restores."""

    def run() -> dict[str, Any]:
        return {
            table: query(f"select to_jsonb(t) - %s from {table} as t order by 1", without)
            for table, without in WHOLE_STATE.items()
        }

    return run


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@contextmanager
def killed_in(module: Any, function: str, when: str = "before") -> Iterator[None]:
    """Kill what the block does as it calls a module's function, before or after its effect."""
    true = getattr(module, function)

    def dies(*args: Any, **kwargs: Any) -> None:
        if when == "after":
            true(*args, **kwargs)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, function, dies)
        with pytest.raises(Killed):
            yield


@pytest.fixture
def rees46_file() -> Path:
    """The first rows of the REES46 data, where they are at hand."""
    path = REAL_DATA / "rees46_1k.csv"
    if not path.exists():
        pytest.skip(f"real data not at hand: {path} (set CLICKMART_REAL_DATA to its folder)")
    return path


@pytest.fixture(scope="session")
def ga4_folder() -> Path:
    """Three days of the public GA4 sample and a part of its JSON form, where they are at hand."""
    path = REAL_DATA / "ga4"
    if not path.exists():
        pytest.skip(f"real data not at hand: {path} (set CLICKMART_REAL_DATA to its folder)")
    return path


@pytest.fixture
def event() -> Callable[..., dict[str, Any]]:
    """A function that returns a valid event of the native format, with changes."""
    return native_event


def native_event(**changes: Any) -> dict[str, Any]:
    """Return a valid event of the native format; a change to None leaves the key out."""
    row = {
        "event_id": "e1",
        "event_type": "page_view",
        "event_ts": "2026-03-01T10:00:00Z",
        "visitor_id": "v1",
        **changes,
    }
    return {name: value for name, value in row.items() if value is not None}


@pytest.fixture
def ingest(empty: Settings, spark: Any, tmp_path: Path) -> Callable[..., Any]:
    """A function that loads rows (as JSON lines) or a path into the empty warehouse."""
    import json

    from ingestion import batch

    numbers = iter(range(1_000_000))

    def run(rows: Any, source: str = "native", settings: Any = None, **options: Any) -> Any:
        path = rows
        if isinstance(rows, list):
            path = tmp_path / f"events-{next(numbers)}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return batch.ingest(
            settings or empty,
            [str(path)],
            source,
            report=logging.getLogger(__name__).info,
            spark=spark,
            **options,
        )

    return run
