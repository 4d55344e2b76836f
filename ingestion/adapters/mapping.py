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
    parsed = {name: _parsed(text, name, mapping) for name, text in texts.items()}
    values = {name: p.value for name, p in parsed.items()}
    values |= _event_names(mapping, texts)
    values |= _traffic_of_url(texts)
    rows = _with_products(rows, mapping, values["event_id"])
    items = _Products(*(column_of(name) for name in _PRODUCTS))
    agent = F.when(user_agent.isNotNull(), F.to_json(F.struct(user_agent.alias("user_agent"))))
    values["properties"] = parsing.merged_properties(F.col("extra"), items.rest, agent)
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
    return F.coalesce(*found, F.lit(value.constant).cast("string"))


def _divided(amount: SparkColumn, divide_by: int) -> SparkColumn:
    return amount if divide_by == 1 else (amount / F.lit(divide_by)).cast(parsing.AMOUNT)


def _amount(text: SparkColumn, value: Value) -> parsing.Parsed:
    found = parsing.amount(text)
    return parsing.Parsed(_divided(found.value, value.divide_by), found.is_invalid)


def _parsed(text: SparkColumn, name: str, mapping: Mapping) -> parsing.Parsed:
    type_ = TYPE_OF[name]
    if type_ == "timestamp":
        return parsing.timestamp(text, mapping.timezone)
    if type_ == parsing.AMOUNT:
        return _amount(text, mapping.values[name])
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


_PRODUCTS = ("(items)", "(no list)", "(no number)", "(rest)")
_LINES, _FOUND, _FOUND_REST = "(lines)", "(found)", "(found rest)"


@dataclass(frozen=True)
class _Products:
    """The items, null where there are none; whether they are no list; whether a number is none.

    `rest` is a JSON object of the columns they are made of, for where they are not taken.
    """

    value: SparkColumn
    is_invalid: SparkColumn
    numbers_invalid: SparkColumn
    rest: SparkColumn


def _with_products(rows: DataFrame, mapping: Mapping, event_id: SparkColumn) -> DataFrame:
    """Add the products of the first form that gives any, as columns named by `_PRODUCTS`.

    Each step is a column: inside one another, the expressions would multiply.
    """
    none = F.lit(None)
    start = (none.cast(ITEMS_SPARK_TYPE), F.lit(False), F.lit(False), none.cast("string"))
    rows = rows.withColumns(dict(zip(_PRODUCTS, start, strict=True)))
    value, is_invalid, numbers_invalid, rest = (column_of(name) for name in _PRODUCTS)
    for items in mapping.items:
        if items.list_column:
            rows = rows.withColumn(_LINES, _lines(items))
        own = _listed(items) if items.list_column else _own_product(items, event_id)
        rows = rows.withColumns({_FOUND: own.value, _FOUND_REST: own.rest})
        found, found_rest = column_of(_FOUND), column_of(_FOUND_REST)
        unused = F.when(value.isNotNull() | found.isNull(), found_rest)
        merged = (
            F.coalesce(value, found),
            is_invalid | own.is_invalid,
            numbers_invalid | own.numbers_invalid,
            parsing.merged_properties(rest, unused),
        )
        rows = rows.withColumns(dict(zip(_PRODUCTS, merged, strict=True)))
    return rows


def _listed(items: Items) -> _Products:
    given = column_of(items.list_column or "")
    typed = parsing.typed_items(column_of(_LINES))
    divisors = {name: value.divide_by for name, value in items.values.items()}
    value = typed.value
    if set(divisors.values()) != {1}:
        value = F.transform(value, lambda item: _with_units(item, divisors))
    return _Products(
        value=F.when(F.size(value) > 0, value),
        is_invalid=parsing.items(given, parsing.listed(given)).is_invalid,
        numbers_invalid=typed.is_invalid,
        rest=F.lit(None).cast("string"),
    )


def _with_units(item: SparkColumn, divisors: dict[str, int]) -> SparkColumn:
    fields = (_divided(item[c.name], divisors.get(c.name, 1)).alias(c.name) for c in ITEM_COLUMNS)
    return F.struct(*fields)


def _lines(items: Items) -> SparkColumn:
    """Return the lines of a list, each field as text; a path within one is read from its JSON."""
    heads = {name.split(".")[0] for value in items.values.values() for name in value.columns}
    fields = ",".join(f"`{head}`:string" for head in sorted(heads))
    lines = F.from_json(column_of(items.list_column or ""), f"array<struct<{fields}>>")
    return F.transform(lines, lambda line: _item_texts(items, line))


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
    parsed = {name: _item_value(text, name, items) for name, text in texts.items()}
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


def _item_value(text: SparkColumn, name: str, items: Items) -> parsing.Parsed:
    if ITEM_TYPE_OF[name] == "int":
        return parsing.whole_number(text)
    if ITEM_TYPE_OF[name] == parsing.AMOUNT:
        return _amount(text, items.values[name])
    return parsing.Parsed(text, F.lit(False))
