"""Judge candidates by the contract's rules. The one function that batch and stream both call."""

from __future__ import annotations

from typing import cast

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, StructType, TimestampType

from ingestion.contract.events import ITEMS, SOURCE_COLUMNS
from ingestion.contract.rules import (
    CLOCK_SKEW_CORRECTED,
    RULES,
    UNPARSABLE_ROW,
    Rule,
    rules_of,
)

_IS_SKEWED = next(rule.predicate or "" for rule in RULES if rule.code == CLOCK_SKEW_CORRECTED)

_IPV4 = r"(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_IPV6 = r"(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|[0-9a-fA-F:]*::[0-9a-fA-F:]*" + f"(?:{_IPV4})?"
_IP = f"(?:{_IPV4}|{_IPV6})"
# A value in JSON that is an address, or begins a list of them; a name is followed by a colon. The
# rest of the list is told by its characters: Java matches a repeated group by recursion, and a
# chain of thousands of addresses ends its process.
_IP_VALUE = rf'([:\[,] *)"{_IP}(?: *,[0-9a-fA-F:., ]*)?"( *[,\]}}])'
_IP_ANYWHERE = rf"\b{_IPV4}\b"


def validate(candidates: DataFrame, source: str, *, bot_agents: str | None = None) -> DataFrame:
    """Return the candidates in the contract's columns, each with the `reasons` against it.

    `reasons` is an array of the codes for which a row is quarantined, empty for a valid event;
    `repairs` one of what was mended in it, null where nothing was. `record` is the row as it was
    read (its raw text, or its columns as JSON) where there are reasons, else null. `bot_agents`
    is a regular expression; an event whose user agent it matches is marked as a bot's.
    """
    mended = _with_repairs(candidates)
    judged = mended.withColumn("reasons", _reasons())
    is_bad = F.size("reasons") > 0
    whole_row = cast(StructType, candidates.schema["whole_row"].dataType)
    return judged.select(
        *[_final(column.name, bot_agents) for column in SOURCE_COLUMNS],
        F.lit(source).alias("source"),
        "file_id",
        "source_row",
        ITEMS,
        "reasons",
        "repairs",
        F.when(is_bad, _record(whole_row)).alias("record"),
    )


def _with_repairs(candidates: DataFrame) -> DataFrame:
    """Take the time of receipt where the event's own lies too far behind it."""
    is_skewed = F.coalesce(F.expr(_IS_SKEWED), F.lit(False))
    codes = F.array(F.lit(CLOCK_SKEW_CORRECTED))
    return candidates.withColumns(
        {
            "repairs": F.when(is_skewed & F.col("repairs").isNull(), codes)
            .when(is_skewed, F.concat("repairs", codes))
            .otherwise(F.col("repairs")),
            "event_ts": F.when(is_skewed, F.col("received_at")).otherwise(F.col("event_ts")),
        }
    )


def _reasons() -> Column:
    """Return the codes against a row; one that could not be read has the reader's alone."""
    rules = [rule for rule in rules_of("quarantine") if rule.code != UNPARSABLE_ROW]
    found = [F.when(_applies(rule), F.lit(rule.code)) for rule in rules]
    return F.when(F.col("row_issue").isNotNull(), F.array("row_issue")).otherwise(
        F.array_compact(F.array(*found))
    )


def _applies(rule: Rule) -> Column:
    if rule.predicate:
        return F.expr(rule.predicate)
    return F.array_contains("parse_issues", rule.code)


def _final(name: str, bot_agents: str | None) -> Column:
    if name == "properties":
        return _without_addresses(F.col(name)).alias(name)
    if name == "is_bot" and bot_agents:
        is_bot = F.lower("user_agent").rlike(bot_agents)
        return F.when(is_bot, F.lit(True)).otherwise(F.col(name)).alias(name)
    return F.col(name)


# -- what is kept of a row that is set aside -----------------------------------------------------


def _record(whole_row: StructType) -> Column:
    """Return the row as it was read: its raw text, or its columns as one JSON object of texts."""
    raw = F.regexp_replace("record", _IP_ANYWHERE, "(ip)")
    names = [field for field in whole_row.fields if field.name != "extra"]
    texts = [_as_text(F.col("whole_row")[f.name], f.dataType).alias(f.name) for f in names]
    own, extra = F.to_json(F.struct(*texts)), F.col("whole_row")["extra"]
    both = F.concat(F.regexp_replace(own, r"\}$", ","), F.regexp_replace(extra, r"^\{", ""))
    columns = F.when(extra.isNull(), own).when(own == "{}", extra).otherwise(both)
    return F.coalesce(raw, _without_addresses(columns))


def _as_text(value: Column, type_: DataType) -> Column:
    """Return the value as text: engines write times and numbers differently."""
    if isinstance(type_, TimestampType):
        return F.date_format(value, "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'")
    if isinstance(type_, ArrayType) and isinstance(type_.elementType, StructType):
        fields = type_.elementType.fields
        return F.to_json(
            F.transform(
                value,
                lambda item: F.struct(
                    *[_as_text(item[f.name], f.dataType).alias(f.name) for f in fields]
                ),
            )
        )
    return value.cast("string")


def _without_addresses(text: Column) -> Column:
    """Return JSON without IP addresses. Twice: neighbours in a list share the comma between."""
    # The blank ends the group's name, which engines delimit differently.
    once = F.regexp_replace(text, _IP_VALUE, "$1 null$2")
    return F.regexp_replace(once, _IP_VALUE, "$1 null$2")
