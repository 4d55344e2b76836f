"""Read splits in a process of their own.

Python code of one process runs on one core at a time. Where an engine's tasks are threads of the
process that asks, as Sail's are, all of them would wait for the one that parses lines.
"""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from ingestion.files import Split
from ingestion.readers.hashing import Hashing

# To start a process takes as long as to read some ten thousand lines.
BYTES_WORTH_A_PROCESS = 48 * 2**20
# Arrow reads these, outside of Python and so on every core.
READ_BY_ARROW = ("csv", "parquet")
PROGRAM = "from ingestion.readers.apart import main; main()"
_SOURCES = Path(__file__).parents[2]
_Pipes = tuple[IO[bytes], IO[bytes], IO[bytes]]


def is_worth_a_process(splits: list[Split]) -> bool:
    """Return whether the splits are read by Python code, and long enough to start a process."""
    by_python = (split.byte_count for split in splits if split.format not in READ_BY_ARROW)
    return sum(by_python) >= BYTES_WORTH_A_PROCESS


def read_apart(
    splits: list[Split], types: dict[str, str], hashing: Hashing | None
) -> Iterator[pa.RecordBatch]:
    """Yield what `read_splits` does; a process reads it, ahead by what a pipe holds.

    It ends when nobody takes the rest, as the pipe is closed then. Raises OSError, in one line,
    where it fails or is killed.
    """
    pipe, broken = subprocess.PIPE, None
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=pipe, stdout=pipe, stderr=pipe, cwd=_SOURCES
    ) as process:
        given, answer, said = cast(_Pipes, (process.stdin, process.stdout, process.stderr))
        try:
            # Not by arguments, which everybody on the machine may read: there may be a key.
            pickle.dump((splits, types, hashing), given)
            given.close()
            yield from _batches(answer)
        except (OSError, pa.ArrowInvalid) as error:  # it ended early, maybe within a batch
            broken = error
        last_words = said.read().decode(errors="replace").splitlines()[-1:]
    if process.returncode or broken:
        reason = last_words[0] if last_words else f"exit code {process.returncode}"
        raise OSError(f"a process that reads files ended: {reason}") from broken


def _batches(stream: IO[bytes]) -> Iterator[pa.RecordBatch]:
    if stream.peek(1):  # type: ignore[attr-defined]
        with pa.ipc.open_stream(stream) as batches:
            yield from batches


def main() -> None:
    """Write the batches of the splits that standard input tells of to standard output."""
    from ingestion.readers import read_splits

    gc.disable()  # rows are no cycles, and to look for some takes a tenth of the time
    splits, types, hashing = pickle.load(sys.stdin.buffer)  # noqa: S301 -- from who started this
    writer = None
    for rows in read_splits(splits, types, hashing):
        writer = writer or pa.ipc.new_stream(sys.stdout.buffer, rows.schema)
        writer.write_batch(rows)
    if writer:
        writer.close()
