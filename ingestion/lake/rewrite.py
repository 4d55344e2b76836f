"""Write files anew without some of their rows: how a person is erased from the lake."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.lake.log import REWRITTEN
from ingestion.lake.tables import LakeFile
from ingestion.lake.write import write_file

if TYPE_CHECKING:
    from collections.abc import Sequence

# Says which rows of a table go: given the named columns, one true or false per row.
Mask = Callable[[LakeFile, pa.Table], pa.ChunkedArray]


@dataclass(frozen=True)
class Rewritten:
    """A file with rows to erase; `new` holds its other rows, and is None where there are none."""

    old: LakeFile
    new: LakeFile | None
    erased: pa.Table


def rewrite(
    lake: str, files: Iterable[LakeFile], columns: Sequence[str], mask: Mask
) -> list[Rewritten]:
    """Write those files anew that have rows under the mask, as files that no log names yet."""

    def one(file: LakeFile) -> Rewritten | None:
        return _rewrite_file(Path(lake), file, list(columns), mask)

    with ThreadPoolExecutor(4) as pool:
        return [done for done in pool.map(one, files) if done is not None]


def count_rows(lake: str, files: Iterable[LakeFile], columns: Sequence[str], mask: Mask) -> int:
    """Return how many rows of those files that still exist are under the mask."""
    count = 0
    for file in files:
        path = file.under(lake)
        if path.exists():
            with pq.ParquetFile(path) as source:
                count += pc.sum(mask(file, source.read(list(columns)))).as_py() or 0
    return count


def _rewrite_file(lake: Path, file: LakeFile, columns: list[str], mask: Mask) -> Rewritten | None:
    with pq.ParquetFile(file.under(lake)) as source:
        keys = source.read(columns)
        goes = mask(file, keys)
        if not pc.any(goes).as_py():
            return None
        kept = source.read().filter(pc.invert(goes))
    erased = keys.filter(goes)
    if kept.num_rows == 0:
        return Rewritten(file, None, erased)
    path = Path(file.path).with_name(f"{uuid.uuid4().hex}.parquet")
    target = lake / REWRITTEN / file.table / path
    target.parent.mkdir(parents=True, exist_ok=True)
    write_file(kept, target)
    new = LakeFile(
        file.table, path.as_posix(), file.event_date, kept.num_rows, target.stat().st_size
    )
    return Rewritten(file, new, erased)
