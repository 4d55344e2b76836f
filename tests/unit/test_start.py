"""start.py, in a project so small that its environment can be made without a package index."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ingestion.settings import PROJECT_DIR

# A build backend in the project itself: pip makes the editable install without fetching anything.
BACKEND = """
import zipfile

def get_requires_for_build_editable(config_settings=None):
    return []

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "toy-1.0-py3-none-any.whl"
    info = "toy-1.0.dist-info"
    files = {
        "__editable__.toy.pth": FOLDER,
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: toy\\nVersion: 1.0\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    record = "".join(f"{path},,\\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(f"{wheel_directory}/{name}", "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(path, text)
    return name
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "toy"
version = "1.0"
"""

SPEC = importlib.util.spec_from_file_location("start", PROJECT_DIR / "start.py")
assert SPEC is not None
assert SPEC.loader is not None
START = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(START)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with start.py and a command line that says what it was called with."""
    folder = tmp_path_factory.mktemp("toy")
    shutil.copyfile(PROJECT_DIR / "start.py", folder / "start.py")
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND.replace("FOLDER", repr(str(folder))))
    package = folder / "ingestion"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "settings.py").write_text(
        "import os\ndef adopt_embedded_server():\n    os.environ['ADOPTED'] = 'yes'\n"
    )
    (package / "embedded.py").write_text("FIRST_PORT = 54321\n")
    dbt = folder / "dbt" / "cli"
    dbt.mkdir(parents=True)
    (dbt / "main.py").write_text(
        "import os\ndef cli(words):\n    with open('read', 'a') as stream:\n"
        "        print(os.environ['PGPORT'], *words, file=stream)\n"
    )
    (package / "__main__.py").write_text(
        "import os, sys\nprint(sys.prefix, os.environ.get('ADOPTED'), *sys.argv[1:])\n"
        "sys.exit(3 if 'fail' in sys.argv else 0)\n"
    )
    return folder


FOREIGN = ("PYTHONPATH", "PGPORT")


def start(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run start.py with pip (a uv on the path would not do), and without any package index."""
    path = os.pathsep.join(
        part for part in os.environ["PATH"].split(os.pathsep) if not (Path(part) / "uv").exists()
    )
    # What of this process's own environment would make the new one see this project's packages, or
    # a server of its own.
    environment = {**os.environ, "PATH": path, "PIP_NO_INDEX": "1"}
    environment = {name: v for name, v in environment.items() if name not in FOREIGN}
    environment["CLICKMART_HOME"] = str(folder / "no-home")
    return subprocess.run(
        [sys.executable, str(folder / "start.py"), *words],
        env=environment,
        cwd=folder.parent,
        capture_output=True,
        text=True,
    )


def test_an_environment_that_cannot_be_made_is_one_line_and_made_at_the_next_try(toy: Path) -> None:
    (toy / "requirements.txt").write_text("no-such-package-of-clickmart==1\n")
    failed = start(toy)
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    last = failed.stderr.splitlines()[-1]
    assert last.startswith("error: the packages could not be installed")
    assert not (toy / ".venv" / ".ready").exists()

    (toy / "requirements.txt").write_text("")
    made = start(toy)
    assert made.returncode == 0, made.stderr
    assert made.stdout.split() == [str(toy / ".venv"), "yes", "up"]
    assert "Setting up" in made.stderr

    # dbt has read the project, for the server that the first command starts.
    assert (toy / "read").read_text() == "54321 --quiet parse\n"

    # Made once: from here on the words alone count, and the exit code is the command's.
    again = start(toy, "ingest", "--fail", "fail")
    assert (again.returncode, again.stderr) == (3, "")
    assert again.stdout.split()[1:] == ["yes", "ingest", "--fail", "fail"]


def test_new_pins_are_a_new_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VENV", "READY", "PINS", "PROJECT"):
        place = {"READY": ".ready", "PINS": "requirements.txt"}.get(name, "")
        monkeypatch.setattr(START, name, tmp_path / place)
    assert not START.is_ready()
    for moment, name in enumerate(("requirements.txt", "pyproject.toml", ".ready")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (moment, moment))
    assert START.is_ready()
    for name in ("requirements.txt", "pyproject.toml"):
        os.utime(tmp_path / name, (9, 9))
        assert not START.is_ready()
        os.utime(tmp_path / name, (0, 0))


def test_the_environment_is_the_one_that_make_uses() -> None:
    makefile = (PROJECT_DIR / "Makefile").read_text()
    assert "VENV := .venv\n" in makefile
    assert "READY := $(VENV)/.ready\n" in makefile
    assert "$(PYTHON) start.py setup" in makefile


def test_an_old_python_can_still_read_the_error() -> None:
    """Python 3.7 and 3.8 meet the check of the version, not a syntax error."""
    import ast

    tree = ast.parse((PROJECT_DIR / "start.py").read_text(), feature_version=(3, 7))
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {node.module or "" for node in imports if isinstance(node, ast.ImportFrom)}
    names |= {
        alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names
    }
    assert names <= set(sys.stdlib_module_names)
