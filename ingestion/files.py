"""Input files: found, fingerprinted, and cut into splits that tasks can read alone."""

from __future__ import annotations

import glob
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.errors import InputError

Format = Literal["csv", "tsv", "jsonl", "json", "parquet"]

SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".json": "jsonl",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
COMPRESSION_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
COMPRESSION_SUFFIXES = (".gz", ".zst", ".bz2")
UTF8_BOM = b"\xef\xbb\xbf"
OTHER_FILES = {
    b"\xff\xfe": "the file is UTF-16; save it as UTF-8.",
    b"\xfe\xff": "the file is UTF-16; save it as UTF-8.",
    b"PAR1": "the file is Parquet; rename it to end in .parquet.",
    b"PK\x03\x04": "the file is a zip archive or a workbook; unpack it, or export it as CSV.",
}
CHUNK_BYTES = 4 * 2**20
SPLIT_BYTES = 16 * 2**20
ROUND_BYTES = 512 * 2**20
# In memory; in a Parquet file dictionaries make rows look small.
PARQUET_ROW_BYTES = 300
# A stray quote makes every later line look quoted; past this many lines a cut is made all the same.
MOST_LINES_TO_EVEN_QUOTES = 1000
# A JSON array is read whole.
LARGEST_JSON_ARRAY = 512 * 2**20
ROWS_SAMPLED_FOR_COLUMNS = 200
ENCODING_SAMPLE_BYTES = 2000
JSON_GAP = re.compile(r"[\s,]*")
"""What stands between the elements of an array."""


@dataclass(frozen=True)
class Split:
    """A part of a file. For text: bytes `start` to `stop`, its first line numbered `first_row`.

    For Parquet: row groups `start` to `stop`. `stop` is -1 for "to the end".
    """

    path: str
    file_id: int
    format: Format
    compression: str | None
    start: int
    stop: int
    first_row: int
    byte_count: int


@dataclass(frozen=True)
class InputFile:
    """A file to ingest. `file_id` is the first 8 bytes of its content's SHA-256, as a bigint."""

    path: Path
    format: Format
    sha256: str
    byte_count: int
    columns: tuple[str, ...]
    splits: tuple[Split, ...]

    @property
    def file_id(self) -> int:
        """The key of the file in `ops.files` and `raw.events`."""
        return file_id_of(self.sha256)


def file_id_of(sha256: str) -> int:
    """Return the bigint key of a content hash."""
    return int.from_bytes(bytes.fromhex(sha256)[:8], "big", signed=True)


def expand(paths: Iterable[str], format_: Format | None = None) -> list[Path]:
    """Return the data files that files, folders and globs name, sorted.

    With a `format_`, every file of a folder has it, whatever its name; else the suffix tells.
    Raises InputError for a path that does not exist or a folder that holds no data.
    """
    found: set[Path] = set()
    for given in paths:
        if Path(given).is_file():
            found.add(Path(given).resolve())
            continue
        matches = [Path(given)] if Path(given).is_dir() else [Path(p) for p in glob.glob(given)]  # noqa: PTH207
        if not matches:
            raise InputError(f"No such file or folder: {given}")
        files = [file for match in matches for file in _data_files(match, format_)]
        if not files:
            wanted = ", ".join(SUFFIXES)
            raise InputError(f"No data files ({wanted}; also .gz, .zst, .bz2) in {given}")
        found.update(files)
    return sorted(found)


def inspect(paths: list[Path], format_: Format | None = None) -> list[InputFile]:
    """Fingerprint the files and cut them into splits; files of the same content appear once."""
    unique: dict[str, InputFile] = {}
    with ThreadPoolExecutor(4) as pool:
        for file in pool.map(lambda path: _inspect_one(path, format_), paths):
            unique.setdefault(file.sha256, file)
    return list(unique.values())


def rounds(files: Iterable[InputFile]) -> list[list[InputFile]]:
    """Share the files' splits out among rounds of ROUND_BYTES, in their order.

    An engine may read far ahead of what it writes; a round is the most that it can hold.
    """
    found: list[list[InputFile]] = [[]]
    free = ROUND_BYTES
    for file in files:
        own: list[Split] = []
        for split in file.splits:
            if free <= 0:
                found[-1].append(replace(file, splits=tuple(own)))
                found.append([])
                own, free = [], ROUND_BYTES
            own.append(split)
            free -= split.byte_count
        found[-1].append(replace(file, splits=tuple(own)))
    filled = ([file for file in part if file.splits] for part in found)
    return [part for part in filled if part]


