"""Compose one batch load: read, adapt, validate, lake, load, aggregate.

The commit of PostgreSQL's transaction is the point at which a load exists. What follows it (the
lake's commit, the pre-aggregates) is repeated by `catch_up` if the process died in between, and
what came before it is cleared away, so that any command may be killed and given again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingestion import aggregates, commits, fill, lake, load, replace, stage
from ingestion.adapters import Adapter, adapter_for
from ingestion.dates import DateRange
from ingestion.errors import InputError
from ingestion.files import InputFile, expand, inspect, rounds
from ingestion.postgres import apply_ddl, connect
from ingestion.readers import read
from ingestion.readers.hashing import Hashing, fingerprint
from ingestion.settings import PROJECT_DIR, Settings
from ingestion.spark import faults_in_one_line, parallelism, session
from ingestion.validate import validate

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Report = Callable[[str], None]
MAX_QUARANTINED_PERCENT = 20.0
SHOWN_REASONS = 3
LONGEST_EXAMPLE = 200
BOT_AGENTS = "seeds/bot_user_agents.csv"


@dataclass(frozen=True)
class LoadResult:
    """What became of the rows of one `ingest`. `load_id` is None when there was nothing to load."""

    load_id: int | None
    read: int = 0
    loaded: int = 0
    duplicate: int = 0
    quarantined: int = 0
    replaced: int = 0
    """Events of earlier loads that this one took out."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Quarantined rows by reason; a row may have several."""
    repairs: dict[str, int] = field(default_factory=dict)
    """Rows that were mended, by what was mended."""
    skipped_files: dict[str, int] = field(default_factory=dict)
    """Files whose content an earlier load has taken, with that load's number."""
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class Job:
    """One load to be done: whose rows they are, and by which rules they are taken."""

    source: str
    files: list[InputFile]
    began: float
    max_quarantined: float = MAX_QUARANTINED_PERCENT
    dates: DateRange | None = None
    is_replay: bool = False


def ingest(
    settings: Settings,
    paths: Sequence[str],
    source: str,
    *,
    force: bool = False,
    dates: DateRange | None = None,
    max_quarantined: float = MAX_QUARANTINED_PERCENT,
    report: Report,
    spark: SparkSession | None = None,
) -> LoadResult:
    """Load files, folders or globs of one source, as one load: all of it or nothing.

    Files that an earlier load has taken are skipped; with `force` they are read again and each of
    their rows is a duplicate. With `dates` the source's earlier events of these dates are taken
    out in the same transaction, and no file is skipped. Where more than `max_quarantined` percent
    of the rows would be quarantined, nothing is loaded. Raises ClickmartError for what the user
    can mend.
    """
    began = time.monotonic()
    adapter = adapter_for(source)
    found = expand(paths, adapter.format)
    apply_ddl(settings)
    report(f"Reading {len(found):,} file{'s' if len(found) != 1 else ''}")
    files = inspected(found, adapter)
    with load.exclusive(settings, lambda: report("Another load is running: waiting for it")):
        with connect(settings) as connection, connection.cursor() as cursor:
            load.check_id_key(cursor, fingerprint(settings.id_key))
            known = {} if force or dates else load.loaded_files(cursor, adapter.name, files)
        fresh = [file for file in files if file.sha256 not in known]
        skipped = {str(file.path): known[file.sha256] for file in files if file.sha256 in known}
        if not fresh and not aggregates.is_behind(settings):
            return LoadResult(None, skipped_files=skipped, seconds=_since(began))
        with opened(settings, spark) as engine, faults_in_one_line():
            catch_up(engine, settings, report)
            if not fresh:
                return LoadResult(None, skipped_files=skipped, seconds=_since(began))
            rows = (validated(engine, settings, part, adapter) for part in rounds(fresh))
            job = Job(adapter.name, fresh, began, max_quarantined, dates)
            result = load_rows(engine, settings, rows, job, report)
    return LoadResult(**{**result.as_dict(), "skipped_files": skipped, "seconds": _since(began)})


def inspected(paths: list[Path], adapter: Adapter) -> list[InputFile]:
    """Inspect an adapter's files. Raises InputError where one lacks a required column."""
    files = inspect(paths, adapter.format)
    for file in files:
        if file.columns:
            adapter.check_columns(str(file.path), file.columns)
    return files


def bring_up_to_date(settings: Settings, report: Report) -> None:
    """Do what a killed load or a changed definition has left to do, if anything."""
    apply_ddl(settings)
    with load.exclusive(settings, lambda: report("A load is running: waiting for it")):
        if aggregates.is_behind(settings):
            with session(settings) as spark:
                catch_up(spark, settings, report)


def catch_up(spark: SparkSession, settings: Settings, report: Report) -> None:
    """Finish what a killed load had left to do, and clear away what it left behind.

    Call it only while holding the loaders' lock.
    """
    commits.check_lake_is_not_ahead(settings)
    with connect(settings) as connection, connection.cursor() as cursor:
        stage.drop_all(cursor)
        last = load.last_load_id(cursor)
    commits.commit_pending(settings)
    lake.remove_uncommitted(settings.lake, last)
    if aggregates.is_behind(settings):
        report("Bringing the pre-aggregates up to date")
        aggregates.refresh(spark, settings)


