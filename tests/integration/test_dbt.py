"""What stands around the models: metrics, kept failures, warnings, versions, what was edited.

A small generated shop, built from a copy of the project that the tests may edit.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg2
import pytest

from ingestion import batch, postgres, warehouse
from ingestion.dbt_process import ready
from ingestion.generate import GenerateOptions, generate
from ingestion.settings import Settings
from tests.conftest import empty_warehouse
from tests.dbt_runs import copy_project
from tests.metrics_reference import Metrics, Values

SHOP = GenerateOptions(people=400, products=60, sessions=4000, days=40, seed=3)
DAILY = (
    *("event_count", "visitor_count", "user_count", "new_user_count", "session_count"),
    *("bounce_session_count", "converted_session_count", "order_count", "item_quantity"),
    *("gross_revenue_amount", "refund_amount", "net_revenue_amount", "abandoned_cart_count"),
    *("lost_revenue_amount", "bounce_rate", "conversion_rate", "cart_abandonment_rate"),
    *("average_order_amount", "order_count_change_rate"),
)
CARTS = ("cart_count", "abandoned_cart_count", "recovered_cart_count", "lost_revenue_amount")
CART_RATES = {
    "cart_abandonment_rate": "abandonment_rate",
    "cart_recovery_rate": "recovery_rate",
}
RATIOS = (
    *("bounce_rate", "conversion_rate", "cart_abandonment_rate", "cart_recovery_rate"),
    *("average_order_amount", "order_count_change_rate", "roas", "cost_per_order_amount"),
)
CHANNELS = ("cost_amount", "attributed_revenue_amount", "attributed_order_count", "roas",
            "cost_per_order_amount")  # fmt: skip


class Project:
    """A copy of the project, with the programs of the environment run in it."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        copy_project(folder, "ingestion")

    def start(self, *command: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            list(map(str, command)),
            env={
                **os.environ,
                "CLICKMART_HOME": str(self.settings.home),
                "PYTHONPATH": str(self.folder),
            },
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: Any) -> subprocess.CompletedProcess[str]:
        process = self.start(*command)
        printed, said = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, printed, said)

    def dbt(self, *words: Any) -> subprocess.CompletedProcess[str]:
        return self.run(Path(sys.executable).parent / "dbt", *words)

    def build(self, *words: Any) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "ingestion", "build", *words)

    def query(self, text: str) -> list[tuple[Any, ...]]:
        with postgres.connect(self.settings) as connection, connection.cursor() as cursor:
            cursor.execute(text)
            return list(cursor.fetchall())

    def execute(self, text: str) -> int:
        with postgres.connect(self.settings) as connection, connection.cursor() as cursor:
            cursor.execute(text)
            return int(cursor.rowcount)

    @contextmanager
    def broken(self, table: str, change: str, condition: str) -> Iterator[None]:
        """Update some rows of a table, and put them back."""
        whole = f"public.whole_{table.split('.')[1]}"
        self.execute(f"create table {whole} as table {table}")
        assert self.execute(f"update {table} set {change} where {condition}") > 0
        try:
            yield
        finally:
            self.execute(f"truncate {table}")
            self.execute(f"insert into {table} select * from {whole}; drop table {whole}")

    @contextmanager
    def edited(self, name: str, old: str, new: str) -> Iterator[None]:
        """Change a file of the copy, and put it back."""
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        try:
            yield
        finally:
            path.write_text(text)

    def failures(self) -> set[str]:
        """The tables with what failing tests found."""
        return {
            name
            for (name,) in self.query(
                "select tablename from pg_tables where schemaname = 'test_failures'"
            )
        }


