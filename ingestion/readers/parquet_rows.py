"""Parquet: columns keep their type where it is the contract's, and are text otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.contract.arrow import arrow_type
from ingestion.contract.events import ITEMS, ITEMS_SPARK_TYPE, Column
from ingestion.files import InputFile, Split
from ingestion.readers.cleaning import cleaned_array, cleaned_value
from ingestion.readers.rows import as_text, bad_rows, json_text, row_batch, with_repairs

BATCH_ROWS = 50_000
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799


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
        return bool(pa.types.is_decimal(type_) and type_.precision - 14 <= type_.scale <= 4)
    if column.type == "boolean":
        return bool(pa.types.is_boolean(type_))
    if column.name == ITEMS:
        return bool(type_ == arrow_type(ITEMS_SPARK_TYPE))
    return False


def read_parquet(split: Split, types: dict[str, str]) -> Iterator[pa.RecordBatch]:
    number = split.first_row
    groups = list(range(split.start, split.stop))
    with pq.ParquetFile(split.path, page_checksum_verification=True) as file:
        last = number + sum(file.metadata.row_group(group).num_rows for group in groups)
        for batch in _batches(file, groups):
            if batch is None:
                damaged = [
                    (row, f"damaged: row group {split.start}") for row in range(number, last)
                ]
                yield _bad(bad_rows(split, damaged, tuple(types)), types)
                return
            count = batch.num_rows
            numbers = pa.array(range(number, number + count), pa.int64())
            columns, mended_texts = _cleaned([_typed(batch, n, t) for n, t in types.items()])
            rest = [name for name in batch.schema.names if name not in types]
            others = [_plain_values(batch.column(name)) for name in rest]
            masks = [*mended_texts, *(_masks(mended) for _, mended in others)]
            values = zip(*(column for column, _ in others), strict=True)
            rows = (dict(zip(rest, row, strict=True)) for row in values)
            extra = pa.array([_json_or_null(row) for row in rows])
            yield row_batch(
                split,
                numbers,
                columns,
                tuple(types),
                extra=extra.cast(pa.string()) if rest else None,
                repairs=with_repairs(None, masks, count),
            )
            number += count


def _batches(file: pq.ParquetFile, groups: list[int]) -> Iterator[pa.RecordBatch | None]:
    """Yield the batches; None where a page is damaged, behind which nothing can be read."""
    try:
        yield from file.iter_batches(BATCH_ROWS, row_groups=groups)
    except (OSError, pa.ArrowException):
        yield None


def _bad(batch: pa.RecordBatch, types: dict[str, str]) -> pa.RecordBatch:
    """Return a batch of bad rows with the columns' own types."""
    columns = [
        pa.nulls(batch.num_rows, arrow_type(types[name])) if name in types else batch.column(name)
        for name in batch.schema.names
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _plain_values(values: pa.Array) -> tuple[list[Any], list[set[str]]]:
    """Return a column's values as Python's, with what was repaired in the texts of each."""
    try:
        plain = values.to_pylist()
    except (UnicodeDecodeError, ValueError, OverflowError):  # no UTF-8, or a time beyond Python's
        plain = [_plain_value(value) for value in values]
    found: list[set[str]] = [set() for _ in plain]
    if _holds_text(values.type):
        plain = [cleaned_value(value, repairs) for value, repairs in zip(plain, found, strict=True)]
    return plain, found


def _holds_text(type_: pa.DataType) -> bool:
    return pa.types.is_nested(type_) or "string" in str(type_) or "binary" in str(type_)


def _plain_value(value: pa.Scalar) -> Any:
    if not value.is_valid:
        return None
    if isinstance(value, pa.StructScalar):
        return {name: _plain_value(value[name]) for name in value}
    if isinstance(value, pa.ListScalar):
        return [_plain_value(item) for item in value.values]
    if hasattr(value, "as_buffer"):
        return bytes(value.as_buffer())
    try:
        return value.as_py()
    except (ValueError, OverflowError):
        return str(value.cast(pa.int32() if pa.types.is_date32(value.type) else pa.int64()).as_py())


def _masks(repairs: list[set[str]]) -> dict[str, pa.Array]:
    codes = sorted(set().union(*repairs))
    return {code: pa.array([code in found for found in repairs]) for code in codes}


def _within_years(values: pa.Array) -> pa.Array:
    """Return times in microseconds, those before year 1 or after 9999 brought to these ends.

    The rules refuse both alike, and no program behind can write what lies beyond.
    """
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[values.type.unit]
    counts = values.cast(pa.int64())
    if values.type.unit != "ns":  # nanoseconds end in the year 2262
        low, high = (pa.scalar(end * per_second) for end in (_FIRST_SECOND, _LAST_SECOND))
        counts = pc.max_element_wise(counts, low, skip_nulls=False)
        counts = pc.min_element_wise(counts, high, skip_nulls=False)
    typed = counts.cast(pa.timestamp(values.type.unit))
    return typed.cast(pa.timestamp("us"), safe=False).cast(pa.timestamp("us", tz="UTC"))


def _mended_items(values: pa.Array) -> pa.Array:
    """Return typed items as a list of texts would have become: trimmed, and each with a line id."""
    if _are_sound(values):
        return values
    rows, _ = _plain_values(values)
    mended = [
        None if items is None else [_mended_item(item, at) for at, item in enumerate(items, 1)]
        for items in rows
    ]
    return pa.array(mended, values.type)


def _mended_item(item: dict[str, Any] | None, position: int) -> dict[str, Any] | None:
    if item is None:
        return None
    trimmed = {n: v.strip() or None if isinstance(v, str) else v for n, v in item.items()}
    return {**trimmed, "line_id": trimmed["line_id"] or str(position)}


def _are_sound(items: pa.Array) -> bool:
    flat = items.flatten()
    if flat.null_count or flat.field("line_id").null_count:
        return False
    texts = [flat.field(field.name) for field in flat.type if field.type == pa.string()]
    return not any(pc.any(_is_odd(values)).as_py() for values in texts)


def _is_odd(values: pa.Array) -> pa.Array:
    """Return a mask of texts that are blank, padded, or no text PostgreSQL takes."""
    try:
        values.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([True])
    padded = pc.or_(pc.starts_with(values, " "), pc.ends_with(values, " "))
    return pc.or_(pc.or_(padded, pc.equal(values, "")), pc.match_substring(values, "\0"))


def _cleaned(columns: list[pa.Array]) -> tuple[list[pa.Array], list[dict[str, pa.Array]]]:
    """Return the columns with their texts repaired, and for each a mask of rows by repair."""
    cleaned = [cleaned_array(c) if pa.types.is_string(c.type) else (c, {}) for c in columns]
    return [column for column, _ in cleaned], [masks for _, masks in cleaned]


def _json_or_null(row: dict[str, Any]) -> str | None:
    kept = {name: value for name, value in row.items() if value is not None}
    return json_text(kept) if kept else None


def _typed(batch: pa.RecordBatch, name: str, spark_type: str) -> pa.Array:
    wanted = arrow_type(spark_type)
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows, wanted)
    values = batch.column(name)
    if pa.types.is_timestamp(values.type) and pa.types.is_timestamp(wanted):
        return _within_years(values)
    if name == ITEMS and wanted != pa.string():
        return _mended_items(values)
    if wanted != pa.string():
        return values.cast(wanted)
    if pa.types.is_nested(values.type):
        plain, _ = _plain_values(values)
        return pa.array([as_text(v) for v in plain], pa.string())
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_fixed_size_binary(values.type):
        values = values.cast(pa.binary())
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        return values.cast(pa.binary()).view(pa.string())
    return values.cast(wanted)