def load_rows(
    spark: SparkSession,
    settings: Settings,
    rows: Iterable[DataFrame],
    job: Job,
    report: Report,
) -> LoadResult:
    """Load judged rows: the lake's files, the stages, the one transaction, and what follows it.

    Call it only while holding the loaders' lock, after `catch_up`.
    """
    started_at = datetime.now(timezone.utc)
    with connect(settings) as connection, connection.cursor() as cursor:
        load_id = load.last_load_id(cursor) + 1
        is_first = fill.is_empty(cursor)
    report("Validating, and writing the lake")
    written = lake.write(rows, settings.lake, load_id, hash_ids=is_first)
    try:
        _check_written(settings, written, job.files, job.max_quarantined)
    except InputError:
        lake.remove_uncommitted(settings.lake, load_id - 1)
        raise
    report(f"Loading {written.event_count:,} events into PostgreSQL")
    keys = stage.copy_keys(spark, settings, written, only_repeated=is_first)
    with _Aggregating(spark, settings, load_id, written) as aggregating:
        with connect(settings) as connection, connection.cursor() as cursor:
            replaced = replace.take_out(cursor, load_id, job.source, job.dates) if job.dates else 0
            counts = load.move(
                cursor,
                load_id=load_id,
                source=job.source,
                started_at=started_at,
                seconds=lambda: _since(job.began),
                files=job.files,
                lake_root=settings.lake,
                written=written,
                keys=keys,
                is_replay=job.is_replay,
                on_duplicates=aggregating.begin if is_first and not job.dates else None,
            )
            cursor.execute(
                "update ops.loads set id_key = %s, is_replay = %s where load_id = %s",
                (fingerprint(settings.id_key), job.is_replay, load_id),
            )
            load.settle_quarantine(cursor, load_id)
            if job.dates:
                replace.record(cursor, settings, load_id, replaced)
            commits.list_duplicates(cursor, settings, load_id)
        commits.commit_load(settings, load_id)
        aggregating.may_end()
        with connect(settings, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("analyze raw.events, raw.event_items")
        report("Aggregating")
        aggregating.finish()
    return LoadResult(
        load_id,
        **asdict(counts),
        replaced=replaced,
        repairs=written.repairs,
    )


class _Aggregating:
    """The pre-aggregates of a load: from `begin` on beside it, in a thread; else after it.

    At the end of the block they are rolled back unless the load was committed, and the thread ends.
    """

    def __init__(
        self, spark: SparkSession, settings: Settings, load_id: int, written: lake.Written
    ) -> None:
        self._load = (spark, settings, load_id, written)
        self._thread = ThreadPoolExecutor(1)
        self._done: Future[None] | None = None
        self._is_committed = Future[bool]()

    def begin(self, duplicates: load.Places) -> None:
        """Compute them now; nobody sees them before `may_end`."""
        may_end = self._is_committed.result
        refresh = aggregates.refresh_beside
        self._done = self._thread.submit(refresh, *self._load, duplicates, may_end)

    def may_end(self) -> None:
        """Say that the load is committed, in PostgreSQL and in the lake."""
        self._is_committed.set_result(True)

    def finish(self) -> None:
        """Wait for what has begun, or do all of it."""
        if self._done:
            self._done.result()
        else:
            aggregates.refresh(*self._load[:2])

    def __enter__(self) -> _Aggregating:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_committed.done():
            self._is_committed.set_result(False)
        self._thread.shutdown()


def judged(adapter: Adapter, rows: DataFrame) -> DataFrame:
    """Return a reader's rows as candidates, each with the reasons against it."""
    return validate(adapter.candidates(rows), adapter.name, bot_agents=bot_agents())


def validated(
    spark: SparkSession, settings: Settings, files: list[InputFile], adapter: Adapter
) -> DataFrame:
    """Return the rows of the files as candidates that are judged, people's ids hashed if asked."""
    hashing = Hashing(settings.id_key, adapter.person_columns) if settings.id_key else None
    partitions = parallelism(spark, settings)
    frames = read(spark, files, adapter.columns, partitions=partitions, hashing=hashing)
    return reduce(
        lambda one, other: one.unionByName(other), [judged(adapter, rows) for rows in frames]
    )


def _check_written(
    settings: Settings, written: lake.Written, files: list[InputFile], most_percent: float
) -> None:
    """Raise InputError for files without rows, and for too many bad rows, with their reasons."""
    read, bad = written.event_count + written.quarantined_count, written.quarantined_count
    if read == 0:
        raise InputError(f"No rows in {', '.join(str(file.path) for file in files[:3])}.")
    if bad * 100 <= most_percent * read:
        return
    paths = {file.file_id: file.path.name for file in files}
    examples = lake.quarantined_examples(settings.lake, written.files)
    shown = []
    for reason, count in list(written.reasons.items())[:SHOWN_REASONS]:
        row = examples[reason]
        place = f"{paths[row['file_id']]} row {row['source_row']}"
        record = (row["record"] or "")[:LONGEST_EXAMPLE]
        shown.append(
            f"\n  {reason}: {count:,} row{'s' if count != 1 else ''}, such as {place}: {record}"
        )
    raise InputError(
        f"{bad:,} of {read:,} rows are bad, more than {most_percent:g} %; nothing is loaded. Mend "
        f"the files or the --source, or allow more with --max-quarantined.{''.join(shown)}"
    )


def bot_agents() -> str:
    """Return the regular expression, of lower-case text, that knows bots by their user agent."""
    import csv

    with (PROJECT_DIR / BOT_AGENTS).open() as stream:
        return "|".join(row["pattern"] for row in csv.DictReader(stream))


def opened(settings: Settings, spark: SparkSession | None) -> AbstractContextManager[SparkSession]:
    """Return the session given, or one of its own for the block."""
    return nullcontext(spark) if spark is not None else session(settings)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
