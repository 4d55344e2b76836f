"""Anyone's own columns and event names, mapped to the contract by a YAML file.

Such files come from a shop's own tracking or its database: CSV, JSON lines, a JSON array or
Parquet, with columns by any name, nested ones included. `docs/mapping.md` explains every key.

- **Event id**: a column, or a hash of columns or of the whole row; rows with one id are duplicates.
- **Order id** is a column's. **Line id**: a field of the product, else its position in the list;
  where the row's own columns are its product, the event's id.
- **Times** in every form that `parsing.timestamp` reads; one without a zone is the local time of
  `timezone`, UTC by default. **Sessions**, **users** and **bots** as the columns say; bots are
  known by the user agent too.
- **Money** is in the units of the currency; `divide_by` makes cents so.
- **Traffic**: the mapped columns; where none is mapped, the parameters of `page_url`.
- Whatever is not mapped goes to `properties`. Fields of a product that are not mapped are dropped:
  the contract has no place for them. IP addresses are never mapped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ingestion.adapters import parsing
from ingestion.adapters.adapter import Adapter, candidates, column_of
from ingestion.adapters.mapping_file import Items, Mapping, Value
from ingestion.contract.events import (
    CUSTOM_EVENT_TYPE,
    EVENT_TYPES,
    ITEM_COLUMNS,
    ITEMS_SPARK_TYPE,
    SOURCE_COLUMNS,
    Column,
)
from ingestion.contract.rules import INVALID_EVENT_TS, INVALID_ITEMS, INVALID_NUMBER

TYPE_OF = {column.name: column.type for column in SOURCE_COLUMNS}
ITEM_TYPE_OF = {column.name: column.type for column in ITEM_COLUMNS}
UTM_COLUMNS = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
TRAFFIC_COLUMNS = (*UTM_COLUMNS, "click_id")
# Without these a row is no event, so a file must have them.
NEEDED_COLUMNS = ("event_id", "event_type", "event_ts", "visitor_id")


def adapter_of(mapping: Mapping) -> Adapter:
    """Return the adapter that a mapping describes."""
    needed = [mapping.values[name] for name in NEEDED_COLUMNS if name in mapping.values]
    groups = [value.columns for value in needed if value.columns and value.constant is None]
    groups += [mapping.hash_of] if mapping.hash_of else []
    required = {group[0] for group in groups if len(group) == 1}
    people = [mapping.values[n] for n in ("visitor_id", "user_id") if n in mapping.values]
    return Adapter(
        name=mapping.source,
        description="your own columns, by a mapping file",
        columns=tuple(Column(name, is_required=name in required) for name in mapping.columns),
        adapt=partial(adapt, mapping=mapping),
        person_columns=tuple(dict.fromkeys(name for value in people for name in value.columns)),
        one_of=tuple(group for group in groups if len(group) > 1),
    )


def adapt(rows: DataFrame, *, mapping: Mapping) -> DataFrame:
    """Map rows to candidates as the mapping says."""
    texts = {name: _text(value, column_of) for name, value in mapping.values.items()}
    if mapping.hash_of is not None:
        texts["event_id"] = _hash(mapping)
    user_agent = texts.pop("user_agent", F.lit(None).cast("string"))
    parsed = {name: _parsed(text, TYPE_OF[name], mapping) for name, text in texts.items()}
    values = {name: p.value for name, p in parsed.items()}
    values |= _event_names(mapping, texts)
    values |= _traffic_of_url(texts)
    items = _products(mapping, values["event_id"])
    agent = F.when(user_agent.isNotNull(), F.to_json(F.struct(user_agent.alias("user_agent"))))
    properties = parsing.merged_properties(F.col("extra"), items.rest)
    values["properties"] = parsing.merged_properties(properties, agent)
    numbers = [p.is_invalid for name, p in parsed.items() if TYPE_OF[name] == parsing.AMOUNT]
    return candidates(
        rows,
        values,
        items=items.value,
        issues=parsing.issues(
            (INVALID_EVENT_TS, parsed["event_ts"].is_invalid),
            *((INVALID_NUMBER, is_invalid) for is_invalid in (*numbers, items.numbers_invalid)),
            (INVALID_ITEMS, items.is_invalid),
        ),
        user_agent=user_agent,
    )


# -- values --------------------------------------------------------------------------------------


def _text(value: Value, get: Callable[[str], SparkColumn]) -> SparkColumn:
    """Return the first filled column's text, else the constant."""
    found = [parsing.text(get(name)) for name in value.columns]
    raw = F.coalesce(*found, F.lit(value.constant).cast("string"))
    if value.divide_by == 1:
        return raw
    divided = (parsing.amount(raw).value / F.lit(value.divide_by)).cast(parsing.AMOUNT)
    return F.coalesce(divided.cast("string"), raw)


def _parsed(text: SparkColumn, type_: str, mapping: Mapping) -> parsing.Parsed:
    if type_ == "timestamp":
        return parsing.timestamp(text, mapping.timezone)
    if type_ == parsing.AMOUNT:
        return parsing.amount(text)
    if type_ == "boolean":
        return parsing.Parsed(parsing.boolean(text), F.lit(False))
    return parsing.Parsed(text, F.lit(False))


