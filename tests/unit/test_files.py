"""Input files: found, fingerprinted and cut so that no record is torn or lost."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from ingestion import files
from ingestion.errors import InputError


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No such file or folder: .*nowhere"):
        files.expand([str(tmp_path / "nowhere")])


def test_a_folder_without_data_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="No data files"):
        files.expand([str(tmp_path)])


def test_a_folder_gives_its_data_files_once_and_hides_what_is_hidden(tmp_path: Path) -> None:
    for name in ("a.csv", "b.jsonl.gz", "_truth/c.csv", ".hidden.csv", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    found = files.expand([str(tmp_path), str(tmp_path / "*.csv"), str(tmp_path / "a.csv")])
    assert [path.name for path in found] == ["a.csv", "b.jsonl.gz"]


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    with pytest.raises(InputError, match=r"a\.csv: the file is empty"):
        files.inspect([tmp_path / "a.csv"])


def test_a_file_that_is_not_parquet_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("not parquet at all")
    with pytest.raises(InputError, match=r"a\.parquet: not readable as parquet") as caught:
        files.inspect([tmp_path / "a.parquet"])
    assert "\n" not in str(caught.value)


def test_files_of_the_same_content_count_once(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x,y\n1,2\n")
    (found,) = files.inspect([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert found.sha256 == hashlib.sha256(b"x,y\n1,2\n").hexdigest()
    assert found.columns == ("x", "y")


def test_the_header_is_read_through_a_byte_order_mark_and_compression(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbfid, name\n1,a\n"
    (tmp_path / "a.csv").write_bytes(content)
    (tmp_path / "b.csv").write_bytes(gzip.compress(content))  # told by content, not by name
    plain, packed = files.inspect([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert plain.columns == packed.columns == ("id", "name")
    assert (plain.splits[0].compression, packed.splits[0].compression) == (None, "gzip")


def test_splits_cover_a_file_and_end_at_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SPLIT_BYTES", 50)
    monkeypatch.setattr(files, "CHUNK_BYTES", 64)
    lines = [f'{{"id": {i}, "text": "{"x" * (i % 37)}"}}' for i in range(100)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines))
    (file,) = files.inspect([path])
    content = path.read_bytes()
    assert len(file.splits) > 10
    assert b"".join(content[s.start : s.stop] for s in file.splits) == content
    for split in file.splits:
        assert content[: split.start].count(b"\n") + 1 == split.first_row
        assert split.start == 0 or content[split.start - 1 : split.start] == b"\n"


def test_a_split_never_cuts_a_quoted_line_break(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SPLIT_BYTES", 40)
    monkeypatch.setattr(files, "CHUNK_BYTES", 32)
    path = tmp_path / "a.csv"
    path.write_text("id,text\n" + "".join(f'{i},"one\ntwo\nthree"\n' for i in range(50)))
    (file,) = files.inspect([path])
    assert len(file.splits) > 5
    for split in file.splits:
        assert path.read_bytes()[: split.start].count(b'"') % 2 == 0


def test_rounds_hold_every_split_once_in_order_and_no_more_than_they_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SPLIT_BYTES", 100)
    monkeypatch.setattr(files, "ROUND_BYTES", 250)
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"{name}": "{"x" * 40}"}}\n' * 9)
    found = files.inspect(files.expand([str(tmp_path)]))
    parts = files.rounds(found)
    assert len(parts) > 2
    assert [s for part in parts for file in part for s in file.splits] == [
        s for file in found for s in file.splits
    ]
    sizes = [sum(s.byte_count for file in part for s in file.splits) for part in parts]
    assert max(sizes) < 250 + 2 * 100
    assert min(sizes[:-1]) >= 250
    assert files.rounds([]) == []
