"""The guides, followed as they say: their files are written and their commands run, in their order.

On a small generated shop, beside which the two small files of "your own events" are loaded, in a
copy of the project. `dbt` and `clickmart` run in this process: to start each anew takes longer
than what it does.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from typer.testing import CliRunner

from ingestion import batch, embedded, forget, postgres, warehouse
from ingestion.cli import app
from ingestion.generate import GenerateOptions, generate
from ingestion.settings import EMBEDDED_MARK, LIBPQ_VARIABLES, PROJECT_DIR, Settings
from tests.conftest import empty_warehouse
from tests.dbt_runs import copy_project, dbt_command, run_dbt

SHOP = GenerateOptions(people=300, products=40, sessions=2500, days=75, seed=6)
NOTEBOOKS = sorted((PROJECT_DIR / "notebooks").glob("*.ipynb"))
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`([\w./-]+\.(?:csv|jsonl|sql|yml))`")
HEADING = re.compile(r"^#{2,3} (.+)\n", re.MULTILINE)
FAILS = re.compile(r"# exit code (\d)$")
# The sections whose commands no test types, and why.
NOT_TYPED = {
    ("README.md", "Start"): "it makes an environment",
    ("README.md", "Your own events"): "in short what docs/your-own-events.md says at length",
    ("QUICKSTART.md", ""): "it makes an environment",
    ("docs/warehouse.md", "dbt, bare"): "a whole build, which other tests look at",
    ("docs/warehouse.md", "Metrics"): "MetricFlow's command is not part of the environment",
    ("docs/warehouse.md", "Only what was edited"): "it needs a whole build; see test_dbt.py",
    ("docs/server.md", "With Docker"): "it needs Docker",
    ("docs/server.md", "Roles and passwords"): "psql asks for the password on the terminal",
}
FOLLOWED = {
    "QUICKSTART.md": ("What you see",),
    "TABLEAU_GUIDE.md": ("Tableau Desktop", "Tableau Public"),
    "docs/lake.md": (
        "Rebuild the database from the lake",
        "Replace a range of dates",
        "Read an older version",
        "Erase a person",
    ),
    "docs/mapping.md": ("From a file to loaded rows",),
    "docs/server.md": (
        "What is on the laptop",
        "A PostgreSQL of your own",
        "Take along what the laptop has loaded",
        "Backups",
    ),
    "docs/when-a-test-fails.md": ("See which rows", "An expression", "Two models differ"),
    "docs/your-first-model.md": ("4. Build it and look",),
    "docs/your-own-events.md": ("From a file to the marts", "Look at what was loaded"),
    "docs/your-own-funnel.md": ("Five lines", "Shares and times"),
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a guide, with the paragraph before it."""

    language: str
    text: str
    before: str

    @property
    def file(self) -> str | None:
        """The file that the paragraph before says to write; the last one it names."""
        named = (
            FILE.findall(self.before)
            if re.search(r"[Ss]ave|[Aa]ppend|and this", self.before)
            else []
        )
        return named[-1] if named else None


def sections_of(guide: str) -> dict[str, str]:
    """The text under each heading of a guide; under none, what stands before the first."""
    first, *rest = HEADING.split((PROJECT_DIR / guide).read_text())
    return {"": first, **dict(zip(rest[::2], rest[1::2], strict=True))}


def blocks(guide: str, *sections: str) -> Iterator[Block]:
    """The blocks of a guide, or of some of its sections."""
    texts = sections_of(guide)
    text = "\n".join(texts[section] for section in sections or texts)
    end = 0
    for found in FENCE.finditer(text):
        before = text[end : found.start()].strip().split("\n\n")[-1]
        lines = [line.removeprefix(found[1]) for line in found[3].splitlines(keepends=True)]
        yield Block(found[2], "".join(lines), before)
        end = found.end()


