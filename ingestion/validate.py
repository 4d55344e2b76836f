"""Judge candidates by the contract's rules. The one function that batch and stream both call."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ingestion.contract.events import ITEM_COLUMNS, ITEMS, SOURCE_COLUMNS
from ingestion.contract.events import Column as ContractColumn
from ingestion.contract.rules import RULES, UNPARSABLE_ROW


def validate(candidates: DataFrame, source: str) -> DataFrame:
    """Return the candidates in the contract's columns, each with the `reasons` against it.

    `reasons` is an array of rule codes, empty for a valid event. `record` is the row as it was
    read (its raw text, or its columns as JSON) where there are reasons, else null.
    """
    judged = candidates.withColumn("reasons", _reasons())
    is_bad = F.size("reasons") > 0
    return judged.select(
        *[F.col(column.name) for column in SOURCE_COLUMNS],
        F.lit(source).alias("source"),
        "file_id",
        "source_row",
        ITEMS,
        "reasons",
        F.when(is_bad, F.coalesce(F.col("record"), _as_json())).alias("record"),
    )


def _reasons() -> Column:
    found = [F.when(_applies(rule.code, rule.predicate), F.lit(rule.code)) for rule in RULES[1:]]
    return F.when(F.col("is_unparsable"), F.array(F.lit(UNPARSABLE_ROW))).otherwise(
        F.array_compact(F.array(*found))
    )


def _applies(code: str, predicate: str | None) -> Column:
    return F.expr(predicate) if predicate else F.array_contains("parse_issues", code)


def _as_json() -> Column:
    """Return the candidate as JSON, all values as text: engines write numbers differently."""
    texts = [_as_text(F.col(c.name), c).alias(c.name) for c in SOURCE_COLUMNS]
    items = F.transform(ITEMS, _item_as_texts)
    return F.to_json(F.struct(*texts, items.alias(ITEMS)))


def _item_as_texts(item: Column) -> Column:
    return F.struct(*[_as_text(item[c.name], c).alias(c.name) for c in ITEM_COLUMNS])


def _as_text(value: Column, column: ContractColumn) -> Column:
    if column.type == "timestamp":
        return F.date_format(value, "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'")
    return value.cast("string")
