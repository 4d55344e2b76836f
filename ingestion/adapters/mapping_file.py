"""Read and check a mapping file: YAML that says where the contract's columns come from.

The file is data alone. Every scalar is taken as the text that stands there, so that no value is
turned into a number, a date or a truth on the way.
"""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from ingestion.adapters.mapping_names import COLUMN_NAMES, ITEM_NAMES, plain_name
from ingestion.contract.events import (
    CUSTOM_EVENT_TYPE,
    EVENT_TYPES,
    ITEM_COLUMNS,
    ITEMS,
    SOURCE_COLUMNS,
)
from ingestion.errors import UsageError

SUFFIXES = (".yml", ".yaml")
AMOUNTS = {c.name for c in (*SOURCE_COLUMNS, *ITEM_COLUMNS) if c.type.startswith("decimal")}
VALUE_KEYS = tuple(c.name for c in SOURCE_COLUMNS if c.name != "properties")
OTHER_KEYS = ("source", "timezone", "event_types", "default_event_type", "user_agent", ITEMS)
REQUIRED_KEYS = ("source", "event_id", "event_type", "event_ts", "visitor_id")
ITEM_KEYS = ("list", *(c.name for c in ITEM_COLUMNS))
WHOLE_ROW = "row"
IP_NAMES = {
    "ip",
    "ip_address",
    "client_ip",
    "remote_addr",
    "remote_ip",
    "user_ip",
    "x_forwarded_for",
}
# The reader's own columns, beside those of the file.
TAKEN_NAMES = {"file_id", "source_row", "record", "row_issue", "repairs", "extra", "whole_row"}


@dataclass(frozen=True)
class Value:
    """Where a value comes from: the first of `columns` that is filled, else the constant.

    `divide_by` makes amounts of a smaller unit ones of the currency: 100 for cents.
    """

    columns: tuple[str, ...] = ()
    constant: str | None = None
    divide_by: int = 1


@dataclass(frozen=True)
class Items:
    """Where the products come from: the fields of a list column, or the row's own columns."""

    values: dict[str, Value]
    list_column: str | None = None


@dataclass(frozen=True)
class Mapping:
    """A mapping file's content. `hash_of` are the columns the event id is a hash of.

    An empty `hash_of` means the whole row, None that `values` has the event id. Of `items` the
    first that gives a product counts.
    """

    source: str
    values: dict[str, Value]
    hash_of: tuple[str, ...] | None = None
    event_types: dict[str, str] = field(default_factory=dict)
    default_event_type: str = CUSTOM_EVENT_TYPE
    items: tuple[Items, ...] = ()
    timezone: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The file's columns and paths that are read."""
        values, lists = list(self.values.values()), []
        for items in self.items:
            if items.list_column is None:
                values += items.values.values()
            else:
                lists.append(items.list_column)
        names = [name for value in values for name in value.columns] + lists
        return tuple(dict.fromkeys([*names, *(self.hash_of or ())]))


def is_mapping_file(source: str) -> bool:
    """Return whether a --source is the path of a mapping file."""
    return source.lower().endswith(SUFFIXES)


def read_mapping(path: Path, known_sources: Iterable[str]) -> Mapping:
    """Read a mapping file. Raises UsageError in one line: file, key, value, remedy."""
    return _Reader(path).mapping(set(known_sources))


