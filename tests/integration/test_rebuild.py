"""The lake alone gives the database back, and a range of dates can be replaced."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ingestion import aggregates, commits, lake, load, rebuild, replace
from ingestion.dates import DateRange
from ingestion.errors import ClickmartError, InputError, UsageError
from ingestion.lake import log
from ingestion.settings import Settings
from tests.conftest import Killed, killed_in

Query = Callable[..., list[tuple[Any, ...]]]
State = Callable[[], dict[str, Any]]
REPLACED = DateRange.parse("2026-03-02:2026-03-03")


def events(event: Any, days: range, **changes: Any) -> list[dict[str, Any]]:
    """Three events of each day of March, with items and properties."""
    return [
        event(
            event_id=f"d{day}-{i}",
            event_ts=f"2026-03-{day:02}T10:0{i}:00Z",
            visitor_id=f"v{i}",
            items=[{"product_id": f"p{k}", "unit_price": "9.90"} for k in range(i)],
            properties={"text": "a\\b", "n": 1.5},
            **changes,
        )
        for day in days
        for i in range(3)
    ]


@pytest.fixture
def rebuilt(empty: Settings, spark: Any) -> Callable[..., rebuild.RebuildResult]:
    """A function that rebuilds the database from the lake."""

    def run(dates: DateRange | None = None) -> rebuild.RebuildResult:
        return rebuild.rebuild(empty, dates, report=logging.getLogger(__name__).info, spark=spark)

    return run


@pytest.fixture
def history(ingest: Any, event: Any) -> None:
    """Loads of every kind: good, bad and repeated rows, duplicates alone, bad ones alone."""
    ingest([*events(event, range(1, 5)), event(event_id=None), event(event_ts="x")])
    ingest([*events(event, range(4, 7)), event(event_id="d6-1")])
    ingest(events(event, range(1, 3)))
    ingest([event(event_type="")], max_quarantined=100)


# -- rebuild -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("history")
def test_a_lost_database_is_rebuilt_row_by_row(
    rebuilt: Any, whole_state: State, lose_database: Callable[[], None]
) -> None:
    before = whole_state()
    lose_database()
    result = rebuilt()
    assert whole_state() == before
    assert (result.loads, result.events, result.quarantined, result.duplicates) == (4, 18, 3, 10)


@pytest.mark.usefixtures("history")
def test_a_rebuild_replaces_what_was_tampered_with_and_repeats(
    rebuilt: Any, whole_state: State, query: Query
) -> None:
    before = whole_state()
    query(
        "with gone as (delete from raw.events where event_id = 'd1-1' returning 1) "
        "update ops.loads set source = source returning 1"
    )
    assert whole_state() != before
    for _ in range(2):
        rebuilt()
        assert whole_state() == before


def test_properties_that_are_no_json_are_rebuilt_as_they_were(
    ingest: Any, event: Any, rebuilt: Any, whole_state: State, query: Query
) -> None:
    ingest([event(properties="{a: 1}"), event(event_id="e2", properties={"b": 1})])
    ingest([event(event_id="e3", properties="{c: 1}"), event(properties="{d: 1}")])
    before = whole_state()
    for dates in (None, DateRange.parse("2026-03-01:2026-03-01")):
        query("delete from raw.events returning 1")
        assert rebuilt(dates).events == 3
        assert whole_state() == before
    assert query("select properties from raw.events order by event_id") == [
        ({"unparsed": "{a: 1}"},),
        ({"b": 1},),
        ({"unparsed": "{c: 1}"},),
    ]


@pytest.mark.usefixtures("history")
def test_loads_go_on_after_a_rebuild(
    ingest: Any, event: Any, rebuilt: Any, query: Query, lose_database: Callable[[], None]
) -> None:
    lose_database()
    rebuilt()
    result = ingest(events(event, range(6, 8)))
    assert (result.load_id, result.loaded, result.duplicate) == (5, 3, 3)
    assert query("select sum(event_count)::int from raw.agg_daily_metrics") == [(21,)]


@pytest.mark.usefixtures("history")
def test_dates_are_rebuilt_alone(rebuilt: Any, whole_state: State, query: Query) -> None:
    before = whole_state()
    query("update raw.events set page_type = 'kept' where event_id = 'd1-0' returning 1")
    query("delete from raw.events where event_id like 'd3-%%' returning 1")
    query("update raw.events set page_type = 'lost' where event_id = 'd4-2' returning 1")
    result = rebuilt(DateRange.parse("2026-03-02:2026-03-04"))
    assert result.events == 9
    assert query("select event_id, page_type from raw.events where page_type is not null") == [
        ("d1-0", "kept")
    ]
    query("update raw.events set page_type = null returning 1")
    assert whole_state() == before


@pytest.mark.usefixtures("history")
def test_dates_alone_do_not_rebuild_a_lost_database(
    rebuilt: Any, lose_database: Callable[[], None], query: Query
) -> None:
    lose_database()
    with pytest.raises(ClickmartError, match=r"lacks load 1 .* clickmart load --from-lake"):
        rebuilt(REPLACED)
    assert query("select count(*) from raw.events") == [(0,)]


def test_without_a_lake_there_is_nothing_to_rebuild_from(rebuilt: Any) -> None:
    with pytest.raises(InputError, match="There is no lake in"):
        rebuilt()


@pytest.mark.usefixtures("history")
def test_an_empty_database_does_not_take_a_lakes_files_for_orphans(
    ingest: Any, event: Any, empty: Settings, lose_database: Callable[[], None], query: Query
) -> None:
    files = sorted(Path(empty.lake).rglob("*.parquet"))
    lose_database()
    with pytest.raises(ClickmartError, match=r"holds 4 loads .* clickmart load --from-lake"):
        ingest(events(event, range(8, 9)))
    assert sorted(Path(empty.lake).rglob("*.parquet")) == files
    assert query("select count(*) from ops.loads") == [(0,)]


@pytest.mark.usefixtures("history")
def test_the_lake_of_another_warehouse_is_refused(
    ingest: Any,
    event: Any,
    empty: Settings,
    rebuilt: Any,
    whole_state: State,
    tmp_path: Path,
    forget_all: Callable[[], None],
) -> None:
    other = tmp_path / "lake"
    shutil.copytree(empty.lake, other)
    forget_all()
    ingest(events(event, range(1, 2)))
    before = whole_state()
    shutil.rmtree(empty.lake)
    shutil.copytree(other, empty.lake)
    with pytest.raises(ClickmartError, match="Load 1 of this database is not in the lake"):
        rebuilt()
    assert whole_state() == before


@pytest.mark.usefixtures("history")
def test_a_lake_that_does_not_add_up_is_refused(
    empty: Settings, rebuilt: Any, whole_state: State, query: Query
) -> None:
    before = whole_state()
    (name,) = query("select path from ops.lake_files where event_date = '2026-03-05'")[0]
    path = Path(empty.lake) / "events" / name
    pq.write_table(pq.read_table(path, partitioning=None).slice(1), path)
    with pytest.raises(ClickmartError, match="5 rows of events for load 2, its ledger 6"):
        rebuilt()
    assert whole_state() == before


@pytest.mark.usefixtures("history")
def test_a_lake_changed_by_another_program_is_refused(
    empty: Settings, rebuilt: Any, whole_state: State
) -> None:
    from deltalake import DeltaTable

    before = whole_state()
    DeltaTable(str(Path(empty.lake) / "events")).delete("load_id = 2")
    with pytest.raises(ClickmartError, match="changed by another program"):
        rebuilt()
    assert whole_state() == before


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (rebuild, "fill"),
        (rebuild, "_put_all"),
        (rebuild, "_check_adds_up"),
        (commits, "commit_load"),
        (aggregates, "refresh"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_killed_rebuild_is_made_good_by_the_next(
    ingest: Any,
    event: Any,
    rebuilt: Any,
    whole_state: State,
    query: Query,
    lose_database: Callable[[], None],
    module: Any,
    function: str,
) -> None:
    ingest([*events(event, range(1, 3)), event(event_id=None)])
    ingest(events(event, range(2, 4)))
    before = whole_state()
    lose_database()
    for when in ("after", "before"):
        with killed_in(module, function, when):
            rebuilt()
    rebuilt()
    assert whole_state() == before
    assert query("select count(*) from pg_tables where schemaname = 'stage'") == [(0,)]


def test_what_the_lake_lacked_is_brought_in_first(
    ingest: Any,
    event: Any,
    rebuilt: Any,
    empty: Settings,
    query: Query,
) -> None:
    ingest(events(event, range(1, 2)))
    with killed_in(lake, "commit"):
        ingest(events(event, range(2, 3)))
    assert rebuilt().events == 6
    assert query("select load_id, lake_version from ops.loads order by 1") == [(1, 1), (2, 2)]
    assert lake.version(empty.lake) == 2


def test_a_database_lost_while_the_lake_followed_loses_nothing(
    ingest: Any,
    event: Any,
    rebuilt: Any,
    whole_state: State,
    lose_database: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    empty: Settings,
) -> None:
    rows = [*events(event, range(1, 3)), event(event_id=None), event(event_id="d1-1")]
    true = log._commit_table

    def dies_after_the_events(lake_: str, table: str, *rest: Any) -> None:
        if table != "events":
            raise Killed
        true(lake_, table, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(log, "_commit_table", dies_after_the_events)
        with pytest.raises(Killed):
            ingest(rows)
    assert not (Path(empty.lake) / "quarantine" / "_delta_log").exists()
    lose_database()
    result = rebuilt()
    assert (result.events, result.quarantined, result.duplicates) == (6, 1, 1)
    assert (Path(empty.lake) / "quarantine" / "_delta_log").exists()
    before = whole_state()
    lose_database()
    rebuilt()
    assert whole_state() == before


@pytest.mark.usefixtures("history")
def test_the_lake_is_read_as_of_a_version(empty: Settings, query: Query) -> None:
    from deltalake import DeltaTable

    versions = dict(query("select load_id, lake_version from ops.loads"))
    for load_id, version in versions.items():
        table = DeltaTable(str(Path(empty.lake) / "events"), version=version)
        found = {
            int(path.split("/")[0][8:]) for path in table.get_add_actions()["path"].to_pylist()
        }
        assert found == {n for n in (1, 2) if n <= load_id}


# -- replace -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("history")
def test_the_dates_of_a_source_are_replaced(
    ingest: Any, event: Any, query: Query, rebuilt: Any, whole_state: State
) -> None:
    ingest([event(event_id="r", event_ts="2026-03-02T00:00:00Z")])  # load 5, in the range
    new = [
        *events(event, range(2, 3), page_type="new"),
        event(event_id="x", event_ts="2026-03-03T23:59:59Z"),
        event(event_id="y", event_ts="2026-03-04T00:00:00Z"),  # outside: as any other
        event(event_id="d1-0"),  # outside and known: a duplicate
        event(event_id=None),
    ]
    result = ingest(new, dates=REPLACED)
    assert (result.read, result.loaded, result.duplicate, result.quarantined) == (7, 5, 1, 1)
    assert result.replaced == 7
    assert query(
        "select event_id, load_id, page_type from raw.events "
        "where event_ts >= '2026-03-02' and event_ts < '2026-03-04' order by 1"
    ) == [("d2-0", 6, "new"), ("d2-1", 6, "new"), ("d2-2", 6, "new"), ("x", 6, None)]
    assert query("select count(*) from raw.events") == [(17,)]
    assert query("select count(*) from raw.event_items where event_id like 'd3-%%'") == [(0,)]
    assert query("select load_id, replaced_count, removed_count from ops.loads order by 1") == [
        (1, 0, 6), (2, 0, 0), (3, 0, 0), (4, 0, 0), (5, 0, 1), (6, 7, 0),
    ]  # fmt: skip
    assert query(
        "select load_id, event_date::text, removed_by_load_id from ops.lake_files "
        "where removed_by_load_id is not null order by 1, 2"
    ) == [(1, "2026-03-02", 6), (1, "2026-03-03", 6), (5, "2026-03-02", 6)]
    assert query("select sum(event_count)::int from raw.agg_daily_metrics") == [(17,)]
    before = whole_state()
    rebuilt()
    assert whole_state() == before


def test_another_sources_events_stay(ingest: Any, event: Any, query: Query, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,"
        "user_session\n2026-03-02 10:00:00 UTC,view,1,2,a.b,c,9.90,3,s\n"
    )
    ingest(path, "rees46")
    ingest(events(event, range(2, 3)))
    result = ingest(events(event, range(3, 4)), dates=REPLACED)
    assert (result.replaced, result.loaded) == (3, 3)
    assert query("select source, count(*) from raw.events group by source order by 1") == [
        ("native", 3),
        ("rees46", 1),
    ]


def test_the_same_file_replaces_itself(
    ingest: Any, event: Any, query: Query, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in events(event, range(2, 4))))
    ingest(path)
    for load_id in (2, 3):
        result = ingest(path, dates=REPLACED)
        assert (result.load_id, result.loaded, result.replaced) == (load_id, 6, 6)
    assert query("select count(*), min(load_id) from raw.events") == [(6, 3)]
    assert query("select count(*) from raw.event_items") == [(6,)]


def test_everything_can_be_replaced_by_nothing_new(
    ingest: Any, event: Any, query: Query, rebuilt: Any, whole_state: State
) -> None:
    ingest(events(event, range(2, 3)))
    result = ingest([event(event_id="")], dates=REPLACED, max_quarantined=100)
    assert (result.loaded, result.replaced, result.quarantined) == (0, 3, 1)
    assert query("select count(*) from raw.events") == [(0,)]
    assert query("select count(*) from raw.agg_sessions") == [(0,)]
    before = whole_state()
    rebuilt()
    assert whole_state() == before


def test_an_event_with_a_delivery_outside_the_range_is_not_lost(
    ingest: Any, event: Any, whole_state: State, rebuilt: Any, query: Query
) -> None:
    first, second = (event(event_id="a", event_ts=f"2026-03-0{day}T10:00:00Z") for day in (2, 5))
    ingest([first])
    ingest([second, *events(event, range(5, 6))])
    before = whole_state()
    with pytest.raises(InputError, match=r"1 of the events .* in load 2, .*: 'a'. Add them"):
        ingest(events(event, range(3, 4)), dates=REPLACED)
    assert whole_state() == before
    ingest([first], dates=REPLACED)  # it brings the event
    assert query("select load_id from raw.events where event_id = 'a'") == [(3,)]
    ingest(events(event, range(3, 4)), dates=DateRange.parse("2026-03-02:2026-03-05"))
    assert query("select count(*) from raw.events where event_id = 'a'") == [(0,)]
    before = whole_state()
    rebuilt()
    assert whole_state() == before


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (replace, "take_out"),
        (load, "move"),
        (replace, "record"),
        (commits, "list_duplicates"),
        (lake, "commit"),
        (aggregates, "refresh"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_replacement_is_whole_or_not_there(
    ingest: Any,
    event: Any,
    empty: Settings,
    query: Query,
    rebuilt: Any,
    whole_state: State,
    module: Any,
    function: str,
    when: str,
) -> None:
    ingest(events(event, range(1, 5)))
    new = [*events(event, range(2, 3), page_type="new"), event(event_id="d1-0")]

    with killed_in(module, function, when):
        ingest(new, dates=REPLACED)
    found = query("select count(*) from raw.events where page_type = 'new'")
    assert found == [(3 if module in (lake, aggregates) else 0,)]
    result = ingest(new, dates=REPLACED)
    assert result.replaced == (3 if module in (lake, aggregates) else 6)
    content = query("select event_id, page_type from raw.events order by 1")
    assert [row for row in content if row[0].startswith(("d2", "d3"))] == [
        (f"d2-{i}", "new") for i in range(3)
    ]
    assert len(content) == 9
    assert query("select sum(event_count)::int from raw.agg_daily_metrics") == [(9,)]
    named = {path for (path,) in query("select path from ops.lake_files")}
    lying = Path(empty.lake).glob("*/load_id=*/**/*.parquet")
    assert {"load_id=" + path.as_posix().split("/load_id=")[1] for path in lying} == named
    before = whole_state()
    rebuilt()
    assert whole_state() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-03-01", "is no range"),
        ("2026-02-30:2026-03-01", "'2026-02-30' is no date"),
        ("2026-03-01:soon", "'soon' is no date"),
        ("2026-03-02:2026-03-01", "2026-03-02, is after the last, 2026-03-01"),
    ],
)
def test_an_impossible_range_is_a_usage_error(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        DateRange.parse(text)
