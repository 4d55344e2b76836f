"""Any split of the events into files and loads, in any order, with repeats, is the same warehouse.

What may differ is the load an event came with, and its place in a file.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion import batch
from ingestion.settings import Settings

Query = Callable[..., list[tuple[Any, ...]]]
File = tuple[str, list[int]]

EVENTS: list[dict[str, Any]] = [
    {
        "event_id": f"e{i}",
        "event_type": ("page_view", "add_to_cart", "purchase", "wishlist")[i % 4],
        # Some late, some in the future, some at one instant.
        "event_ts": f"2026-{1 + i % 11:02}-{1 + i // 3:02}T{i % 24:02}:00:00Z",
        "received_at": "2026-12-01T00:00:00Z" if i % 2 else None,
        "visitor_id": f"v{i % 3}",
        "user_id": f"u{i % 2}" if i % 5 == 0 else None,
        "order_id": "o1" if i % 4 == 2 else None,
        "order_total": "12.50" if i % 4 == 2 else None,
        "properties": json.dumps({"i": i}),
        "items": json.dumps([{"product_id": f"p{k}", "quantity": k + 1} for k in range(i % 3)]),
    }
    for i in range(16)
]
BAD = {**EVENTS[0], "event_id": "bad", "event_ts": "soon"}
CONTENT = (
    "select to_jsonb(e) - array['load_id', 'file_id', 'source_row', 'source'], "
    "(select jsonb_agg(to_jsonb(i) - 'load_id' order by line_id) "
    "from raw.event_items as i where i.event_id = e.event_id) "
    "from raw.events as e order by event_id"
)
AGGREGATES = "select to_jsonb(s) from raw.agg_sessions as s order by session_id"

files = st.tuples(
    st.sampled_from(["csv", "jsonl", "parquet"]),
    st.lists(st.integers(-1, len(EVENTS) - 1), min_size=1, max_size=20),
)
loads = st.lists(st.lists(files, min_size=1, max_size=3), min_size=1, max_size=4)


def write(path: Path, format_: str, rows: list[dict[str, Any]]) -> None:
    if format_ == "csv":
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(EVENTS[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif format_ == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)


def run(options: Settings, spark: Any, folder: Path, plan: list[list[File]]) -> None:
    """Write and load the plan, every event of EVENTS in it at least once."""
    seen = {i for load in plan for _, numbers in load for i in numbers}
    missing = [i for i in range(len(EVENTS)) if i not in seen]
    for number, load in enumerate(plan):
        place = folder / f"load-{number}"
        place.mkdir(parents=True)
        for k, (format_, numbers) in enumerate(load):
            chosen = numbers + (missing if (number, k) == (0, 0) else [])
            rows = [EVENTS[i] if i >= 0 else BAD for i in chosen]
            write(place / f"{k}.{format_}", format_, rows)
        batch.ingest(
            options,
            [str(place)],
            "native",
            max_quarantined=100,
            report=lambda _: None,
            spark=spark,
        )


@pytest.fixture(scope="module")
def check(settings: Settings, spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function that loads a plan into an empty warehouse and compares it with one load of all."""
    from ingestion.postgres import connect
    from tests.conftest import empty_warehouse

    def contents() -> tuple[Any, ...]:
        with connect(settings) as connection, connection.cursor() as cursor:
            found = []
            for question in (CONTENT, AGGREGATES):
                cursor.execute(question)
                found.append(cursor.fetchall())
            cursor.execute(
                "select bool_and(read_count = loaded_count + duplicate_count + quarantined_count), "
                "sum(loaded_count) from ops.loads"
            )
            return (*found, cursor.fetchone())

    def loaded(plan: list[list[File]]) -> tuple[Any, ...]:
        empty_warehouse(settings)
        run(settings, spark, tmp_path_factory.mktemp("plan"), plan)
        return contents()

    expected = loaded([[("jsonl", list(range(len(EVENTS))))]])
    assert expected[2] == (True, len(EVENTS))

    def compare(plan: list[list[File]]) -> None:
        assert loaded(plan) == expected

    return compare


QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


@given(plan=loads)
@settings(max_examples=7, **QUIET)  # type: ignore[arg-type]
def test_any_split_into_files_and_loads_gives_the_same_content(check: Any, plan: Any) -> None:
    check(plan)


@pytest.mark.slow
@given(plan=loads)
@settings(max_examples=300, **{**QUIET, "derandomize": False})  # type: ignore[arg-type]
def test_any_split_at_length(check: Any, plan: Any) -> None:
    check(plan)