def open_input(path: str, compression: str | None) -> IO[bytes]:
    """Open a file for reading its uncompressed bytes."""
    if compression is None:
        return Path(path).open("rb")
    stream: IO[bytes] = pa.CompressedInputStream(pa.OSFile(path), compression)
    return stream


def csv_header(line: bytes) -> tuple[str, ...]:
    """Return the column names of a CSV file's first line; one without a name gets its position.

    Raises InputError for a line that is blank, has an open quote, or ends in the middle.
    """
    import csv

    text = line.removeprefix(UTF8_BOM).replace(b"\0", b"").decode("utf-8", errors="replace")
    if not text.strip():
        raise InputError("the first line is blank; it must name the columns.")
    if "\r" in text.rstrip("\r\n"):
        raise InputError("lines end in carriage returns alone; convert with: tr '\\r' '\\n'")
    try:
        names = next(csv.reader([text.rstrip("\r\n")], strict=True))
    except csv.Error as error:
        raise InputError(f"the first line does not name the columns: {error}.") from None
    return tuple(name.strip() or f"column_{i}" for i, name in enumerate(names, 1))


def first_line(stream: IO[bytes]) -> bytes:
    """Return a stream's first line, without its line break."""
    text = b""
    while b"\n" not in text and (chunk := stream.read(65_536)):
        text += chunk
    return text.split(b"\n", 1)[0]


def _data_files(place: Path, format_: Format | None) -> list[Path]:
    if place.is_file():
        return [place.resolve()]
    return [
        path.resolve()
        for path in sorted(place.rglob("*"))
        if path.is_file()
        and (format_ or _format_of(path)) is not None
        and not any(part.startswith((".", "_")) for part in path.relative_to(place).parts)
    ]


def _format_of(path: Path) -> Format | None:
    suffixes = [suffix for suffix in path.suffixes if suffix not in COMPRESSION_SUFFIXES]
    return SUFFIXES.get(suffixes[-1].lower()) if suffixes else None


def _inspect_one(path: Path, format_: Format | None) -> InputFile:
    format_ = format_ or _format_of(path)
    if format_ is None:
        raise InputError(
            f"{path}: cannot tell the format by the name; it must end in {', '.join(SUFFIXES)}."
        )
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty.")
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError(f"{str(path)!r}: the name is not UTF-8; rename the file.") from None
    try:
        found = _inspect_parquet(path) if format_ == "parquet" else _inspect_text(path, format_)
    except PermissionError:
        raise InputError(f"{path}: no permission to read it.") from None
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(
            f"{path}: not readable as {format_}: {reason}. "
            "It may be damaged or cut short: fetch it again."
        ) from None
    twice = [name for name, count in Counter(found.columns).items() if count > 1]
    if twice:
        raise InputError(f"{path}: two columns are named {twice[0]!r}; rename one of them.")
    return found


def _inspect_parquet(path: Path) -> InputFile:
    with path.open("rb") as stream:
        sha256 = _sha256(stream)
    metadata = pq.read_metadata(path)
    first, splits = 1, []
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group)
        splits.append(
            Split(
                path=str(path),
                file_id=file_id_of(sha256),
                format="parquet",
                compression=None,
                start=group,
                stop=group + 1,
                first_row=first,
                byte_count=max(rows.total_byte_size, PARQUET_ROW_BYTES * rows.num_rows),
            )
        )
        first += rows.num_rows
    columns = tuple(metadata.schema.to_arrow_schema().names)
    return InputFile(path, "parquet", sha256, path.stat().st_size, columns, tuple(splits))


