"""Read and judge files as a load would, and write nothing: what the rows would become.

One pass over all rows on the engine; each task answers with one summary of bounded size.
"""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.adapters import adapter_for
from ingestion.adapters.adapter import Adapter, is_found
from ingestion.batch import inspected, validated
from ingestion.contract.events import ITEM_COLUMNS, ITEMS, SOURCE_COLUMNS
from ingestion.contract.rules import UNPARSABLE_ROW
from ingestion.errors import InputError
from ingestion.files import InputFile, expand, rounds
from ingestion.repeats import Repeats
from ingestion.settings import Settings
from ingestion.spark import session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Of names that a source may have without end; what comes beyond is counted as one.
MOST_NAMES = 1_000
OTHER_NAMES = "(others)"
LONGEST_EXAMPLE = 500
SUMMARY_SCHEMA = "summary string"
FILLED_COLUMNS = (*(c.name for c in SOURCE_COLUMNS), *(f"{ITEMS}.{c.name}" for c in ITEM_COLUMNS))


@dataclass(frozen=True)
class BadRows:
    """Quarantined rows of one reason, with the first of them."""

    reason: str
    count: int
    file: str
    row: int
    record: str


@dataclass(frozen=True)
class Filled:
    """A column of the contract that is filled: in how many rows, and the first value."""

    column: str
    count: int
    example: str


@dataclass(frozen=True)
class EventName:
    """An event of the source, the type it becomes, and how many rows have it."""

    name: str | None
    event_type: str | None
    count: int


