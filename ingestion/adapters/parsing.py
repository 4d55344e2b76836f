"""Columns of text into the contract's types; what cannot be parsed is named, never guessed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F

from ingestion.contract.events import ITEM_COLUMNS

AMOUNT = "decimal(18,4)"
READER_COLUMNS = ("file_id", "source_row", "record", "is_unparsable")
_RAW_ITEMS = "array<struct<" + ",".join(f"{c.name}:string" for c in ITEM_COLUMNS) + ">>"


@dataclass(frozen=True)
class Parsed:
    """A parsed value, and a column that is true where there was something that did not parse."""

    value: Column
    is_invalid: Column


def text(column: Column) -> Column:
    """Return the text without surrounding blanks and NUL, null when nothing is left."""
    return F.nullif(F.trim(F.translate(column, "\x00", "")), F.lit(""))


def amount(column: Column) -> Parsed:
    """Parse an amount of money."""
    raw = text(column)
    value = _decimal(raw)
    return Parsed(value, raw.isNotNull() & value.isNull())


def timestamp(column: Column) -> Parsed:
    """Parse an ISO 8601 time, or one that ends in " UTC"; without a zone it is taken as UTC."""
    cleaned = F.regexp_replace(text(column), " ?UTC$", "Z")
    value = cleaned.try_cast("timestamp")
    return Parsed(value, text(column).isNotNull() & value.isNull())


def boolean(column: Column) -> Column:
    """Parse true/false, 1/0; anything else is null."""
    word = F.lower(text(column))
    return F.when(word.isin("true", "t", "1", "yes"), F.lit(True)).when(
        word.isin("false", "f", "0", "no"), F.lit(False)
    )


def items(column: Column) -> Parsed:
    """Parse a JSON list of products; a line without an id gets its position, from 1."""
    raw = F.from_json(column, _RAW_ITEMS)
    value = F.transform(raw, _item)
    is_list = F.trim(column).rlike(r"(?s)^\[.*\]$")
    return Parsed(value, text(column).isNotNull() & (~is_list | raw.isNull()))


def item_numbers_invalid(column: Column) -> Column:
    """Return true where a number of a product, as JSON text, is not one."""
    raw = F.from_json(column, _RAW_ITEMS)
    return F.coalesce(F.exists(raw, _has_invalid_number), F.lit(False))


def issues(*found: tuple[str, Column]) -> Column:
    """Return the codes whose column is true, as an array."""
    flagged = [F.when(is_bad, F.lit(code)) for code, is_bad in found]
    return F.array_compact(F.array(*flagged))


def merged_properties(properties: Column, extra: Column) -> Column:
    """Return one JSON object of both, as text; null when both are."""
    own = F.when(F.trim(properties).rlike(r"^\{\s*\}$"), F.lit(None)).otherwise(F.trim(properties))
    both = F.concat(F.regexp_replace(own, r"\s*\}$", ","), F.regexp_replace(extra, r"^\{", ""))
    return F.when(own.isNull(), extra).when(extra.isNull(), own).otherwise(both)


def _item(item: Column, position: Column) -> Column:
    fields = []
    for column in ITEM_COLUMNS:
        raw = text(item[column.name])
        if column.name == "line_id":
            value = F.coalesce(raw, (position + 1).cast("string"))
        elif column.type == "int":
            value = _whole(raw)
        elif column.type == AMOUNT:
            value = _decimal(raw)
        else:
            value = raw
        fields.append(value.alias(column.name))
    return F.struct(*fields)


def _decimal(raw: Column) -> Column:
    # Engines differ in whether a decimal may be written 1e2, so that goes through a double.
    is_scientific = raw.rlike(r"^[+-]?[0-9.]+[eE][+-]?[0-9]+$")
    through_double = raw.try_cast("double").try_cast(AMOUNT)
    return F.when(is_scientific, through_double).otherwise(raw.try_cast(AMOUNT))


def _whole(raw: Column) -> Column:
    number = _decimal(raw)
    return F.when(number == F.floor(number), number.try_cast("int"))


def _has_invalid_number(item: Column) -> Column:
    flags = []
    for column in ITEM_COLUMNS:
        raw = text(item[column.name])
        if column.type == "int":
            flags.append(raw.isNotNull() & _whole(raw).isNull())
        elif column.type == AMOUNT:
            flags.append(raw.isNotNull() & _decimal(raw).isNull())
    return reduce(Column.__or__, flags)
