"""What an adapter is."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingestion.contract.events import Column
from ingestion.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Adapter:
    """A source format.

    `columns` are those it reads (the rest goes to `properties`), with `is_required` for those a
    file must have. `adapt` takes the reader's rows and returns candidates: the contract's source
    columns, `items`, `parse_issues`, and the reader's own columns for the validator.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    adapt: Callable[[DataFrame], DataFrame]

    def check_columns(self, path: str, found: tuple[str, ...]) -> None:
        """Raise InputError, naming the likely renames, when a required column is missing."""
        missing = [c.name for c in self.columns if c.is_required and c.name not in found]
        if not missing:
            return
        unknown = [name for name in found if name not in {c.name for c in self.columns}]
        hints = []
        for name in missing:
            close = difflib.get_close_matches(name, unknown, n=1)
            hints.append(f"{name} (is it {close[0]!r}?)" if close else name)
        raise InputError(
            f"{path}: not a {self.name} file: missing column {', '.join(hints)}; "
            f"found {', '.join(found[:12]) or 'none'}{', ...' if len(found) > 12 else ''}."
        )