class Reader:
    """Somebody who follows guides in a copy of the project, and remembers what was said."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self.said: list[str] = []
        self.meant: dict[str, str] = {}  # What stands for the guides' examples, such as a host.
        copy_project(folder)

    def follow(self, guide: str, *sections: str) -> str:
        """Do what a guide says; return what its commands said."""
        self.said = []
        typed = 0
        with self.at_work() as patch:
            for block in blocks(guide, *sections):
                if block.language == "sh":
                    for line in block.text.splitlines():
                        self._type(line, patch)
                    typed += 1
                elif block.language == "python":
                    typed += 1
                    exec(compile(block.text, guide, "exec"), {})  # noqa: S102
                elif block.file:
                    self._write(block)
        assert typed
        return "\n".join(self.said)

    @contextmanager
    def at_work(self) -> Iterator[pytest.MonkeyPatch]:
        """Be in the copy, at home beside it, with what the environment's programs fill in."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.setenv("HOME", str(self.folder.parent))
            patch.setenv(EMBEDDED_MARK, str(self.settings.home))
            for name, value in (postgres.read_server_file(self.settings) or {}).items():
                patch.setenv(name, str(value))
            yield patch

    def _write(self, block: Block) -> None:
        path = self.folder / str(block.file)
        assert path.parent.is_dir(), f"{block.file} would lie in a folder that is not there"
        is_more = "Append" in block.before
        path.write_text((path.read_text() if is_more else "") + block.text)

    def _type(self, line: str, patch: pytest.MonkeyPatch) -> None:
        words = [os.path.expandvars(word) for word in shlex.split(line, comments=True)]
        if not words or words == ["source", ".venv/bin/activate"]:
            return
        if words[0] == "export":
            for word in words[1:]:
                name, value = word.split("=")
                patch.setenv(name, self.meant.get(value) or str(Path(value).expanduser()))
                if name in LIBPQ_VARIABLES:  # From here on it is a server that the user has named.
                    patch.delenv(EMBEDDED_MARK, raising=False)
            return
        expected = FAILS.search(line)
        code = self._run(words)
        assert code == (int(expected[1]) if expected else 0), f"{line}: {self.said[-1]}"

    def _run(self, words: Sequence[str]) -> int:
        if words[0] == "dbt":
            return self.dbt(*words[1:])
        if words[0] == "clickmart" and words[1:3] != ["db", "psql"]:
            ran = CliRunner().invoke(app, words[1:])
            self.said.append(f"{ran.output}{ran.exception or ''}")
            return ran.exit_code
        # psql writes past this process's own output.
        command = [sys.executable, "-m", "ingestion", *words[1:]]
        is_ours = words[0] == "clickmart"
        done = subprocess.run(command if is_ours else words, capture_output=True, text=True)
        self.said.append(done.stdout + done.stderr)
        return done.returncode

    def dbt(self, *words: str) -> int:
        """Run dbt in the copy; a selection of nothing is a failure, too."""
        from dbt.cli.main import dbtRunner

        with self.at_work():
            ran = dbtRunner().invoke(dbt_command(self.settings, *words, folder=self.folder))
        results = [
            r for r in getattr(ran.result, "results", ()) if r.node.resource_type != "operation"
        ]
        self.said.append("\n".join(f"{r.node.name} {r.status} {r.message}" for r in results))
        return 0 if ran.success and results else 1

    def query(self, text: str) -> list[tuple[Any, ...]]:
        with postgres.connect(self.settings) as connection, connection.cursor() as cursor:
            cursor.execute(text)
            return list(cursor.fetchall())