class _Reader:
    """Reads one file; knows its path for the errors."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[tuple[str, ...], int] = {}

    def mapping(self, known_sources: set[str]) -> Mapping:
        keys = self._load()
        self._check_keys((), keys, (*VALUE_KEYS, *OTHER_KEYS), REQUIRED_KEYS, COLUMN_NAMES)
        event_id, hash_of = self._event_id(keys["event_id"])
        names = [name for name in (*VALUE_KEYS, "user_agent") if name in keys]
        values = {name: self._value((name,), keys[name]) for name in names if name != "event_id"}
        mapping = Mapping(
            source=self._source(keys["source"], known_sources),
            values=values | event_id,
            hash_of=hash_of,
            event_types=self._event_types(keys.get("event_types", {})),
            default_event_type=self._event_type(
                ("default_event_type",), keys.get("default_event_type", CUSTOM_EVENT_TYPE)
            ),
            items=self._all_items(keys[ITEMS]) if ITEMS in keys else (),
            timezone=self._timezone(keys["timezone"]) if "timezone" in keys else None,
        )
        self._check_columns(mapping.columns)
        return mapping

    # -- the file ----------------------------------------------------------------------------

    def _load(self) -> dict[str, Any]:
        try:
            node = yaml.compose(self._path.read_text("utf-8"), Loader=yaml.SafeLoader)
            plain = self._plain(node, ()) if node else None
        except FileNotFoundError:
            raise UsageError(
                f"No such mapping file: {self._path}. "
                "Have one proposed: clickmart mapping init FILE"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{self._path}: not readable: {error}") from None
        except (yaml.YAMLError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            place = f", line {mark.line + 1}" if mark else ""
            said = getattr(error, "problem", None) or "it refers to itself"
            raise UsageError(f"{self._path}{place}: not YAML: {said}.") from None
        if not isinstance(plain, dict):
            raise UsageError(f"{self._path}: it must hold keys, such as source: my-shop")
        return plain

    def _plain(self, node: yaml.Node, at: tuple[str, ...]) -> Any:
        """Return the node as dicts, lists and texts; note the lines of the keys."""
        if isinstance(node, yaml.MappingNode):
            found: dict[str, Any] = {}
            for key, value in node.value:
                name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
                self._lines[(*at, name)] = key.start_mark.line + 1
                if name in found:
                    self._fail((*at, name), "it stands twice; remove one")
                found[name] = self._plain(value, (*at, name))
            return found
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(part, at) for part in node.value]
        if not str(node.value).strip():
            self._fail(at, "it has no value; give it one, or take the line out")
        return str(node.value)

    def _fail(self, at: tuple[str, ...], said: str) -> NoReturn:
        line = self._lines.get(at)
        place = f"{self._path}, line {line}" if line else str(self._path)
        raise UsageError(f"{place}: {'.'.join(at)}: {said}." if at else f"{place}: {said}.")

    # -- keys --------------------------------------------------------------------------------

    def _check_keys(
        self,
        at: tuple[str, ...],
        found: Any,
        known: Iterable[str],
        required: Iterable[str],
        names: dict[str, tuple[str, ...]],
    ) -> None:
        if not isinstance(found, dict):
            self._fail(at, f"it is {_shown(found)} and must hold keys: {', '.join(known)}")
        for key in found:
            if key not in known:
                self._fail((*at, key), f"unknown key{_likely(key, known, names)}")
        missing = [key for key in required if key not in found]
        if missing:
            self._fail(at, f"missing key {', '.join(missing)}; say which column it is")

    def _source(self, name: Any, known: set[str]) -> str:
        if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name):
            self._fail(
                ("source",),
                f"it is {_shown(name)}; name the source in small letters, digits, - and _, "
                "such as my-shop",
            )
        if name in known:
            self._fail(("source",), f"{name!r} is a source of Clickmart's own; choose another name")
        return str(name)

    def _timezone(self, name: Any) -> str:
        try:
            return zoneinfo.ZoneInfo(name).key
        except (TypeError, ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            self._fail(
                ("timezone",), f"no time zone {_shown(name)}; name one such as Europe/Berlin"
            )

    def _event_types(self, types: Any) -> dict[str, str]:
        if not isinstance(types, dict):
            self._fail(
                ("event_types",),
                f"it is {_shown(types)} and must map event names to types, such as "
                "view: product_view",
            )
        return {name: self._event_type(("event_types", name), ours) for name, ours in types.items()}

    def _event_type(self, at: tuple[str, ...], ours: Any) -> str:
        if ours not in (*EVENT_TYPES, CUSTOM_EVENT_TYPE):
            close = difflib.get_close_matches(str(ours), EVENT_TYPES, n=1)
            hint = f"is it {close[0]!r}? " if close else ""
            known = ", ".join((*EVENT_TYPES, CUSTOM_EVENT_TYPE))
            self._fail(at, f"no event type {_shown(ours)}; {hint}One of {known}")
        return str(ours)

    # -- values ------------------------------------------------------------------------------

    def _event_id(self, found: Any) -> tuple[dict[str, Value], tuple[str, ...] | None]:
        if not isinstance(found, dict) or "hash" not in found:
            return {"event_id": self._value(("event_id",), found)}, None
        self._check_keys(("event_id",), found, ("hash",), (), {})
        if found["hash"] == WHOLE_ROW:
            return {}, ()
        return {}, self._columns_named(("event_id", "hash"), found["hash"])

    def _value(self, at: tuple[str, ...], found: Any) -> Value:
        """Read a value: a column, a list of them, or {column, constant, divide_by}."""
        if not isinstance(found, dict):
            return Value(self._columns_named(at, found))
        self._check_keys(at, found, ("column", "constant", "divide_by"), (), {})
        if "column" not in found and "constant" not in found:
            self._fail(at, "it names neither a column nor a constant")
        constant = found.get("constant")
        if constant is not None and not isinstance(constant, str):
            self._fail((*at, "constant"), f"it is {_shown(constant)} and must be one text")
        columns = self._columns_named(at, found["column"]) if "column" in found else ()
        return Value(columns, constant, self._divisor(at, found.get("divide_by", "1")))

    def _divisor(self, at: tuple[str, ...], found: Any) -> int:
        if found != "1" and at[-1] not in AMOUNTS:
            self._fail((*at, "divide_by"), f"only amounts can be divided: {_joined(AMOUNTS)}")
        if not re.fullmatch(r"10{0,4}", str(found)):
            self._fail((*at, "divide_by"), f"it is {_shown(found)}; it must be 10, 100, 1000")
        return int(found)

    def _columns_named(self, at: tuple[str, ...], found: Any) -> tuple[str, ...]:
        names = found if isinstance(found, list) else [found]
        if not names or not all(isinstance(name, str) for name in names):
            self._fail(at, f"it is {_shown(found)} and must name a column, or a list of columns")
        return tuple(dict.fromkeys(names))

    def _all_items(self, found: Any) -> tuple[Items, ...]:
        return tuple(self._items(one) for one in (found if isinstance(found, list) else [found]))

    def _items(self, found: Any) -> Items:
        self._check_keys((ITEMS,), found, ITEM_KEYS, ("product_id",), ITEM_NAMES)
        values = {
            name: self._value((ITEMS, name), value)
            for name, value in found.items()
            if name != "list"
        }
        if "list" in found and not isinstance(found["list"], str):
            self._fail((ITEMS, "list"), f"it is {_shown(found['list'])} and must name one column")
        if not values["product_id"].columns:
            self._fail((ITEMS, "product_id"), "it is a constant; name the column of the product")
        return Items(values, found.get("list"))

    def _check_columns(self, columns: tuple[str, ...]) -> None:
        """Refuse columns that the engines cannot tell apart."""
        seen: dict[str, str] = {}
        for name in columns:
            other = seen.setdefault(name.lower(), name)
            if other != name:
                self._fail((), f"columns {other!r} and {name!r} differ in case alone; rename one")
            if plain_name(name.rpartition(".")[2]) in IP_NAMES:
                self._fail((), f"{name!r} is not read: IP addresses are not kept; take it out")
            if name.lower() in TAKEN_NAMES:
                self._fail((), f"a column cannot be named {name!r} here; rename it in the file")


def _likely(key: str, known: Iterable[str], names: dict[str, tuple[str, ...]]) -> str:
    """Return the hint at the key that is meant: by what shops call it, or by its spelling."""
    plain = plain_name(key)
    called = [ours for ours, theirs in names.items() if plain in theirs]
    close = called or difflib.get_close_matches(key, list(known), n=1)
    if close:
        return f"; is it {close[0]!r}? (Keys are Clickmart's names, values those of your file)"
    return f"; known are {', '.join(known)}"


def _joined(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
