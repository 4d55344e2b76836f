"""How things are shown: steps under way, tables that fit the terminal, JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

# Longer texts are cut in tables; `--json` has them whole, and files with their folders.
LONGEST_CELL = 40

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Steps:
    """Shows the step at work: a bar on a terminal, a plain line elsewhere."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._task: Any = None

    def start(self, text: str) -> None:
        """Begin the next step."""
        if self._progress is None:
            err.print(f"{text} ...")
            return
        if self._task is not None:
            self._progress.update(self._task, total=1, completed=1)
        self._task = self._progress.add_task(text, total=None)

    def progress(self, done: int, total: int) -> None:
        """Say how far the step has come."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done, total=total)


@contextmanager
def show_steps() -> Iterator[Steps]:
    """Show steps while the block runs."""
    if not err.is_terminal:
        yield Steps(None)
        return
    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"))
    with Progress(*columns, BarColumn(), TimeElapsedColumn(), console=err) as progress:
        yield Steps(progress)
        for task in progress.tasks:
            progress.update(task.id, total=1, completed=1)


def show_rows(rows: list[dict[str, Any]], as_json: bool, *, empty: str) -> None:
    """Print rows as a table, or as JSON; say `empty` where there are none."""
    if as_json:
        print_json(rows)
        return
    if not rows:
        out.print(empty)
        return
    table = Table(box=None, pad_edge=False)
    for name, value in rows[0].items():
        is_number = isinstance(value, int | float)
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    out.print(table, soft_wrap=False)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    text = Path(value).name if name == "file" else str(value)
    return escaped(text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…")


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.write(json.dumps(value, default=str) + "\n")


def escaped(text: str) -> str:
    """Return the text so that brackets in it are not taken for markup."""
    return text.replace("[", r"\[")
