"""The mapping's own page, done as it says; and a mapped source through the whole of a load."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingestion import dry_run, propose
from ingestion.dry_run_page import WIDTH, page
from ingestion.settings import PROJECT_DIR, Settings

Query = Callable[..., list[tuple[Any, ...]]]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SILENT = logging.getLogger(__name__).info


@pytest.fixture
def blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The page's blocks by language, with its file saved in the working folder."""
    monkeypatch.chdir(tmp_path)
    found: dict[str, list[str]] = {}
    for language, text in BLOCK.findall((PROJECT_DIR / "docs" / "mapping.md").read_text()):
        found.setdefault(language, []).append(text)
    Path("shop.jsonl").write_text(found["json"][0])
    Path("decided.yml").write_text(found["yaml"][1])
    return found


def test_the_pages_mapping_is_the_one_proposed(blocks: dict[str, list[str]]) -> None:
    path = propose.write(Path("shop.jsonl"), Path("my-shop.yml"))
    assert path.read_text() == blocks["yaml"][0]


def test_the_pages_dry_run_is_the_one_shown(blocks: dict[str, list[str]], spark: Any) -> None:
    run = dry_run.examine(
        Settings.load(), ["shop.jsonl"], "decided.yml", report=SILENT, spark=spark
    )
    lines = list(page(run))
    assert "\n".join(lines) + "\n" == blocks[""][0]
    assert max(map(len, lines)) <= WIDTH


def test_the_pages_load_is_the_one_shown(
    blocks: dict[str, list[str]], ingest: Any, query: Query
) -> None:
    result = ingest("shop.jsonl", "decided.yml")
    counts = f"{result.loaded} + duplicate {result.duplicate} + quarantined {result.quarantined}"
    assert f"Load 1: read {result.read} = loaded {counts} in" in blocks[""][1]
    assert result.read == result.loaded + result.duplicate + result.quarantined
    assert query("select distinct source from raw.events") == [("my-shop",)]
    assert query(
        "select event_type, order_total::text, currency, user_id, product_id, quantity "
        "from raw.events join raw.event_items using (event_id) where event_id = 'a3'"
    ) == [("purchase", "99.8000", "EUR", "7", "lamp", 2)]
    assert query(
        "select to_char(event_ts at time zone 'UTC', 'HH24:MI') from raw.events "
        "where event_id = 'a1'"
    ) == [("09:00",)]
    assert ingest("shop.jsonl", "decided.yml").skipped_files


def test_with_a_key_no_id_of_a_person_is_stored(
    blocks: dict[str, list[str]], ingest: Any, query: Query, empty: Settings
) -> None:
    text = blocks["json"][0].replace('{"id": 7}', '{"id": "person-7", "club": "gold"}')
    Path("shop.jsonl").write_text(text.replace('"c1"', '"cookie-1"'))
    keyed = replace(empty, id_key=b"0123456789abcdef")
    ingest("shop.jsonl", "decided.yml", settings=keyed)
    ((stored,),) = query(
        "select string_agg(t::text, ' ') from (select e::text from raw.events as e "
        "union all select q::text from raw.quarantined_events as q) as t"
    )
    assert '{"club": "gold"}' in stored.replace('\\"', '"').replace('""', '"')
    assert "person-7" not in stored
    assert "cookie-1" not in stored


@pytest.mark.usefixtures("blocks")
def test_a_dry_run_writes_nothing_and_needs_no_database(spark: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    elsewhere = replace(Settings.load(), home=home, lake=str(home / "lake"), environment={})
    run = dry_run.examine(elsewhere, ["shop.jsonl"], "decided.yml", report=SILENT, spark=spark)
    assert (run.read, run.valid, run.repeated_ids, run.is_exact) == (7, 6, 1, True)
    assert not home.exists()


def test_every_row_of_retailrocket_is_accounted_for(
    ingest: Any, query: Query, tmp_path: Path
) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        "timestamp,visitorid,event,itemid,transactionid\n"
        "1433221332117,11,view,501,\n"
        "1433221400000,11,transaction,501,77\n"
        "1433221400000,11,transaction,502,77\n"
        "1433221400000,11,transaction,502,77\n"
        "soon,12,view,501,\n"
    )
    result = ingest(path, "retailrocket")
    assert (result.read, result.loaded, result.duplicate, result.quarantined) == (5, 3, 1, 1)
    assert query(
        "select product_id from raw.events join raw.event_items using (event_id) "
        "where order_id = '77' order by 1"
    ) == [("501",), ("502",)]
