"""Read input files as rows, the same on every engine: each row knows its file and number.

Tasks read their splits with pyarrow inside `mapInArrow`, because the engines' own readers differ
in what they do with a bad line. A row that cannot be read keeps its raw text in `record` and is
flagged, and never takes a neighbour with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.contract.events import Column
from ingestion.files import InputFile, Split
from ingestion.readers.apart import is_worth_a_process, read_apart
from ingestion.readers.csv_lines import read_csv
from ingestion.readers.hashing import Hashing
from ingestion.readers.json_rows import json_object, read_json_array, read_jsonl
from ingestion.readers.nested import head_of, taken_out
from ingestion.readers.parquet_rows import parquet_types, read_parquet
from ingestion.readers.rows import ROW_COLUMNS, ROW_NAMES, as_text, json_text
from ingestion.readers.tsv_lines import read_tsv

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = [
    "ROW_NAMES",
    "as_text",
    "balance",
    "json_object",
    "json_text",
    "names",
    "parquet_types",
    "read",
    "read_split",
    "read_splits",
]


def read(
    spark: SparkSession,
    files: list[InputFile],
    columns: tuple[Column, ...],
    *,
    partitions: int,
    hashing: Hashing | None = None,
) -> list[DataFrame]:
    """Return the rows of the files, one frame for text and one for Parquet (those there are).

    Each has ROW_COLUMNS, the given columns (text, or in Parquet their own type where the files
    have it), and `extra`: a JSON object of all other columns, null where there are none. A column
    may be named by a dotted path into the JSON of another (see `readers.nested`). With `hashing`,
    the ids of people are hashed before anything else sees them.
    """
    frames = []
    text = [file for file in files if file.format != "parquet"]
    parquet = [file for file in files if file.format == "parquet"]
    if text:
        types = dict.fromkeys(names(columns), "string")
        frames.append(_frame(spark, text, types, partitions, hashing))
    if parquet:
        types = parquet_types(parquet, columns)
        frames.append(_frame(spark, parquet, types, partitions, hashing))
    return frames


def names(columns: tuple[Column, ...]) -> tuple[str, ...]:
    """Return the columns' names."""
    return tuple(column.name for column in columns)


def _frame(
    spark: SparkSession,
    files: list[InputFile],
    types: dict[str, str],
    partitions: int,
    hashing: Hashing | None,
) -> DataFrame:
    bins = balance([split for file in files for split in file.splits], partitions)
    wanted = ", ".join(f"`{name.replace('`', '``')}` {type_}" for name, type_ in types.items())
    tasks = spark.range(0, len(bins), 1, len(bins))
    return tasks.mapInArrow(
        _read_bins(bins, types, hashing), f"{ROW_COLUMNS}, {wanted}, extra string"
    )


def balance(splits: list[Split], partitions: int) -> list[list[Split]]:
    """Share the splits out among tasks by size, the largest first; never an empty task."""
    bins: list[list[Split]] = [[] for _ in range(max(1, min(partitions, len(splits))))]
    sizes = [0] * len(bins)
    for split in sorted(splits, key=lambda s: (-s.byte_count, s.path, s.start)):
        smallest = sizes.index(min(sizes))
        bins[smallest].append(split)
        sizes[smallest] += split.byte_count
    return bins


def _read_bins(
    bins: list[list[Split]], types: dict[str, str], hashing: Hashing | None
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    asking = os.getpid()

    def read_task(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        is_thread = os.getpid() == asking
        for batch in batches:
            for splits in (bins[number] for number in batch.column(0).to_pylist()):
                is_apart = is_thread and is_worth_a_process(splits)
                yield from (read_apart if is_apart else read_splits)(splits, types, hashing)

    return read_task


def read_splits(
    splits: list[Split], types: dict[str, str], hashing: Hashing | None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the splits, people's ids hashed if asked."""
    for split in splits:
        for rows in read_split(split, types):
            yield hashing.applied(rows) if hashing else rows


def read_split(split: Split, types: dict[str, str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one split, in batches of bounded size."""
    paths = [name for name in types if "." in name]
    around = {head_of(path) for path in paths} - set(types)
    for rows in _read_flat(split, {**types, **dict.fromkeys(around, "string")}):
        yield taken_out(rows, paths, around) if paths else rows


def _read_flat(split: Split, types: dict[str, str]) -> Iterator[pa.RecordBatch]:
    if split.format == "parquet":
        return read_parquet(split, types)
    return TEXT_READERS[split.format](split, tuple(types))


TEXT_READERS = {
    "csv": read_csv,
    "tsv": read_tsv,
    "jsonl": read_jsonl,
    "json": read_json_array,
}
