"""Three real days of GA4's export through the whole of a load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

Query = Callable[..., list[tuple[Any, ...]]]

LOADED = {
    "custom": 61046,
    "page_view": 34421,
    "product_view": 11548,
    "checkout_step": 800,
    "search": 767,
    "checkout_start": 493,
    "purchase": 115,
    "product_list_view": 9,
}


def test_every_event_of_the_public_sample_is_loaded(
    ingest: Any, query: Query, ga4_folder: Path
) -> None:
    result = ingest(ga4_folder / "*.parquet", "ga4")
    assert (result.read, result.duplicate) == (109202, 0)
    assert result.reasons == {"missing_product_id": 3}
    assert dict(query("select event_type, count(*) from raw.events group by 1")) == LOADED
    rows = [row for path in ga4_folder.glob("*.parquet") for row in rows_of(path)]
    rows = [row for row in rows if all(map(names_product, row["items"]))]
    assert result.loaded == len(rows) == sum(LOADED.values())
    ((sessions, visitors, items, order_total),) = query(
        "select count(distinct (visitor_id, source_session_id)), count(distinct visitor_id), "
        "(select count(*) from raw.event_items), "
        "sum(order_total) filter (where event_type = 'purchase') from raw.events"
    )
    assert sessions == len({(row["user_pseudo_id"], session_of(row)) for row in rows})
    assert visitors == len({row["user_pseudo_id"] for row in rows})
    assert items == sum(len(row["items"]) for row in rows)
    assert order_total == sum(row["ecommerce"]["purchase_revenue"] or 0 for row in rows)
    assert Counter(
        dict(query("select event_name, count(*) from raw.events group by 1"))
    ) == Counter(row["event_name"] for row in rows)


def rows_of(path: Path) -> list[dict[str, Any]]:
    columns = ["user_pseudo_id", "event_name", "event_params", "items", "ecommerce"]
    return list(pq.read_table(path, columns=columns).to_pylist())


def session_of(row: dict[str, Any]) -> int:
    (found,) = (p["value"]["int_value"] for p in row["event_params"] if p["key"] == "ga_session_id")
    return int(found)


def names_product(item: dict[str, Any]) -> bool:
    return not {item["item_id"], item["item_name"]} <= {None, "", "(not set)"}
