"""Columns of text into the contract's types; what cannot be parsed is named, never guessed.

Only functions in which the engines agree are used here; see docs/decisions/0001.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F

from ingestion.contract.events import CUSTOM_EVENT_TYPE, ITEM_COLUMNS

AMOUNT = "decimal(18,4)"
CLICK_ID_PARAMETERS = (
    "gclid",
    "gbraid",
    "wbraid",
    "dclid",
    "fbclid",
    "msclkid",
    "ttclid",
    "twclid",
    "yclid",
)
_RAW_ITEMS = "array<struct<" + ",".join(f"{c.name}:string" for c in ITEM_COLUMNS) + ">>"


@dataclass(frozen=True)
class Parsed:
    """A parsed value, and a column that is true where there was something that did not parse."""

    value: Column
    is_invalid: Column


def text(column: Column) -> Column:
    """Return the text without surrounding blanks, null when nothing is left."""
    # To ask for the length takes a fifth of the time of comparing with a blank text.
    trimmed = F.trim(column)
    return F.when(F.length(trimmed) > 0, trimmed)


def amount(column: Column) -> Parsed:
    """Parse an amount of money."""
    raw = text(column)
    value = _decimal(raw)
    return Parsed(value, raw.isNotNull() & value.isNull())


def timestamp(column: Column, timezone: str | None = None) -> Parsed:
    """Parse a time: ISO 8601 with or without a zone, "... UTC", yyyymmdd, or a count since 1970.

    Without a zone it is UTC, or the local time of `timezone` (an IANA name): of an hour that comes
    twice the first one, and in an hour left out what clocks show instead. A count is in seconds,
    milliseconds or microseconds by its number of digits (9 to 10, 12 to 13, 15 to 16), with or
    without a fraction; 8 digits are a date. Anything else is no time: engines would read "10:00"
    as today, and "2026" as a year.
    """
    raw = text(column)
    of_date = F.concat_ws(
        "-", F.substring(raw, 1, 4), F.substring(raw, 5, 2), F.substring(raw, 7, 2)
    )
    value = (
        F.when(raw.rlike(_ISO_UTC), raw.try_cast("timestamp"))
        .when(raw.rlike(_ISO), _iso_time(raw))
        .when(raw.rlike(r"^[12][0-9]{7}$"), of_date.try_cast("timestamp"))
        .when(raw.rlike(_COUNT), _counted_time(raw))
    )
    if timezone is not None:
        is_local = raw.rlike(_LOCAL)
        value = F.when(is_local, F.to_utc_timestamp(value, timezone)).otherwise(value)
    return Parsed(value, raw.isNotNull() & value.isNull())


def corrected_time(received: Column, sent: Column, created: Column) -> Column:
    """Return when an event was created, by the clock of its receiver: received - (sent - created).

    The sender's clock may be wrong, but by the same at both of its times. Null where one is.
    """
    queued = F.unix_micros(sent) - F.unix_micros(created)
    return F.timestamp_micros(F.unix_micros(received) - queued)


# What most logs write, and every engine reads alike as it is.
_ISO_UTC = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?Z$"
_ISO = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?"
    r" ?([Zz]|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?)?)?$"
)
_LOCAL = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9:.,]+)?$|^[12][0-9]{7}$"
_COUNT = r"^([0-9]{9,10}|[0-9]{12,13}|[0-9]{15,16})([.][0-9]+)?$"


def _iso_time(raw: Column) -> Column:
    """Write the time in the one form that every engine reads alike: its zone as +HH:MM."""
    dotted = F.replace(raw, F.lit(","), F.lit("."))
    with_zone = F.regexp_replace(dotted, r" ?([Zz]|UTC|GMT)$", "+00:00")
    with_colon = F.regexp_replace(with_zone, r"([0-9] ?[+-][0-9]{2})([0-9]{2})$", "$1:$2")
    with_minutes = F.regexp_replace(with_colon, r"(:[0-9.]+ ?[+-][0-9]{2})$", "$1:00")
    joined = F.regexp_replace(with_minutes, r" ([+-][0-9]{2}:[0-9]{2})$", "$1")
    with_seconds = F.regexp_replace(joined, r"^(.{13}:[0-9]{2})([+-]|$)", "$1:00$2")
    return with_seconds.try_cast("timestamp")


def _counted_time(raw: Column) -> Column:
    digits = F.length(F.regexp_replace(raw, r"[.].*$", ""))
    factor = F.when(digits <= 10, 1_000_000).when(digits <= 13, 1_000).otherwise(1)
    return F.timestamp_micros(F.floor(raw.try_cast("decimal(28,9)") * factor).cast("bigint"))


def boolean(column: Column) -> Column:
    """Parse true/false, 1/0; anything else is null."""
    word = F.lower(text(column))
    return F.when(word.isin("true", "t", "1", "yes"), F.lit(True)).when(
        word.isin("false", "f", "0", "no"), F.lit(False)
    )


def item(**values: Column) -> Column:
    """Return one product of an event, from values by the contract's names of item columns."""
    unknown = set(values) - {column.name for column in ITEM_COLUMNS}
    if unknown:
        raise AssertionError(f"not of an item: {sorted(unknown)}")
    none = F.lit(None)
    return F.struct(
        *[values.get(c.name, none).cast(c.spark_type).alias(c.name) for c in ITEM_COLUMNS]
    )


def event_type(name: Column, types: Mapping[str, str], default: str = CUSTOM_EVENT_TYPE) -> Column:
    """Return the contract's event type of a source's event name, `default` if it is not known."""
    mapped = F.when(name.isNull(), F.lit(None))
    for theirs, ours in types.items():
        mapped = mapped.when(name == theirs, F.lit(ours))
    return mapped.otherwise(F.lit(default))


