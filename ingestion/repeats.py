"""Count how often ids repeat, in bounded memory.

Ids are hashed; while there are more than fit, only those whose hash ends in ever more zero bits are
kept. Every id has the same chance to be, with all its rows, so the count scaled up is unbiased, and
exact as long as all fit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

MOST_IDS = 100_000


@dataclass
class Repeats:
    """Rows by hashed id. `level` is the number of zero bits that a kept hash ends in."""

    level: int = 0
    counts: dict[int, int] = field(default_factory=dict)

    def add(self, ids: pa.ChunkedArray) -> None:
        """Count a batch of ids that are not null."""
        hashes = pd.util.hash_array(np.asarray(ids.to_pylist(), dtype=object))
        kept = hashes[hashes & np.uint64((1 << self.level) - 1) == 0]
        values, counts = np.unique(kept, return_counts=True)
        self._count(dict(zip(values.tolist(), counts.tolist(), strict=True)))

    def merge(self, other: dict[str, Any]) -> None:
        """Add what another has counted, as it was given by `as_dict`."""
        self._raise_to(int(other["level"]))
        self._count({int(key): count for key, count in other["counts"].items()})

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as data."""
        return {"level": self.level, "counts": {str(k): v for k, v in self.counts.items()}}

    @property
    def total(self) -> int:
        """Rows beyond the first of their id, estimated unless `is_exact`."""
        return sum(count - 1 for count in self.counts.values()) << self.level

    @property
    def is_exact(self) -> bool:
        """Whether all ids fitted."""
        return self.level == 0

    def _count(self, counts: dict[int, int]) -> None:
        for key, count in counts.items():
            if key & ((1 << self.level) - 1) == 0:
                self.counts[key] = self.counts.get(key, 0) + count
        while len(self.counts) > MOST_IDS:
            self._raise_to(self.level + 1)

    def _raise_to(self, level: int) -> None:
        if level > self.level:
            self.level = level
            mask = (1 << level) - 1
            self.counts = {key: n for key, n in self.counts.items() if key & mask == 0}