@pytest.fixture(scope="module")
def project(settings: Settings, spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A built warehouse: not a warning, and what it was built from is kept."""
    empty_warehouse(settings)
    events = tmp_path_factory.mktemp("generated") / "shop"
    generate(spark, SHOP, events)
    batch.ingest(settings, [str(events / "events")], "native", report=lambda _: None, spark=spark)
    project = Project(tmp_path_factory.mktemp("project"), settings)
    early = project.build("--changed")
    assert early.returncode == 2
    assert "Run `clickmart build` once" in early.stderr
    built = project.build()
    assert built.returncode == 0, built.stdout[-3000:]
    assert "WARN=0 ERROR=0 SKIP=0" in built.stdout
    return project


@pytest.fixture(scope="module")
def manifest(project: Project) -> dict[str, Any]:
    return dict(json.loads((project.settings.home / "state" / "manifest.json").read_text()))


@pytest.fixture(scope="module")
def metrics(project: Project, manifest: dict[str, Any]) -> Metrics:
    return Metrics(manifest, project.query)


# -- metrics -------------------------------------------------------------------------------------


def shown(name: str, value: Any) -> Any:
    """A metric's value as its column shows it: sums of nothing are 0, ratios of nothing null."""
    if value is None and name in RATIOS:
        return None
    places = Decimal("0.0001" if name.endswith("_amount") else "0.000001")
    return Decimal(value or 0).quantize(places, ROUND_HALF_UP)


def assert_shown(name: str, found: Values, report: Values) -> None:
    assert any(report.values())
    assert {key: shown(name, found.get(key)) for key in report} == {
        key: shown(name, value) for key, value in report.items()
    }
    assert not {key for key, value in found.items() if value} - set(report)


@pytest.mark.parametrize("name", DAILY)
def test_a_metric_by_day_is_what_the_report_shows(
    project: Project, metrics: Metrics, name: str
) -> None:
    relation = "marts.fct_daily_metrics" if name == "item_quantity" else "reports.rpt_daily_kpis"
    rows = project.query(f"select metric_date, {name} from {relation}")
    days = {(day,): value for day, value in rows}
    found = {day: value for day, value in metrics.values(name).items() if day in days}
    assert_shown(name, found, days)


@pytest.mark.parametrize("name", [*CARTS, *CART_RATES])
def test_a_metric_of_carts_is_what_the_report_shows(
    project: Project, metrics: Metrics, name: str
) -> None:
    rows = project.query(
        f"select cart_date, device_type, channel, {CART_RATES.get(name, name)} "
        "from reports.rpt_cart_abandonment"
    )
    found = metrics.values(name, ("metric_time", "device_type", "channel"))
    assert_shown(name, found, {row[:3]: row[3] for row in rows})


@pytest.mark.parametrize("name", CHANNELS)
def test_a_metric_of_channels_is_what_the_report_shows(
    project: Project, metrics: Metrics, name: str
) -> None:
    rows = project.query(
        f"select month_start_date, channel, {name} from reports.rpt_channel_attribution "
        "where attribution_model = 'last_non_direct'"
    )
    found = metrics.values(name, ("metric_time", "channel"))
    assert_shown(name, found, {row[:2]: row[2] for row in rows})


def test_what_the_semantic_models_name_is_there(project: Project, manifest: dict[str, Any]) -> None:
    models = manifest["semantic_models"].values()
    assert models
    for model in models:
        named = [*model["entities"], *model["dimensions"], *model["measures"]]
        expressions = [str(one["expr"] or one["name"]) for one in named]
        relation = model["node_relation"]["relation_name"]
        project.query(f"select {', '.join(expressions)} from {relation} limit 0")


def test_every_key_of_a_semantic_model_is_one(project: Project, manifest: dict[str, Any]) -> None:
    for model in manifest["semantic_models"].values():
        for entity in model["entities"]:
            if entity["type"] == "primary":
                counts = f"count(*), count(distinct {entity['expr']})"
                relation = model["node_relation"]["relation_name"]
                ((row_count, key_count),) = project.query(f"select {counts} from {relation}")
                assert row_count == key_count, model["name"]


# -- when a test fails ---------------------------------------------------------------------------


def test_a_failing_test_leaves_its_rows_until_it_holds(project: Project) -> None:
    name = "orders_agree_with_their_refunds"
    assert project.failures() == set()
    (wrong,) = project.query("select min(order_key::text) from marts.fct_orders")
    with project.broken(
        "marts.fct_orders", "refund_amount = refund_amount + 1", f"order_key = '{wrong[0]}'"
    ):
        ran = project.dbt("test", "-s", name)
        assert ran.returncode == 1
        assert f'select * from "clickmart"."test_failures"."{name}"' in ran.stdout
        assert project.query(f"select order_key::text from test_failures.{name}") == [wrong]
        with (
            psycopg2.connect(postgres.url(project.settings, for_bi=True)) as connection,
            connection.cursor() as cursor,
            pytest.raises(psycopg2.Error, match="permission denied"),
        ):
            cursor.execute(f"select * from test_failures.{name}")
    assert project.dbt("test", "-s", name).returncode == 0
    assert project.failures() == set()


def test_a_failing_row_names_the_promise_it_breaks(project: Project) -> None:
    with project.broken("seeds.traffic_sources", "source = null", "source = 'bing'"):
        project.execute(
            "insert into seeds.traffic_sources values "
            "('yahoo', 'search'), ('example', 'nonsense'), ('Duck', 'nonsense')"
        )
        ran = project.dbt("test", "-s", "traffic_sources_holds_true")
        assert ran.returncode == 1
        found = project.query(
            "select expression, failed_count, key_values "
            "from test_failures.traffic_sources_holds_true order by 1, 3"
        )
    assert found == [
        ("category in ('search', 'social', 'video', 'shopping')", 2, None),
        ("key: source", 2, '["yahoo"]'),
        ("key: source", 1, "[null]"),
        ("source = lower(source)", 1, None),
    ]
    assert project.dbt("test", "-s", "traffic_sources_holds_true").returncode == 0


def test_what_speaks_of_the_source_is_a_warning(project: Project) -> None:
    last_whole_day = "(select last_date - 1 from intermediate.int_span_observed)"
    with (
        project.broken(
            "marts.fct_event_type_volumes",
            "event_count = 0, is_unusual = true",
            f"metric_date = {last_whole_day} and event_type = 'product_view'",
        ),
        project.broken("marts.fct_tracking_quality", "late_event_count = event_count", "true"),
    ):
        ran = project.dbt("test", "-s", "path:tests/dbt/source")
    assert ran.returncode == 0
    assert "WARN=2 ERROR=0" in ran.stdout
    assert project.failures() == {"no_event_type_has_stopped", "few_events_come_late"}
    assert "WARN=0" in project.dbt("test", "-s", "path:tests/dbt/source").stdout


LOST, IN_SESSION = "no_event_is_lost", "fct_events_has_each_event_in_its_session"
FIRST_EVENT = "event_id = (select min(event_id) from raw.events)"


@pytest.mark.parametrize("is_other_lost", [False, True], ids=["twice", "twice, and another lost"])
@pytest.mark.parametrize(
    ("model", "failing"),
    [
        ("intermediate.int_events_sessionized", {LOST, IN_SESSION}),
        ("marts.fct_events", {IN_SESSION}),
    ],
)
def test_an_event_twice_or_lost_is_found(
    project: Project, model: str, failing: set[str], is_other_lost: bool
) -> None:
    with project.broken(model, "user_id = user_id", "true"):
        project.execute(f"insert into {model} select * from {model} where {FIRST_EVENT}")
        if is_other_lost:
            project.execute(
                f"delete from {model} where event_id = (select max(event_id) from raw.events)"
            )
        ran = project.dbt("test", "-s", LOST, IN_SESSION)
        assert ran.returncode == 1
        assert project.failures() == failing


def test_an_event_in_another_session_is_found(project: Project) -> None:
    with project.broken("marts.fct_events", "session_id = gen_random_uuid()", FIRST_EVENT):
        assert project.dbt("test", "-s", LOST, IN_SESSION).returncode == 1
        assert project.failures() == {IN_SESSION}


# -- one dbt for several commands ----------------------------------------------------------------


@pytest.fixture(scope="module")
def copy(project: Project) -> Settings:
    """Settings of the copy of the project."""
    return replace(project.settings, project_dir=project.folder)


def test_what_was_parsed_serves_command_after_command(project: Project, copy: Settings) -> None:
    test = ("test", "-s", "orders_agree_with_their_refunds")
    with ready(copy) as dbt:
        dbt.begin(["parse"])
        assert "ERROR=0" in "".join(dbt.lines(test))
        assert dbt.exit_code == 0
        with project.broken("marts.fct_orders", "refund_amount = refund_amount + 1", "true"):
            assert "ERROR=1" in "".join(dbt.lines(test))
            assert dbt.exit_code == 1
        with project.edited("macros/rate.sql", "{% macro rate", "{% macro 1"):
            assert "ERROR=0" in "".join(dbt.lines(test))


def test_a_project_that_cannot_be_read_is_one_clear_line(project: Project, copy: Settings) -> None:
    with project.edited("macros/rate.sql", "{% macro rate", "{% macro 1"), ready(copy) as dbt:
        dbt.begin(["parse"])
        with pytest.raises(warehouse.BuildError, match=r"failed: .*expected token.*log: "):
            warehouse.build(dbt, print)


def test_a_dbt_that_dies_is_noticed(copy: Settings) -> None:
    with ready(copy) as dbt:
        dbt._process.kill()
        with pytest.raises(warehouse.BuildError, match="dbt docs failed"):
            warehouse.docs(dbt)


def test_a_dimension_never_has_a_key_twice(project: Project) -> None:
    with pytest.raises(psycopg2.errors.UniqueViolation):
        project.execute("insert into marts.dim_products select * from marts.dim_products limit 1")


@pytest.mark.parametrize(("days", "code", "said"), [(3, 0, "WARN freshness"), (8, 1, "ERROR")])
def test_loads_that_stop_are_noticed(project: Project, days: int, code: int, said: str) -> None:
    moved = "update ops.loads set committed_at = committed_at {} interval '{} days'"
    project.execute(moved.format("-", days))
    try:
        ran = project.dbt("source", "freshness")
    finally:
        project.execute(moved.format("+", days))
    assert ran.returncode == code, ran.stdout
    assert said in ran.stdout


# -- reports, whatever is built ------------------------------------------------------------------


REPORTS = {
    *("rpt_daily_kpis", "rpt_conversion_funnel", "rpt_customer_journey", "rpt_user_segments"),
    *("rpt_cohort_retention", "rpt_product_performance", "rpt_cart_abandonment"),
    "rpt_channel_attribution",
}


@contextmanager
def reading(project: Project, found: Counter[str]) -> Iterator[None]:
    """Count the rows of every report, over and over, at the side; note errors and empty reports."""
    finished = Event()

    def read() -> None:
        while not finished.is_set():
            for name in sorted(REPORTS):
                try:
                    rows = project.query(f"select count(*) from reports.{name}")[0][0]
                    found[name if rows else f"{name} is empty"] += 1
                except Exception as error:
                    found[str(error)] += 1

    reader = Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        finished.set()
        reader.join()


@pytest.mark.parametrize(
    "words",
    [["--full-refresh"], ["--full-refresh", "--select", "fct_sessions"]],
    ids=["all models", "one model"],
)
def test_a_reader_never_misses_a_report(project: Project, words: list[str]) -> None:
    found: Counter[str] = Counter()
    with reading(project, found):
        ran = project.dbt("run", *words)
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert set(found) == REPORTS
    assert min(found.values()) > 1


# -- what was edited -----------------------------------------------------------------------------

EDITED = "warehouse/models/marts/journeys/fct_entry_exit_pages.sql"


def children(manifest: dict[str, Any], names: Sequence[str]) -> set[str]:
    """The named models, and the models on them, on these, and so on."""
    waiting, found = [f"model.clickmart.{name}" for name in names], set()
    while waiting:
        key = waiting.pop()
        found.add(key.split(".")[2])
        waiting += [child for child in manifest["child_map"][key] if child.startswith("model.")]
    return found


@pytest.mark.parametrize(
    ("file", "old", "new", "names"),
    [
        (EDITED, "select * from final", "select * from final -- edited", ["fct_entry_exit_pages"]),
        (
            "macros/change_rate.sql",
            "numeric(28, 6)",
            "numeric(28,6)",
            ["rpt_daily_kpis", "fct_metric_trends", "fct_user_cohorts", "fct_product_prices"],
        ),
    ],
    ids=["a model", "a macro"],
)
def test_an_edit_selects_what_depends_on_it_alone(
    project: Project, manifest: dict[str, Any], file: str, old: str, new: str, names: list[str]
) -> None:
    with project.edited(file, old, new):
        ran = project.dbt(
            *("-q", "ls", "--resource-type", "model", "--output", "name"),
            *("--select", "state:modified+", "--state", project.settings.home / "state"),
        )
    assert set(ran.stdout.split()) == children(manifest, names)


def test_a_changed_build_builds_what_was_edited_once(project: Project) -> None:
    with project.edited(EDITED, "select * from final", "select * from final -- edited"):
        ran = project.build("--changed")
        assert ran.returncode == 0, ran.stdout[-3000:]
        built = re.findall(r"OK created sql table model marts\.(\w+)", ran.stdout)
        assert built == ["fct_entry_exit_pages"]
        again = project.build("--changed")
        assert "Nothing to do" in again.stdout


def test_an_edited_description_is_told_without_rebuilding(project: Project, copy: Settings) -> None:
    told = (
        "select obj_description(to_regclass('marts.dim_dates'), 'pg_class'), "
        "to_regclass('marts.dim_dates')::oid"
    )
    ((before, table),) = project.query(told)
    assert before.startswith("One row per day from")
    run = ("run", "-s", "dim_dates")
    with (
        project.edited("warehouse/models/marts/core/dim_dates.yml", "One row per day", "Days"),
        ready(copy) as dbt,
    ):
        assert "UNCHANGED" in "".join(dbt.lines(run))
    assert project.query(told) == [(before.replace("One row per day", "Days"), table)]
    with ready(copy) as dbt:
        assert "UNCHANGED" in "".join(dbt.lines(run))
        assert project.query(told) == [(before, table)]
        written = "select xmin::text from ops.model_states where model = 'marts.dim_dates'"
        noted = project.query(written)
        assert "UNCHANGED" in "".join(dbt.lines(run))
        assert project.query(written) == noted  # what is as it was is not written
    assert noted


def test_two_builds_at_once_take_turns(project: Project) -> None:
    built_at = "select built_at from ops.model_states where model = 'marts.dim_dates'"
    before = project.query(built_at)
    with warehouse.exclusive(project.settings, lambda _: None):
        command = (sys.executable, "-m", "ingestion", "build", "-s", "dim_dates")
        second = project.start(*command, "--full-refresh")
        assert second.stderr is not None
        assert any("Another build is running" in line for line in second.stderr)
        assert project.query(built_at) == before
    printed, said = second.communicate()
    assert second.returncode == 0, printed + said
    assert project.query(built_at) != before


def test_an_edited_var_concerns_everything(project: Project) -> None:
    assert warehouse.changed(project.settings) != []
    edited = Settings(home=project.settings.home)
    edited.dbt_vars["journey_top_paths"] = 3
    assert warehouse.changed(edited) == []