@pytest.fixture(scope="module")
def own_events(settings: Settings, spark: Any, tmp_path_factory: Any) -> tuple[Reader, str]:
    """Who has followed "your own events" beside a generated shop, and what they were told."""
    empty_warehouse(settings)
    events = tmp_path_factory.mktemp("generated") / "shop"
    generate(spark, SHOP, events)
    batch.ingest(settings, [str(events / "events")], "native", report=lambda _: None, spark=spark)
    at_home = tmp_path_factory.mktemp("home")
    (at_home / "my-shop").symlink_to(settings.home)  # the home that the guide chooses
    (at_home / "clickmart").mkdir()
    reader = Reader(at_home / "clickmart", settings)
    with pytest.MonkeyPatch.context() as patch:
        # The tests of all models have run elsewhere.
        patch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "test unit_test")
        said = reader.follow("docs/your-own-events.md", "From a file to the marts")
    return reader, said


@pytest.fixture(scope="module")
def reader(own_events: tuple[Reader, str]) -> Reader:
    return own_events[0]


def test_every_command_of_a_guide_is_typed_or_excused() -> None:
    guides = ["README.md", "QUICKSTART.md", "TABLEAU_GUIDE.md"]
    guides += [f"docs/{path.name}" for path in (PROJECT_DIR / "docs").glob("*.md")]
    guides.remove("docs/benchmarks.md")  # No guide: its commands take hours.
    told_to_type = {
        (guide, section)
        for guide in guides
        for section in sections_of(guide)
        if any(block.language in ("sh", "python") for block in blocks(guide, section))
    }
    typed = {(guide, section) for guide, sections in FOLLOWED.items() for section in sections}
    assert typed | NOT_TYPED.keys() == told_to_type
    assert typed & NOT_TYPED.keys() == set()


def told(guide: str, *sections: str) -> list[str]:
    """The lines that a guide says the commands print."""
    return [
        line.strip()
        for block in blocks(guide, *sections)
        if block.language == ""
        for line in block.text.splitlines()
        if line.strip()
    ]


def without_moments(text: str) -> str:
    """A text without what differs each time: the load's number, its seconds, and runs of blanks."""
    text = re.sub(r'Load \d+|"load_id": \d+|in [\d.]+ s|"seconds": [\d.]+', "", text)
    return re.sub(r"[ -]+", " ", text)


def test_your_own_events_become_what_the_guide_says(own_events: tuple[Reader, str]) -> None:
    _, said = own_events
    promised = told("docs/your-own-events.md", "From a file to the marts")
    assert len(promised) > 8
    shown = {without_moments(line.strip()) for line in said.splitlines()}
    assert [line for line in promised if without_moments(line) not in shown] == []


def test_the_first_look_shows_something(reader: Reader) -> None:
    said = reader.follow("QUICKSTART.md", "What you see")
    assert "(7 rows)" in said
    assert "where_do_sessions_leave_the_funnel success" in said


def test_the_first_model_is_built_and_its_tests_can_fail(reader: Reader) -> None:
    said = reader.follow("docs/your-first-model.md")
    assert "fct_search_terms success" in said
    assert "a_term_counts_once_for_each_session pass" in said
    terms = "select search_term, {}, conversion_rate from {} order by 1"
    rows = reader.query(terms.format("session_count", "marts.fct_search_terms"))
    assert rows

    folder = reader.folder / "warehouse/models/marts/journeys"
    model, properties = folder / "fct_search_terms.sql", folder / "fct_search_terms.yml"
    sql = model.read_text()
    (broken,) = re.findall(
        r"write `(.+?)` in the SQL", (PROJECT_DIR / "docs/your-first-model.md").read_text()
    )
    model.write_text(re.sub("inner join sessions on .+", broken, sql))
    assert reader.dbt("build", "-s", "fct_search_terms") == 1
    assert "a_term_counts_once_for_each_session fail" in reader.said[-1]
    assert reader.query(terms.format("session_count", "marts.fct_search_terms")) == rows

    # Its second version, as docs/warehouse.md has it.
    model.unlink()
    first_sql, versions = (
        b.text for b in blocks("docs/warehouse.md", "Changing a mart that others read")
    )
    (folder / "fct_search_terms_v2.sql").write_text(
        sql.replace("        session_count,", "        session_count as search_session_count,")
    )
    (folder / "fct_search_terms_v1.sql").write_text(first_sql)
    before, after = properties.read_text().split("    data_tests:\n", 1)
    after = after.replace(
        "model: fct_search_terms\n", "model: fct_search_terms\n    versions: {include: [2]}\n"
    )
    after = after.replace("search_term,session_count,", "search_term,search_session_count,")
    properties.write_text(f"{before}{versions}    data_tests:\n{after}")
    run_dbt(
        reader.settings, "--warn-error", "build", "-s", "fct_search_terms", folder=reader.folder
    )
    for column, relation in (
        ("session_count", "marts.fct_search_terms"),
        ("search_session_count", "marts.fct_search_terms_v2"),
    ):
        assert reader.query(terms.format(column, relation)) == rows