@dataclass(frozen=True)
class DryRun:
    """What a load of the files would read and how it would judge the rows.

    Counts are of rows. What a warehouse has loaded before is not asked for.
    """

    source: str
    files: int
    read: int
    valid: int
    quarantined: int
    repeated_ids: int
    """Valid rows beyond the first of their event id: duplicates, once loaded."""
    is_exact: bool
    """Whether `repeated_ids` is counted, not estimated."""
    reasons: list[BadRows] = field(default_factory=list)
    repairs: dict[str, int] = field(default_factory=dict)
    events: list[EventName] = field(default_factory=list)
    filled: list[Filled] = field(default_factory=list)
    properties: dict[str, int] = field(default_factory=dict)
    """What went to `properties`, by name."""
    not_found: dict[str, str | None] = field(default_factory=dict)
    """Columns that no file has, each with a likely other name."""

    def as_dict(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return asdict(self)


def examine(
    settings: Settings,
    paths: Sequence[str],
    source: str,
    *,
    report: Callable[[str], None],
    spark: SparkSession | None = None,
) -> DryRun:
    """Judge every row of the files. Raises ClickmartError for what the user can mend."""
    adapter = adapter_for(source)
    files = inspected(expand(paths, adapter.format), adapter)
    report(f"Judging {len(files):,} file{'s' if len(files) != 1 else ''}")
    with nullcontext(spark) if spark is not None else session(settings) as engine:
        frames = (validated(engine, settings, part, adapter) for part in rounds(files))
        parts = [
            json.loads(row.summary)
            for rows in frames
            for row in rows.mapInArrow(summarized, SUMMARY_SCHEMA).collect()
        ]
    total = _merged(parts)
    if total["read"] == 0:
        raise InputError(f"No rows in {', '.join(str(file.path) for file in files[:3])}.")
    ids = Repeats()
    for part in parts:
        ids.merge(part["ids"])
    return _result(adapter, files, total, ids)


# -- inside the tasks ----------------------------------------------------------------------------


def summarized(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield one row of JSON that sums up a task's validated rows."""
    ids = Repeats()
    parts = _merged(_summary(batch, ids) for batch in batches)
    yield pa.RecordBatch.from_pydict({"summary": [json.dumps({**parts, "ids": ids.as_dict()})]})


def _summary(batch: pa.RecordBatch, ids: Repeats) -> dict[str, Any]:
    rows = pa.Table.from_batches([batch])
    is_bad = pc.greater(pc.list_value_length(rows["reasons"]), 0)
    bad = rows.filter(is_bad).select(["file_id", "source_row", "reasons", "record"])
    ids.add(rows.filter(pc.invert(is_bad))["event_id"])
    count, repairs = rows.num_rows, pc.list_flatten(rows["repairs"]).to_pylist()
    reasons = pc.binary_join(rows["reasons"], ",")
    rows = rows.filter(pc.invert(pc.match_substring(reasons, UNPARSABLE_ROW)))
    names = rows.select(["event_name", "event_type"]).group_by(["event_name", "event_type"])
    keys: Counter[str] = Counter()
    for text in rows["properties"].drop_null().to_pylist():
        keys.update(_keys_of(text))
    return {
        "read": count,
        "quarantined": bad.num_rows,
        "reasons": _bad_rows(bad.to_pylist()),
        "repairs": dict(Counter(repairs)),
        "events": {
            json.dumps([row["event_name"], row["event_type"]]): row["count_all"]
            for row in names.aggregate([([], "count_all")]).to_pylist()
        },
        "filled": {**_filled(rows), **_filled_items(rows)},
        "properties": dict(keys),
    }


def _keys_of(text: str) -> list[str]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    return [name for name in found if found[name] is not None] if isinstance(found, dict) else []


def _bad_rows(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return by reason how many rows there are, and the first with where it stands."""
    found: dict[str, Any] = {}
    for row in sorted(rows, key=lambda r: (r["file_id"], r["source_row"])):
        record = (row["record"] or "")[:LONGEST_EXAMPLE]
        for reason in row["reasons"]:
            first = found.setdefault(reason, [0, [row["file_id"], row["source_row"], record]])
            first[0] += 1
    return found


def _filled(rows: pa.Table) -> dict[str, Any]:
    """Return by column how many rows have it, and the first value with where it stands."""
    order = pc.sort_indices(
        rows,
        sort_keys=[("file_id", "ascending"), ("source_row", "ascending")],
    )
    ordered = rows.take(order)
    return {
        column.name: _first_of(ordered, ordered[column.name])
        for column in SOURCE_COLUMNS
        if ordered[column.name].null_count < ordered.num_rows
    }


def _first_of(rows: pa.Table, values: pa.ChunkedArray) -> list[Any]:
    at = pc.index(pc.is_valid(values), True).as_py()
    place = [rows["file_id"][at].as_py(), rows["source_row"][at].as_py()]
    return [len(values) - values.null_count, [*place, _shown(values[at].as_py())]]


def _filled_items(rows: pa.Table) -> dict[str, Any]:
    found: dict[str, Any] = {}
    listed = rows.select(["file_id", "source_row", ITEMS])
    for row in listed.filter(pc.is_valid(listed[ITEMS])).to_pylist():
        place = [row["file_id"], row["source_row"]]
        for name in {name for item in row[ITEMS] for name in item if item[name] is not None}:
            value = next(item[name] for item in row[ITEMS] if item[name] is not None)
            entry = found.setdefault(f"{ITEMS}.{name}", [0, [*place, _shown(value)]])
            entry[0] += 1
            entry[1] = min(entry[1], [*place, _shown(value)])
    return found


def _shown(value: Any) -> str:
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return text[:LONGEST_EXAMPLE]


# -- all of them ---------------------------------------------------------------------------------


def _merged(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Add the summaries up, each part bounded in size."""
    total: dict[str, Any] = {"read": 0, "quarantined": 0}
    counted = {name: Counter[str]() for name in ("repairs", "events", "properties")}
    firsts: dict[str, dict[str, Any]] = {"reasons": {}, "filled": {}}
    for part in parts:
        total["read"] += part["read"]
        total["quarantined"] += part["quarantined"]
        for name, counts in counted.items():
            _add(counts, part[name])
        for name, known in firsts.items():
            for key, (count, first) in part[name].items():
                old = known.get(key, [0, first])
                known[key] = [old[0] + count, min(old[1], first)]
    return {**total, **{name: dict(counts) for name, counts in counted.items()}, **firsts}


def _add(counts: Counter[str], more: dict[str, int]) -> None:
    for name, count in more.items():
        is_known = name in counts or len(counts) < MOST_NAMES
        counts[name if is_known else OTHER_NAMES] += count


def _result(
    adapter: Adapter, files: list[InputFile], total: dict[str, Any], ids: Repeats
) -> DryRun:
    names = {file.file_id: file.path.name for file in files}
    by_count = sorted(total["reasons"].items(), key=lambda entry: (-entry[1][0], entry[0]))
    events = sorted(total["events"].items(), key=lambda entry: (-entry[1], entry[0]))
    filled = [(name, total["filled"][name]) for name in FILLED_COLUMNS if name in total["filled"]]
    return DryRun(
        source=adapter.name,
        files=len(files),
        read=total["read"],
        valid=total["read"] - total["quarantined"],
        quarantined=total["quarantined"],
        repeated_ids=ids.total,
        is_exact=ids.is_exact,
        reasons=[
            BadRows(reason, count, names[file_id], row, record)
            for reason, (count, (file_id, row, record)) in by_count
        ],
        repairs=_largest_first(total["repairs"]),
        events=[_event_name(key, count) for key, count in events],
        filled=[Filled(name, count, first[2]) for name, (count, first) in filled],
        properties=_largest_first(total["properties"]),
        not_found=_not_found(adapter, files),
    )


def _event_name(key: str, count: int) -> EventName:
    name, event_type = (OTHER_NAMES, None) if key == OTHER_NAMES else json.loads(key)
    return EventName(name, event_type, count)


def _largest_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _not_found(adapter: Adapter, files: list[InputFile]) -> dict[str, str | None]:
    """Return the adapter's columns that no file has, each with the likely one."""
    found = tuple(dict.fromkeys(name for file in files for name in file.columns))
    if not found:
        return {}
    known = {column.name for column in adapter.columns}
    unknown = [name for name in found if name not in known]
    missing = [column.name for column in adapter.columns if not is_found(column.name, found)]
    close = {name: difflib.get_close_matches(name, unknown, n=1) for name in missing}
    return {name: names[0] if names else None for name, names in close.items()}
