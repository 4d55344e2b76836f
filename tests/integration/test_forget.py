"""Erasing a person: nothing of it is left, nothing of others goes, and a kill is made good."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ingestion import aggregates, commits, forget, lake, rebuild, warehouse
from ingestion.dates import DateRange
from ingestion.errors import UsageError
from ingestion.forget import Erased, Person
from ingestion.settings import Settings
from tests.conftest import Killed, killed_in

Query = Callable[..., list[tuple[Any, ...]]]
State = Callable[[], dict[str, Any]]
Forget = Callable[..., Erased]


def at(event: Any, minute: int, **changes: Any) -> dict[str, Any]:
    """An event of that minute; its items and properties name nobody."""
    return dict(event(event_ts=f"2026-03-01T10:{minute:02}:00Z", **changes))


@pytest.fixture
def erase(empty: Settings, spark: Any) -> Forget:
    """A function that erases a person."""

    def run(kind: Any, id_: str, settings: Settings = empty) -> Erased:
        report = logging.getLogger(__name__).info
        return forget.forget(settings, Person(kind, id_), report=report, spark=spark)

    return run


@pytest.fixture
def shop(ingest: Any, event: Any) -> None:
    """Ann, who shares a phone with Bob, Bob's own laptop, and a stranger; two loads."""
    line = [{"product_id": "p", "unit_price": "5"}]
    ingest(
        [
            at(event, 0, event_id="phone-anonymous", visitor_id="phone", items=line),
            at(event, 1, event_id="phone-bob", visitor_id="phone", user_id="bob"),
            at(event, 2, event_id="phone-ann", visitor_id="phone", user_id="ann", items=line),
            at(event, 3, event_id="laptop-bob", visitor_id="laptop", user_id="bob"),
            at(event, 4, event_id="laptop-anonymous", visitor_id="laptop"),
            at(event, 5, event_id="tablet-ann", visitor_id="tablet", user_id="ann"),
            at(event, 6, event_id="stranger", visitor_id="stranger"),
            at(event, 7, event_id="stranger", visitor_id="stranger"),
            at(event, 8, event_id="phone-ann", visitor_id="phone", user_id="ann"),
            {"event_type": "purchase", "visitor_id": "other", "user_id": "ann"},
            {"event_type": "purchase", "visitor_id": "phone"},
            {"event_type": "purchase", "user_id": "joanne"},
        ],
        max_quarantined=100,
    )
    ingest(
        [
            at(event, 9, event_id="laptop-bob", visitor_id="laptop", user_id="bob"),
            # Ann's event came first; this delivery names another.
            at(event, 10, event_id="tablet-ann", visitor_id="laptop", user_id="bob"),
            # Bob's came first; this delivery names Ann.
            at(event, 11, event_id="laptop-anonymous", visitor_id="laptop", user_id="ann"),
            at(event, 12, event_id="late", visitor_id="stranger"),
        ]
    )


OF_ANN = {"phone-anonymous", "phone-ann", "tablet-ann"}
OF_OTHERS = {"phone-bob", "laptop-bob", "laptop-anonymous", "stranger", "late"}


def rows_on_disk(settings: Settings) -> list[dict[str, Any]]:
    """Every row of every Parquet file under the lake, named by a log or not."""
    return [
        row
        for path in Path(settings.lake).rglob("*.parquet")
        if "_delta_log" not in path.parts
        for row in pq.read_table(path, partitioning=None).to_pylist()
    ]


def assert_ann_is_gone(settings: Settings, query: Query) -> None:
    left = {event_id for (event_id,) in query("select event_id from raw.events")}
    assert left == OF_OTHERS
    assert query("select count(*) from raw.event_items") == [(0,)]
    records = [record for (record,) in query("select record from raw.quarantined_events")]
    assert len(records) == 1
    assert "joanne" in records[0]
    assert query("select event_id from ops.duplicates order by load_id, event_id") == [
        ("stranger",),
        ("laptop-bob",),
    ]
    assert query("select count(*) from raw.agg_sessions where visitor_id = 'tablet'") == [(0,)]
    assert query("select sum(event_count)::int from raw.agg_daily_metrics") == [(5,)]
    on_disk = rows_on_disk(settings)
    assert {row["event_id"] for row in on_disk if "event_id" in row} == OF_OTHERS
    assert "ann" not in {row.get("user_id") for row in on_disk}
    assert len(on_disk) == 10  # 5 events, their 2 repeats twice over (row and note), 1 bad row
    assert query("select count(*) from pg_tables where schemaname = 'stage'") == [(0,)]