def test_a_funnel_of_your_own_counts_what_the_macro_finds(reader: Reader) -> None:
    said = reader.follow("docs/your-own-funnel.md")
    assert "how_far_do_searches_lead success" in said
    assert "how_long_do_searches_take_to_sell success" in said


def test_the_drill_of_a_failing_test_goes_as_told(reader: Reader) -> None:
    said = reader.follow("docs/when-a-test-fails.md")
    failed, rows, passed = said.split("\n")[0], reader.said[1], reader.said[2]
    assert failed.startswith("orders_are_plausible fail Got ")
    assert "(5 rows)" in rows
    assert passed.startswith("orders_are_plausible pass")
    assert "(0 rows)" in reader.said[-1]  # no event is lost
    assert reader.query("select to_regclass('test_failures.orders_are_plausible')") == [(None,)]
    assert not (reader.folder / "tests/dbt/orders_are_plausible.sql").exists()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(reader: Reader, path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    # What is committed has no outputs: figures of somebody's run would soon be wrong.
    assert [cell for cell in code if cell.outputs or cell.execution_count] == []
    with reader.at_work():
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = [output for cell in code for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) > 5
    assert [output for output in outputs if output.output_type == "stream"] == []


def test_tableau_gets_its_files_and_its_login(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As dbt sees the copy, where it is parsed already.
    assert reader.dbt("--write-json", "compile", "-s", "rpt_daily_kpis") == 0
    target = Path(dbt_command(reader.settings, folder=reader.folder)[-1])
    parsed = json.loads((target / "manifest.json").read_text())
    monkeypatch.setattr(warehouse, "manifest", lambda _: parsed)
    said = reader.follow("TABLEAU_GUIDE.md")
    assert len(list((reader.settings.home / "tableau").glob("*.tds"))) == 8
    (address,) = re.findall(r"postgresql://clickmart_bi:\S+", said)
    with psycopg2.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from reports.rpt_daily_kpis")
        ((days,),) = cursor.fetchall()
    heading, *lines = (reader.folder / "rpt_daily_kpis.csv").read_text().splitlines()
    assert heading.startswith("metric_date,")
    assert len(lines) == days > 0


def test_what_is_quarantined_is_looked_at_and_replayed(reader: Reader) -> None:
    reader.follow("docs/mapping.md", *FOLLOWED["docs/mapping.md"])
    promised = told("docs/mapping.md", *FOLLOWED["docs/mapping.md"])
    assert len(promised) > 20
    shown = {without_moments(line.strip()) for text in reader.said for line in text.splitlines()}
    assert [line for line in promised if without_moments(line) not in shown] == []
    said = reader.follow("docs/your-own-events.md", "Look at what was loaded")
    assert "invalid_event_ts" in said
    assert "quarantined, invalid_event_ts: 1" in reader.said[-1]


# -- on to a server; what follows takes the warehouse apart ----------------------------------------


@pytest.fixture
def seeds_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build makes the seeds: the models are built elsewhere."""
    monkeypatch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "model snapshot test unit_test")


@pytest.mark.usefixtures("seeds_alone")
def test_a_lake_is_rebuilt_from_replaced_in_read_back_and_erased_from(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warehouse, "build_shown", lambda *_, **__: reader.dbt("build"))
    events = "select count(*), count(*) filter (where user_id = 'u7') from raw.events"
    ((before, theirs),) = reader.query(events)
    reader.query("delete from raw.events where event_ts::date = '2026-03-02' returning 1")
    reader.follow("docs/lake.md", "Rebuild the database from the lake")
    assert reader.query(events) == [(before, theirs)]

    week = reader.folder / "exports/2026-03-week-1"
    week.mkdir(parents=True)
    shutil.copy(reader.folder / "shop.csv", week)
    said = reader.follow("docs/lake.md", "Replace a range of dates")
    assert "taken out of earlier loads" in said

    (reader.folder / ".clickmart").symlink_to(reader.settings.home)
    reader.follow("docs/lake.md", "Read an older version")

    monkeypatch.setattr(forget, "rebuild_marts", lambda *_: None)  # see test_forget.py
    said = reader.follow("docs/lake.md", "Erase a person")
    assert theirs > 0
    assert "Erased: " in reader.said[0]
    assert "Nothing was found of visitor '3f1c9a'." in said
    assert reader.query(events)[0][1] == 0


@pytest.fixture
def own_server(reader: Reader) -> Iterator[Callable[[], None]]:
    """A function that makes a new database on the tests' server, for a user who owns it alone."""
    given = postgres.connection_parameters(reader.settings)

    def run(*statements: str) -> None:
        connection = psycopg2.connect(**given)
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        connection.close()

    run("create role shop login password 'theirs'")
    reader.meant = {"db.example": given["host"], "5432": str(given["port"]), "...": "theirs"}
    drop = "drop database if exists shop with (force)"
    yield lambda: run(drop, "create database shop owner shop")
    run(drop, "drop role shop")


@pytest.mark.usefixtures("seeds_alone")
def test_a_server_of_your_own_is_filled_from_files_or_from_the_laptops_lake(
    reader: Reader, own_server: Callable[[], None]
) -> None:
    (reader.folder / "exports").mkdir(exist_ok=True)
    own_server()
    said = reader.follow("docs/server.md", "A PostgreSQL of your own")
    assert "(given by PG variables)" in said
    assert "Load 1: read " in said
    own_server()
    said = reader.follow("docs/server.md", "Take along what the laptop has loaded")
    ((loaded,),) = reader.query("select count(*) from raw.events")
    assert f"Rebuilt from the lake: {loaded:,} events" in said


def test_a_laptops_warehouse_is_backed_up_and_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = [tmp_path / "home", tmp_path / "restored"]
    (tmp_path / "clickmart").mkdir()
    monkeypatch.setenv("CLICKMART_HOME", str(homes[0]))
    programs = postgres.program("pg_dump").parent
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    settings = Settings.load()
    try:
        embedded.start(settings)
        (homes[0] / "lake").mkdir()
        monkeypatch.setenv("CLICKMART_LAKE", settings.lake)
        reader = Reader(tmp_path / "clickmart", settings)
        said = reader.follow("docs/server.md", "What is on the laptop", "Backups")
        assert "Stopped." in said
        assert (reader.folder / "shop.dump").read_bytes().startswith(b"PGDMP")
        homes[1].mkdir()
        unpack = [shutil.which("tar") or "", "-xzf", reader.folder / "shop-backup.tgz"]
        subprocess.run([*unpack, "-C", homes[1]], check=True)
        monkeypatch.setenv("CLICKMART_HOME", str(homes[1]))
        restored = embedded.start(Settings.load())
        assert restored.is_running
        assert restored.port != embedded.status(settings).port
    finally:
        for home in homes:
            monkeypatch.setenv("CLICKMART_HOME", str(home))
            embedded.stop(Settings.load())
