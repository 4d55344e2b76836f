"""Write a load's duplicates, so that the lake alone tells which deliveries lost."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.lake.tables import SCHEMAS, LakeFile


def write_duplicates(
    lake: str, load_id: int, chunks: Iterable[list[tuple[int, int, str]]]
) -> LakeFile:
    """Write (file_id, source_row, event_id) as one uncommitted file of the load.

    Its name is fixed, so a repeated write replaces what a killed one left.
    """
    schema = SCHEMAS["duplicates"]
    path = f"load_id={load_id}/duplicates.parquet"
    target = Path(lake) / "duplicates" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    row_count = 0
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for rows in chunks:
            columns = zip(*rows, strict=True)
            arrays = [
                pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
            row_count += len(rows)
    return LakeFile("duplicates", path, None, row_count, target.stat().st_size)
