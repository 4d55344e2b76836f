"""Incremental equals full refresh: however events are split into loads, late, repeated or shuffled.

Events of several small worlds, which share nothing but products and days, come in a few loads with
a build after each. Then everything is built anew, and every table must be what it was, row by row.
"""

from __future__ import annotations

import json
import logging
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ingestion import batch
from ingestion.dates import DateRange
from ingestion.postgres import connect
from ingestion.settings import Settings
from tests.conftest import empty_warehouse
from tests.dbt_runs import copy_project, dbt_command, run_dbt

Row = dict[str, Any]
Load = list[Row]
LOAD_COUNT = 4
# So that a month is over before most of them have come.
START = datetime(2026, 2, 20, 9, tzinfo=timezone.utc)
# Seconds between a visitor's events: at once, within a session, at its border, days later.
GAPS = (0, 1, 10, 600, 1200, 1799, 1800, 1801, 2400, 7200, 86_400, 700_000)
TYPES = (
    *("page_view", "product_view", "product_view", "search", "add_to_cart", "add_to_cart"),
    *("remove_from_cart", "checkout_start", "checkout_step", "purchase", "purchase", "refund"),
    "wishlist",
)
WITH_ITEMS = {"product_view", "add_to_cart", "remove_from_cart", "purchase", "refund"}
TRAFFIC: tuple[Row, ...] = (
    {},
    {},
    {"utm_source": "google", "utm_medium": "cpc", "utm_campaign": "spring"},
    {"utm_source": "newsletter", "utm_medium": "email"},
    {"click_id": "click"},
    {"referrer": "https://www.bing.com/"},
    {"referrer": "https://shop.example/cart"},
)


# -- events --------------------------------------------------------------------------------------


def world(name: str, draw: random.Random) -> list[tuple[int, Row]]:
    """Return events of a few visitors who share users and orders, each with the load it is due in.

    Loads follow time, but for three in ten events: those come in a later load, some weeks late.
    """
    rows: list[Row] = []
    for visitor in range(draw.randint(2, 4)):
        rows += steps(f"{name}-v{visitor}", name, START + timedelta(days=draw.randint(0, 9)), draw)
    if draw.random() < 0.4:
        rows += burst(f"{name}-v0", name, draw)
    rows.sort(key=lambda row: str(row["event_ts"]))
    due = []
    for number, row in enumerate(rows):
        on_time = number * LOAD_COUNT // len(rows)
        late = draw.random() < 0.3
        due.append((draw.randrange(on_time, LOAD_COUNT) if late else on_time, row))
    return due


def steps(visitor: str, name: str, start: datetime, draw: random.Random) -> Iterator[Row]:
    """Return what one visitor did."""
    moment = start
    for number in range(draw.randint(4, 16)):
        moment += timedelta(seconds=draw.choice(GAPS))
        row = step(f"{visitor}-e{number}", visitor, name, moment, draw)
        if draw.random() < 0.02:
            row["event_ts"] = "2099-12-31T23:50:00Z"
        yield row


def step(event_id: str, visitor: str, name: str, moment: datetime, draw: random.Random) -> Row:
    """Return one event."""
    kind = draw.choice(TYPES)
    row: Row = {
        "event_id": event_id,
        "event_type": kind,
        "event_ts": moment.isoformat(),
        "received_at": (moment + timedelta(seconds=draw.choice((1, 90_000)))).isoformat(),
        "visitor_id": visitor,
        "page_url": f"https://shop.example/{kind}",
        "page_type": kind,
        "device_type": draw.choice(("desktop", "mobile")),
        "source_session_id": draw.choice((None, "s1", "s2")),
        "currency": draw.choice((None, "USD", "EUR")),
        **draw.choice(TRAFFIC),
    }
    if draw.random() < 0.15:
        row["user_id"] = f"{name}-u{draw.randint(0, 1)}"
    if draw.random() < 0.1:
        row.update(experiment_id="checkout", variant_id=draw.choice(("control", "short")))
    if kind in ("purchase", "refund"):
        row["order_id"] = draw.choice((None, f"{name}-o0", f"{name}-o1"))
        row["order_total"] = draw.choice((None, "20.50"))
    if kind in WITH_ITEMS:
        row["items"] = [
            {"product_id": f"p{draw.randint(0, 5)}", "line_id": str(line),
             "category": draw.choice(("shoes", "hats", None)),
             "quantity": draw.randint(1, 3), "unit_price": draw.choice(("9.90", "12.00"))}
            for line in range(draw.randint(1, 3))
        ]  # fmt: skip
    return row


