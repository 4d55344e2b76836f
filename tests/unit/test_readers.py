"""The reader: every row of text arrives, and a bad one takes no neighbour with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion import files, readers
from ingestion.contract.events import SOURCE_COLUMNS
from ingestion.readers import apart, rows
from ingestion.readers.apart import read_apart
from ingestion.readers.hashing import Hashing

WANTED = {"id": "string", "text": "string"}


def rows_of(path: Path, types: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Return all rows of a file, by row number."""
    (file,) = files.inspect([path])
    found = [
        row
        for split in file.splits
        for batch in readers.read_split(split, types or WANTED)
        for row in batch.to_pylist()
    ]
    return sorted(found, key=lambda row: row["source_row"])


def csv_rows(tmp_path: Path, content: str | bytes) -> list[tuple[Any, ...]]:
    path = tmp_path / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [
        (r["source_row"], "BAD", r["record"])
        if r["row_issue"]
        else (r["source_row"], r["id"], r["text"])
        for r in rows_of(path)
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("id,text\n1,a\n2,b\n", [(2, "1", "a"), (3, "2", "b")]),
        ("id,text\r\n1,a\r\n2,b\r\n", [(2, "1", "a"), (3, "2", "b")]),
        ("id,text\n1,a\n\n \n2,b", [(2, "1", "a"), (5, "2", "b")]),
        ("id,text\n1,\n,b\n", [(2, "1", None), (3, None, "b")]),
        ("text,id\na,1\n", [(2, "1", "a")]),
        ("\ufeffid,text\n1,a\n", [(2, "1", "a")]),
        ('id,text\n1,"a,b"\n2,"say ""x"""\n', [(2, "1", "a,b"), (3, "2", 'say "x"')]),
        ("id,text\n1,a\n2,b,c\n3,d\n", [(2, "1", "a"), (3, "BAD", "2,b,c"), (4, "3", "d")]),
        ("id,text\n1\n2,b\n", [(2, "BAD", "1"), (3, "2", "b")]),
        ('id,text\n1,"a\nb"\n2,c\n', [(2, "1", "a\nb"), (4, "2", "c")]),
        ('id,text\n1,"a\n2,b\n3,c\n', [(2, "BAD", '1,"a'), (3, "2", "b"), (4, "3", "c")]),
        (
            'id,text\n1,a"\n2,b\n3,"c\nd"\n4,e\n',
            [(2, "BAD", '1,a"'), (3, "2", "b"), (4, "3", "c\nd"), (6, "4", "e")],
        ),
        (b"id,text\n1,caf\xe9\n2,b\n", [(2, "1", "caf\ufffd"), (3, "2", "b")]),
    ],
    ids=[
        "plain",
        "windows line ends",
        "blank lines",
        "empty is null",
        "columns in another order",
        "byte order mark",
        "quotes",
        "too many columns",
        "too few columns",
        "a line break in quotes",
        "an open quote spoils its own line alone",
        "a stray quote before a true line break",
        "invalid UTF-8 is replaced",
    ],
)
def test_csv_rows(tmp_path: Path, content: str | bytes, expected: list[tuple[Any, ...]]) -> None:
    assert csv_rows(tmp_path, content) == expected


def test_a_quoted_line_break_across_two_chunks_is_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "CHUNK_BYTES", 16)
    content = "id,text\n" + "".join(f'{i},"one\ntwo"\n' for i in range(20))
    assert csv_rows(tmp_path, content) == [(2 + 2 * i, str(i), "one\ntwo") for i in range(20)]


def test_columns_beyond_those_wanted_are_kept_as_json(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,colour,text,size\n1,red,a,\n2,,b,\n")
    assert [row["extra"] for row in rows_of(path)] == ['{"colour":"red"}', None]


def test_json_lines_keep_numbers_objects_and_broken_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"id": 12345678901234567890, "text": [1, {"a": null}], "new": {"x": 1}}\n'
        '{"id": "2", "text": tru\n'
        "[1, 2]\n"
        "\n"
        '{"id": false, "text": 1.50}\n'
    )
    rows = rows_of(path)
    assert [(r["source_row"], r["row_issue"] is not None) for r in rows] == [
        (1, False),
        (2, True),
        (3, True),
        (5, False),
    ]
    assert json.loads(rows[0]["text"]) == [1, {"a": None}]
    assert json.loads(rows[0]["extra"]) == {"new": {"x": 1}}
    assert rows[1]["record"] == '{"id": "2", "text": tru'
    assert (rows[3]["id"], rows[3]["text"]) == ("false", "1.5")
    assert rows[0]["id"] == "12345678901234567890"


