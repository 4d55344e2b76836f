"""The folder the generator writes: whole or not at all, and never in place of other files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ingestion.errors import UsageError

GENERATOR_NAME = "clickmart generate"
OUTPUT_NAMES = {"events", "truth", "catalog.csv", "people.csv"}


def check_replaceable(out: Path) -> None:
    """Raise UsageError unless `out` is missing, empty, or wholly the generator's own."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"{out} is a file; name a folder.")
    names = {entry.name for entry in out.iterdir()}
    if not names:
        return
    strange = sorted(names - OUTPUT_NAMES) + _strange_events(out / "events")
    if strange or not _is_ours(out / "truth" / "summary.json"):
        found = strange[0] if strange else sorted(names)[0]
        raise UsageError(
            f"{out} holds {found!r}, which the generator did not write. "
            "Name an empty or a new folder."
        )


def _strange_events(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(e.name for e in folder.iterdir() if not e.name.startswith("events-"))


def _is_ours(summary: Path) -> bool:
    try:
        return bool(json.loads(summary.read_text(encoding="utf-8"))["generator"] == GENERATOR_NAME)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def begin(out: Path, *folders: str) -> Path:
    """Make an empty folder beside `out`, in place of what a killed run left there."""
    fresh = out.with_name(f".{out.name}.partial")
    shutil.rmtree(fresh, ignore_errors=True)
    for name in folders:
        (fresh / name).mkdir(parents=True)
    return fresh


def put_in_place(fresh: Path, out: Path) -> None:
    """Give a finished folder its name; one of that name goes."""
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    fresh.rename(out)
    shutil.rmtree(old, ignore_errors=True)
