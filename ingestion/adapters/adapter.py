"""What an adapter is, and how its values become candidates."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pyspark.sql import Column as SparkColumn
from pyspark.sql import functions as F

from ingestion.contract.events import ITEMS, ITEMS_SPARK_TYPE, SOURCE_COLUMNS, Column
from ingestion.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Format = Literal["csv", "tsv", "jsonl", "json", "parquet"]

READER_COLUMNS = ("file_id", "source_row", "record", "row_issue")
LONGEST_SHOWN_NAME = 40
# A file that is no table at all may have a million "columns" in its first line.
MOST_COMPARED_NAMES = 1000
WHOLE_ROW = "whole_row"
"""The row as it was read, a struct: what a quarantined row is shown and tried again by."""


@dataclass(frozen=True)
class Adapter:
    """A source format.

    `columns` are those it reads (the rest is in `extra`, for `properties`), with `is_required` for
    those a file must have. `adapt` takes the reader's rows and returns `candidates(...)` of them.
    `person_columns` name the columns that hold a visitor's or a user's id, for hashing. `format`
    is that of all its files, where their names do not tell: "tsv" has no header, its values are
    `columns` by position.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    adapt: Callable[[DataFrame], DataFrame]
    person_columns: tuple[str, ...] = ()
    format: Format | None = None
    one_of: tuple[tuple[str, ...], ...] = ()

    def candidates(self, rows: DataFrame) -> DataFrame:
        """Return the candidates of the reader's rows, each with the whole row as it was read."""
        names = [name for name in rows.columns if name not in (*READER_COLUMNS, "repairs")]
        return self.adapt(rows.withColumn(WHOLE_ROW, F.struct(*map(column_of, names))))

    def check_columns(self, path: str, found: tuple[str, ...]) -> None:
        """Raise InputError, naming the likely renames, when a required column is missing."""
        needed = [(c.name,) for c in self.columns if c.is_required] + list(self.one_of)
        missing = [names for names in needed if not any(is_found(name, found) for name in names)]
        if not missing:
            return
        found = tuple(name[:LONGEST_SHOWN_NAME] for name in found)
        known = {c.name for c in self.columns}
        unknown = [name for name in found[:MOST_COMPARED_NAMES] if name not in known]
        hints = []
        for names in missing:
            close = [c for name in names for c in difflib.get_close_matches(name, unknown, n=1)]
            hints.append(" or ".join(names) + (f" (is it {close[0]!r}?)" if close else ""))
        raise InputError(
            f"{path}: not a {self.name} file: missing column {', '.join(hints)}; "
            f"found {', '.join(found[:12]) or 'none'}{', ...' if len(found) > 12 else ''}."
            + _separator_hint(found)
        )


def column_of(name: str) -> SparkColumn:
    """Return the reader's column of a name, which may hold dots and blanks."""
    return F.col(f"`{name.replace('`', '``')}`")


def is_found(name: str, found: tuple[str, ...]) -> bool:
    """Return whether a file with the found columns may hold a column or a dotted path."""
    return name in found or name.split(".", 1)[0] in found


def _separator_hint(found: tuple[str, ...]) -> str:
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(found) == 1 and separator in found[0]:
            return f" The file seems to be separated by {name}: export it with commas."
    return ""


def candidates(
    rows: DataFrame,
    values: dict[str, SparkColumn],
    *,
    items: SparkColumn | None = None,
    issues: SparkColumn | None = None,
    user_agent: SparkColumn | None = None,
) -> DataFrame:
    """Return what `validate` takes: the contract's columns of each row and what is said of it.

    `values` are by the contract's names; a column that is not named is null. `items` is an array
    of `item(...)`, `issues` an array of codes (see `parsing.issues`), `user_agent` the browser's
    own words, by which bots are known.
    """
    unknown = set(values) - {column.name for column in SOURCE_COLUMNS}
    if unknown:
        raise AssertionError(f"not of the contract: {sorted(unknown)}")
    none = F.lit(None)
    return rows.select(
        *READER_COLUMNS,
        "repairs",
        WHOLE_ROW,
        *[values.get(c.name, none).cast(c.spark_type).alias(c.name) for c in SOURCE_COLUMNS],
        (none if items is None else items).cast(ITEMS_SPARK_TYPE).alias(ITEMS),
        (F.array() if issues is None else issues).cast("array<string>").alias("parse_issues"),
        (none if user_agent is None else user_agent).cast("string").alias("user_agent"),
    )
