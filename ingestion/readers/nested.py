"""Columns named by a dotted path: taken out of the JSON of the column they lie in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
import pyarrow as pa

from ingestion.readers.json_rows import json_object
from ingestion.readers.rows import as_text, json_text


def head_of(path: str) -> str:
    """Return the column in which the value of a dotted path lies."""
    return path.split(".", 1)[0]


def taken_out(batch: pa.RecordBatch, paths: Iterable[str], unwanted: set[str]) -> pa.RecordBatch:
    """Return the batch with the values of the paths in their columns, and nowhere else.

    What else the columns around them hold stays there, or joins `extra` where the column itself
    is `unwanted`. A column that is literally named with dots goes before a path. A value that
    cannot be reached is null.
    """
    by_head: dict[str, list[str]] = {}
    for path in sorted(paths, key=lambda p: -p.count(".")):
        by_head.setdefault(head_of(path), []).append(path)
    columns = {name: batch.column(name) for name in batch.schema.names}
    for head, own in by_head.items():
        if columns[head].null_count < batch.num_rows:
            _take_apart(columns, head, own, head in unwanted)
    kept = {name: column for name, column in columns.items() if name not in unwanted}
    return pa.RecordBatch.from_arrays(list(kept.values()), names=list(kept))


def _take_apart(
    columns: dict[str, pa.Array], head: str, paths: list[str], is_unwanted: bool
) -> None:
    rests: list[str | None] = []
    values: dict[str, list[str | None]] = {path: columns[path].to_pylist() for path in paths}
    extra, repairs = columns["extra"].to_pylist(), columns["repairs"].to_pylist()
    for i, text in enumerate(columns[head].to_pylist()):
        repaired: set[str] = set()
        outer = json_object(text.encode(), repaired) if text and text.lstrip()[:1] == "{" else None
        for path in paths if outer else ():
            found = as_text(_popped(outer, path.split(".")[1:]))
            values[path][i] = found if values[path][i] is None else values[path][i]
        rests.append(text if outer is None else json_text(outer) if outer else None)
        if repaired:
            repairs[i] = sorted({*(repairs[i] or ()), *repaired})
    if is_unwanted:
        extra = [_joined(head, rest, other) for rest, other in zip(rests, extra, strict=True)]
    columns |= {path: pa.array(texts, pa.string()) for path, texts in values.items()}
    columns[head] = pa.array(rests, pa.string())
    columns["extra"] = pa.array(extra, pa.string())
    columns["repairs"] = pa.array(repairs, pa.list_(pa.string()))


def _popped(value: Any, path: list[str]) -> Any:
    """Take the value at the path out of the object; objects that it leaves empty go with it."""
    if not isinstance(value, dict) or path[0] not in value:
        return None
    if len(path) == 1:
        return value.pop(path[0])
    found = _popped(value[path[0]], path[1:])
    if value[path[0]] == {}:
        del value[path[0]]
    return found


def _joined(name: str, rest: str | None, extra: str | None) -> str | None:
    if rest is None:
        return extra
    is_json = rest.lstrip()[:1] in ("{", "[") and _is_json(rest)
    own = f"{json_text(name)}:{rest if is_json else json_text(rest)}"
    return f"{{{own}}}" if extra is None else f"{{{own},{extra[1:]}"


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
