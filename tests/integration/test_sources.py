"""Each source's files through the whole of a load: every row is accounted for, and none twice."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ingestion.adapters.snowplow_columns import COLUMN_NAMES
from ingestion.settings import Settings

Query = Callable[..., list[tuple[Any, ...]]]
EVERYTHING = (
    "select string_agg(t::text, ' ') from "
    "(select e::text from raw.events as e union all select q::text from raw.quarantined_events as q"
    " union all select d::text from ops.duplicates as d) as t"
)


@dataclass(frozen=True)
class Source:
    """A file of four rows (a purchase, the same again, a view of a page, a bad row)."""

    name: str
    file: str
    content: str
    reason: str
    person_ids: tuple[str, ...]

    def written(self, folder: Path) -> Path:
        path = folder / self.file
        content = self.content.encode()
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
        return path


def segment() -> Source:
    def call(**changes: Any) -> str:
        row = {"type": "track", "anonymousId": "visitor-1", "timestamp": "2026-03-01T10:00:00Z"}
        return json.dumps({**row, **changes}) + "\n"

    product = {"product_id": "p1", "price": 10, "quantity": 3}
    order = {"order_id": "o-1", "total": 33.5, "currency": "USD", "products": [product]}
    bought = call(event="Order Completed", messageId="e-1", userId="user-1", properties=order)
    viewed = call(type="page", messageId="e-2", traits={"email": "ann@example.com"})
    content = bought + bought + viewed + call(type="page")
    ids = ("visitor-1", "user-1", "ann@example.com")
    return Source("segment", "1772359200.0a1b.gz", content, "missing_event_id", ids)


def snowplow() -> Source:
    def line(**values: str) -> str:
        time = {"collector_tstamp": "2026-03-01 10:00:01", "derived_tstamp": "2026-03-01 10:00:00"}
        row = dict.fromkeys(COLUMN_NAMES, "") | time | {"domain_userid": "visitor-1"} | values
        return "\t".join(row.values()) + "\n"

    schemas = "iglu:com.snowplowanalytics.snowplow"
    entities = [
        ("transaction", {"transaction_id": "o-1", "revenue": 33.5, "currency": "USD"}),
        ("product", {"id": "p1", "category": "c", "price": 10, "quantity": 3, "currency": "USD"}),
        ("user", {"id": "user-1", "email": "ann@example.com"}),
    ]
    contexts = [
        {"schema": f"{schemas}.ecommerce/{n}/jsonschema/1-0-0", "data": d} for n, d in entities
    ]
    action = f"{schemas}.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2"
    bought = line(
        event="unstruct",
        event_id="e-1",
        user_id="user-1",
        contexts=json.dumps({"schema": schemas, "data": contexts}),
        unstruct_event=json.dumps(
            {"schema": schemas, "data": {"schema": action, "data": {"type": "transaction"}}}
        ),
    )
    viewed = line(event="page_view", event_id="e-2", user_ipaddress="203.0.113.7")
    content = bought + bought + viewed + line(event="page_view")
    ids = ("visitor-1", "user-1", "ann@example.com", "203.0.113.7")
    return Source("snowplow", "part-00000", content, "missing_event_id", ids)


SOURCES = {source.name: source for source in (segment(), snowplow())}
by_source = pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)


@by_source
def test_every_row_of_a_source_is_accounted_for(
    ingest: Any, query: Query, tmp_path: Path, source: Source
) -> None:
    path = source.written(tmp_path)
    result = ingest(path, source.name, max_quarantined=50)
    assert (result.read, result.loaded, result.duplicate, result.quarantined) == (4, 2, 1, 1)
    assert result.reasons == {source.reason: 1}
    assert query(
        "select event_id, event_type, visitor_id, order_id, order_total::text, currency, "
        "product_id, quantity, unit_price::text "
        "from raw.events left join raw.event_items using (event_id) order by event_id"
    ) == [
        ("e-1", "purchase", "visitor-1", "o-1", "33.5000", "USD", "p1", 3, "10.0000"),
        ("e-2", "page_view", "visitor-1", None, None, None, None, None, None),
    ]
    again = ingest(path, source.name, max_quarantined=50, force=True)
    assert (again.read, again.loaded, again.duplicate, again.quarantined) == (4, 0, 4, 0)


@by_source
def test_with_a_key_no_id_of_a_person_is_stored(
    ingest: Any, query: Query, empty: Settings, tmp_path: Path, source: Source
) -> None:
    keyed = replace(empty, id_key=b"0123456789abcdef")
    path = source.written(tmp_path)
    ingest(path, source.name, settings=keyed, max_quarantined=50)
    ((stored,),) = query(EVERYTHING)
    assert "o-1" in stored
    assert [id_ for id_ in source.person_ids if id_ in stored] == []