def _sha256(stream: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _inspect_text(path: Path, format_: Format) -> InputFile:
    with path.open("rb") as stream:
        magic = stream.read(4)
    compression = next((c for m, c in COMPRESSION_MAGIC.items() if magic.startswith(m)), None)
    with open_input(str(path), compression) as plain:
        head = plain.read(CHUNK_BYTES)
        while compression and plain.read(CHUNK_BYTES):
            pass  # damage shows here, before anything is written
    _check_encoding(path, head)
    if format_ == "jsonl" and _is_json_array(head.removeprefix(UTF8_BOM)):
        format_ = "json"
    columns = _columns_of(path, format_, head)
    size = path.stat().st_size
    with path.open("rb") as stream:
        if compression or format_ == "json":
            sha256, cuts = _sha256(stream), [(0, -1, 1)]
        else:
            sha256, cuts = _hash_and_cut(stream, has_quotes=format_ == "csv")
    if format_ == "json" and size > LARGEST_JSON_ARRAY:
        raise InputError(
            f"{path}: a JSON array of more than {LARGEST_JSON_ARRAY // 2**20} MiB; "
            "make it one object per line, for instance with: jq -c '.[]'"
        )
    file_id = file_id_of(sha256)
    splits = tuple(
        Split(
            path=str(path),
            file_id=file_id,
            format=format_,
            compression=compression,
            start=start,
            stop=stop,
            first_row=row,
            byte_count=size if stop < 0 else stop - start,
        )
        for start, stop, row in cuts
    )
    return InputFile(path, format_, sha256, size, columns, splits)


def _check_encoding(path: Path, head: bytes) -> None:
    for magic, remedy in OTHER_FILES.items():
        if head.startswith(magic):
            raise InputError(f"{path}: {remedy}")
    start = head[:ENCODING_SAMPLE_BYTES]
    fewer, more = sorted((start[::2].count(b"\0"), start[1::2].count(b"\0")))
    if more * 3 > len(start) > fewer * 50:
        raise InputError(f"{path}: the file seems to be UTF-16; save it as UTF-8.")


def _is_json_array(head: bytes) -> bool:
    """Return whether JSON is one array, not lines of which the first is a stray list.

    In an array an object is followed by a comma, so a line that is an object and behind which
    another begins, or none, stands for itself.
    """
    first, *others = [line.strip() for line in head.lstrip().splitlines() if line.strip()] or [b""]
    others = others[:ROWS_SAMPLED_FOR_COLUMNS]
    if not first.startswith(b"[") or first == b"[" or first.endswith(b","):
        return first.startswith(b"[")
    return not any(
        line.startswith(b"{") and line.endswith(b"}") and after.startswith((b"{", b"["))
        for line, after in zip(others, [*others[1:], b"{"], strict=False)
    )


def _columns_of(path: Path, format_: Format, head: bytes) -> tuple[str, ...]:
    """Return the names of a CSV file's header, or those seen in the first rows of JSON."""
    if format_ == "csv":
        try:
            return csv_header(head.split(b"\n", 1)[0])
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    if format_ == "tsv":
        return ()
    return tuple(dict.fromkeys(name for row in _first_objects(format_, head) for name in row))


def _first_objects(format_: Format, head: bytes) -> Iterator[dict[str, Any]]:
    text = head.removeprefix(UTF8_BOM).decode("utf-8", errors="replace")
    if format_ == "json":
        position = text.index("[") + 1
        with suppress(ValueError, RecursionError):
            for _ in range(ROWS_SAMPLED_FOR_COLUMNS):
                position = JSON_GAP.match(text, position).end()  # type: ignore[union-attr]
                row, position = json.JSONDecoder().raw_decode(text, position)
                yield from [row] if isinstance(row, dict) else []
        return
    for line in text.splitlines()[:ROWS_SAMPLED_FOR_COLUMNS]:
        with suppress(ValueError, RecursionError):
            row = json.loads(line)
            yield from [row] if isinstance(row, dict) else []


def _hash_and_cut(stream: IO[bytes], *, has_quotes: bool) -> tuple[str, list[tuple[int, int, int]]]:
    """Read a text file once: its SHA-256, and (start, stop, first line number) of each split.

    A cut lies behind a newline outside quotes, so that no record is torn.
    """
    digest = hashlib.sha256()
    cuts: list[tuple[int, int, int]] = []
    start, row, offset, line, quotes, tries = 0, 1, 0, 1, 0, 0
    while chunk := stream.read(CHUNK_BYTES):
        digest.update(chunk)
        position = 0
        while offset + len(chunk) - start > SPLIT_BYTES:
            search_from = max(position, start + SPLIT_BYTES - offset)
            newline = chunk.find(b"\n", search_from)
            if newline < 0:
                break
            piece = chunk[position : newline + 1]
            line += piece.count(b"\n")
            quotes += piece.count(b'"') if has_quotes else 0
            position = newline + 1
            tries += 1
            if quotes % 2 == 0 or tries > MOST_LINES_TO_EVEN_QUOTES:
                cuts.append((start, offset + position, row))
                start, row, quotes, tries = offset + position, line, 0, 0
        rest = chunk[position:]
        line += rest.count(b"\n")
        quotes += rest.count(b'"') if has_quotes else 0
        offset += len(chunk)
    if offset > start:
        cuts.append((start, offset, row))
    return digest.hexdigest(), cuts
