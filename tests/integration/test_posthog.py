"""PostHog's export through the whole of a load: every row is accounted for, and none twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.settings import Settings

Query = Callable[..., list[tuple[Any, ...]]]


def row(name: str, uuid: str | None, **properties: Any) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "event": name,
        "distinct_id": "user-1",
        "timestamp": "2026-03-01T10:00:00Z",
        "properties": {"$device_id": "visitor-1", "$is_identified": True, **properties},
        "person_properties": {"email": "ann@example.com"},
    }


ORDER = {"order_id": "o-1", "total": 33.5, "products": [{"product_id": "p1", "price": 10}]}
ROWS = [
    row("Order Completed", "e-1", **ORDER),
    row("Order Completed", "e-1", **ORDER),
    row("$pageview", "e-2", **{"$current_url": "/a\x00b"}),
    row("$pageview", None),
]


@pytest.fixture(params=["events.jsonl", "events.parquet"])
def export(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of four rows: an order, the same again, a view of a page, a row without an id."""
    path = tmp_path / request.param
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(one) + "\n" for one in ROWS))
    else:
        texts = [
            {k: json.dumps(v) if isinstance(v, dict) else v for k, v in one.items()} for one in ROWS
        ]
        pq.write_table(pa.Table.from_pylist(texts), path)
    return path


def test_every_row_of_an_export_is_accounted_for(ingest: Any, query: Query, export: Path) -> None:
    result = ingest(export, "posthog", max_quarantined=50)
    assert (result.read, result.loaded, result.duplicate, result.quarantined) == (4, 2, 1, 1)
    assert result.reasons == {"missing_event_id": 1}
    assert query(
        "select event_id, event_type, visitor_id, user_id, order_id, order_total::text, product_id "
        "from raw.events left join raw.event_items using (event_id) order by event_id"
    ) == [
        ("e-1", "purchase", "visitor-1", "user-1", "o-1", "33.5000", "p1"),
        ("e-2", "page_view", "visitor-1", "user-1", None, None, None),
    ]


def test_with_a_key_no_id_of_a_person_is_stored(
    ingest: Any, query: Query, empty: Settings, export: Path
) -> None:
    keyed = replace(empty, id_key=b"0123456789abcdef")
    ingest(export, "posthog", settings=keyed, max_quarantined=50)
    ((stored,),) = query(
        "select string_agg(t::text, ' ') from (select e::text from raw.events as e "
        "union all select q::text from raw.quarantined_events as q "
        "union all select d::text from ops.duplicates as d) as t"
    )
    assert "o-1" in stored
    assert not [id_ for id_ in ("visitor-1", "user-1", "ann@example.com") if id_ in stored]


def test_what_postgres_would_refuse_is_repaired_inside_json_too(
    ingest: Any, query: Query, export: Path
) -> None:
    result = ingest(export, "posthog", max_quarantined=50)
    assert result.repairs == {"nul_removed": 1}
    assert query("select page_url from raw.events where event_id = 'e-2'") == [("/ab",)]
