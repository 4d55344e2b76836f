"""Read input files as rows of text, the same on every engine: each row knows its file and number.

Tasks read their splits with pyarrow inside `mapInArrow`, because the engines' own readers differ
in what they do with a bad line. A row that cannot be read keeps its raw text in `record` and is
flagged, and never takes a neighbour with it.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from ingestion.contract.arrow import arrow_type
from ingestion.contract.events import ITEMS, ITEMS_SPARK_TYPE, Column
from ingestion.files import UTF8_BOM, InputFile, Split, csv_header, open_input

ROW_COLUMNS = "file_id bigint, source_row bigint, record string, is_unparsable boolean"
BATCH_ROWS = 50_000
CHUNK_BYTES = 4 * 2**20
MOST_LINES_OF_A_RECORD = 100

Line = tuple[int, bytes]


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
        yield from _read_parquet(split, types)
    elif split.format == "jsonl":
        yield from _read_jsonl(split, tuple(types))
    else:
        yield from _read_csv(split, tuple(types))


# -- text ----------------------------------------------------------------------------------------


def _line_batches(split: Split) -> Iterator[list[Line]]:
    """Yield the split's lines that are not blank, with their numbers in the file."""
    with open_input(split.path, split.compression) as stream:
        if split.start:
            stream.seek(split.start)
        left = split.stop - split.start if split.stop >= 0 else None
        number, rest = split.first_row, b""
        while left is None or left > 0:
            chunk = stream.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))
            if not chunk:
                break
            left = None if left is None else left - len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            yield _numbered(lines, number)
            number += len(lines)
        yield _numbered([rest], number)


def _numbered(lines: list[bytes], first: int) -> list[Line]:
    if first == 1 and lines:
        lines[0] = lines[0].removeprefix(UTF8_BOM)
    return [(number, line) for number, line in enumerate(lines, first) if line and line.strip()]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace").rstrip("\r")


def _bad_rows(split: Split, bad: list[tuple[int, str]], wanted: tuple[str, ...]) -> pa.RecordBatch:
    nulls = [pa.nulls(len(bad), pa.string())] * len(wanted)
    return _batch(
        split,
        pa.array([number for number, _ in bad], pa.int64()),
        nulls,
        wanted,
        record=pa.array([text for _, text in bad], pa.string()),
        is_unparsable=True,
    )


def _batch(
    split: Split,
    numbers: pa.Array,
    columns: list[pa.Array],
    wanted: tuple[str, ...],
    *,
    record: pa.Array | None = None,
    extra: pa.Array | None = None,
    is_unparsable: bool = False,
) -> pa.RecordBatch:
    count = len(numbers)
    nulls = pa.nulls(count, pa.string())
    return pa.RecordBatch.from_arrays(
        [
            pa.array([split.file_id], pa.int64()).take(pa.array([0] * count, pa.int32())),
            numbers,
            nulls if record is None else record,
            pa.array([is_unparsable] * count, pa.bool_()),
            *columns,
            nulls if extra is None else extra,
        ],
        names=["file_id", "source_row", "record", "is_unparsable", *wanted, "extra"],
    )


# -- JSON lines ----------------------------------------------------------------------------------


