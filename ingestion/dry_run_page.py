"""A dry run on one page of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

from ingestion.batch import MAX_QUARANTINED_PERCENT
from ingestion.dry_run import BadRows, DryRun

WIDTH = 80
MOST_LINES = 20
"""Of reasons, events and properties; `--json` has all."""


def page(run: DryRun) -> Iterator[str]:
    """Yield the lines to show."""
    for line in _lines(run):
        text = " ".join(line.splitlines())
        yield text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def _lines(run: DryRun) -> Iterator[str]:
    files = f"{run.files:,} file{'s' if run.files != 1 else ''}"
    yield f"Source {run.source}, {files}. Nothing was written."
    yield f"Read {run.read:,} rows = valid {run.valid:,} + quarantined {run.quarantined:,}"
    if run.quarantined * 100 > MAX_QUARANTINED_PERCENT * run.read:
        most = f"{MAX_QUARANTINED_PERCENT:g} %"
        yield f"A load refuses more than {most} (--max-quarantined allows more)"
    if run.repeated_ids:
        about = "" if run.is_exact else "about "
        yield f"Of the valid, {about}{run.repeated_ids:,} repeat an event id: duplicates"
    if run.reasons:
        yield from ("", "Quarantined, with the first row of each reason")
        for bad in run.reasons:
            yield from _bad_rows(bad)
    if run.repairs:
        yield from ("", "Repaired")
        yield from (f"  {count:>11,}  {code}" for code, count in run.repairs.items())
    yield from ("", "Events, and what they become")
    for event in run.events[:MOST_LINES]:
        becomes = f"  ->  {event.event_type}" if event.event_type else ""
        yield f"  {event.count:>11,}  {_cut(event.name or '(no name)', 34):<34}{becomes}"
    yield from _more(len(run.events))
    yield from ("", "Columns that are filled: share of rows, first value")
    for filled in run.filled:
        yield f"  {_share(filled.count, run.read):>7}  {filled.column:<19} {filled.example}"
    if run.properties:
        yield from ("", "Kept in properties: share of rows")
        for name, count in list(run.properties.items())[:MOST_LINES]:
            yield f"  {_share(count, run.read):>7}  {name}"
        yield from _more(len(run.properties))
    if run.not_found:
        yield from ("", "Columns that are in no file")
        for name, likely in run.not_found.items():
            yield f"  {name}" + (f" (is it {likely!r}?)" if likely else "")


def _bad_rows(bad: BadRows) -> Iterator[str]:
    yield f"  {bad.count:>11,}  {bad.reason}: {bad.file} row {bad.row}"
    if bad.record:
        yield f"               {bad.record}"


def _more(count: int) -> Iterator[str]:
    if count > MOST_LINES:
        yield f"               and {count - MOST_LINES:,} more (--json has all)"


def _share(count: int, rows: int) -> str:
    share = 100 * count / rows
    return "< 0.1 %" if share < 0.1 else f"{share:.1f} %"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