def content_hash(*columns: Column) -> Column:
    """Return an id of a row without one: equal rows have equal ids, and count once."""
    return F.md5(F.concat_ws("\x1f", *[F.coalesce(c, F.lit("")) for c in columns]))


def whole_number(column: Column) -> Parsed:
    """Parse a quantity: a whole number, also written 2.0."""
    raw = text(column)
    value = _whole(raw)
    return Parsed(value, raw.isNotNull() & value.isNull())


def listed(column: Column) -> Column:
    """Read a JSON list of products, as `item_texts`; null where it is none."""
    return F.from_json(column, _RAW_ITEMS)


def items(column: Column, raw: Column) -> Parsed:
    """Type a JSON list of products that `listed` has read as `raw`."""
    is_list = F.trim(column).rlike(r"(?s)^\[.*\]\s*$") & ~F.exists(raw, lambda i: i.isNull())
    is_valid = F.coalesce(is_list, F.lit(False))
    return Parsed(F.when(is_valid, typed_items(raw).value), text(column).isNotNull() & ~is_valid)


def item_texts(**values: Column) -> Column:
    """Return one product with the contract's fields as text, as `typed_items` takes it."""
    none = F.lit(None)
    return F.struct(*[values.get(c.name, none).cast("string").alias(c.name) for c in ITEM_COLUMNS])


def typed_items(raw: Column) -> Parsed:
    """Type a list of `item_texts`; a line without an id gets its position. Invalid: a number."""
    return Parsed(
        F.transform(raw, _item), F.coalesce(F.exists(raw, _has_invalid_number), F.lit(False))
    )


def list_invalid(given: Column, listed: Column) -> Column:
    """Return true where a text was given that `from_json` made no list of objects of."""
    return text(given).isNotNull() & (listed.isNull() | F.exists(listed, lambda i: i.isNull()))


def numbers_invalid(listed: Column, *, whole: Iterable[str], amounts: Iterable[str]) -> Column:
    """Return true where one of these fields of a list's objects, as text, is not a number."""
    whole, amounts = list(whole), list(amounts)

    def is_invalid(one: Column) -> Column:
        flags = [whole_number(one[name]).is_invalid for name in whole]
        return reduce(Column.__or__, flags + [amount(one[name]).is_invalid for name in amounts])

    return F.exists(listed, is_invalid)


def query_parameter(url: Column, name: str) -> Column:
    """Return the decoded value of a parameter in a URL's query, null where there is none."""
    raw = text(F.regexp_extract(url, rf"[?&]{name}=([^&#]*)", 1))
    return text(F.coalesce(F.try_url_decode(raw), raw))


def click_id(url: Column) -> Column:
    """Return the id of an advertisement's click that the URL's query holds."""
    return F.coalesce(*[query_parameter(url, name) for name in CLICK_ID_PARAMETERS])


def issues(*found: tuple[str, Column]) -> Column:
    """Return the codes whose column is true, as an array."""
    flagged = [F.when(is_bad, F.lit(code)) for code, is_bad in found]
    return F.array_compact(F.array(*flagged))


def json_value(value: Column) -> Column:
    """Return the text as a JSON string, null for null."""
    quoted = F.regexp_extract(F.to_json(F.struct(value.alias("v"))), r'(?s)^\{"v":(.*)\}$', 1)
    return F.when(value.isNotNull(), quoted)


def json_object(others: Column, **members: Column) -> Column:
    """Return a JSON object of members given as JSON (null: left out) and of another object's."""
    pairs = [F.concat(F.lit(f'"{name}":'), value) for name, value in members.items()]
    return _object(*pairs, _inside(others))


def merged_properties(properties: Column, *objects: Column) -> Column:
    """Return one JSON object of all, as text; null when nothing is in any.

    Where there are `objects`, properties that are no object become one: `{"properties": ...}`.
    """
    # An expression grows by each time a part stands in it, and engines plan it as often: no part
    # that is merged may be a merged one itself.
    given = text(properties)
    is_object = given.rlike(r"(?s)^\{.*\}\s*$")
    named = F.when(is_object, given).otherwise(F.to_json(F.struct(given.alias("properties"))))
    alone = F.when(~given.rlike(r"^\{\s*\}\s*$"), given)
    merged = _object(_inside(named), *map(_inside, objects))
    return F.when(F.coalesce(*objects).isNull(), alone).otherwise(merged)


def _inside(json: Column) -> Column:
    """Return what stands between the braces of a JSON object, null when nothing does."""
    return F.nullif(F.regexp_replace(json, r"^\{\s*|\s*\}\s*$", ""), F.lit(""))


def _object(*parts: Column) -> Column:
    return F.nullif(F.concat(F.lit("{"), F.concat_ws(",", *parts), F.lit("}")), F.lit("{}"))


def _item(item: Column, position: Column) -> Column:
    fields = []
    for column in ITEM_COLUMNS:
        raw = text(F.translate(item[column.name], "\x00", ""))  # from an escape inside the text
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
    # Some take other scripts' digits, too.
    is_scientific = raw.rlike(r"^[+-]?[0-9.]+[eE][+-]?[0-9]+$")
    is_plain = raw.rlike(r"^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)$")
    through_double = raw.try_cast("double").try_cast(AMOUNT)
    return F.when(is_plain, raw.try_cast(AMOUNT)).when(is_scientific, through_double)


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