@pytest.mark.usefixtures("shop")
def test_a_user_goes_with_the_anonymous_events_stitched_to_it(
    erase: Forget, empty: Settings, query: Query
) -> None:
    erased = erase("user", "ann")
    assert erased == Erased(events=3, items=2, quarantined=2, duplicates=3, lake_rows=11)
    assert_ann_is_gone(empty, query)
    assert query("select load_id, loaded_count, removed_count from ops.loads order by 1") == [
        (1, 7, 3),
        (2, 1, 0),
    ]


@pytest.mark.usefixtures("shop")
def test_a_visitor_goes_with_all_that_was_seen_on_it(erase: Forget, query: Query) -> None:
    assert erase("visitor", "phone").events == 3
    left = {event_id for (event_id,) in query("select event_id from raw.events")}
    assert left == (OF_ANN | OF_OTHERS) - {"phone-anonymous", "phone-ann", "phone-bob"}


@pytest.mark.usefixtures("shop")
def test_the_erasure_is_on_record_without_the_id(erase: Forget, query: Query) -> None:
    erase("user", "ann")
    ((kind, salt, id_hash, row),) = query(
        "select kind, salt, id_hash, to_jsonb(erasures)::text from ops.erasures"
    )
    digest = hashlib.pbkdf2_hmac("sha256", b"ann", salt.encode(), forget.HASH_ROUNDS)
    assert (kind, id_hash) == ("user", digest.hex())
    assert '"ann"' not in row


@pytest.mark.usefixtures("shop")
def test_nobody_found_is_no_error_and_leaves_no_record(
    erase: Forget, query: Query, whole_state: State
) -> None:
    before = whole_state()
    for kind, id_ in (("user", "an"), ("visitor", "ann"), ("user", "%"), ("user", "ann'")):
        erased = erase(kind, id_)
        assert erased.events == erased.items == erased.duplicates == 0
    # "ann" as a visitor's id stands in one bad row: erring on the side of erasing.
    assert query("select kind, quarantined_count from ops.erasures") == [("visitor", 1)]
    assert whole_state()["raw.events"] == before["raw.events"]


@pytest.mark.usefixtures("shop")
def test_a_rebuild_does_not_bring_an_erased_person_back(
    erase: Forget,
    empty: Settings,
    query: Query,
    spark: Any,
    whole_state: State,
    lose_database: Callable[[], None],
) -> None:
    erase("user", "ann")
    before = whole_state()
    lose_database()
    rebuild.rebuild(empty, report=logging.getLogger(__name__).info, spark=spark)
    assert whole_state() == before
    assert_ann_is_gone(empty, query)


def test_rows_that_only_an_older_version_of_the_lake_has_go_too(
    ingest: Any, event: Any, erase: Forget, empty: Settings, query: Query
) -> None:
    ingest([at(event, 0, event_id="a", user_id="ann"), at(event, 1, event_id="b")])
    march = DateRange.parse("2026-03-01:2026-03-01")
    ingest([at(event, 1, event_id="c")], dates=march)
    assert len(rows_on_disk(empty)) == 3
    assert erase("user", "ann") == Erased(lake_rows=1)
    assert [row["event_id"] for row in rows_on_disk(empty)] == ["c"]
    assert query("select event_id from raw.events") == [("c",)]


def test_the_last_person_can_go(ingest: Any, event: Any, erase: Forget, query: Query) -> None:
    ingest([at(event, 0, event_id="a", user_id="ann"), at(event, 1, event_id="b")])
    assert erase("user", "ann").events == 2
    assert query("select count(*) from raw.agg_sessions") == [(0,)]
    assert ingest([at(event, 2, event_id="c")]).loaded == 1


