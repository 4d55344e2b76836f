"""The reports as Tableau meets them: through its drivers, its files and its extracts.

A small generated shop over three months, so that totals over months are put to the test.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import psycopg2
import pytest
from tableaudocumentapi import Datasource, Workbook
from typer.testing import CliRunner

from ingestion import batch, postgres, warehouse
from ingestion.cli import app
from ingestion.generate import GenerateOptions, generate
from ingestion.settings import Settings
from ingestion.tableau import extracts
from ingestion.tableau.fields import CALCULATED
from ingestion.tableau.sheets import DASHBOARDS, SHEETS
from tests.conftest import empty_warehouse
from tests.dbt_runs import dbt_command, run_dbt

pytestmark = pytest.mark.filterwarnings("ignore:distutils Version:DeprecationWarning")

SHOP = GenerateOptions(people=200, products=40, sessions=2500, days=80, seed=5)
JDBC_DRIVER = "org.postgresql:postgresql:42.7.7"
# One filtered aggregate of a month, or what comes to that, as a dashboard asks for it.
QUESTIONS = {
    "rpt_daily_kpis": "sum(net_revenue_amount) from reports.rpt_daily_kpis "
    "where month_start_date = '2026-02-01'",
    "rpt_conversion_funnel": "step, sum(session_count) from reports.rpt_conversion_funnel "
    "where session_date between '2026-02-01' and '2026-02-28' group by step",
    "rpt_customer_journey": "to_step, sum(transition_count) from reports.rpt_customer_journey "
    "where month_start_date = '2026-02-01' and is_entry group by to_step",
    "rpt_user_segments": "sum(user_count) from reports.rpt_user_segments where segment = 'New'",
    "rpt_cohort_retention": "sum(active_user_count) from reports.rpt_cohort_retention "
    "where cohort_month = '2026-02-01' and cohort_type = 'activity'",
    "rpt_product_performance": "category, sum(view_count) from reports.rpt_product_performance "
    "where month_start_date = '2026-02-01' group by category",
    "rpt_cart_abandonment": "sum(lost_revenue_amount) from reports.rpt_cart_abandonment "
    "where cart_date between '2026-02-01' and '2026-02-28' and channel = 'Direct'",
    "rpt_channel_attribution": "channel, sum(cost_amount) from reports.rpt_channel_attribution "
    "where month_start_date = '2026-02-01' and attribution_model = 'linear' group by channel",
}
REPORTS = tuple(QUESTIONS)
REFUSED = (
    "select * from marts.fct_orders",
    "select * from raw.events",
    "select * from ops.loads",
    "select * from intermediate.int_events_sessionized",
    "delete from reports.rpt_daily_kpis",
    "update reports.rpt_user_segments set user_count = 0",
    "insert into reports.rpt_conversion_funnel (session_date) values ('2026-02-01')",
    "drop view reports.rpt_daily_kpis",
    "create table reports.mine (a integer)",
    "create table public.mine (a integer)",
)
# Permission denied; and not a view that takes changes, whoever asks.
REFUSALS = {"42501", "55000"}


@pytest.fixture(scope="module")
def built(settings: Settings, spark: Any, tmp_path_factory: Any) -> Iterator[Settings]:
    """A database with the eight reports, and all that they read; dbt has parsed the project."""
    empty_warehouse(settings)
    folder = tmp_path_factory.mktemp("shop")
    generate(spark, SHOP, folder)
    batch.ingest(settings, [str(folder / "events")], "native", report=lambda _: None, spark=spark)
    models = ("build", "-s", "+reports", "--exclude-resource-type", "unit_test", "test")
    run_dbt(settings, "--write-json", *models)
    parsed = Path(dbt_command(settings)[-1]) / "manifest.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warehouse, "manifest", lambda _: json.loads(parsed.read_text()))
        yield settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any, built: Settings) -> Path:  # noqa: ARG001
    """What `clickmart export tableau` writes."""
    folder = Path(tmp_path_factory.mktemp("tableau")) / "new"
    ran = CliRunner().invoke(app, ["export", "tableau", "--out", str(folder)])
    assert ran.exit_code == 0, ran.output
    assert f"{folder / 'clickmart.twb'}" in ran.output.replace("\n", "")
    return folder


Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def bi(built: Settings) -> Iterator[Query]:
    """A function that runs a query logged in as a BI tool is."""
    connection = psycopg2.connect(postgres.url(built, for_bi=True))
    connection.autocommit = True

    def run(text: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(text, parameters or None)
            return list(cursor.fetchall())

    yield run
    connection.close()


def columns_of(bi: Query, report: str) -> list[str]:
    return [
        name
        for (name,) in bi(
            "select column_name from information_schema.columns "
            "where table_schema = 'reports' and table_name = %s order by ordinal_position",
            report,
        )
    ]


# -- the views -----------------------------------------------------------------------------------


@pytest.mark.parametrize("report", REPORTS)
def test_a_bi_tool_reads_what_a_view_and_its_columns_mean(bi: Query, report: str) -> None:
    comments = bi(
        "select attname, obj_description(attrelid), col_description(attrelid, attnum) "
        "from pg_attribute where attrelid = %s::regclass and attnum > 0",
        f"reports.{report}",
    )
    assert [name for name, _, _ in comments] == columns_of(bi, report)
    assert all(view.startswith("One row per ") for _, view, _ in comments)
    assert [name for name, _, column in comments if not column] == []


@pytest.mark.parametrize("report", REPORTS)
def test_a_view_does_not_compute_from_sessions_users_or_events(bi: Query, report: str) -> None:
    """A view stands on marts at its own grain, or near it: what a dashboard reads is small."""
    relations = {
        name
        for (line,) in bi(f"explain (verbose) select * from reports.{report}")
        for name in re.findall(r"Scan .*on marts\.(\w+)", line)
    }
    assert relations
    assert not relations & {
        *("fct_sessions", "fct_session_funnels", "fct_events", "dim_users", "dim_visitors"),
        *("fct_product_metrics", "fct_orders", "fct_attribution"),
    }


@pytest.mark.parametrize("report", REPORTS)
def test_a_bi_tool_reads_a_month_of_it(bi: Query, report: str) -> None:
    rows = bi(f"select {QUESTIONS[report]}")
    assert rows
    assert rows[0][-1] is not None


@pytest.mark.parametrize("statement", REFUSED)
def test_a_bi_tool_is_refused_all_else(bi: Query, statement: str) -> None:
    with pytest.raises(psycopg2.Error) as refused:
        bi(statement)
    assert refused.value.pgcode in REFUSALS


def test_the_role_may_read_the_reports_and_write_nothing(bi: Query) -> None:
    rights = bi(
        "select nspname || '.' || relname, has_table_privilege(pg_class.oid, 'select'), "
        "has_table_privilege(pg_class.oid, 'insert, update, delete, truncate') "
        "from pg_class join pg_namespace on pg_namespace.oid = relnamespace "
        "where relkind in ('r', 'v', 'm', 'p') and nspname not like all (array['pg_%', 'inf%'])"
    )
    assert len(rights) > 60
    assert {name for name, may_read, _ in rights if may_read} == {f"reports.{r}" for r in REPORTS}
    assert [name for name, _, may_write in rights if may_write] == []


# -- the drivers ---------------------------------------------------------------------------------


def as_jdbc(type_name: str) -> tuple[str, str | None, str | None]:
    """What JDBC should say of a PostgreSQL type: name, size and digits, where they matter."""
    name, _, sizes = type_name.rstrip(")").partition("(")
    size, _, digits = sizes.partition(",")
    plain = {"date": "DATE", "bigint": "BIGINT", "integer": "INTEGER", "boolean": "BIT"}
    if name in plain:
        return plain[name], None, None
    return ("NUMERIC", size, digits) if name == "numeric" else ("VARCHAR", size, None)


def declared_types(bi: Query) -> dict[tuple[str, str], str]:
    return {
        (view, column): type_name.replace("character varying", "varchar")
        for view, column, type_name in bi(
            "select attrelid::regclass::text, attname, format_type(atttypid, atttypmod) "
            "from pg_attribute join pg_class on pg_class.oid = attrelid "
            "where relnamespace = 'reports'::regnamespace and attnum > 0"
        )
    }


@pytest.fixture(scope="module")
def jdbc_driver(tmp_path_factory: Any) -> Path:
    """The PostgreSQL driver for Java, as Maven finds it."""
    if not shutil.which("java") or not shutil.which("mvn"):
        pytest.skip("JDBC is not tried: it needs java and mvn")
    folder = Path(tmp_path_factory.mktemp("jdbc"))
    got = subprocess.run(
        ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={JDBC_DRIVER}",  # noqa: S607
         f"-DoutputDirectory={folder}"],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if got.returncode != 0:
        pytest.skip(f"JDBC is not tried: Maven does not give {JDBC_DRIVER}")
    (jar,) = folder.glob("*.jar")
    return jar


@pytest.fixture(scope="module")
def answers(built: Settings, jdbc_driver: Path) -> list[list[str]]:
    """What the database answers through JDBC, line by line."""
    statements = [f"select {question}" for question in QUESTIONS.values()]
    statements += [f"select * from reports.{report} limit 0" for report in REPORTS]
    questions = jdbc_driver.parent / "questions.sql"
    questions.write_text("\n".join([*statements, *REFUSED]))
    parameters = postgres.connection_parameters(built)
    url = "jdbc:postgresql://{host}:{port}/{dbname}".format(**parameters)
    source = Path(__file__).with_name("BiClient.java")
    ran = subprocess.run(
        ["java", "-XX:TieredStopAtLevel=1", "-cp", jdbc_driver, source,  # noqa: S607
         url, postgres.BI_ROLE, questions],
        env={**os.environ, "BI_PASSWORD": postgres.bi_password(built)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return [line.split("\t") for line in ran.stdout.splitlines()]


def test_jdbc_finds_the_views_with_their_comments(answers: list[list[str]]) -> None:
    assert ["schema", "reports"] in answers
    tables = {words[1]: words[2:] for words in answers if words[0] == "table"}
    assert set(tables) == set(REPORTS)
    for kind, comment in tables.values():
        assert kind == "VIEW"
        assert comment.startswith("One row per ")


def test_jdbc_finds_the_columns_with_native_types(answers: list[list[str]], bi: Query) -> None:
    found = {
        (f"reports.{words[1]}", words[2]): words[3:] for words in answers if words[0] == "column"
    }
    declared = declared_types(bi)
    assert set(found) == set(declared)
    for column, (name, size, digits, comment) in found.items():
        kind, true_size, true_digits = as_jdbc(declared[column])
        assert name == kind, column
        assert true_size in (None, size), column
        assert true_digits in (None, digits), column
        assert comment, column


def test_jdbc_reads_the_views_and_nothing_else(answers: list[list[str]], bi: Query) -> None:
    asked = {words[1]: [int(n) for n in words[2:]] for words in answers if words[0] == "asked"}
    refused = {words[1]: words[2] for words in answers if words[0] == "refused"}
    assert set(refused) == set(REFUSED)
    assert set(refused.values()) == REFUSALS
    for report, question in QUESTIONS.items():
        assert asked[f"select {question}"][0] > 0
        width = len(columns_of(bi, report))
        assert asked[f"select * from reports.{report} limit 0"] == [0, width]


@pytest.fixture(scope="module")
def odbc(built: Settings) -> Iterator[Any]:
    """A cursor of the PostgreSQL driver for ODBC, set as Tableau sets it."""
    pyodbc = pytest.importorskip(
        "pyodbc", reason="ODBC is not tried: no pyodbc", exc_type=ImportError
    )
    if "PostgreSQL Unicode" not in pyodbc.drivers():
        pytest.skip("ODBC is not tried: no driver. apt-get install unixodbc odbc-postgresql")
    parameters = postgres.connection_parameters(built)
    connection = pyodbc.connect(
        "Driver={{PostgreSQL Unicode}};Server={host};Port={port};Database={dbname};"
        "BoolsAsChar=0".format(**parameters),
        user=postgres.BI_ROLE,
        password=postgres.bi_password(built),
        autocommit=True,
    )
    yield connection.cursor()
    connection.close()


def test_odbc_finds_the_views_with_native_types(odbc: Any, bi: Query) -> None:
    """No column is a long memo, which Tableau can neither group by nor filter."""
    numbers = {"date": 91, "bigint": -5, "integer": 4, "boolean": -7, "numeric": 2, "varchar": -9}
    views = odbc.tables(schema="reports").fetchall()
    assert {(view.table_name, view.table_type) for view in views} == {
        (report, "VIEW") for report in REPORTS
    }
    found = {}
    for report in REPORTS:
        for column in odbc.columns(schema="reports", table=report).fetchall():
            found[f"reports.{report}", column.column_name] = column.data_type
    declared = declared_types(bi)
    assert found == {column: numbers[name.partition("(")[0]] for column, name in declared.items()}


def test_odbc_reads_the_views_and_nothing_else(odbc: Any, bi: Query) -> None:
    import pyodbc

    for report, question in QUESTIONS.items():
        assert odbc.execute(f"select {question}").fetchall()
        odbc.execute(f"select * from reports.{report} limit 0")
        assert [column[0] for column in odbc.description] == columns_of(bi, report)
    for statement in REFUSED:
        with pytest.raises(pyodbc.Error) as refused:
            odbc.execute(statement)
        assert refused.value.args[0] in REFUSALS, statement


# -- the data sources ----------------------------------------------------------------------------


@pytest.mark.parametrize("report", REPORTS)
def test_a_data_source_describes_the_columns_of_its_view(
    folder: Path, bi: Query, report: str
) -> None:
    fields = Datasource.from_file(str(folder / f"{report}.tds")).fields.values()
    columns = [field for field in fields if not field.calculation]
    assert [field.id.strip("[]") for field in columns] == columns_of(bi, report)
    shown = [field for field in fields if field.hidden != "true"]
    captions = Counter(field.caption for field in shown)
    assert max(captions.values()) == 1, captions
    assert [field.id for field in shown if not field.description] == []
    # Whoever averages a ratio is wrong; so the ratio of the sums is the only one there.
    for field in fields:
        if field.hidden == "true":
            calculated = f"[{CALCULATED}{field.id.strip('[]')}]"
            assert calculated in {other.id for other in shown}


def test_the_data_sources_log_in_without_a_password(folder: Path, built: Settings) -> None:
    parameters = postgres.connection_parameters(built)
    documents = [Datasource.from_file(str(path)) for path in folder.glob("*.tds")]
    assert len(documents) == len(REPORTS)
    connections = [connection for document in documents for connection in document.connections]
    connections += [
        connection
        for source in Workbook(str(folder / "clickmart.twb")).datasources
        for connection in source.connections
    ]
    assert len(connections) == 2 * len(REPORTS)
    for connection in connections:
        assert connection.dbclass == "postgres"
        assert connection.server == parameters["host"]
        assert connection.port == str(parameters["port"])
        assert connection.dbname == parameters["dbname"]
        assert connection.username == postgres.BI_ROLE
    written = "".join(path.read_text() for path in folder.iterdir())
    assert postgres.bi_password(built) not in written
    assert str(parameters["password"]) not in written
    assert "password=" not in written.replace('authentication="username-password"', "")


def in_sql(formula: str) -> str:
    """A formula of Tableau for one row alone, as SQL: there a sum is the value itself."""
    once = re.sub(r"\{INCLUDE [^:]+: MAX\((\[\w+\])\)\}", r"\1", formula)
    given = re.sub(
        r"IF NOT ISNULL\((\[\w+\])\) THEN (\[\w+\]) END",
        r"case when \1 is not null then \2 end",
        once,
    )
    row = re.sub(r"\b(SUM|MAX)\(", "(", given)
    parts = re.sub(r"\[(\w+)\]", r"cast(\1 as numeric)", row).split(" / ")
    assert len(parts) <= 2
    return parts[0] if len(parts) == 1 else f"{parts[0]} / nullif({parts[1]}, 0)"


@pytest.mark.parametrize("report", REPORTS)
def test_a_formula_gives_the_views_own_ratio_for_a_single_row(
    folder: Path, bi: Query, report: str
) -> None:
    fields = Datasource.from_file(str(folder / f"{report}.tds")).fields.values()
    formulas = {
        field.id.strip("[]").removeprefix(CALCULATED): in_sql(field.calculation)
        for field in fields
        if field.calculation
    }
    assert formulas
    for column, formula in formulas.items():
        (counts,) = bi(
            f"select count({column}), count(*) filter (where ({column} is null) <> "
            f"(formula is null) or abs({column} - formula) > 0.006) "
            f"from (select {column}, {formula} as formula from reports.{report}) as both_ways"
        )
        assert counts[1] == 0, (column, formula)
        assert counts[0] > 0, column


# -- the workbook --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workbook(folder: Path) -> ET.Element:
    return ET.parse(folder / "clickmart.twb").getroot()  # noqa: S314


def test_the_workbook_shows_every_report_and_every_sheet_once(folder: Path) -> None:
    book = Workbook(str(folder / "clickmart.twb"))
    assert {source.name for source in book.datasources} == {f"federated.{r}" for r in REPORTS}
    assert {sheet.report for sheet in SHEETS} == set(REPORTS)
    assert sorted(book.worksheets) == sorted(sheet.name for sheet in SHEETS)
    assert book.dashboards == [dashboard.name for dashboard in DASHBOARDS]
    shown = Counter(name for dashboard in DASHBOARDS for name in dashboard.sheets)
    assert shown == Counter(sheet.name for sheet in SHEETS)


def test_an_exposure_names_the_dashboard_that_shows_its_report(built: Settings) -> None:
    report_of = {sheet.name: sheet.report for sheet in SHEETS}
    shown = {
        (dashboard.name, report_of[sheet]) for dashboard in DASHBOARDS for sheet in dashboard.sheets
    }
    exposed = {
        (exposure["config"]["meta"]["dashboard"], parent.split(".")[-1])
        for exposure in warehouse.manifest(built)["exposures"].values()
        for parent in exposure["depends_on"]["nodes"]
    }
    assert exposed == shown


def test_what_a_sheet_uses_is_declared_in_it_and_in_its_data_source(workbook: ET.Element) -> None:
    declared = {
        source.get("name"): {column.get("name") for column in source.iter("column")}
        for source in workbook.find("datasources") or []
    }
    pages = [*workbook.iter("worksheet"), *workbook.iter("dashboard")]
    assert len(pages) == len(SHEETS) + len(DASHBOARDS)
    for page in pages:
        known = set()
        for data in page.iter("datasource-dependencies"):
            name = data.get("datasource")
            columns = {column.get("name") for column in data.iter("column")}
            assert columns <= declared[name]
            for instance in data.iter("column-instance"):
                assert instance.get("column") in columns
                known.add(f"[{name}].{instance.get('name')}")
        assert known or page.tag == "dashboard"
        assert used_in(page) <= known, page.get("name")


def used_in(page: ET.Element) -> set[str]:
    """The fields that shelves, colours, filters, sorts and filter controls of a page name."""
    texts = [
        text for tag in ("rows", "cols", "slices") for e in page.iter(tag) for text in e.itertext()
    ]
    texts += [
        element.get(name, "")
        for element in page.iter()
        for name in ("column", "using", "param")
        if element.tag != "column-instance"
    ]
    return {found for text in texts for found in re.findall(r"\[[^][]+\]\.\[[^][]+\]", text)}


def test_the_workbooks_parts_name_each_other_rightly(workbook: ET.Element) -> None:
    sheets = {sheet.get("name") for sheet in workbook.iter("worksheet")}
    pages = {page.get("name") for page in workbook.iter("dashboard")}
    assert {zone.get("name") for zone in workbook.iter("zone")} - {None} == sheets
    assert {point.get("name") for point in workbook.iter("viewpoint")} == sheets
    assert {window.get("name") for window in workbook.iter("window")} == sheets | pages
    ids = Counter(element.get("uuid") for element in workbook.iter("simple-id"))
    assert len(ids) == 2 * len(sheets | pages)
    for page in workbook.iter("dashboard"):
        zones = [zone.get("id") for zone in page.iter("zone")]
        assert len(set(zones)) == len(zones)
        boxes = [[int(zone.get(side, "")) for side in "xywh"] for zone in page.iter("zone")]
        assert all(x + w <= 100_000 and y + h <= 100_000 for x, y, w, h in boxes)


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_a_sheet_has_something_to_show(bi: Query, sheet: Any) -> None:
    """With its filters as they stand, and more than one mark."""
    shelves = (*sheet.rows, *sheet.cols, sheet.color, sheet.detail)
    names = dict.fromkeys(name.partition("@")[0] for name in shelves if name)
    chosen = {**sheet.only, **sheet.choose}
    kept = " and ".join(f"{name} = '{value}'" for name, value in chosen.items() if value)
    rows = bi(
        f"select distinct {', '.join(names)} from reports.{sheet.report} where {kept or 'true'}"
    )
    assert len(rows) > 1


# -- the extracts --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: Any, built: Settings) -> Path:  # noqa: ARG001
    """What `clickmart export hyper` writes."""
    pytest.importorskip("tableauhyperapi", reason="extracts are not tried: no tableauhyperapi")
    folder = Path(tmp_path_factory.mktemp("hyper"))
    ran = CliRunner().invoke(app, ["export", "hyper", "--out", str(folder)])
    assert ran.exit_code == 0, ran.output
    return folder


def test_an_extract_has_every_row_of_its_view(extracted: Path, bi: Query) -> None:
    from tableauhyperapi import Connection, HyperProcess, TableName, Telemetry

    assert sorted(path.stem for path in extracted.glob("*.hyper")) == sorted(REPORTS)
    table = TableName("Extract", "Extract")
    with HyperProcess(
        Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters={"log_config": ""}
    ) as process:
        for report in REPORTS:
            path = extracted / f"{report}.hyper"
            with Connection(process.endpoint, str(path)) as extract:
                columns = extract.catalog.get_table_definition(table).columns
                rows = extract.execute_list_query(f"select * from {table}")
            assert [column.name.unescaped for column in columns] == columns_of(bi, report)
            as_python = [tuple(map(to_python, row)) for row in rows]
            assert Counter(as_python) == Counter(bi(f"select * from reports.{report}"))


def to_python(value: Any) -> Any:
    return value.to_date() if hasattr(value, "to_date") else value


def test_the_packed_workbook_holds_the_extracts_it_reads(extracted: Path) -> None:
    with zipfile.ZipFile(extracted / "clickmart.twbx") as packed:
        inside = set(packed.namelist())
        root = ET.fromstring(packed.read("clickmart.twb"))  # noqa: S314
    read = {
        connection.get("dbname")
        for connection in root.iter("connection")
        if connection.get("class") == "hyper"
    }
    assert read == inside - {"clickmart.twb"}
    assert len(read) == len(REPORTS)
    assert not [e for e in root.iter("connection") if e.get("class") == "postgres"]
    assert len(Workbook(str(extracted / "clickmart.twbx")).worksheets) == len(SHEETS)


def test_without_the_hyper_api_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extracts, "find_spec", lambda _: None)
    ran = CliRunner().invoke(app, ["export", "hyper"])
    assert "pip install 'clickmart[hyper]'" in str(ran.exception)
    assert getattr(ran.exception, "exit_code", None) == 2


def test_a_missing_report_is_named_with_the_remedy(built: Settings, tmp_path: Path) -> None:
    pytest.importorskip("tableauhyperapi", reason="extracts are not tried: no tableauhyperapi")
    with postgres.connect(built) as connection, connection.cursor() as cursor:
        cursor.execute("alter view reports.rpt_daily_kpis rename to away")
    try:
        ran = CliRunner().invoke(app, ["export", "hyper", "--out", str(tmp_path)])
    finally:
        with postgres.connect(built) as connection, connection.cursor() as cursor:
            cursor.execute("alter view reports.away rename to rpt_daily_kpis")
    assert "reports.rpt_daily_kpis is missing" in str(ran.exception)
    assert "clickmart build" in str(ran.exception)
    assert list(tmp_path.iterdir()) == []
