"""Propose a mapping for a file: by its columns' names, checked against their values."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ingestion.adapters import ADAPTERS
from ingestion.adapters.mapping_file import AMOUNTS, IP_NAMES, TAKEN_NAMES
from ingestion.adapters.mapping_names import (
    COLUMN_NAMES,
    ITEM_NAMES,
    LIST_NAMES,
    plain_name,
    type_of_event,
)
from ingestion.errors import InputError, UsageError
from ingestion.files import InputFile, expand, inspect
from ingestion.readers import read_split

SAMPLED_ROWS = 10_000
SAMPLED_VALUES = 1_000
DEEPEST_PATH = 5
MOST_EVENT_NAMES = 200
ENOUGH = 0.8
"""The share of values that must look like what the column's name promises."""
# Names that mean something else inside another object: `user.id` is no event's id.
MEANT_AT_THE_TOP = {
    "id",
    "name",
    "type",
    "value",
    "user",
    "page",
    "title",
    "count",
    "total",
    "event",
}
_TIME = re.compile(r"\d{4}-\d\d-\d\d([Tt ].*)?|\d{8,10}(\.\d+)?|\d{12,13}(\.\d+)?|\d{15,16}")
_LOCAL_TIME = re.compile(r"\d{4}-\d\d-\d\d([Tt ][\d:.,]+)?")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# What a person has spent in a lifetime is no order's: GA4's `user_ltv.revenue`.
_OF_A_LIFETIME = re.compile(r"(^|[_.])(ltv|clv|lifetime)([_.]|$)")
_CENTS = re.compile(r"_(in_)?(cents?|minor)$")


@dataclass
class Sample:
    """The first rows of a file: texts by column or dotted path, and lists of objects.

    `lists` hold, by their path, what their objects hold.
    """

    texts: dict[str, list[str]] = field(default_factory=dict)
    lists: dict[str, Sample] = field(default_factory=dict)

    def add(self, path: str, value: Any, depth: int = 1) -> None:
        """Add a value: an object by its parts, a list of objects by theirs, else as text."""
        if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            value = _parsed(value)
        if isinstance(value, dict) and depth < DEEPEST_PATH:
            for name, part in value.items():
                self.add(f"{path}.{name}", part, depth + 1)
        elif isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
            lines = self.lists.setdefault(path, Sample())
            for line in value:
                for name, part in line.items():
                    lines.add(name, part)
        elif value is not None and value != "" and not isinstance(value, dict | list):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            self.texts.setdefault(path, []).append(text.strip())


def write(
    file: Path, out_file: Path | None, report_known: Callable[[str], None] = lambda _: None
) -> Path:
    """Write a proposed mapping for the file; return where it is.

    Calls `report_known` with each of Clickmart's own sources that reads such files.

    Raises UsageError when there is something already, InputError for a file that cannot be read.
    """
    found = inspect(expand([str(file)]))[0]
    source = _source_name(file)
    path = out_file or Path(f"{source}.yml")
    if path.exists():
        raise UsageError(f"{path} is there already; name another file with --out.")
    sample = sampled(found)
    if not sample.texts:
        raise InputError(f"{file}: no rows to learn from.")
    text = "\n".join(_page(source, found, sample)) + "\n"
    path.write_text(text, "utf-8")
    for name in _known(found):
        report_known(name)
    return path


def sampled(file: InputFile) -> Sample:
    """Return the file's first rows."""
    sample = Sample()
    types = dict.fromkeys((n for n in file.columns if n.lower() not in TAKEN_NAMES), "string")
    batches = (batch for split in file.splits for batch in read_split(split, types))
    left = SAMPLED_ROWS
    for batch in batches:
        part = batch.slice(0, left)
        for row in part.select(list(types)).to_pylist():
            for name, value in row.items():
                sample.add(name, value)
        left -= part.num_rows
        if left <= 0:
            break
    return sample


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _source_name(file: Path) -> str:
    stem = file.name.split(".")[0]
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:60] or "my-shop"
    return f"my-{name}" if name in ADAPTERS else name


