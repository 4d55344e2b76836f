"""Replays: quarantined rows get a second chance, and the ledger says what became of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from ingestion import rebuild, replay
from ingestion.contract import rules
from ingestion.settings import Settings

Query = Callable[..., list[tuple[Any, ...]]]
Report = logging.getLogger(__name__).info

LEDGER = (
    "select load_id, read_count, loaded_count, duplicate_count, quarantined_count, is_replay "
    "from ops.loads order by load_id"
)
QUARANTINE = (
    "select load_id, source_row, reasons, replayed_load_id from raw.quarantined_events "
    "order by load_id, source_row"
)


@pytest.fixture
def bad(event: Any) -> list[dict[str, Any]]:
    """Rows of which one is good, two have a quantity of 0 and one has no readable time."""
    none = [{"product_id": "p1", "quantity": 0}]
    return [
        event(event_id="e1"),
        event(event_id="e2", items=none, colour="red"),
        event(event_id="e3", event_ts="soon"),
        event(event_id="e1", items=none),
    ]


@pytest.fixture
def mend(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function that mends the rule about quantities: 0 is one now."""
    changed = tuple(
        rules.Rule(r.code, r.text, "false") if r.code == "quantity_out_of_range" else r
        for r in rules.RULES
    )
    return lambda: monkeypatch.setattr(rules, "RULES", changed)


def test_what_a_mended_rule_lets_through_is_loaded(
    ingest: Any, query: Query, empty: Settings, spark: Any, bad: Any, mend: Any
) -> None:
    ingest(bad, max_quarantined=100)
    mend()
    results = replay.replay(empty, report=Report, spark=spark)
    assert [(r.read, r.loaded, r.duplicate, r.quarantined) for r in results] == [(3, 1, 1, 1)]
    assert query(LEDGER) == [(1, 4, 1, 0, 3, False), (2, 3, 1, 1, 1, True)]
    assert query(QUARANTINE) == [
        (1, 2, ["quantity_out_of_range"], 2),
        (1, 3, ["invalid_event_ts"], 2),
        (1, 4, ["quantity_out_of_range"], 2),
        (2, 3, ["invalid_event_ts"], None),
    ]
    assert query(
        "select source_row, load_id, properties from raw.events where event_id = 'e2'"
    ) == [(2, 2, {"colour": "red"})]
    assert query("select quantity from raw.event_items") == [(0,)]
    assert query("select distinct path from ops.files where load_id = 2") == query(
        "select distinct path from ops.files where load_id = 1"
    )


def test_a_replay_that_mends_nothing_moves_the_rows_to_its_own_load(
    ingest: Any, query: Query, empty: Settings, spark: Any, bad: Any
) -> None:
    ingest(bad, max_quarantined=100)
    for number in (2, 3):
        (result,) = replay.replay(empty, report=Report, spark=spark)
        assert (result.load_id, result.read, result.quarantined) == (number, 3, 3)
    assert query(
        "select load_id, count(*) from raw.quarantined_events "
        "where replayed_load_id is null group by load_id"
    ) == [(3, 3)]
    reasons = "select source_row, reasons, record from raw.quarantined_events where load_id = %s"
    assert query(f"{reasons} order by 1", 3) == query(f"{reasons} order by 1", 1)


def test_a_replay_may_be_of_one_reason_or_load(
    ingest: Any, empty: Settings, spark: Any, bad: Any
) -> None:
    ingest(bad, max_quarantined=100)
    assert replay.replay(empty, load_id=7, report=Report, spark=spark) == []
    assert replay.replay(empty, reason="oversize_row", report=Report, spark=spark) == []
    (result,) = replay.replay(empty, reason="invalid_event_ts", report=Report, spark=spark)
    assert result.read == 1


def test_forced_again_bad_rows_too_are_duplicates(
    ingest: Any, query: Query, bad: Any, tmp_path: Any
) -> None:
    ingest(bad, max_quarantined=100)
    (path,) = tmp_path.glob("*.jsonl")
    forced = ingest(path, force=True, max_quarantined=100)
    assert (forced.read, forced.loaded, forced.duplicate, forced.quarantined) == (4, 0, 4, 0)
    assert query(QUARANTINE) == [
        (1, 2, ["quantity_out_of_range"], None),
        (1, 3, ["invalid_event_ts"], None),
        (1, 4, ["quantity_out_of_range"], None),
    ]


def test_a_rebuild_from_the_lake_knows_of_replays_and_forced_loads(
    ingest: Any, query: Query, empty: Settings, spark: Any, bad: Any, tmp_path: Any, mend: Any
) -> None:
    ingest(bad, max_quarantined=100)
    (path,) = tmp_path.glob("*.jsonl")
    ingest(path, force=True, max_quarantined=100)
    mend()
    replay.replay(empty, report=Report, spark=spark)
    tables = (
        "select to_jsonb(t) from raw.events as t order by event_id",
        "select to_jsonb(t) from raw.event_items as t order by event_id",
        QUARANTINE,
        "select to_jsonb(t) from ops.duplicates as t order by load_id, source_row",
        LEDGER,
    )
    before = [query(text) for text in tables]
    rebuild.rebuild(empty, report=Report, spark=spark)
    assert [query(text) for text in tables] == before
