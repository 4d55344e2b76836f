"""One schema, three places: the contract in Python, the DDL, and dbt's sources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from ingestion.aggregates import TABLES, UUID_COLUMNS
from ingestion.contract.events import EVENT_COLUMNS, ITEM_COLUMNS, Column
from ingestion.settings import PROJECT_DIR
from ingestion.stage import ITEM_COUNT

Query = Callable[..., list[tuple[Any, ...]]]
KEYED_ITEMS = (Column("event_id"), *ITEM_COLUMNS, Column("load_id", "bigint"))
WRITTEN_BY_SPARK = {"events": (*EVENT_COLUMNS, ITEM_COUNT), "event_items": KEYED_ITEMS, **TABLES}


def ddl_types(query: Query, schema: str, table: str) -> dict[str, str]:
    rows = query(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute "
        "where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum",
        f"{schema}.{table}",
    )
    return {name: plain(type_) for name, type_ in rows}


def plain(type_: str) -> str:
    return type_.replace("timestamp with time zone", "timestamptz").replace(" ", "")


@pytest.mark.parametrize("table", WRITTEN_BY_SPARK)
def test_the_ddl_has_the_contracts_columns_in_order(query: Query, table: str) -> None:
    expected = {
        column.name: "uuid"
        if table.startswith("agg_") and column.name in UUID_COLUMNS
        else column.postgres_type
        for column in WRITTEN_BY_SPARK[table]
    }
    found = ddl_types(query, "raw", table)
    assert list(found.items()) == list(expected.items())


def test_dbts_sources_have_the_ddls_columns(query: Query) -> None:
    text = (PROJECT_DIR / "warehouse" / "models" / "staging" / "_sources.yml").read_text()
    seen = 0
    for source in yaml.safe_load(text)["sources"]:
        for table in source["tables"]:
            declared = {c["name"]: plain(c["data_type"]) for c in table["columns"]}
            ddl = ddl_types(query, source.get("schema", source["name"]), table["name"])
            assert declared == ddl, table["name"]
            seen += 1
    assert seen >= len(WRITTEN_BY_SPARK)