# -- which column is which -----------------------------------------------------------------------


def _choose(names: dict[str, tuple[str, ...]], texts: dict[str, list[str]]) -> dict[str, str]:
    """Return by the contract's names the paths of the columns that seem to hold them."""
    chosen: dict[str, str] = {}
    ranked = sorted(
        (rank, position, ours, path)
        for position, (ours, theirs) in enumerate(names.items())
        for path in texts
        if (rank := _rank(path, theirs)) is not None and _fits(ours, texts[path])
    )
    # A column's best name goes before its others: first all first choices, and so on.
    for _, _, ours, path in ranked:
        if ours not in chosen and path not in chosen.values():
            chosen[ours] = path
    return chosen


def _rank(path: str, names: tuple[str, ...]) -> tuple[int, int] | None:
    """Return how well the path matches: by how much of it, then by the place of the name."""
    if _OF_A_LIFETIME.search(path.lower()):
        return None
    for length, form in enumerate(_forms(path)):
        if form in names:
            return length, names.index(form)
    return None


def _forms(path: str) -> list[str]:
    parts = path.split(".")
    if parts[-1] in ("amount", "value") and len(parts) > 1:
        parts = parts[:-1]
    forms = [plain_name("_".join(parts)), plain_name("_".join(parts[-2:])), plain_name(parts[-1])]
    forms = [_CENTS.sub("", form) for form in forms]
    if len(parts) > 1 and forms[-1] in MEANT_AT_THE_TOP:
        return forms[:-1]
    return forms


def _fits(ours: str, values: list[str]) -> bool:
    """Return whether most of the values look like what the column is to hold."""
    some = values[:SAMPLED_VALUES]
    if ours == "event_id":
        return len(set(values)) > len(values) / 2  # a product's or a person's repeats more
    if ours == "event_type":
        return len(set(values)) <= MOST_EVENT_NAMES and not _mostly(_NUMBER.fullmatch, some)
    if ours == "page_url":
        return _mostly(lambda text: "/" in text or text.startswith("http"), some)
    if ours in ("event_ts", "received_at"):
        return _mostly(_TIME.fullmatch, some)
    if ours == "currency":
        return _mostly(lambda text: re.fullmatch(r"[A-Za-z]{3}", text), some)
    if ours in AMOUNTS or ours == "quantity":
        return _mostly(_NUMBER.fullmatch, some)
    return True


def _mostly(test: Callable[[str], Any], values: list[str]) -> bool:
    return sum(bool(test(value)) for value in values) >= ENOUGH * len(values)


# -- the file that is written --------------------------------------------------------------------


def _page(source: str, file: InputFile, sample: Sample) -> Iterator[str]:
    texts = {
        path: values
        for path, values in sample.texts.items()
        if plain_name(path.rpartition(".")[2]) not in IP_NAMES
    }
    chosen = _choose(COLUMN_NAMES, texts)
    yield f"# How {file.path.name} becomes events: Clickmart's names on the left, the file's on the"
    yield "# right. Lines with # ? are yours to decide. Every key: docs/mapping.md"
    yield from (
        f"# These files are known: --source {name} reads them as well." for name in _known(file)
    )
    yield f"source: {source}"
    yield ""
    yield from _needed(chosen, texts)
    yield ""
    yield from _event_types(texts.get(chosen.get("event_type", ""), []))
    used = set(chosen.values())
    rest = [
        name for name in chosen if name not in ("event_id", "event_type", "event_ts", "visitor_id")
    ]
    yield from (_line(name, chosen[name]) for name in rest)
    if AMOUNTS & set(rest) and "currency" not in chosen:
        yield "# currency: {constant: EUR}  # ? without one it is the reporting currency"
    lines, taken = _items(texts, sample, used)
    yield from lines
    left = [path for path in (*texts, *sample.lists) if path not in used | taken]
    if left:
        yield ""
        yield "# Kept in properties, as nothing above takes them:"
        yield from (f"#   {_quoted(path)}" for path in left)


