"""Clickmart's own format: the contract's source columns by name, as CSV, JSON lines or Parquet.

Event id, order id and line id are the source's own; a line without an id gets its position. Two
rows with one event id are duplicates. An event type the contract does not know becomes `custom`
under its own name. Columns beyond the contract are kept in `properties`, `user_agent` among them,
by which bots are flagged.
"""

from __future__ import annotations

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ingestion.adapters import parsing
from ingestion.adapters.adapter import Adapter, candidates
from ingestion.contract.events import (
    CUSTOM_EVENT_TYPE,
    EVENT_TYPES,
    ITEMS,
    ITEMS_SPARK_TYPE,
    SOURCE_COLUMNS,
    Column,
)
from ingestion.contract.rules import INVALID_EVENT_TS, INVALID_ITEMS, INVALID_NUMBER

LISTED = "_listed_items"


def adapt(rows: DataFrame) -> DataFrame:
    """Map rows of the native format, text or typed, to candidates."""
    types = dict(rows.dtypes)
    if types[ITEMS] == "string":
        # In a column of its own, or an engine reads the list anew wherever it is asked for.
        rows = rows.withColumn(LISTED, parsing.listed(F.col(ITEMS)))
    parsed = {column.name: _parse(column, types[column.name]) for column in SOURCE_COLUMNS}
    items, item_numbers_invalid = _parse_items(types[ITEMS])
    known = parsed["event_type"].value.isin(*EVENT_TYPES, CUSTOM_EVENT_TYPE)
    user_agent = parsing.text(F.col("user_agent"))
    values = {name: p.value for name, p in parsed.items()}
    values["event_type"] = F.when(
        ~known & parsed["event_type"].value.isNotNull(), F.lit(CUSTOM_EVENT_TYPE)
    ).otherwise(parsed["event_type"].value)
    values["event_name"] = F.coalesce(
        values["event_name"], F.when(~known, parsed["event_type"].value)
    )
    agent = F.when(user_agent.isNotNull(), F.to_json(F.struct(user_agent.alias("user_agent"))))
    values["properties"] = parsing.merged_properties(values["properties"], F.col("extra"), agent)
    return candidates(
        rows,
        values,
        items=items.value,
        issues=parsing.issues(
            (INVALID_EVENT_TS, parsed["event_ts"].is_invalid),
            (INVALID_NUMBER, _any_invalid(parsed, item_numbers_invalid)),
            (INVALID_ITEMS, items.is_invalid),
        ),
        user_agent=user_agent,
    )


def _parse(column: Column, type_: str) -> parsing.Parsed:
    value = F.col(column.name)
    if type_ == column.spark_type and type_ != "string":
        return parsing.Parsed(value, F.lit(False))
    if column.type == "timestamp":
        return parsing.timestamp(value)
    if column.type == parsing.AMOUNT:
        return parsing.amount(value)
    if column.type == "boolean":
        return parsing.Parsed(parsing.boolean(value), F.lit(False))
    return parsing.Parsed(parsing.text(value), F.lit(False))


def _parse_items(type_: str) -> tuple[parsing.Parsed, SparkColumn]:
    value = F.col(ITEMS)
    if type_ == "string":
        raw = F.col(LISTED)
        return parsing.items(value, raw), parsing.typed_items(raw).is_invalid
    has_none = F.coalesce(F.exists(value, lambda item: item.isNull()), F.lit(False))
    return parsing.Parsed(F.when(~has_none, value), has_none), F.lit(False)


def _any_invalid(
    parsed: dict[str, parsing.Parsed], item_numbers_invalid: SparkColumn
) -> SparkColumn:
    result = item_numbers_invalid
    for column in SOURCE_COLUMNS:
        if column.type == parsing.AMOUNT:
            result = result | parsed[column.name].is_invalid
    return result


ADAPTER = Adapter(
    name="native",
    description="Clickmart's own columns (CSV, JSON lines, Parquet)",
    columns=(*SOURCE_COLUMNS, Column(ITEMS, ITEMS_SPARK_TYPE), Column("user_agent")),  # type: ignore[arg-type]
    adapt=adapt,
    person_columns=("visitor_id", "user_id"),
)
