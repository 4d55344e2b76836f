"""A folder for what a computation writes and reads again, where every worker sees it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch(lake: str) -> Iterator[str]:
    """Hand out an empty folder of the lake; it is gone at the end of the block.

    What a killed computation left there goes too, so hold the loaders' lock.
    """
    path = Path(lake) / "scratch"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield str(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)
