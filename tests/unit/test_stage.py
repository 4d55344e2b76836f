"""Batches of the lake's files, read ahead of who takes them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion import stage


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Three files of 30 rows, as many batches each as fit in ten rows."""
    found = []
    for start in (0, 30, 60):
        found.append(str(tmp_path / f"{start}.parquet"))
        pq.write_table(pa.table({"a": range(start, start + 30), "b": ["x"] * 30}), found[-1])
    return found


def taken(batches: Iterator[pa.RecordBatch]) -> list[int]:
    return [value for batch in batches for value in batch.column("a").to_pylist()]


def test_rows_come_in_their_order(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "BATCH_ROWS", 10)
    assert taken(stage.file_batches(paths, ["a"])) == list(range(90))


def test_a_file_that_cannot_be_read_fails_where_it_stands(
    paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "BATCH_ROWS", 10)
    Path(paths[1]).write_bytes(b"no Parquet")
    batches = stage.file_batches(paths, ["a"])
    assert [next(batches).column("a")[0].as_py() for _ in range(3)] == [0, 10, 20]
    with pytest.raises(pa.ArrowInvalid):
        next(batches)


def test_who_takes_a_part_leaves_no_thread_behind(paths: list[str]) -> None:
    before = threading.active_count()
    batches = stage.file_batches(paths, ["a"])
    next(batches)
    assert threading.active_count() > before
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
