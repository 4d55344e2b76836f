"""Clickmart without make: `python start.py` does what `make up` does, on any system.

Makes the virtual environment with everything pinned, once, and runs a command of clickmart in it:
`python start.py ingest --help`. Without words it is `up`; `setup` makes or mends the environment
and runs nothing.
It needs nothing but Python and its standard library.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent
VENV = PROJECT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
READY = VENV / ".ready"
PINS = PROJECT / "requirements.txt"
# Lets every program of the environment (dbt, notebooks) find the project's own PostgreSQL without
# exports: see ingestion/settings.py, adopt_embedded_server.
STARTUP_LINE = "import ingestion.settings; ingestion.settings.adopt_embedded_server()\n"
# dbt keeps what it has read of the project for one server: the one that `up` starts.
READ_PROJECT = """
import os
from dbt.cli.main import cli
from ingestion.embedded import FIRST_PORT
os.environ.setdefault("PGPORT", str(FIRST_PORT))
cli(["--quiet", "parse"])
"""


def main(words: list[str]) -> int | str:
    """Make the environment where it is not there yet, run the command; return its exit code.

    An error of our own is a line of text, which `sys.exit` prints.
    """
    if sys.version_info < (3, 10):  # noqa: UP036  # older ones do come by here
        version = ".".join(map(str, sys.version_info[:3]))
        return (
            f"error: Clickmart needs Python 3.10 or newer; this is {version}. "
            "Name another: python3.12 start.py, or make PYTHON=python3.12"
        )
    if words == ["setup"] or not is_ready():
        sys.stderr.write("Setting up .venv (a few minutes) ...\n")
        failed = make_environment()
        if failed:
            return "error: " + failed
    words = words or ["up"]
    if words == ["setup"]:
        return 0
    return subprocess.run([str(PYTHON), "-m", "ingestion", *words]).returncode


def is_ready() -> bool:
    """Whether the environment was made, from the pins as they are now."""
    needed = (PINS, PROJECT / "pyproject.toml")
    return READY.exists() and READY.stat().st_mtime >= max(p.stat().st_mtime for p in needed)


def make_environment() -> str:
    """Make .venv with the pinned packages and the project itself; return what went wrong."""
    has_uv = shutil.which("uv") is not None
    uv = ["uv", "venv", "--quiet", "--allow-existing", "--python", sys.executable]
    if not runs([*uv, str(VENV)] if has_uv else [sys.executable, "-m", "venv", str(VENV)]):
        return ".venv could not be made. On Debian and Ubuntu: sudo apt install python3-venv"
    # pip compiles what it installs unasked; else the first command would, in one process.
    install = ["uv", "pip", "install", "--compile-bytecode", "--python", str(PYTHON)]
    install = [*(install if has_uv else [str(PYTHON), "-m", "pip", "install"]), "--quiet"]
    for what in (["-r", str(PINS)], ["--no-deps", "-e", str(PROJECT)]):
        if not runs([*install, *what]):
            return (
                "the packages could not be installed; why stands above. Is there a way to the "
                "package index? QUICKSTART.md has the settings for a proxy, a mirror or none. "
                "Then give the same command again."
            )
    (site_packages() / "clickmart.pth").write_text(STARTUP_LINE)
    read_project()
    READY.touch()
    return ""


def read_project() -> None:
    """Have dbt read the project; from here on it reads only what was edited since.

    What is wrong with it is said by the command that needs it.
    """
    subprocess.run([str(PYTHON), "-c", READ_PROJECT], cwd=PROJECT, capture_output=True)


def site_packages() -> Path:
    """The folder of the environment that its packages are in."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(subprocess.check_output([str(PYTHON), "-c", ask], text=True).strip())


def runs(command: list[str]) -> bool:
    """Run a command with its own output; return whether it succeeded."""
    return subprocess.run(command).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