def burst(visitor: str, name: str, draw: random.Random) -> Iterator[Row]:
    """Return what makes a visitor a bot, once most of it has come."""
    start = START + timedelta(days=draw.randint(0, 9), seconds=7)
    for number in range(56):
        moment = start + timedelta(seconds=number / 2)
        yield step(f"{visitor}-b{number}", visitor, name, moment, draw)


def loads_of(seeds: range) -> list[Load]:
    """Return the loads of one world for each seed, shuffled, with repeats in and across loads."""
    draw = random.Random(seeds.start)
    loads: list[Load] = [[] for _ in range(LOAD_COUNT)]
    for seed in seeds:
        for load, row in world(f"w{seed}", random.Random(seed)):
            loads[load].append(row)
            if draw.random() < 0.05:
                again = {**row, "event_type": "page_view"}  # the first load of an id wins
                loads[draw.randrange(load, LOAD_COUNT)].append(
                    again if draw.random() < 0.5 else row
                )
    for rows in loads:
        draw.shuffle(rows)
    return loads


# -- builds --------------------------------------------------------------------------------------


class Project:
    """The dbt project, or a changed copy of it, on the tests' database."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        # With so few visitors every load touches most of them. Some sessions are to be cut.
        self.variables: dict[str, Any] = {
            "follow_max_share": 1.0,
            "session_max_hours": 1,
            "session_max_events": 54,
        }

    def run(self, *arguments: str, **variables: Any) -> None:
        """Run dbt's models; fail with what it says."""
        chosen = {**self.variables, **variables}
        run_dbt(self.settings, "run", *arguments, folder=self.folder, **chosen)

    def start(self) -> subprocess.Popen[bytes]:
        """Start to run dbt's models in a process of its own, which can be killed."""
        command = dbt_command(self.settings, "run", folder=self.folder, **self.variables)
        return subprocess.Popen([str(Path(sys.executable).parent / "dbt"), *command])


def tables(settings: Settings) -> list[str]:
    """Return the tables that dbt's models have made."""
    return [
        name
        for (name,) in rows_of(
            settings,
            "select model from ops.model_states where model in "
            "(select format('%s.%s', schemaname, tablename) from pg_tables) order by model",
        )
    ]


def rows_of(settings: Settings, text: str) -> list[tuple[Any, ...]]:
    with connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute(text)
        return list(cursor.fetchall())


def execute(settings: Settings, text: str) -> None:
    with connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute(text)


def keep(settings: Settings) -> list[str]:
    """Copy every table to the schema `kept`; return their names."""
    names = tables(settings)
    execute(settings, "drop schema if exists kept cascade; create schema kept")
    for name in names:
        execute(settings, f'create table kept."{name}" as select * from {name}')
    return names


def differences(settings: Settings, names: list[str]) -> dict[str, tuple[int, int]]:
    """Return, for each table that differs from its copy, the rows too many and too few."""
    found = {}
    for name in names:
        [(more, fewer)] = rows_of(
            settings,
            f'select (select count(*) from (table kept."{name}" except all table {name}) as m), '
            f'(select count(*) from (table {name} except all table kept."{name}") as f)',
        )
        if more or fewer:
            found[name] = (more, fewer)
    return found


def start_anew(settings: Settings) -> None:
    empty_warehouse(settings)
    execute(settings, "drop schema if exists marts, intermediate cascade")
    execute(settings, "drop table if exists ops.model_states")


Ingest = Callable[..., None]


