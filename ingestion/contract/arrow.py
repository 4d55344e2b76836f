"""The contract's types as Arrow types."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from ingestion.contract.events import ITEM_COLUMNS, ITEMS_SPARK_TYPE, Column


def arrow_type(spark_type: str) -> pa.DataType:
    """Return the Arrow type in which Spark takes a column; times are UTC, to the microsecond."""
    if spark_type == ITEMS_SPARK_TYPE:
        return pa.list_(pa.struct([(c.name, arrow_type(c.spark_type)) for c in ITEM_COLUMNS]))
    return {
        "string": pa.string(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "decimal(18,4)": pa.decimal128(18, 4),
        "decimal(38,4)": pa.decimal128(38, 4),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
    }[spark_type]


def arrow_fields(columns: Iterable[Column]) -> list[pa.Field]:
    """Return the columns as Arrow fields, in their order."""
    return [pa.field(column.name, arrow_type(column.spark_type)) for column in columns]