def test_parquet_keeps_types_where_it_can_and_numbers_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "event_id": pa.array([1, 2, 3], pa.int64()),
            "event_ts": pa.array([0, 1, 2], pa.timestamp("ms")),
            "order_total": pa.array([1.25, None, float("nan")]),
            "colour": ["red", None, "blue"],
        }
    )
    pq.write_table(table, path, row_group_size=2)
    (file,) = files.inspect([path])
    types = readers.parquet_types([file], SOURCE_COLUMNS)
    assert (types["event_ts"], types["order_total"]) == ("timestamp", "string")
    rows = rows_of(path, types)
    assert [row["source_row"] for row in rows] == [1, 2, 3]
    assert [row["event_id"] for row in rows] == ["1", "2", "3"]
    assert [row["order_total"] for row in rows] == ["1.25", None, "nan"]
    assert [row["extra"] for row in rows] == ['{"colour":"red"}', None, '{"colour":"blue"}']


def test_splits_are_shared_out_evenly_and_none_is_lost() -> None:
    splits = [
        files.Split(f"{i}", i, "csv", None, 0, size, 1, size)
        for i, size in enumerate([100, 1, 1, 1, 97, 1])
    ]
    bins = readers.balance(splits, 2)
    assert sorted(s.path for part in bins for s in part) == [str(i) for i in range(6)]
    assert sorted(sum(s.byte_count for s in part) for part in bins) == [100, 101]


# -- in a process of its own ---------------------------------------------------------------------


def splits_of(tmp_path: Path, content: str) -> list[files.Split]:
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    return [split for file in files.inspect([path]) for split in file.splits]


@pytest.mark.parametrize("hashing", [None, Hashing(b"key", ("id",))])
def test_a_process_of_its_own_reads_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashing: Hashing | None
) -> None:
    monkeypatch.setattr(files, "SPLIT_BYTES", 200)
    lines = [f'{{"id":"{i}","text":"\u00e9","more":[{i}]}}' for i in range(50)]
    splits = splits_of(tmp_path, "\n".join([*lines[:25], "{broken", "", '{"id":"\0x"}', *lines]))
    assert len(splits) > 2
    apart = list(read_apart(splits, WANTED, hashing))
    assert apart == list(readers.read_splits(splits, WANTED, hashing))
    assert sum(batch.num_rows for batch in apart) == 77


def test_blank_lines_are_no_rows_in_a_process_of_its_own_either(tmp_path: Path) -> None:
    assert list(read_apart(splits_of(tmp_path, "\n \n"), WANTED, None)) == []


def test_a_process_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    splits = splits_of(tmp_path, '{"id":"1"}\n')
    Path(splits[0].path).unlink()
    with pytest.raises(OSError, match=r"^a process that reads files ended: FileNotFoundError.*$"):
        list(read_apart(splits, WANTED, None))


def test_a_process_that_is_killed_loses_no_row_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = splits_of(tmp_path, '{"id":"1"}\n')
    kill = "import os; os.kill(os.getpid(), 9)"
    within_a_batch = "; ".join(
        [
            "import io, sys, types; from ingestion.readers.apart import main",
            "out, sys.stdout = sys.stdout, types.SimpleNamespace(buffer=io.BytesIO()); main()",
            "out.buffer.write(sys.stdout.buffer.getvalue()[:-100]); out.flush()",
        ]
    )
    for program in (kill, f"{within_a_batch}; {kill}"):
        monkeypatch.setattr(apart, "PROGRAM", program)
        with pytest.raises(OSError, match="exit code -9"):
            list(read_apart(splits, WANTED, None))


def test_a_process_ends_when_nobody_wants_the_rest(tmp_path: Path) -> None:
    splits = splits_of(tmp_path, '{"id":"1"}\n' * 500_000)
    others = set(psutil.Process().children())
    rows = read_apart(splits, WANTED, None)
    next(rows)
    (child,) = set(psutil.Process().children()) - others
    rows.close()
    assert not child.is_running()


@pytest.mark.parametrize(
    ("pid", "least", "expected"), [(None, 1, "apart"), (None, 10**9, "here"), (-1, 1, "here")]
)
def test_long_texts_are_read_apart_where_tasks_are_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pid: int | None, least: int, expected: str
) -> None:
    """GIVEN one bin WHEN a task reads it THEN by a process only if that is worth it, and helps."""
    splits = splits_of(tmp_path, '{"id":"1"}\n')
    monkeypatch.setattr(apart, "BYTES_WORTH_A_PROCESS", least)
    monkeypatch.setattr(readers, "read_apart", lambda *_: iter(["apart"]))
    monkeypatch.setattr(readers, "read_splits", lambda *_: iter(["here"]))
    task = readers._read_bins([splits], WANTED, None)
    if pid is not None:  # a task in another process than the one that asks
        monkeypatch.setattr(readers.os, "getpid", lambda: pid)
    assert list(task([pa.record_batch({"id": [0]})])) == [expected]
