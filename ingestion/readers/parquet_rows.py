"""Parquet: columns keep their type where it is the contract's, and are text otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.contract.arrow import arrow_type
from ingestion.contract.events import ITEMS, ITEMS_SPARK_TYPE, Column
from ingestion.files import InputFile, Split
from ingestion.readers.cleaning import cleaned_array
from ingestion.readers.rows import as_text, row_batch

BATCH_ROWS = 50_000


def parquet_types(files: list[InputFile], columns: tuple[Column, ...]) -> dict[str, str]:
    """Return each column's Spark type: its own where every file has it so, text otherwise."""
    schemas = [pq.read_schema(file.path) for file in files]
    return {
        column.name: column.spark_type
        if all(_is_native(schema, column) for schema in schemas)
        else "string"
        for column in columns
    }


def _is_native(schema: pa.Schema, column: Column) -> bool:
    if column.name not in schema.names:
        return True
    type_ = schema.field(column.name).type
    if column.type == "timestamp":
        return bool(pa.types.is_timestamp(type_))
    if column.type == "decimal(18,4)":
        return bool(pa.types.is_decimal(type_) and type_.precision <= 18 and type_.scale <= 4)
    if column.type == "boolean":
        return bool(pa.types.is_boolean(type_))
    if column.name == ITEMS:
        return bool(type_ == arrow_type(ITEMS_SPARK_TYPE))
    return False


def read_parquet(split: Split, types: dict[str, str]) -> Iterator[pa.RecordBatch]:
    number = split.first_row
    groups = list(range(split.start, split.stop))
    with pq.ParquetFile(split.path) as file:
        for batch in file.iter_batches(BATCH_ROWS, row_groups=groups):
            count = batch.num_rows
            numbers = pa.array(range(number, number + count), pa.int64())
            rest = [name for name in batch.schema.names if name not in types]
            extra = [_json_or_null(row) for row in batch.select(rest).to_pylist()]
            (*columns, others), repairs = _cleaned(
                [
                    *[_typed(batch, name, type_) for name, type_ in types.items()],
                    pa.array(extra if rest else [None] * count, pa.string()),
                ]
            )
            yield row_batch(
                split,
                numbers,
                columns,
                tuple(types),
                extra=others,
                repairs=repairs,
            )
            number += count


def _cleaned(columns: list[pa.Array]) -> tuple[list[pa.Array], pa.Array | None]:
    """Return the columns with their texts repaired, and the repairs of each row, if any."""
    found: dict[str, pa.Array] = {}
    cleaned = []
    for column in columns:
        if pa.types.is_string(column.type):
            column, masks = cleaned_array(column)
            for code, mask in masks.items():
                found[code] = pc.or_(found[code], mask) if code in found else mask
        cleaned.append(column)
    if not found:
        return cleaned, None
    flags = {code: mask.to_pylist() for code, mask in found.items()}
    rows = range(len(columns[0]))
    repairs = [[code for code in flags if flags[code][i]] or None for i in rows]
    return cleaned, pa.array(repairs, pa.list_(pa.string()))


def _json_or_null(row: dict[str, Any]) -> str | None:
    kept = {name: value for name, value in row.items() if value is not None}
    return orjson.dumps(kept, default=str).decode() if kept else None


def _typed(batch: pa.RecordBatch, name: str, spark_type: str) -> pa.Array:
    wanted = arrow_type(spark_type)
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows, wanted)
    values = batch.column(name)
    if pa.types.is_nested(values.type) and wanted == pa.string():
        return pa.array([as_text(v) for v in values.to_pylist()], pa.string())
    if pa.types.is_timestamp(values.type) and values.type.tz is None and wanted != pa.string():
        values = values.cast(pa.timestamp(values.type.unit, tz="UTC"))
    return values.cast(wanted)