def _hash(mapping: Mapping) -> SparkColumn:
    """Return the id of a row without one; null where there is nothing to tell it by."""
    names = mapping.hash_of or sorted(mapping.columns)
    columns = [parsing.text(column_of(name)) for name in names]
    if not mapping.hash_of:
        columns.append(F.col("extra"))
    is_told = F.coalesce(*columns, F.lit(None)).isNotNull()
    return F.when(is_told, parsing.content_hash(*columns))


def _event_names(mapping: Mapping, texts: dict[str, SparkColumn]) -> dict[str, SparkColumn]:
    known = {name: name for name in (*EVENT_TYPES, CUSTOM_EVENT_TYPE)} | mapping.event_types
    name = texts["event_type"]
    return {
        "event_type": parsing.event_type(name, known, mapping.default_event_type),
        "event_name": texts.get("event_name", name),
    }


def _traffic_of_url(texts: dict[str, SparkColumn]) -> dict[str, SparkColumn]:
    if "page_url" not in texts or any(name in texts for name in TRAFFIC_COLUMNS):
        return {}
    found = {name: parsing.query_parameter(texts["page_url"], name) for name in UTM_COLUMNS}
    return {**found, "click_id": parsing.click_id(texts["page_url"])}


# -- products ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Products:
    """The items, null where there are none; whether they are no list; whether a number is none.

    `rest` is a JSON object of the columns they are made of, for where they are not taken.
    """

    value: SparkColumn
    is_invalid: SparkColumn
    numbers_invalid: SparkColumn
    rest: SparkColumn


def _products(mapping: Mapping, event_id: SparkColumn) -> _Products:
    """Return the products of the first form that gives any."""
    value = F.lit(None).cast(ITEMS_SPARK_TYPE)
    is_invalid, numbers_invalid, left = F.lit(False), F.lit(False), F.lit(None).cast("string")
    for items in mapping.items:
        found = _listed(items) if items.list_column else _own_product(items, event_id)
        is_unused = value.isNotNull() | found.value.isNull()
        left = parsing.merged_properties(left, F.when(is_unused, found.rest))
        value = F.coalesce(value, found.value)
        is_invalid = is_invalid | found.is_invalid
        numbers_invalid = numbers_invalid | found.numbers_invalid
    return _Products(value, is_invalid, numbers_invalid, left)


def _listed(items: Items) -> _Products:
    """Take the lines of a list; each field is read as text, a path within it from its JSON."""
    text = column_of(items.list_column or "")
    heads = {name.split(".")[0] for value in items.values.values() for name in value.columns}
    fields = ",".join(f"`{head}`:string" for head in sorted(heads))
    lines = F.from_json(text, f"array<struct<{fields}>>")
    typed = parsing.typed_items(F.transform(lines, lambda line: _item_texts(items, line)))
    return _Products(
        value=F.when(F.size(typed.value) > 0, typed.value),
        is_invalid=parsing.items(text).is_invalid,
        numbers_invalid=typed.is_invalid,
        rest=F.lit(None).cast("string"),
    )


def _item_texts(items: Items, line: SparkColumn) -> SparkColumn:
    texts = {
        name: _text(value, lambda path: _within(line, path.split(".")))
        for name, value in items.values.items()
    }
    return parsing.item_texts(**texts)


def _within(value: SparkColumn, path: list[str]) -> SparkColumn:
    found = value[path[0]]
    for name in path[1:]:
        found = F.from_json(found, f"struct<`{name}`:string>")[name]
    return found


def _own_product(items: Items, event_id: SparkColumn) -> _Products:
    """Take the row's own columns as its product; a row that names none has none."""
    texts = {name: _text(value, column_of) for name, value in items.values.items()}
    parsed = {name: _item_value(text, ITEM_TYPE_OF[name]) for name, text in texts.items()}
    values = {name: p.value for name, p in parsed.items()}
    values["line_id"] = F.coalesce(values.get("line_id", F.lit(None)), event_id)
    is_named = texts["product_id"].isNotNull()
    invalid = [p.is_invalid for p in parsed.values()]
    sources = dict.fromkeys(n for value in items.values.values() for n in value.columns)
    rest = F.to_json(F.struct(*[column_of(name) for name in sources]))
    return _Products(
        value=F.when(is_named, F.array(parsing.item(**values)).cast(ITEMS_SPARK_TYPE)),
        is_invalid=F.lit(False),
        numbers_invalid=is_named & reduce(SparkColumn.__or__, invalid),
        rest=F.when(rest != "{}", rest),
    )


def _item_value(text: SparkColumn, type_: str) -> parsing.Parsed:
    if type_ == "int":
        return parsing.whole_number(text)
    if type_ == parsing.AMOUNT:
        return parsing.amount(text)
    return parsing.Parsed(text, F.lit(False))
