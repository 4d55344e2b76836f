"""The command line: every mistake is one clear line with exit code 1 or 2, nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ingestion.adapters import ADAPTERS
from ingestion.postgres import connection_parameters
from ingestion.settings import Settings

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def activated() -> dict[str, str]:
    """The environment after `source .venv/bin/activate`: no other dbt comes first."""
    own = Path(sys.executable).parent
    return {**os.environ, "PATH": f"{own}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def clickmart(empty: Settings) -> Command:
    """A function that runs the command line on the empty warehouse."""

    def run(*arguments: Any, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ingestion", *map(str, arguments)],
            env={**activated(), "CLICKMART_HOME": str(empty.home), **environment},
            cwd=empty.project_dir,
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of inputs, good and bad."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "header.csv").write_text("event_times,event_type,product,user_id\n1,2,3,4\n")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 10)
    (tmp_path / "events.txt").write_text("x")
    row = {"event_id": "e1", "event_type": "page_view", "visitor_id": "v1"}
    row["event_ts"] = "2026-03-01T10:00:00Z"
    (tmp_path / "good.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(BAD_ROW) + "\n")
    return tmp_path


BAD_ROW = {"event_id": "e2", "search_term": "shoes " * 90}
HALF = ("--max-quarantined", "50")
MISTAKES = {
    "a missing file": (["nowhere.csv"], 1, "No such file or folder"),
    "a folder without data": (["empty"], 1, "No data files"),
    "a wrong header": (["header.csv"], 1, "missing column event_time (is it 'event_times'?)"),
    "a binary file": (["binary.csv"], 1, "missing column"),
    "an unknown suffix": (["events.txt"], 1, "cannot tell the format"),
}


@pytest.mark.parametrize(("paths", "code", "said"), MISTAKES.values(), ids=MISTAKES)
def test_wrong_input_is_one_line(
    clickmart: Command, folder: Path, query: Any, paths: list[str], code: int, said: str
) -> None:
    ran = clickmart("ingest", *(folder / path for path in paths), "--source", "rees46")
    assert ran.returncode == code
    errors = [line for line in ran.stderr.splitlines() if not line.endswith("...")]
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert said in errors[0]
    assert query("select count(*) from ops.loads") == [(0,)]


def test_an_unknown_source_is_a_usage_error(clickmart: Command, folder: Path) -> None:
    ran = clickmart("ingest", folder / "good.jsonl", "--source", "ga5")
    assert ran.returncode == 2
    known = ", ".join(sorted(ADAPTERS))
    assert ran.stderr.strip() == (
        f"error: Unknown source 'ga5'. Known: {known}; "
        "or a mapping of your own, such as my-shop.yml."
    )


def test_a_database_that_is_down_is_one_line(clickmart: Command, folder: Path) -> None:
    ran = clickmart(
        "ingest", folder / "good.jsonl", "--source", "native",
        PGHOST="127.0.0.1", PGPORT="1", CLICKMART_EMBEDDED="",
    )  # fmt: skip
    assert ran.returncode == 1
    assert "PostgreSQL at 127.0.0.1:1 cannot be reached" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_wrong_password_is_one_line(clickmart: Command, folder: Path, settings: Settings) -> None:
    given = connection_parameters(settings)
    ran = clickmart(
        "ingest", folder / "good.jsonl", "--source", "native",
        PGHOST=given["host"], PGPORT=given["port"], PGUSER=given["user"],
        PGPASSWORD="wrong", PGDATABASE=given["dbname"], CLICKMART_EMBEDDED="",
    )  # fmt: skip
    assert ran.returncode == 1
    assert "refuses the login of 'clickmart': check PGUSER and PGPASSWORD" in ran.stderr
    assert "wrong" not in ran.stderr


def test_an_engine_that_cannot_start_is_one_line(clickmart: Command, folder: Path) -> None:
    ran = clickmart(
        "ingest", folder / "good.jsonl", "--source", "native",
        CLICKMART_SPARK="local", JAVA_HOME=str(folder), PATH=str(folder),
    )  # fmt: skip
    assert ran.returncode == 1
    assert "Apache Spark needs Java 17 or newer and there is no Java" in ran.stderr


def test_impossible_numbers_are_usage_errors(clickmart: Command, tmp_path: Path) -> None:
    for words in (["--sessions", "0"], ["--format", "xml"], ["--start", "soon"]):
        ran = clickmart("generate", "--out", tmp_path / "out", *words)
        assert ran.returncode == 2, words
        assert "Traceback" not in ran.stderr
        assert not (tmp_path / "out").exists()


def test_a_load_is_summed_up_in_its_last_line_and_in_json(clickmart: Command, folder: Path) -> None:
    ran = clickmart("ingest", folder / "good.jsonl", "--source", "native", *HALF)
    assert ran.returncode == 0, ran.stderr
    last = ran.stdout.splitlines()[-1]
    assert last.startswith("Load 1: read 2 = loaded 1 + duplicate 0 + quarantined 1 in ")
    again = clickmart("ingest", folder / "good.jsonl", "--source", "native", *HALF)
    assert "Already loaded, by load 1" in again.stdout
    forced = clickmart(
        "ingest", folder / "good.jsonl", "--source", "native", "--force", "--json", *HALF
    )
    result = json.loads(forced.stdout)
    assert {name: result[name] for name in ("load_id", "read", "duplicate", "quarantined")} == {
        "load_id": 2,
        "read": 2,
        "duplicate": 2,
        "quarantined": 0,
    }
    ledger = json.loads(clickmart("loads", "--json").stdout)
    assert [row["load_id"] for row in ledger] == [2, 1]
    assert ledger[0]["seconds"] > 0
    assert datetime.fromisoformat(ledger[0]["committed_at"]).tzinfo
    (bad,) = json.loads(clickmart("quarantine", "show", "--load", 1, "--json").stdout)
    assert bad["row"] == 2
    assert bad["file"].endswith("good.jsonl")
    assert "missing_visitor_id" in bad["reasons"]
    assert json.loads(bad["record"]) == BAD_ROW


def test_the_tab_key_completes_commands_options_and_sources(tmp_path: Path) -> None:
    shell = shutil.which("bash")
    if shell is None:
        pytest.skip("completion is not tried: no bash")
    environment = {**activated(), "HOME": str(tmp_path)}

    def bash(*words: str) -> str:
        ran = subprocess.run([shell, *words], env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    bash("-c", "clickmart --install-completion && true")
    typed = {
        "clickmart qua": ["quarantine"],
        "clickmart quarantine show --re": ["--reason"],
        "clickmart ingest x --source se": ["segment"],
    }
    tab = (
        "COMP_WORDS=({}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _clickmart_completion clickmart"
    )
    lines = [f'{tab.format(line)}; echo "${{COMPREPLY[@]}}"' for line in typed]
    found = bash("-c", "\n".join(["source ~/.bashrc", *lines])).splitlines()
    assert [line.split() for line in found] == list(typed.values())


def test_help_names_every_command(clickmart: Command) -> None:
    said = clickmart("--help").stdout
    for command in (
        "up",
        "generate",
        "ingest",
        "loads",
        "quarantine",
        "db",
        "build",
        "docs",
        "doctor",
    ):
        assert f" {command} " in said


def test_the_doctor_names_the_remedy(clickmart: Command) -> None:
    well = clickmart("doctor", "--json")
    assert well.returncode == 0, well.stdout
    names = {finding["name"] for finding in json.loads(well.stdout)}
    assert {"Python", "Java", "Engine", "PostgreSQL", "Disk", "dbt-core"} <= names
    ill = clickmart("doctor", PGHOST="127.0.0.1", PGPORT="1", CLICKMART_EMBEDDED="")
    assert ill.returncode == 1
    assert "Check PGHOST, PGPORT, PGUSER" in ill.stdout


def test_a_range_is_replaced_and_the_database_rebuilt(
    clickmart: Command, folder: Path, lose_database: Callable[[], None]
) -> None:
    load = ["ingest", folder / "good.jsonl", "--source", "native", "--max-quarantined", "100"]
    assert clickmart(*load).returncode == 0
    ran = clickmart(*load, "--replace", "2026-03-01:2026-03-01")
    assert "  taken out of earlier loads, to be replaced: 1" in ran.stdout.splitlines()
    shown = json.loads(clickmart("loads", "--json").stdout)
    assert [(row["replaced"], row["removed"], row["lake_version"]) for row in shown] == [
        (1, 0, 2),
        (0, 1, 1),
    ]
    lose_database()
    ran = clickmart("load", "--from-lake", "--json")
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert (result["loads"], result["events"], result["quarantined"]) == (2, 1, 1)
    ran = clickmart("load", "--from-lake", "--from", "2026-03-01", "--to", "2026-03-01")
    assert ran.stdout.startswith("Rebuilt from the lake: 1 events in ")


WRONG_WORDS = {
    "no source of the load": (["load"], "Say --from-lake."),
    "an impossible date": (["load", "--from-lake", "--from", "2026-02-30"], "'2026-02-30' is no"),
    "an end before the start": (
        ["load", "--from-lake", "--from", "2026-03-02", "--to", "2026-03-01"],
        "The first date, 2026-03-02, is after the last, 2026-03-01.",
    ),
    "no range": (
        ["ingest", "x", "--source", "native", "--replace", "today"],
        "'today' is no range",
    ),
    "nobody": (["forget"], "Say either --user ID or --visitor ID."),
    "two persons": (["forget", "--user", "a", "--visitor", "b"], "Say either"),
    "an empty id": (["forget", "--visitor", ""], "The visitor's id is empty."),
}


@pytest.mark.parametrize(("words", "said"), WRONG_WORDS.values(), ids=WRONG_WORDS)
def test_wrong_words_about_the_lake_are_usage_errors(
    clickmart: Command, words: list[str], said: str
) -> None:
    ran = clickmart(*words)
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"error: {said}")
    assert len(ran.stderr.splitlines()) == 1


def test_a_person_is_forgotten(clickmart: Command, folder: Path, query: Any) -> None:
    source = ["--source", "native", "--max-quarantined", "100"]
    clickmart("ingest", folder / "good.jsonl", *source)
    ran = clickmart("forget", "--visitor", "v2")
    assert (ran.returncode, ran.stdout) == (0, "Nothing was found of visitor 'v2'.\n")
    ran = clickmart("forget", "--visitor", "v1", "--json")
    assert json.loads(ran.stdout)["events"] == 1
    assert query("select count(*) from raw.events") == [(0,)]
