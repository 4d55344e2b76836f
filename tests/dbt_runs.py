"""dbt, run in the tests' own process: to start it and to parse the project costs more than a build.

What is parsed is kept for each server and each set of vars: dbt parses all anew when they change.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ingestion.postgres import read_server_file
from ingestion.settings import PROJECT_DIR, Settings
from tests.conftest import HOME

DBT_FOLDERS = ("warehouse", "macros", "seeds", "analyses", "tests/dbt")


def copy_project(folder: Path, *also: str) -> None:
    """Copy what dbt reads, and other folders of the project, into one that a test may edit."""
    for name in (*DBT_FOLDERS, *also):
        shutil.copytree(PROJECT_DIR / name, folder / name)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copyfile(PROJECT_DIR / name, folder / name)


def run_dbt(
    settings: Settings, *arguments: str, folder: Path | None = None, **variables: Any
) -> list[Any]:
    """Run dbt with vars on the database of the settings; return its results, node by node.

    The project is that of the settings, or a copy of it in `folder`. Fails with what dbt says of
    each node that failed.
    """
    from dbt.cli.main import dbtRunner

    with pytest.MonkeyPatch.context() as patch:
        for name, value in (read_server_file(settings) or {}).items():
            patch.setenv(name, str(value))
        ran = dbtRunner().invoke(dbt_command(settings, *arguments, folder=folder, **variables))
    results = list(getattr(ran.result, "results", None) or [])
    failed = [f"{r.node.name}: {r.message}" for r in results if r.status in ("error", "fail")]
    assert ran.success, ran.exception or "\n".join(failed)
    return results


def dbt_command(
    settings: Settings, *arguments: str, folder: Path | None = None, **variables: Any
) -> list[str]:
    """Return the words of a run of dbt that leaves no files but what it parsed."""
    project, words = str(folder or settings.project_dir), json.dumps(variables, sort_keys=True)
    parsed = hashlib.md5(f"{settings.home} {project} {words}".encode()).hexdigest()
    return [
        *("--quiet", "--no-write-json", "--log-level-file", "none", *arguments),
        *("--project-dir", project, "--profiles-dir", project, "--vars", words),
        *("--target-path", str(HOME / "targets" / parsed)),
    ]