def test_a_person_whose_ids_were_hashed_is_found_by_the_true_id(
    ingest: Any, event: Any, erase: Forget, empty: Settings, query: Query
) -> None:
    keyed = replace(empty, id_key=b"k" * 32)
    ingest([at(event, 0, event_id="a", user_id="ann")], settings=keyed)
    with pytest.raises(UsageError, match="with another CLICKMART_ID_KEY"):
        erase("user", "ann")
    assert erase("user", "ann", keyed).events == 1
    assert query("select count(*) from raw.events") == [(0,)]


@pytest.mark.parametrize(
    ("text", "id_", "names"),
    [
        ('{"user_id":"u7"}', "u7", True),
        ('{"user_id":"u77"}', "u7", False),
        ("e1,page_view,,U7", "u7", True),
        ('{"user_id":"a\\"b"}', 'a"b', True),
        ('e1,"a""b"', 'a"b', True),
        ('{"user_id":"J\\u00F6rg"}', "Jörg", True),
        ('{"user_id":"Jörg"}', "Jörg", True),
        ('{"user_id":"a\\/b"}', "a/b", True),
        ("mailto ann@shop.example", "ann@shop.example", True),
        ("mailto joann@shop.example", "ann@shop.example", False),
        ("a.b", "a?b", False),
    ],
)
def test_a_bad_row_names_an_id_as_a_whole_word(text: str, id_: str, names: bool) -> None:
    assert forget.names_whole(text, [id_]) is names


def test_an_empty_id_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="The user's id is empty"):
        Person("user", " ")


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (lake, "rewrite"),
        (forget, "_erase"),
        (forget, "_record"),
        (lake, "commit"),
        (lake, "remove_unnamed"),
        (commits, "commit_erasure"),
        (aggregates, "refresh"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.usefixtures("shop")
def test_a_killed_erasure_is_made_good_by_the_next_command(
    erase: Forget,
    empty: Settings,
    query: Query,
    ingest: Any,
    event: Any,
    module: Any,
    function: str,
    when: str,
) -> None:
    with killed_in(module, function, when):
        erase("user", "ann")
    is_committed = query("select count(*) from ops.erasures") == [(1,)]
    if is_committed:  # any command finishes it, without being told the id
        ingest([at(event, 13, event_id="", user_id="x")], max_quarantined=100)
        query("delete from raw.quarantined_events where load_id = 3 returning 1")
        for path in Path(empty.lake).glob("quarantine/load_id=3/*"):
            path.unlink()
    else:
        erase("user", "ann")
    assert_ann_is_gone(empty, query)
    assert not (Path(empty.lake) / "rewritten").exists()
    assert query("select count(*) from ops.erasures where lake_version is not null") == [(1,)]


@pytest.mark.usefixtures("shop")
def test_the_marts_follow_also_after_a_kill(
    erase: Forget, empty: Settings, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def rebuild_(*_: Any) -> None:
        ran.append("dbt")
        if len(ran) == 1:
            raise Killed

    monkeypatch.setattr(warehouse, "rebuild", rebuild_)
    erase("user", "ann")
    query("drop table if exists ops.model_states; select 1")
    assert not forget.rebuild_marts(empty, lambda *_: None)  # nothing was built yet
    query("create table ops.model_states (a int); select 1")
    query("create schema if not exists test_failures; select 1")
    query("create table test_failures.of_a_person (visitor_id text); select 1")
    try:
        with pytest.raises(Killed):
            forget.rebuild_marts(empty, lambda *_: None)
        assert forget.rebuild_marts(empty, lambda *_: None)
        assert not forget.rebuild_marts(empty, lambda *_: None)
    finally:
        query("drop table ops.model_states; select 1")
    assert ran == ["dbt", "dbt"]
    assert query("select to_regclass('test_failures.of_a_person')") == [(None,)]
