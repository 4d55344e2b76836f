"""How things are shown: steps under way, tables that fit the terminal, JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

# Longer texts are cut in tables; `--json` has them whole, and files with their folders.
LONGEST_CELL = 40
WIDEST_TABLE = 1_000

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


def show_rows(
    rows: list[dict[str, Any]], as_json: bool, *, empty: str, optional: Sequence[str] = ()
) -> None:
    """Print rows as a table, or as JSON; say `empty` where there are none.

    Where the table is too wide, it leaves out of the `optional` columns, one by one, those that
    say nothing, then the first; JSON has all.
    """
    if as_json:
        print_json(rows)
        return
    if not rows:
        out.print(empty)
        return
    names = list(rows[0])
    left_out = sorted(optional, key=lambda name: any(row[name] for row in rows))
    table = _table(rows, names)
    unbounded = out.options.update(max_width=WIDEST_TABLE)
    while left_out and out.measure(table, options=unbounded).maximum > out.width:
        names = [name for name in names if name != left_out[0]]
        left_out = left_out[1:]
        table = _table(rows, names)
    out.print(table, soft_wrap=False)


def _table(rows: list[dict[str, Any]], names: Sequence[str]) -> Table:
    """Return the rows as a table; a heading takes as many lines as it has words."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in names:
        is_number = isinstance(rows[0][name], int | float)
        heading = name.replace("_", "\n")
        table.add_column(heading, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(name, row[name]) for name in names))
    return table


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(timezone.utc):%Y-%m-%d %H:%M}"
    text = Path(value).name if name == "file" else str(value)
    is_whole = name == "reasons" or len(text) <= LONGEST_CELL
    return escaped(text if is_whole else text[: LONGEST_CELL - 1] + "…")


def examples(*commands: str) -> str:
    """Return the end of a command's help: commands as they may be typed, one on each line."""
    return "\n".join(["[bold]For example[/bold]", *commands])


def print_json(value: Any) -> None:
    """Print a value as one line of JSON: numbers as numbers, moments with their zone."""
    sys.stdout.write(json.dumps(value, default=_as_json) + "\n")


def _as_json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def escaped(text: str) -> str:
    """Return the text so that brackets in it are not taken for markup."""
    return text.replace("[", r"\[")