def _known(file: InputFile) -> Iterator[str]:
    for name, adapter in ADAPTERS.items():
        required = [column.name for column in adapter.columns if column.is_required]
        if len(required) > 1 and set(required) <= set(file.columns):
            yield name


def _needed(chosen: dict[str, str], texts: dict[str, list[str]]) -> Iterator[str]:
    """Yield the lines of the four keys that every mapping needs."""
    if "event_id" in chosen:
        yield _line("event_id", chosen["event_id"])
    else:
        yield "# No column tells events apart: rows that are equal in all columns count once."
        yield "event_id: {hash: row}"
    if "event_type" in chosen:
        yield _line("event_type", chosen["event_type"])
    else:
        yield "event_type: {constant: page_view}  # ? no column names the event; which is it?"
    if "event_ts" in chosen:
        yield _line("event_ts", chosen["event_ts"])
        if _mostly(_LOCAL_TIME.fullmatch, texts[chosen["event_ts"]][:SAMPLED_VALUES]):
            yield "# timezone: Europe/Berlin  # ? times without a zone are taken as UTC"
    else:
        yield "# event_ts:  # ? which column holds the time? It is needed"
    stand_in = chosen.get("user_id") or chosen.get("source_session_id")
    if "visitor_id" in chosen:
        yield _line("visitor_id", chosen["visitor_id"])
    elif stand_in:
        yield f"{_line('visitor_id', stand_in)}  # ? no column names the device or cookie"
    else:
        yield "# visitor_id:  # ? which column holds the device, cookie or person? It is needed"


def _event_types(names: list[str]) -> Iterator[str]:
    found = Counter(names)
    if not found:
        return
    yield "event_types:"
    for name, _ in found.most_common():
        ours = type_of_event(name)
        yield f"  {_quoted(name)}: {ours}" if ours else f"  {_quoted(name)}: custom  # ?"
    yield ""


def _items(
    texts: dict[str, list[str]], sample: Sample, used: set[str]
) -> tuple[list[str], set[str]]:
    """Return the lines of `items`, and the columns they take: a list's, and the row's own."""
    forms: list[list[str]] = []
    taken: set[str] = set()
    for path in sorted(sample.lists, key=_is_unlike_a_list):
        fields = _choose(ITEM_NAMES, sample.lists[path].texts)
        if "product_id" in fields:
            forms.append([f"list: {_quoted(path)}", *(_line(*field) for field in fields.items())])
            taken.add(path)
            break
    fields = _choose(ITEM_NAMES, {path: v for path, v in texts.items() if path not in used})
    if "product_id" in fields:
        forms.append([_line(*field) for field in fields.items()])
        taken |= set(fields.values())
    if not forms:
        return ["# items:  # ? no column names a product"], taken
    if len(forms) == 1:
        return ["items:", *(f"  {line}" for line in forms[0])], taken
    lines = ["items:  # a list of products, or else the row's own product"]
    for form in forms:
        lines += [f"  {'-' if i == 0 else ' '} {line}" for i, line in enumerate(form)]
    return lines, taken


def _is_unlike_a_list(path: str) -> bool:
    return plain_name(path.rpartition(".")[2]) not in LIST_NAMES


def _line(name: str, path: str) -> str:
    if name in AMOUNTS and _CENTS.search(plain_name(path)):
        return f"{name}: {{column: {_quoted(path)}, divide_by: 100}}"
    return f"{name}: {_quoted(path)}"


def _quoted(text: str) -> str:
    is_plain = re.fullmatch(r"[A-Za-z_][\w.-]*", text, re.ASCII)
    return text if is_plain else json.dumps(text, ensure_ascii=False)
