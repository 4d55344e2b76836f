"""The guides, followed as they say: their files are written and their commands run, in their order.

On a small generated shop, beside which the two small files of "your own events" are loaded, in a
copy of the project. `dbt` and `clickmart` run in this process: to start each anew takes longer
than what it does.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ingestion import batch, postgres
from ingestion.cli import app
from ingestion.generate import GenerateOptions, generate
from ingestion.settings import EMBEDDED_MARK, PROJECT_DIR, Settings
from tests.conftest import empty_warehouse
from tests.dbt_runs import copy_project, dbt_command, run_dbt

SHOP = GenerateOptions(people=300, products=40, sessions=2500, days=75, seed=6)
NOTEBOOKS = sorted((PROJECT_DIR / "notebooks").glob("*.ipynb"))
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`([\w./-]+\.(?:csv|jsonl|sql|yml))`")
FAILS = re.compile(r"# exit code (\d)")


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


def blocks(guide: str, *sections: str) -> Iterator[Block]:
    """The blocks of a guide, or of some of its sections."""
    text = (PROJECT_DIR / guide).read_text()
    if sections:
        parts = [text.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0] for section in sections]
        text = "\n".join(parts)
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
        words = shlex.split(line, comments=True)
        if not words or words == ["source", ".venv/bin/activate"]:
            return
        if words[0] == "export":
            name, value = words[1].split("=")
            patch.setenv(name, str(Path(value).expanduser()))
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
