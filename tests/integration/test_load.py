"""Loading: nothing is lost, and twice is once. (Kills: test_faults.py.)"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ingestion import batch, load
from ingestion.errors import UsageError
from ingestion.postgres import apply_ddl, connect
from ingestion.readers.hashing import NOT_KEPT, hashed_id
from ingestion.settings import Settings
from tests.conftest import killed_in

Query = Callable[..., list[tuple[Any, ...]]]

CONTENT = (
    "select e.event_id, event_type, event_ts, visitor_id, properties::text, count(line_id) "
    "from raw.events as e left join raw.event_items as i using (event_id) "
    "group by e.event_id order by e.event_id"
)


ITEM_COUNTS = "select item_count, count(*) from raw.events group by item_count order by item_count"


def events(event: Any, count: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        event(
            event_id=f"e{i}",
            visitor_id=f"v{i % 7}",
            event_ts=f"2026-03-{1 + i % 9:02}T10:{i % 60:02}:00Z",
            items=[{"product_id": f"p{k}"} for k in range(i % 3)],
            properties={"i": i},
        )
        for i in range(start, start + count)
    ]


@pytest.mark.both_engines
def test_every_row_read_is_accounted_for(ingest: Any, event: Any, query: Query) -> None:
    rows = [*events(event, 20), event(event_id="e3"), event(event_id=None), event(event_ts="x")]
    result = ingest(rows)
    assert (result.read, result.loaded, result.duplicate, result.quarantined) == (23, 20, 1, 2)
    assert result.reasons == {"invalid_event_ts": 1, "missing_event_id": 1}
    assert query(
        "select read_count, loaded_count, duplicate_count, quarantined_count, reasons "
        "from ops.loads"
    ) == [(23, 20, 1, 2, result.reasons)]
    assert query("select count(*) from raw.events") == [(20,)]
    assert query("select source_row, reasons from raw.quarantined_events order by 1") == [
        (22, ["missing_event_id"]),
        (23, ["invalid_event_ts"]),
    ]
    assert query("select source_row, event_id from ops.duplicates") == [(21, "e3")]


def test_a_file_loaded_before_is_skipped_and_force_counts_its_rows_as_duplicates(
    ingest: Any, event: Any, query: Query, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in events(event, 9)))
    ingest(path)
    before = query(CONTENT)
    again = ingest(path)
    assert (again.load_id, again.read, again.skipped_files) == (None, 0, {str(path): 1})
    forced = ingest(path, force=True)
    assert (forced.load_id, forced.read, forced.loaded, forced.duplicate) == (2, 9, 0, 9)
    assert query(CONTENT) == before


def test_the_first_load_of_an_event_wins(ingest: Any, event: Any, query: Query) -> None:
    ingest([event(page_type="first", items=[{"product_id": "a"}])])
    result = ingest([event(page_type="second", items=[{"product_id": "b"}]), event(event_id="e2")])
    assert (result.loaded, result.duplicate) == (1, 1)
    assert query("select page_type, load_id from raw.events where event_id = 'e1'") == [
        ("first", 1)
    ]
    assert query("select product_id from raw.event_items") == [("a",)]


@pytest.mark.both_engines
@pytest.mark.parametrize("is_first", [True, False], ids=["a first load", "a later load"])
def test_of_a_repeated_event_the_first_received_is_kept_with_its_items_alone(
    ingest: Any, event: Any, query: Query, is_first: bool
) -> None:
    if not is_first:
        ingest([event(event_id=f"old{i}", items=[{"product_id": "old"}]) for i in range(3)])
    received = ["2026-03-01T12:00:00Z", None, "2026-03-01T11:00:00Z", "2026-03-01T11:00:00Z"]
    copies = [
        event(
            event_id="twin", received_at=at, page_type=f"copy {i}", items=[{"product_id": f"{i}"}]
        )
        for i, at in enumerate(received)
    ]
    old = [] if is_first else [event(event_id=f"old{i}", page_type="new") for i in (1, 1, 2)]
    result = ingest([*events(event, 9), *copies, *old])
    assert (result.loaded, result.duplicate) == (10, 3 + len(old))
    assert query("select page_type from raw.events where event_id = 'twin'") == [("copy 2",)]
    assert query("select product_id from raw.event_items where event_id = 'twin'") == [("2",)]
    assert query("select count(*) from raw.events where page_type = 'new'") == [(0,)]
    assert query(
        "select source_row, event_id from ops.duplicates where event_id like 'old%%' order by 1"
    ) == [(14 + i, row["event_id"]) for i, row in enumerate(old)]


def test_a_repeated_event_is_found_in_other_files_and_dates_but_not_among_bad_rows(
    ingest: Any, event: Any, query: Query, tmp_path: Path
) -> None:
    folder = tmp_path / "days"
    folder.mkdir()
    for day in range(1, 5):
        ts = f"2026-03-0{day}T10:00:00Z"
        rows = [event(event_id=id_, event_ts=ts) for id_ in ("twin", f"own{day}")]
        rows.append(event(event_id="twin", visitor_id=None))
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{day}.jsonl").write_text(text)
    result = ingest(folder, max_quarantined=100)
    assert (result.loaded, result.duplicate, result.quarantined) == (5, 3, 4)
    assert query("select event_id from raw.events order by 1") == [
        *((f"own{day}",) for day in range(1, 5)),
        ("twin",),
    ]


KEYS = (
    "select conrelid::regclass::text, pg_get_constraintdef(oid) from pg_constraint "
    "where contype = 'p' and conrelid in ('raw.events'::regclass, 'raw.event_items'::regclass) "
    "order by 1"
)


def test_an_empty_warehouse_has_its_keys_after_its_first_load_and_after_one_that_failed(
    ingest: Any, event: Any, query: Query
) -> None:
    keys = [
        ("raw.event_items", "PRIMARY KEY (event_id, line_id)"),
        ("raw.events", "PRIMARY KEY (event_id)"),
    ]
    with killed_in(load, "insert_quarantined"):
        ingest(events(event, 20))
    assert query(KEYS) == keys
    assert query("select count(*) from raw.events") == [(0,)]
    assert ingest(events(event, 20)).loaded == 20
    assert query(KEYS) == keys


def test_a_key_is_never_made_over_a_repeated_event(
    ingest: Any, event: Any, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "_find_duplicates", lambda cursor, *_, **__: _finds_none(cursor))
    with pytest.raises(psycopg2.errors.UniqueViolation):
        ingest([*events(event, 9), event(event_id="e3")])
    assert query("select count(*) from raw.events") == [(0,)]


def _finds_none(cursor: Any) -> int:
    cursor.execute(
        "create temporary table duplicate (file_id bigint, source_row bigint, event_id text) "
        "on commit drop"
    )
    return 0


def test_any_split_into_loads_gives_the_same_content(
    ingest: Any, event: Any, query: Query, forget_all: Callable[[], None]
) -> None:
    rows = events(event, 60)
    ingest(rows)
    whole = query(CONTENT)
    whole_aggregates = query("select * from raw.agg_sessions order by session_id")
    forget_all()
    draw = random.Random(3)
    draw.shuffle(rows)
    for part in (rows[:25], rows[20:50], rows[40:], rows[:5]):
        ingest(part)
    assert query(CONTENT) == whole
    assert query("select * from raw.agg_sessions order by session_id") == whole_aggregates
    assert query(
        "select sum(read_count), sum(loaded_count), sum(duplicate_count) from ops.loads"
    ) == [(80, 60, 20)]


@pytest.mark.both_engines
def test_an_event_is_loaded_with_the_count_of_its_items(
    ingest: Any, event: Any, query: Query
) -> None:
    ingest([*events(event, 9), event(event_id="null", items=None)])
    ingest(events(event, 6, start=9))
    assert query(ITEM_COUNTS) == [(0, 6), (1, 5), (2, 5)]


def test_a_warehouse_of_an_older_version_counts_its_items_once(
    ingest: Any, event: Any, query: Query, empty: Settings
) -> None:
    ingest(events(event, 9))
    with connect(empty) as connection, connection.cursor() as cursor:
        cursor.execute("alter table raw.events drop column item_count cascade")
    apply_ddl(empty)
    assert query(ITEM_COUNTS) == [(0, 3), (1, 3), (2, 3)]
    ingest(events(event, 3, start=9))
    assert query(ITEM_COUNTS) == [(0, 4), (1, 4), (2, 4)]


@pytest.mark.both_engines
def test_properties_that_postgres_takes_for_no_json_are_kept_as_text(
    ingest: Any, query: Query, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    header = "event_id,event_type,event_ts,visitor_id,properties\n"
    rows = ["{not json", '"{""a"": 1}"', "", r'"{""b"": 1e99999999}"']
    path.write_text(
        header
        + "".join(f"e{i},page_view,2026-03-01T10:00:00Z,v1,{row}\n" for i, row in enumerate(rows))
    )
    assert ingest(path).loaded == 4
    assert query("select properties from raw.events order by event_id") == [
        ({"unparsed": "{not json"},),
        ({"a": 1},),
        (None,),
        ({"unparsed": r'{"b": 1e99999999}'},),
    ]


def test_too_many_bad_rows_stop_the_load_with_reasons_and_examples(
    ingest: Any, event: Any, query: Query, empty: Settings
) -> None:
    rows = [*events(event, 7), event(event_ts="soon"), event(event_ts="late"), event(event_id=" ")]
    with pytest.raises(batch.InputError) as refused:
        ingest(rows)
    message = str(refused.value)
    assert "3 of 10 rows are bad, more than 20 %" in message
    assert "invalid_event_ts: 2 rows" in message
    assert "row 8" in message
    assert "soon" in message
    assert "missing_event_id: 1 row," in message
    assert query("select count(*) from ops.loads") == [(0,)]
    assert list(Path(empty.lake).rglob("*.parquet")) == []
    result = ingest(rows, max_quarantined=30)
    assert (result.load_id, result.loaded, result.quarantined) == (1, 7, 3)
    assert len(list(Path(empty.lake).glob("quarantine/load_id=*/*.parquet"))) == 1


@pytest.mark.both_engines
def test_with_a_key_no_id_of_a_person_is_stored(
    ingest: Any, event: Any, query: Query, empty: Settings, tmp_path: Path
) -> None:
    keyed = replace(empty, id_key=b"0123456789abcdef")
    path = tmp_path / "a.jsonl"
    rows = [event(event_id=f"e{i}", visitor_id=" known-visitor", user_id="anna") for i in range(8)]
    rows += [event(event_id="e8", visitor_id="known-visitor"), event(event_ts="x", user_id="anna")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"user_id": "anna", \n')
    result = ingest(path, settings=keyed)
    assert (result.loaded, result.quarantined) == (9, 2)
    visitor, user = (hashed_id(keyed.id_key, i) for i in ("known-visitor", "anna"))
    assert query("select distinct visitor_id, user_id from raw.events where event_id <> 'e8'") == [
        (visitor, user)
    ]
    assert query("select visitor_id from raw.events where event_id = 'e8'") == [(visitor,)]
    records = [record for (record,) in query("select record from raw.quarantined_events")]
    assert "anna" not in str(records)
    assert NOT_KEPT in records
    with pytest.raises(UsageError, match="Load 1 was read with another CLICKMART_ID_KEY"):
        ingest([event()])


def test_two_loads_at_once_take_turns(empty: Settings) -> None:
    waited = threading.Event()
    results: list[Any] = []
    with load.exclusive(empty, lambda: None):
        second = threading.Thread(
            target=lambda: _exclusively(empty, waited.set, lambda: results.append("in"))
        )
        second.start()
        assert waited.wait(10)
        assert results == []
    second.join(10)
    assert results == ["in"]


def test_an_empty_read_leaves_no_load(ingest: Any, query: Query, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("event_id,event_type,event_ts,visitor_id\n")
    with pytest.raises(batch.InputError, match="No rows in"):
        ingest(path)
    assert query("select count(*) from ops.loads") == [(0,)]


@pytest.mark.both_engines
def test_rees46_loads_as_it_is(ingest: Any, query: Query, rees46_file: Path) -> None:
    result = ingest(rees46_file, "rees46")
    assert (result.read, result.quarantined) == (1000, 0)
    assert result.loaded + result.duplicate == 1000
    with rees46_file.open() as stream:
        distinct = len({line.strip() for line in stream}) - 1
    assert result.loaded == distinct
    assert query("select count(*) from raw.event_items") == [(distinct,)]


def _exclusively(settings: Settings, on_wait: Any, work: Any) -> None:
    with load.exclusive(settings, on_wait):
        work()
