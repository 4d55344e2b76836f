"""The main job, whole: `clickmart up` in an empty home, and a real file in another.

The marts are scored against the generator's truth, and read as a BI tool would.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from benchmarks import engines, score, views
from ingestion import batch, embedded, postgres
from ingestion.settings import Settings
from tests.dbt_runs import run_dbt
from tests.site_pages import data_of

REPORTS = (
    "rpt_daily_kpis",
    "rpt_conversion_funnel",
    "rpt_customer_journey",
    "rpt_user_segments",
    "rpt_cohort_retention",
    "rpt_product_performance",
    "rpt_cart_abandonment",
    "rpt_channel_attribution",
)
SIZE = ("--sessions", "6000", "--users", "600", "--products", "120", "--days", "60", "--seed", "7")


class Warehouse:
    """A home with a database, and the command line on it."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home, lake=str(home / "lake"))

    def run(self, *command: Any, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment in this home."""
        program, *arguments = map(str, command)
        bin_dir = Path(sys.executable).parent
        environment = {**os.environ, "CLICKMART_HOME": str(self.settings.home), **more}
        return subprocess.run(
            [str(bin_dir / program), *arguments],
            env=environment,
            cwd=self.settings.project_dir,
            capture_output=True,
            text=True,
        )

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """Return a query's rows."""
        with postgres.connect(self.settings) as connection, connection.cursor() as cursor:
            cursor.execute(text)
            return list(cursor.fetchall())

    def value(self, text: str) -> Any:
        """Return a query's one value."""
        return self.query(text)[0][0]


def load(
    settings: Settings, spark: Any, *paths: Path, source: str = "native", is_forced: bool = False
) -> batch.LoadResult:
    """Load files into the tests' own warehouse."""
    names = [str(path) for path in paths]
    return batch.ingest(
        settings, names, source, force=is_forced, report=lambda _: None, spark=spark
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """A warehouse made by `clickmart up`."""
    warehouse = Warehouse(tmp_path_factory.mktemp("up"))
    ran = warehouse.run("clickmart", "up", *SIZE)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    yield warehouse
    embedded.stop(warehouse.settings)


@pytest.fixture(scope="module")
def truth(built: Warehouse) -> score.Truth:
    """What the generator says is in the events."""
    return score.Truth(built.settings.home / "generated" / "truth")


# -- the main job --------------------------------------------------------------------------------


@pytest.mark.parametrize("report", REPORTS)
def test_every_report_has_rows(built: Warehouse, report: str) -> None:
    assert built.value(f"select count(*) from reports.{report}") > 0


def test_every_report_answers_the_question_it_is_timed_by(built: Warehouse) -> None:
    found = views.time_views(postgres.connection_parameters(built.settings), sessions=6000)
    assert {view.report: view.row_count for view in found} == {
        report: built.value(f"select count(*) from reports.{report}") for report in REPORTS
    }
    assert all(view.month_row_count > 0 for view in found)


def test_duckdb_computes_the_sessions_of_postgresql(built: Warehouse, tmp_path: Path) -> None:
    """The SQL is translated, and runs over the lake: the figures of both are of the same work."""
    queries = engines.queries_of(built.settings.home / "state" / "manifest.json")
    shown = {
        "int_visitors_identified": "visitor_id, user_id, user_key::text",
        "int_events_sessionized": "event_id, event_date::text, user_key::text, session_id::text, "
        "session_event_number, is_session_end, is_continuation",
        "int_sessions_aggregated": "session_id::text, visitor_id, user_key::text, "
        "visitor_session_number, session_date::text, event_count, page_view_count, "
        "product_view_count, add_to_cart_count, is_continuation",
    }
    assert shown.keys() == engines.MODELS.keys()
    with engines.open_lake(Path(built.settings.lake), tmp_path / "clickmart.duckdb") as database:
        for name, query in queries.items():
            engines.compute(database, name, query)
        for model, columns in shown.items():
            rows = f"select {columns} from intermediate.{model}"
            ours, theirs = built.query(rows), database.execute(rows).fetchall()
            assert len(ours) > 1000
            assert set(ours) == set(theirs)
            assert len(ours) == len(theirs)


def test_the_documentation_is_one_file_with_every_model(built: Warehouse) -> None:
    page = (built.settings.home / "docs" / "index.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    for name in ("fct_sessions", "rpt_daily_kpis", "int_events_sessionized"):
        assert name in page


def test_the_site_traces_every_column(built: Warehouse) -> None:
    tables = data_of(built.settings.home / "site", "lineage")["tables"]
    assert len(tables) > 100
    assert [name for name, table in tables.items() if not table["is_traced"]] == []
    known = {(name, column) for name, table in tables.items() for column in table["columns"]}
    named = {
        tuple(origin)
        for table in tables.values()
        for column in table["columns"].values()
        for origin in column["from"]
    }
    assert named <= known
    revenue = tables["reports.rpt_daily_kpis"]["columns"]["net_revenue_amount"]
    assert revenue["from"] == [["marts.fct_daily_metrics", "net_revenue_amount"]]


def test_the_reports_are_described_to_tableau(built: Warehouse) -> None:
    ran = built.run("clickmart", "export", "tableau")
    assert ran.returncode == 0, ran.stderr
    written = {path.name for path in (built.settings.home / "tableau").iterdir()}
    assert written == {"clickmart.twb", *(f"{report}.tds" for report in REPORTS)}


def test_up_again_changes_nothing(built: Warehouse) -> None:
    before = built.query("select * from ops.loads")
    ran = built.run("clickmart", "up", *SIZE)
    assert ran.returncode == 0, ran.stderr
    assert built.query("select * from ops.loads") == before
    assert "Your warehouse is ready" in ran.stdout
    assert str(built.settings.home / "site" / "index.html") in ran.stdout
    assert (built.settings.home / "site" / "documentation.html").exists()


def test_every_unit_test_of_the_models_passes(built: Warehouse) -> None:
    assert run_dbt(built.settings, "test", "--select", "test_type:unit")


def test_up_with_other_options_mixes_nothing(built: Warehouse) -> None:
    ran = built.run("clickmart", "up", "--sessions", "50")
    assert ran.returncode == 2
    assert "holds events generated with other options" in ran.stderr


def test_bare_dbt_works_without_exports(built: Warehouse) -> None:
    for command in (["build", "-s", "dim_dates"], ["source", "freshness"]):
        ran = built.run("dbt", *command)
        assert ran.returncode == 0, ran.stdout


def test_every_analysis_has_an_answer(built: Warehouse) -> None:
    compiled = run_dbt(built.settings, "compile", "-s", "path:analyses")
    asked = {path.stem for path in (built.settings.project_dir / "analyses").glob("*.sql")}
    assert asked == {result.node.name for result in compiled}
    without = {r.node.name for r in compiled if not built.query(r.node.compiled_code)}
    assert without <= {"which_buyers_are_about_to_leave"}


def test_the_build_gave_no_warning(built: Warehouse) -> None:
    log = (built.settings.home / "logs" / "dbt-build.log").read_text()
    assert "WARN=0 ERROR=0 SKIP=0" in log
    assert "deprecat" not in log.lower()


def test_the_bi_role_reads_every_report_and_nothing_else(built: Warehouse) -> None:
    connection = psycopg2.connect(postgres.url(built.settings, for_bi=True))
    connection.autocommit = True
    with connection.cursor() as cursor:
        for report in REPORTS:
            cursor.execute(f"select * from reports.{report} limit 1")
        for forbidden in ("marts.fct_orders", "raw.events", "staging.stg_raw__events"):
            with pytest.raises(psycopg2.Error, match="permission denied"):
                cursor.execute(f"select * from {forbidden}")
        with pytest.raises(psycopg2.Error):
            cursor.execute("delete from reports.rpt_daily_kpis")
    connection.close()


# -- the marts against the truth -----------------------------------------------------------------


def test_every_row_written_is_accounted_for(built: Warehouse, truth: score.Truth) -> None:
    (counts,) = built.query(
        "select read_count, loaded_count, duplicate_count, quarantined_count, reasons "
        "from ops.loads"
    )
    assert counts == (
        truth.summary["rows"],
        truth.summary["events"],
        truth.summary["duplicates"],
        truth.summary["malformed"],
        truth.summary["malformed_by_reason"],
    )


@pytest.mark.parametrize("name", score.TOTALS)
def test_a_total_of_the_marts_equals_the_truth(
    built: Warehouse, truth: score.Truth, name: str
) -> None:
    found = score.score_total(built.query, truth, name)
    assert found.true
    assert found.is_exact, found


@pytest.mark.parametrize("name", score.ROWS)
def test_every_row_of_the_marts_is_the_true_one(
    built: Warehouse, truth: score.Truth, name: str
) -> None:
    found = score.score_rows(built.query, truth, name)
    assert found.true
    assert found.is_exact, found


def test_an_experiments_variants_are_the_true_ones(built: Warehouse, truth: score.Truth) -> None:
    found = built.query(
        "select experiment_id, variant_id, visitor_count, converted_visitor_count "
        "from marts.fct_experiment_results"
    )
    true = truth.summary["experiment"]
    assert set(found) == {
        (true["experiment_id"], variant, true[variant]["visitors"], true[variant]["buyers"])
        for variant in ("A", "B")
    }


def test_the_spike_is_an_anomaly_and_the_outage_stands_out(
    built: Warehouse, truth: score.Truth
) -> None:
    rows = built.query(
        "select period_type, period_start_at, is_anomaly, direction, robust_z_score "
        "from marts.fct_metric_anomalies where metric = 'session_count'"
    )
    spike = datetime.fromisoformat(truth.summary["spike"]["date"]).replace(tzinfo=timezone.utc)
    assert ("day", spike, True, "up") in {row[:4] for row in rows}
    # Five sessions an hour are too few to call a single empty one an anomaly.
    first, end = (
        datetime.fromisoformat(at.replace("Z", "+00:00")) for at in truth.summary["outage"]
    )
    scores = [row[4] for row in rows if row[0] == "hour" and first <= row[1] < end]
    assert len(scores) == 4
    assert max(scores) < -2


# -- the laws ------------------------------------------------------------------------------------


def mart_contents(warehouse: Warehouse) -> dict[str, tuple[int, str]]:
    """Return each mart's and report's number of rows, and a hash of them but for `load_id`."""
    relations = warehouse.query(
        "select table_schema || '.' || table_name from information_schema.tables "
        "where table_schema in ('marts', 'reports') "
        # They tell of the loads, not of the events.
        "and table_name not in ('fct_load_quality', 'fct_quarantine_reasons') order by 1"
    )
    return {
        name: warehouse.query(
            "select count(*), md5(string_agg(content, '' order by content)) "
            f"from (select (to_jsonb(t) - 'load_id')::text as content from {name} as t) as rows"
        )[0]
        for (name,) in relations
    }


def test_any_order_of_loads_gives_the_same_marts(
    built: Warehouse, empty: Settings, spark: Any
) -> None:
    files = sorted((built.settings.home / "generated" / "events").glob("*.parquet"))
    for part in (files[5:], files[3:6], files[:1], files):
        load(empty, spark, *part, is_forced=True)
    # What holds for the rows of one mart has been tested, if the rows are the same.
    without = ("--exclude-resource-type", "unit_test", "--exclude", "test_type:generic")
    run_dbt(empty, "build", *without)
    expected = mart_contents(built)
    assert len(expected) > 25
    assert mart_contents(Warehouse(empty.home)) == expected


def test_a_changed_definition_is_followed_by_both_engines(built: Warehouse) -> None:
    project = built.settings.project_dir / "dbt_project.yml"
    assert "session_timeout_minutes: 30" in project.read_text()
    before = built.value("select count(*) from raw.agg_sessions")
    code = (
        "from ingestion import batch; from ingestion.settings import Settings; "
        "own = Settings.load(); own.dbt_vars['session_timeout_minutes'] = 5; "
        "batch.bring_up_to_date(own, print)"
    )
    ran = built.run("python", "-c", code)
    assert ran.returncode == 0, ran.stderr
    assert built.value("select count(*) from raw.agg_sessions") > before
    stale = built.run("dbt", "test", "-s", "aggregates_follow_the_definitions")
    assert stale.returncode == 1
    tests = ("-s", "path:tests/dbt/reconciliation")
    mended = built.run("clickmart", "build", *tests)
    assert mended.returncode == 0, mended.stdout[-3000:] + mended.stderr
    assert built.value("select count(*) from raw.agg_sessions") == before


# -- a real file ---------------------------------------------------------------------------------


def test_real_rows_fill_every_mart_they_can(empty: Settings, spark: Any, rees46_file: Path) -> None:
    warehouse = Warehouse(empty.home)
    assert load(empty, spark, rees46_file, source="rees46").read == 1000
    run_dbt(empty, "build", "--exclude-resource-type", "unit_test")
    filled = {
        name: warehouse.value(f"select count(*) from marts.{name}")
        for name in (
            "fct_events",
            "fct_sessions",
            "fct_orders",
            "fct_order_items",
            "fct_carts",
            "fct_daily_metrics",
            "dim_users",
            "dim_products",
            "dim_dates",
            "dim_devices",
            "fct_product_metrics",
            "fct_session_funnels",
            "fct_user_cohorts",
            "fct_refunds",
        )
    }
    assert filled.pop("fct_refunds") == 0  # the source has none
    assert all(filled.values()), filled
    assert load(empty, spark, rees46_file, source="rees46").skipped_files == {str(rees46_file): 1}
    for report in REPORTS:
        warehouse.query(f"select * from reports.{report}")
