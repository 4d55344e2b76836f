"""Run the generator on an engine: one task per share of the blocks, one file per block.

A task simulates a block and writes its file itself, so the bytes depend on the options alone. All
is written beside the final folder, which is put in place at the end: a kill leaves nothing half
done under the final name.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.errors import EngineError
from ingestion.generate.catalog import catalog
from ingestion.generate.defects import deliver
from ingestion.generate.folder import GENERATOR_NAME, begin, check_replaceable, put_in_place
from ingestion.generate.journeys import EXPERIMENT_LIFT
from ingestion.generate.options import Block, GenerateOptions
from ingestion.generate.people import write_people
from ingestion.generate.rows import EXPERIMENT_ID, build_rows
from ingestion.generate.simulate import simulate
from ingestion.generate.timeline import SPIKE_FACTOR, timeline
from ingestion.generate.truth import TABLES, Counts, block_counts, truth_tables
from ingestion.generate.write import write_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

REPORT_SCHEMA = "block bigint, counts string"
PARTS = "parts"
BLOCKS_A_ROW_GROUP = 32  # of a truth file
PROGRESS_SECONDS = 0.2

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class GenerateSummary:
    """What was written. `events` are distinct good ones, `rows` all rows of the files."""

    out_dir: Path
    seconds: float
    files: int
    bytes: int
    rows: int
    events: int
    people: int
    visitors: int
    sessions: int
    human_sessions: int
    orders: int
    duplicates: int
    malformed: int
    late: int


def generate(
    spark: SparkSession,
    options: GenerateOptions,
    out_dir: Path | str,
    on_progress: Progress | None = None,
) -> GenerateSummary:
    """Write events, catalogue, people and truth into `out_dir`.

    A folder the generator wrote before is replaced; any other that is not empty is refused with a
    UsageError. `on_progress` is called with the blocks done and the blocks in all.
    """
    began = time.monotonic()
    out = Path(out_dir).absolute()
    check_replaceable(out)
    fresh = begin(out, "events", "truth", PARTS)
    catalog(options).write(fresh / "catalog.csv")
    with ThreadPoolExecutor(1) as pool:  # the people's names take as long as some blocks
        names = pool.submit(write_people, options, fresh / "people.csv")
        counts = _run_blocks(spark, options, fresh, on_progress)
        names.result()
    _join_truth(fresh, options.block_count)
    summary = _summary(options, counts)
    text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    (fresh / "truth" / "summary.json").write_text(text, encoding="utf-8")
    shutil.rmtree(fresh / PARTS)
    put_in_place(fresh, out)
    files = list((out / "events").iterdir())
    return GenerateSummary(
        out_dir=out,
        seconds=time.monotonic() - began,
        files=len(files),
        bytes=sum(file.stat().st_size for file in files),
        people=options.people,
        **{name: counts[name] for name in _COUNTED},
    )


_COUNTED = (
    *("rows", "events", "visitors", "sessions", "human_sessions", "orders"),
    *("duplicates", "malformed", "late"),
)


# -- the blocks -----------------------------------------------------------------------------------


def _run_blocks(
    spark: SparkSession, options: GenerateOptions, fresh: Path, on_progress: Progress | None
) -> Counter[str]:
    total = options.block_count
    tasks = min(options.partitions or os.cpu_count() or 1, total)
    blocks = spark.range(total).repartition(tasks)
    reports = blocks.mapInArrow(_block_writer(options, fresh), REPORT_SCHEMA)
    pool = ThreadPoolExecutor(1)
    job = pool.submit(reports.collect)
    try:
        _watch(job, fresh / "events", total, on_progress)
        rows = job.result()
    except Exception as error:
        line = next((text for text in str(error).splitlines() if text.strip()), repr(error))
        raise EngineError(f"Generating into {fresh} failed: {line}") from error
    finally:
        pool.shutdown(wait=False)  # after an interrupt, stopping the engine ends the job
    counts: Counter[str] = Counter()
    for row in sorted(rows, key=lambda row: int(row["block"])):
        counts.update(json.loads(row["counts"]))
    return counts


def _watch(job: Any, events: Path, total: int, on_progress: Progress | None) -> None:
    """Report the finished files until the job is done: that works alike on every engine."""
    while on_progress is not None:
        try:
            job.result(timeout=PROGRESS_SECONDS)
        except FutureTimeout:
            if not job.done():
                on_progress(sum(1 for _ in events.glob("events-*")), total)
                continue
        on_progress(total, total)
        return


def _block_writer(
    options: GenerateOptions, fresh: Path
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    def write_blocks(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                counts = write_block(Block(options, number), fresh)
                yield pa.record_batch({"block": [number], "counts": [json.dumps(counts)]})

    return write_blocks


def write_block(block: Block, fresh: Path) -> Counts:
    """Simulate a block, write its events and its parts of the truth, return its counts."""
    options = block.options
    sim = simulate(block, catalog(options))
    delivery = deliver(sim)
    name = f"events-{block.number:05d}.{options.format}"
    unfinished = fresh / PARTS / name
    write_rows(build_rows(sim, delivery), unfinished, options.format)
    for kind, table in truth_tables(sim, delivery, name).items():
        path = fresh / PARTS / f"{kind}-{block.number:05d}.arrow"
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    unfinished.replace(fresh / "events" / name)
    return block_counts(sim, delivery)


# -- the truth ------------------------------------------------------------------------------------


def _join_truth(fresh: Path, block_count: int) -> None:
    """Join the blocks' parts, in their order, to one Parquet file per kind."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda kind: _join_kind(fresh, kind, block_count), TABLES))


def _join_kind(fresh: Path, kind: str, block_count: int) -> None:
    writer = None
    for first in range(0, block_count, BLOCKS_A_ROW_GROUP):
        numbers = range(first, min(first + BLOCKS_A_ROW_GROUP, block_count))
        table = pa.concat_tables([_part(fresh, kind, number) for number in numbers])
        path = fresh / "truth" / f"{kind}.parquet"
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer:
        writer.close()


def _part(fresh: Path, kind: str, number: int) -> pa.Table:
    path = fresh / PARTS / f"{kind}-{number:05d}.arrow"
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def _summary(options: GenerateOptions, counts: Counter[str]) -> dict[str, Any]:
    """Nest the dotted names, turn cents into amounts, and add what was planted once for all."""
    line = timeline(options)
    asked = asdict(options)
    del asked["partitions"]  # they change nothing, so they must not change the truth's bytes
    summary: dict[str, Any] = {"generator": GENERATOR_NAME, "options": asked}
    asked["start_date"] = options.start_date.isoformat()
    for name, count in counts.items():
        target, *inner = summary, *name.split(".")
        for key in inner[:-1]:
            target = target.setdefault(key, {})
        if name.endswith("_cents"):
            target[inner[-1].replace("_cents", "_amount")] = f"{count // 100}.{count % 100:02d}"
        else:
            target[inner[-1]] = count
    if options.experiment:
        summary["experiment"].update(experiment_id=EXPERIMENT_ID, payment_lift=EXPERIMENT_LIFT)
    summary["outage"] = line.outage and [_iso(moment) for moment in line.outage]
    summary["spike"] = line.spike_day and {
        "date": line.spike_day.isoformat(),
        "factor": SPIKE_FACTOR,
    }
    return summary


def _iso(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    return moment.isoformat().replace("+00:00", "Z")
