"""How much room the same events take, in each place where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import MODELS_ALONE, empty_home, execute, generate, run

FORMATS = {"csv": "CSV", "jsonl": "JSON lines", "parquet": "Parquet"}
TABLES = ("raw.events", "raw.event_items", "marts.fct_events")


@dataclass(frozen=True)
class Storage:
    """The room the events take in one place, their items included where it has them."""

    what: str
    sessions: int
    events: int
    megabytes: float
    bytes_per_event: float


def measure_storage(sessions: int, _runs: int) -> list[Storage]:
    """Measure every place at one size; once, for sizes do not vary from run to run."""
    with empty_home() as home:
        folders = {format_: generate(home, sessions, format_) for format_ in FORMATS}
        run(["ingest", str(folders["parquet"]), "--source", "native"], home)
        run([*MODELS_ALONE, "--select", "+fct_events"], home)
        events = execute(home, "select count(*) from raw.events")[0][0]
        found = {f"{FORMATS[name]}, generated": _size(path) for name, path in folders.items()}
        found["lake, table of events"] = _size(home / "lake" / "events")
        for table in TABLES:
            query = (
                "select sum(pg_table_size(relid))::bigint, sum(pg_indexes_size(relid))::bigint "
                f"from (select '{table}'::regclass as relid "
                f"union select relid from pg_partition_tree('{table}')) as parts"
            )
            rows, indexes = execute(home, query)[0]
            found |= {f"PostgreSQL, {table}": rows, f"PostgreSQL, {table}, indexes": indexes}
    return [
        Storage(what, sessions, events, round(size / 1e6, 1), round(size / events, 1))
        for what, size in found.items()
    ]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