def _read_jsonl(split: Split, wanted: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    for lines in _line_batches(split):
        yield from _parse_jsonl(split, lines, wanted)


def _parse_jsonl(
    split: Split, lines: list[Line], wanted: tuple[str, ...]
) -> Iterator[pa.RecordBatch]:
    numbers: list[int] = []
    rows: list[dict[str, Any]] = []
    bad: list[tuple[int, str]] = []
    for number, line in lines:
        row = _json_object(line)
        if row is None:
            bad.append((number, _text(line)))
        else:
            numbers.append(number)
            rows.append(row)
    if rows:
        columns = [pa.array([_as_text(row.pop(n, None)) for row in rows], "string") for n in wanted]
        extra = pa.array([_json(row) if row else None for row in rows], pa.string())
        yield _batch(split, pa.array(numbers, pa.int64()), columns, wanted, extra=extra)
    if bad:
        yield _bad_rows(split, bad, wanted)


def _json_object(line: bytes) -> dict[str, Any] | None:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return row if isinstance(row, dict) else None


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return _json(value) if isinstance(value, dict | list) else str(value)


# -- CSV -----------------------------------------------------------------------------------------


def _read_csv(split: Split, wanted: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    header = _header_of(split)
    carried: list[Line] = []
    for batch in _line_batches(split):
        records = batch[1:] if batch and batch[0][0] == 1 else batch
        lines, carried = _cut_at_open_quote(carried + records, len(header))
        yield from _parse_csv(split, lines, header, wanted)
    yield from _parse_csv(split, carried, header, wanted)


def _cut_at_open_quote(lines: list[Line], width: int) -> tuple[list[Line], list[Line]]:
    """Keep back the last lines when a quote opened in them may close in the next batch."""
    odd = [i for i, (_, line) in enumerate(lines) if line.count(b'"') % 2]
    at = 0
    while at < len(odd) - 1:
        row, _ = _joined_record(lines, odd[at], set(odd), width)
        at += 2 if row is not None else 1
    if at < len(odd) and odd[at] >= len(lines) - MOST_LINES_OF_A_RECORD:
        return lines[: odd[at]], lines[odd[at] :]
    return lines, []


def _header_of(split: Split) -> tuple[str, ...]:
    with open_input(split.path, split.compression) as stream:
        text = b""
        while b"\n" not in text and (chunk := stream.read(65_536)):
            text += chunk
    return csv_header(text.split(b"\n", 1)[0])


def _parse_csv(
    split: Split, lines: list[Line], header: tuple[str, ...], wanted: tuple[str, ...]
) -> Iterator[pa.RecordBatch]:
    plain, odd = _split_by_quotes(lines)
    good, bad = _parse_plain(plain, header)
    joined, torn = _parse_odd(lines, odd, header)
    bad += torn
    for numbers, table in (good, joined):
        if numbers:
            columns = [_column(table, header, name, len(numbers)) for name in wanted]
            extra = _extra_of(table, header, wanted)
            yield _batch(split, pa.array(numbers, pa.int64()), columns, wanted, extra=extra)
    if bad:
        yield _bad_rows(split, bad, wanted)


def _split_by_quotes(lines: list[Line]) -> tuple[list[Line], list[int]]:
    """Separate lines that stand alone from the positions of those with an odd number of quotes."""
    odd = [i for i, (_, line) in enumerate(lines) if b'"' in line and line.count(b'"') % 2]
    if not odd:
        return lines, odd
    inside = _inside_quotes(odd)
    return [line for i, line in enumerate(lines) if i not in inside], odd


def _inside_quotes(odd: list[int]) -> set[int]:
    """Return the positions of odd lines, and of the lines a quoted line break may bind to them."""
    inside = set(odd)
    for opening, closing in itertools.pairwise(odd):
        if closing - opening <= MOST_LINES_OF_A_RECORD:
            inside.update(range(opening, closing + 1))
    return inside


def _parse_plain(
    lines: list[Line], header: tuple[str, ...]
) -> tuple[tuple[list[int], pa.Table], list[tuple[int, str]]]:
    """Parse lines that hold one record each, quickly; each alone where the quick way is unsure."""
    rejected: list[int] = []

    def reject(row: Any) -> str:
        rejected.append(row.number)
        return "skip"

    if not lines:
        return ([], None), []
    try:
        table = _pyarrow_csv(b"\n".join(line for _, line in lines), header, reject)
    except pa.ArrowInvalid:
        return _parse_alone(lines, header)
    if table.num_rows + len(rejected) != len(lines):
        return _parse_alone(lines, header)
    gone = {number - 1 for number in rejected}
    numbers = [number for i, (number, _) in enumerate(lines) if i not in gone]
    bad = [(lines[i][0], _text(lines[i][1])) for i in sorted(gone)]
    return (numbers, table), bad


def _pyarrow_csv(data: bytes, header: tuple[str, ...], reject: Callable[[Any], str]) -> pa.Table:
    return pa_csv.read_csv(
        pa.BufferReader(data),
        read_options=pa_csv.ReadOptions(
            column_names=[str(i) for i in range(len(header))],
            use_threads=False,
            block_size=max(len(data) + 1, 1024),
        ),
        parse_options=pa_csv.ParseOptions(invalid_row_handler=reject, ignore_empty_lines=False),
        convert_options=pa_csv.ConvertOptions(
            column_types={str(i): pa.binary() for i in range(len(header))},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


def _parse_alone(
    lines: list[Line], header: tuple[str, ...]
) -> tuple[tuple[list[int], pa.Table], list[tuple[int, str]]]:
    numbers, rows, bad = [], [], []
    for number, line in lines:
        row = _csv_record(_text(line), len(header))
        if row is None:
            bad.append((number, _text(line)))
        else:
            numbers.append(number)
            rows.append(row)
    return (numbers, _table(rows, header)), bad


def _parse_odd(
    lines: list[Line], odd: list[int], header: tuple[str, ...]
) -> tuple[tuple[list[int], pa.Table], list[tuple[int, str]]]:
    """Join records that span lines; where that gives no record, each line stands for itself."""
    numbers: list[int] = []
    rows: list[list[str]] = []
    bad: list[tuple[int, str]] = []
    position, inside = 0, sorted(_inside_quotes(odd)) if odd else []
    while position < len(inside):
        at = inside[position]
        row, used = _joined_record(lines, at, set(odd), len(header))
        if row is None:
            bad.append((lines[at][0], _text(lines[at][1])))
        else:
            numbers.append(lines[at][0])
            rows.append(row)
        position += used
    return (numbers, _table(rows, header)), bad


def _joined_record(
    lines: list[Line], at: int, odd: set[int], width: int
) -> tuple[list[str] | None, int]:
    alone = _csv_record(_text(lines[at][1]), width) if at not in odd else None
    if alone is not None:
        return alone, 1
    if at in odd:
        for end in range(at + 1, min(at + MOST_LINES_OF_A_RECORD, len(lines))):
            if end in odd:
                text = b"\n".join(line for _, line in lines[at : end + 1])
                row = _csv_record(_text(text), width)
                return (row, end - at + 1) if row is not None else (None, 1)
    return None, 1


def _csv_record(text: str, width: int) -> list[str] | None:
    try:
        records = list(csv.reader([text], strict=True))
    except csv.Error:
        return None
    return records[0] if len(records) == 1 and len(records[0]) == width else None


def _table(rows: list[list[str]], header: tuple[str, ...]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [[] for _ in header]
    return pa.table(
        {str(i): pa.array([v or None for v in c], pa.string()) for i, c in enumerate(columns)}
    )


def _column(table: pa.Table, header: tuple[str, ...], name: str, count: int) -> pa.Array:
    if name not in header:
        return pa.nulls(count, pa.string())
    return _decoded(table.column(header.index(name)).combine_chunks())


def _decoded(values: pa.Array) -> pa.Array:
    """Turn bytes into text; invalid UTF-8 becomes the replacement character."""
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array(
            [None if v is None else v.decode("utf-8", errors="replace") for v in values.to_pylist()]
        )


def _extra_of(table: pa.Table, header: tuple[str, ...], wanted: tuple[str, ...]) -> pa.Array:
    """Return a JSON object of each row's values that no wanted column takes, null without any."""
    rest = {name: _column(table, header, name, 0) for name in header if name not in wanted}
    if not rest:
        return pa.nulls(table.num_rows, pa.string())
    rows = pa.table(rest).to_pylist()
    kept = ({name: value for name, value in row.items() if value is not None} for row in rows)
    return pa.array([_json(row) if row else None for row in kept], pa.string())


# -- Parquet -------------------------------------------------------------------------------------


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


def _read_parquet(split: Split, types: dict[str, str]) -> Iterator[pa.RecordBatch]:
    number = split.first_row
    groups = list(range(split.start, split.stop))
    with pq.ParquetFile(split.path) as file:
        for batch in file.iter_batches(BATCH_ROWS, row_groups=groups):
            count = batch.num_rows
            numbers = pa.array(range(number, number + count), pa.int64())
            columns = [_typed(batch, name, type_) for name, type_ in types.items()]
            rest = [name for name in batch.schema.names if name not in types]
            extra = pa.array([_json_or_null(row) for row in batch.select(rest).to_pylist()])
            yield _batch(
                split,
                numbers,
                columns,
                tuple(types),
                extra=extra.cast(pa.string()) if rest else None,
            )
            number += count


def _json_or_null(row: dict[str, Any]) -> str | None:
    kept = {name: value for name, value in row.items() if value is not None}
    return orjson.dumps(kept, default=str).decode() if kept else None


def _typed(batch: pa.RecordBatch, name: str, spark_type: str) -> pa.Array:
    wanted = arrow_type(spark_type)
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows, wanted)
    values = batch.column(name)
    if pa.types.is_nested(values.type) and wanted == pa.string():
        return pa.array([_as_text(v) for v in values.to_pylist()], pa.string())
    if pa.types.is_timestamp(values.type) and values.type.tz is None and wanted != pa.string():
        values = values.cast(pa.timestamp(values.type.unit, tz="UTC"))
    return values.cast(wanted)
