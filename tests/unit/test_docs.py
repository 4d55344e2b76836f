"""The documents, held to what they speak of: links, targets, commands, codes and vars exist."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from ingestion.adapters import ADAPTERS
from ingestion.contract.rules import RULES
from ingestion.settings import PROJECT_DIR

DOCS = sorted([*PROJECT_DIR.glob("*.md"), *(PROJECT_DIR / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
# Of code alone: "make sure" in a sentence is no target.
CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
MAKE = re.compile(r"(?:^|[`;(|&])\s*make ([a-z]+)", re.MULTILINE)
CLICKMART = re.compile(r"(?:^|[`;($|&])[ $]*clickmart ([a-z][a-z ]*)(?= |$|`|\))", re.MULTILINE)
MODEL = re.compile(r"`((?:stg|int|fct|dim|rpt)_[a-z_]+)`")
# A folder of somebody's machine. The notebook image's own home is none.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|tmp|root|Users|home/(?!jovyan\b)\w+)/\w")
# What a dbt command selects, without the pluses around it; MODEL stands for one of the reader's.
SELECTED = re.compile(r"\bdbt \w+ -s ([^`\n\"#]+)")
SAVED = re.compile(r"`[\w/]+/(\w+)\.(?:sql|yml)`")
# The worked example of a new model.
EXAMPLE_MODELS = {"fct_search_terms"}

by_name = pytest.mark.parametrize("path", DOCS, ids=lambda p: p.relative_to(PROJECT_DIR).as_posix())


def code_of(path: Path) -> str:
    return "\n".join(CODE.findall(path.read_text()))


def anchors_of(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    text = FENCE.sub("", path.read_text())
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_documents() -> None:
    assert len(DOCS) > 6


@by_name
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    broken = []
    for link in LINK.findall(FENCE.sub("", path.read_text())):
        if re.match(r"[a-z]+://|mailto:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        is_there = target.exists() and (not anchor or anchor in anchors_of(target))
        if not is_there or PROJECT_DIR not in target.parents:
            broken.append(link)
    assert broken == []


@by_name
def test_every_make_target_named_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT_DIR / "Makefile").read_text(), re.MULTILINE))
    assert {"up", "test", "lint"} <= targets
    assert set(MAKE.findall(code_of(path))) <= targets


@by_name
def test_every_clickmart_command_named_exists(path: Path) -> None:
    assert [words for words in CLICKMART.findall(code_of(path)) if not is_command(words)] == []


def is_command(words: str) -> bool:
    """Whether the words begin with a command; a group of commands needs one of its own behind."""
    from ingestion.cli import app

    command = get_command(app)
    for word in words.split():
        commands = getattr(command, "commands", None)
        if commands is None:
            return True
        if word not in commands:
            return False
        command = commands[word]
    return True


@by_name
def test_every_flag_shown_with_a_clickmart_command_exists(path: Path) -> None:
    unknown = []
    for line in code_of(path).splitlines():
        found = re.search(r"clickmart ([a-z]+)(?: ([a-z]+))?(.*?)(?:#|$|`)", line)
        if found:
            unknown += [flag for flag in re.findall(r" (--[a-z-]+)", found[3]) if flag not in FLAGS]
    assert unknown == []


def _flags() -> set[str]:
    from ingestion.cli import app

    flags, waiting = {"--help"}, [get_command(app)]
    while waiting:
        command = waiting.pop()
        flags |= {option for parameter in command.params for option in parameter.opts}
        waiting += getattr(command, "commands", {}).values()
    return flags


FLAGS = _flags()


@by_name
def test_every_model_named_exists(path: Path) -> None:
    models = {file.stem for file in (PROJECT_DIR / "warehouse" / "models").rglob("*.sql")}
    assert set(MODEL.findall(path.read_text())) - models - EXAMPLE_MODELS == set()


@by_name
def test_what_a_dbt_command_selects_exists(path: Path) -> None:
    known = {"MODEL", *EXAMPLE_MODELS, *SAVED.findall(path.read_text())}
    for folder in ("warehouse", "analyses", "seeds", "tests/dbt"):
        known |= {file.stem for file in (PROJECT_DIR / folder).rglob("*")}
    unknown = []
    for words in SELECTED.findall(code_of(path)):
        names = itertools.takewhile(lambda word: not word.startswith("-"), words.split())
        parts = [part for name in names for part in name.split(",") if ":" not in part]
        unknown += [part for part in parts if re.sub(r"^\d*\+|\+\d*$", "", part) not in known]
    assert unknown == []


def test_every_document_can_be_reached_from_the_readme() -> None:
    waiting, reached = [PROJECT_DIR / "README.md"], set()
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        links = {link.partition("#")[0] for link in LINK.findall(FENCE.sub("", path.read_text()))}
        targets = [(path.parent / link).resolve() for link in links if link and "://" not in link]
        waiting += [t for t in targets if t.suffix == ".md"]
        waiting += [file for t in targets if t.is_dir() for file in t.glob("*.md")]
    assert set(DOCS) - reached == set()


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its words."""
    from ingestion.cli import app

    waiting = [("clickmart", get_command(app))]
    while waiting:
        words, command = waiting.pop()
        below = getattr(command, "commands", {})
        waiting += [(f"{words} {name}", one) for name, one in below.items()]
        if not below:
            yield words, command


@pytest.mark.parametrize(("words", "command"), list(commands()), ids=lambda value: str(value))
def test_every_help_ends_with_examples_that_would_run(words: str, command: Any) -> None:
    """They parse, and stand whole on a line of a terminal of 80 columns."""
    from ingestion.cli import app

    heading, *examples = (command.epilog or "").split("\n")
    assert heading == "[bold]For example[/bold]"
    assert examples
    said = CliRunner().invoke(app, [*words.split()[1:], "--help"], env={"COLUMNS": "80"}).output
    lines = {line.strip() for line in said.splitlines()}
    for example in examples:
        assert f"{example} ".startswith(f"{words} ")
        assert example in lines
        command.make_context(words, shlex.split(example)[len(words.split()) :])


def test_the_reason_codes_are_those_of_the_contract() -> None:
    text = (PROJECT_DIR / "docs" / "your-own-events.md").read_text()
    section = text.split("## Reason codes", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (\w+) \|$", section, re.MULTILINE)
    assert rows == [(rule.code, rule.text, rule.severity) for rule in RULES]


def test_every_source_is_described() -> None:
    text = (PROJECT_DIR / "docs" / "sources.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert sorted(rows) == sorted(ADAPTERS)
    linked = re.findall(r"^\| \[(\w+)\]\(\.\./ingestion/adapters/\1\.py\)", text, re.MULTILINE)
    assert sorted(linked) == sorted(ADAPTERS)


def test_every_var_is_explained_with_its_default() -> None:
    project = yaml.safe_load((PROJECT_DIR / "dbt_project.yml").read_text())
    text = (PROJECT_DIR / "docs" / "definitions.md").read_text()
    explained = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", text, re.MULTILINE))
    assert explained == {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in project["vars"].items()
    }


def test_no_text_names_a_folder_of_somebodys_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        try:
            text = (PROJECT_DIR / name).read_text()
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        found += [f"{name}: {match[0]}" for match in MACHINE_PATH.finditer(text)]
    assert found == []