def follow(
    settings: Settings, ingest: Ingest, project: Project, seeds: range, is_killed: bool = True
) -> None:
    """Load and build in turn, from nothing.

    The second build makes some models alone, so that the third finds them ahead of others; that
    one may be killed on its way.
    """
    start_anew(settings)
    some_models = ("-s", "int_events_sessionized", "int_changed_users", "fct_events", "fct_orders")
    for number, rows in enumerate(loads_of(seeds), start=1):
        ingest(rows)
        if number == 3 and is_killed:
            kill_on_its_way(settings, project)
        project.run(*(some_models if number == 2 else ()))


def kill_on_its_way(settings: Settings, project: Project) -> None:
    counted = "select count(*) from ops.model_states where load_id = 3"
    build = project.start()
    while rows_of(settings, counted)[0][0] < 12:
        assert build.poll() is None, "the build was over before it could be killed"
        time.sleep(0.02)
    build.kill()
    build.wait()


def against_full_refresh(settings: Settings, project: Project) -> dict[str, tuple[int, int]]:
    """Build anew; return the tables that differ from what they were."""
    names = keep(settings)
    assert len(names) > 60
    project.run("--full-refresh")
    return differences(settings, names)


@pytest.fixture(scope="module")
def ingest(settings: Settings, spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Ingest:
    """A function that loads events; `is_all` replaces what was there."""
    folder, numbers = tmp_path_factory.mktemp("events"), count()

    def run(rows: list[Row], is_all: bool = False) -> None:
        path = folder / f"{next(numbers)}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        dates = DateRange() if is_all else None
        report = logging.getLogger(__name__).info
        batch.ingest(settings, [str(path)], "native", dates=dates, report=report, spark=spark)

    return run


@pytest.fixture(scope="module")
def project(settings: Settings) -> Project:
    """The project with its seeds in the database."""
    project = Project(settings, settings.project_dir)
    run_dbt(settings, "seed", **project.variables)
    return project


# -- the law -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def followed(settings: Settings, ingest: Ingest, project: Project) -> Settings:
    """Ten histories, followed. The tests on them go on from one another."""
    follow(settings, ingest, project, range(10))
    return settings


def test_following_ten_histories_equals_a_full_refresh(
    followed: Settings, project: Project
) -> None:
    assert against_full_refresh(followed, project) == {}
    was_cut = "select bool_or(is_too_long), bool_or(is_too_large) from marts.fct_runaway_sessions"
    assert rows_of(followed, was_cut) == [(True, True)]


def test_a_build_without_new_loads_leaves_every_table_alone(
    followed: Settings, project: Project
) -> None:
    files = (
        "select relname, relfilenode from pg_class join pg_namespace as n on relnamespace = n.oid "
        "where relkind in ('r', 'v') and nspname in ('intermediate', 'marts', 'reports') order by 1"
    )
    before = rows_of(followed, files)
    project.run()
    assert rows_of(followed, files) == before


def test_a_backfill_computes_the_visitors_of_its_days_anew(
    followed: Settings, project: Project
) -> None:
    names = keep(followed)
    [(day,)] = rows_of(followed, "select min(session_date)::text from marts.fct_sessions")
    execute(followed, f"delete from marts.fct_sessions where session_date = '{day}'")
    execute(followed, f"update marts.fct_events set page_url = null where event_date = '{day}'")
    assert {"marts.fct_sessions", "marts.fct_events"} <= set(differences(followed, names))
    project.run(backfill_from=day)
    assert differences(followed, names) == {}


def test_an_edited_var_rebuilds_what_depends_on_it_and_is_followed_then(
    followed: Settings, ingest: Ingest, project: Project
) -> None:
    session_ids = "select array_agg(session_id order by session_id) from marts.fct_sessions"
    before = rows_of(followed, session_ids)
    project.variables["session_source"] = "source"
    project.run()
    assert rows_of(followed, session_ids) != before
    ingest(loads_of(range(50, 53))[0])
    project.run()
    assert against_full_refresh(followed, project) == {}


def test_replaced_events_leave_nothing_behind(
    followed: Settings, ingest: Ingest, project: Project
) -> None:
    del project.variables["session_source"]
    ingest(loads_of(range(60, 62))[0], is_all=True)
    project.run()
    assert rows_of(followed, "select count(*) from marts.fct_events where event_id ~ '^w6'") == (
        rows_of(followed, "select count(*) from marts.fct_events")
    )
    assert against_full_refresh(followed, project) == {}


def views(day: str, number: int, **changes: str) -> list[Row]:
    """Return page views of thirty visitors on one day."""
    moment = f"{day}T10:00:00Z"
    return [
        {"event_id": f"{day}-{n}", "event_type": "page_view", "event_ts": moment,
         "visitor_id": f"v{n % 30}", **changes}
        for n in range(number)
    ]  # fmt: skip


def test_a_month_has_a_partition_from_its_share_of_the_events_on(
    followed: Settings, ingest: Ingest, project: Project
) -> None:
    def load_and_build(rows: list[Row], is_all: bool = False) -> dict[str, int]:
        ingest(rows, is_all)
        project.run("-s", "+fct_events")
        by_partition = "select tableoid::regclass::text, count(*) from marts.fct_events group by 1"
        return {
            name.removeprefix("partitions.fct_events_"): number
            for name, number in rows_of(followed, by_partition)
        }

    apart = ("v7", "v8")
    first = [
        *views("2026-03-10", 1200),
        *views("2026-05-02", 1, visitor_id=apart[0]),
        *views("2099-12-31", 1, visitor_id=apart[1]),
    ]
    assert load_and_build(first, is_all=True) == {"2026_03_01": 1200, "other": 2}
    march = "select 'partitions.fct_events_2026_03_01'::regclass::oid"
    before = rows_of(followed, march)
    # All others log in: their rows of March go, and what has the same places elsewhere must not.
    logins = views("2026-05-04", 30, user_id="u1")
    more = [*views("2026-05-03", 30), *(row for row in logins if row["visitor_id"] not in apart)]
    assert load_and_build(more) == {"2026_03_01": 1200, "2026_05_01": 59, "other": 1}
    assert rows_of(followed, march) == before
    names = keep(followed)
    project.run("--full-refresh", "-s", "+fct_events")
    assert differences(followed, names) == {}
    [(plan,)] = rows_of(
        followed,
        "explain (format json) select * from marts.fct_events where event_date = '2026-03-10'",
    )
    assert re.findall(r'"Relation Name": "(\w+)"', json.dumps(plan)) == ["fct_events_2026_03_01"]


def purchase(visitor: str, ordered_at: str, total: int) -> Row:
    return {"event_id": f"{visitor} buys", "event_type": "purchase", "event_ts": ordered_at,
            "visitor_id": visitor, "order_total": str(total)}  # fmt: skip


def test_months_of_users_without_new_events_follow_those_of_others(
    followed: Settings, ingest: Ingest, project: Project
) -> None:
    movements = ("-s", "+fct_user_segment_movements")

    def load_and_build(rows: list[Row], is_all: bool = False) -> set[tuple[str, int]]:
        """Return the months of the segments of the best buyer, with the monetary score."""
        ingest(rows, is_all)
        project.run(*movements)
        return set(
            rows_of(
                followed,
                "select month_start_date::text, monetary_score "
                "from intermediate.int_user_segments_monthly "
                "inner join marts.fct_orders using (user_key) where gross_amount = 50",
            )
        )

    january = [purchase(f"b{n}", "2026-01-10T10:00:00Z", 10 * n) for n in range(1, 6)]
    ahead = [purchase("ahead", "2099-01-01T10:00:00Z", 5)]
    first = [*january, *ahead, *views("2026-01-09", 30), *views("2026-02-03", 30)]
    assert load_and_build(first, is_all=True) == {("2026-01-01", 5)}
    # A sixth buyer of January, who paid more, comes to light.
    late = [purchase("b6", "2026-01-10T11:00:00Z", 60), *views("2026-02-04", 30)]
    assert load_and_build(late) == {("2026-01-01", 4)}
    assert load_and_build(views("2026-03-04", 30)) == {("2026-01-01", 4), ("2026-02-01", 4)}
    names = keep(followed)
    project.run("--full-refresh", *movements)
    assert differences(followed, names) == {}


@pytest.mark.slow
@pytest.mark.parametrize("session_source", ["derived", "source"])
@pytest.mark.parametrize("first", range(100, 200, 10))
def test_following_a_hundred_histories_equals_a_full_refresh(
    settings: Settings, ingest: Ingest, project: Project, first: int, session_source: str
) -> None:
    project.variables["session_source"] = session_source
    follow(settings, ingest, project, range(first, first + 10))
    assert against_full_refresh(settings, project) == {}


# -- a test of the test --------------------------------------------------------------------------

MODELS = "warehouse/models"
Change = tuple[str, str, str]
BROKEN: dict[str, list[Change]] = {
    "who shares an order is not followed": [
        (
            f"{MODELS}/intermediate/int_changed_visitors.sql",
            "    from nodes_reached\n    where",
            "    from visitors_seen\n    where",
        )
    ],
    "who is identified late is not followed": [
        (
            f"{MODELS}/intermediate/int_changed_users.sql",
            "from visitor_users\n",
            "from (select * from visitor_users where false) as visitor_users\n",
        )
    ],
    "users are not followed": [
        (
            "macros/materializations/incremental.sql",
            "from {{ changes }} where load_id > {{ since_load_id }}",
            "from {{ changes }} where load_id > {{ since_load_id }} "
            "{{ 'and false' if key == 'user_key' }}",
        )
    ],
    "an event later than the newest is not followed": [
        (
            f"{MODELS}/intermediate/int_changed_visitors.sql",
            "    where {{ of_new_loads() }}\n",
            "    where {{ of_new_loads() }} and event_at > timestamptz '2026-03-11'\n",
        )
    ],
    "old rows stay beside the new ones": [
        (
            "macros/materializations/incremental.sql",
            '"where standing.ctid = differing_rows.standing_ctid"',
            '"where standing.ctid = differing_rows.standing_ctid and not is_new"',
        )
    ],
    "sessions that went are not followed": [
        (
            "macros/materializations/incremental.sql",
            '" where difference_load_id > " ~ since_load_id',
            '" where row_sign = 1 and difference_load_id > " ~ since_load_id',
        )
    ],
    "sessions of a visitor that turns out to be a bot are not followed": [
        (
            "macros/materializations/incremental.sql",
            "{% if visitors %}\n        {# All",
            "{% if false %}\n        {# All",
        )
    ],
    "what went is not taken off the sums": [
        (
            "macros/materializations/incremental.sql",
            '" select *, -1, "',
            '" select *, 0, "',
        )
    ],
    "products that change their category are not followed": [
        (
            f"{MODELS}/marts/funnels/fct_category_funnels.yml",
            "also_changed: sessions_of_recategorized_products",
            "also_changed: null",
        )
    ],
    "users of wrong clocks are not followed": [
        (
            f"{MODELS}/intermediate/users/int_user_months_aggregated.yml",
            "also_changed: users_of_wrong_clocks",
            "also_changed: null",
        )
    ],
    "a model forgets which load it came to": [
        (
            "macros/materializations/model_state.sql",
            "load_id = excluded.load_id,",
            "load_id = excluded.load_id + 1,",
        )
    ],
}


@pytest.mark.slow
@pytest.mark.usefixtures("project")  # its seeds
@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_model_differs_from_its_full_refresh(
    settings: Settings, ingest: Ingest, tmp_path: Path, fault: str
) -> None:
    copy_project(tmp_path)
    for file, right, wrong in BROKEN[fault]:
        text = (tmp_path / file).read_text()
        assert right in text
        (tmp_path / file).write_text(text.replace(right, wrong))
    broken = Project(settings, tmp_path)
    follow(settings, ingest, broken, range(30), is_killed=False)
    assert against_full_refresh(settings, broken) != {}
