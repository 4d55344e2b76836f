"""Read the ledger and the quarantine."""

from __future__ import annotations

from typing import Any

from psycopg2.extras import RealDictCursor

from ingestion.postgres import connect
from ingestion.settings import Settings


def loads(settings: Settings, limit: int) -> list[dict[str, Any]]:
    """Return the latest loads, one dict each, the latest first."""
    return _rows(
        settings,
        "select load_id, source, read_count as read, loaded_count as loaded, "
        "duplicate_count as duplicate, quarantined_count as quarantined, "
        "replaced_count as replaced, removed_count as removed, lake_version, seconds, "
        "committed_at "
        "from ops.loads order by load_id desc limit %(limit)s",
        {"limit": limit},
    )


def quarantined(
    settings: Settings, load_id: int | None, reason: str | None, limit: int
) -> list[dict[str, Any]]:
    """Return the quarantined rows that wait: their file, row number, reasons and record."""
    return _rows(
        settings,
        "select bad.load_id, files.path as file, bad.source_row as row, "
        "array_to_string(bad.reasons, ', ') as reasons, bad.record "
        "from raw.quarantined_events as bad "
        "left join ops.files using (load_id, file_id) "
        "where bad.replayed_load_id is null "
        "and (%(load_id)s::bigint is null or bad.load_id = %(load_id)s) "
        "and (%(reason)s::text is null or %(reason)s = any(bad.reasons)) "
        "order by bad.load_id desc, files.path, bad.source_row limit %(limit)s",
        {"load_id": load_id, "reason": reason, "limit": limit},
    )


def _rows(settings: Settings, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    with (
        connect(settings) as connection,
        connection.cursor(cursor_factory=RealDictCursor) as cursor,
    ):
        cursor.execute(query, parameters)
        return [dict(row) for row in cursor.fetchall()]
