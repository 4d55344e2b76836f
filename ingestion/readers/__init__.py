"""Read input files as rows, the same on every engine: each row knows its file and number.

Tasks read their splits with pyarrow inside `mapInArrow`, because the engines' own readers differ
in what they do with a bad line. A row that cannot be read keeps its raw text in `record` and is
flagged, and never takes a neighbour with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from ingestion.contract.events import Column
from ingestion.files import InputFile, Split
from ingestion.readers.csv_lines import read_csv
from ingestion.readers.json_lines import read_jsonl
from ingestion.readers.parquet_rows import parquet_types, read_parquet
from ingestion.readers.rows import ROW_COLUMNS


def read(
    spark: SparkSession,
    files: list[InputFile],
    columns: tuple[Column, ...],
    *,
    partitions: int,
) -> list[DataFrame]:
    """Return the rows of the files, one frame for text and one for Parquet (those there are).

    Each has ROW_COLUMNS, the given columns (text, or in Parquet their own type where the files
    have it), and `extra`: a JSON object of all other columns, null where there are none.
    """
    frames = []
    text = [file for file in files if file.format != "parquet"]
    parquet = [file for file in files if file.format == "parquet"]
    if text:
        frames.append(_frame(spark, text, dict.fromkeys(names(columns), "string"), partitions))
    if parquet:
        frames.append(_frame(spark, parquet, parquet_types(parquet, columns), partitions))
    return frames


def names(columns: tuple[Column, ...]) -> tuple[str, ...]:
    """Return the columns' names."""
    return tuple(column.name for column in columns)


def _frame(
    spark: SparkSession, files: list[InputFile], types: dict[str, str], partitions: int
) -> DataFrame:
    bins = balance([split for file in files for split in file.splits], partitions)
    wanted = ", ".join(f"`{name}` {type_}" for name, type_ in types.items())
    tasks = spark.range(0, len(bins), 1, len(bins))
    return tasks.mapInArrow(_read_bins(bins, types), f"{ROW_COLUMNS}, {wanted}, extra string")


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
    bins: list[list[Split]], types: dict[str, str]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def read_task(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                for split in bins[number]:
                    yield from read_split(split, types)

    return read_task


def read_split(split: Split, types: dict[str, str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one split, in batches of bounded size."""
    if split.format == "parquet":
        yield from read_parquet(split, types)
    elif split.format == "jsonl":
        yield from read_jsonl(split, tuple(types))
    else:
        yield from read_csv(split, tuple(types))
