"""What this machine has and lacks, and the command that mends it."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ingestion import embedded
from ingestion.settings import Settings
from ingestion.spark import OLDEST_JAVA, engine_name, java_version

LEAST_FREE_GB = 2
OLDEST_POSTGRES = 16  # the first with pg_input_is_valid
PACKAGES = ("dbt-core", "dbt-postgres", "pyspark", "pysail", "deltalake", "psycopg2-binary")


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `remedy` is empty when all is well."""

    name: str
    is_well: bool
    text: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at everything Clickmart needs; each finding that is not well names its remedy."""
    looks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _python,
        _packages,
        _other_dbt,
        _engine,
        _postgres,
        _disk,
    )
    return [finding for look in looks for finding in look(settings)]


def _python(_: Settings) -> Iterator[Finding]:
    is_well = sys.version_info >= (3, 10)
    yield Finding("Python", is_well, platform.python_version(), "" if is_well else "Use 3.10+")


def _packages(_: Settings) -> Iterator[Finding]:
    for package in PACKAGES:
        try:
            yield Finding(package, True, version(package))
        except PackageNotFoundError:
            yield Finding(package, False, "not installed", "python start.py setup")


def _other_dbt(_: Settings) -> Iterator[Finding]:
    path = shutil.which("dbt")
    if path is None or Path(path).resolve().parent == Path(sys.executable).resolve().parent:
        return
    if Path(path).parent == Path(sys.executable).parent:
        return
    said = subprocess.run([path, "--version"], capture_output=True, text=True)
    kind = (
        "another dbt"
        if "dbt-core" in said.stdout + said.stderr or "Core" in said.stdout
        else ("another product called dbt")
    )
    yield Finding("dbt on PATH", False, f"{path} is {kind}", "source .venv/bin/activate")


def _engine(settings: Settings) -> Iterator[Finding]:
    java = java_version()
    if java is None:
        yield Finding("Java", True, "none found (only Apache Spark needs it)")
    else:
        path, major = java
        note = "" if major >= OLDEST_JAVA else f"; Apache Spark needs {OLDEST_JAVA}+"
        yield Finding("Java", True, f"{major} at {path}{note}")
    engine = engine_name(settings)
    names = {"local": "Apache Spark on this machine", "sail": "Sail on this machine"}
    needs_java = engine != "sail" and not engine.startswith("sc://")
    is_well = not needs_java or (java is not None and java[1] >= OLDEST_JAVA)
    remedy = "" if is_well else f"Install Java {OLDEST_JAVA}+, or unset CLICKMART_SPARK"
    yield Finding("Engine", is_well, names.get(engine, engine), remedy)


def _postgres(settings: Settings) -> Iterator[Finding]:
    status = embedded.status(settings)
    kind = "embedded" if status.is_embedded else "given by PG variables"
    if status.is_running:
        where = f"{status.host}:{status.port}, {kind}"
        is_new_enough = int((status.version or "0").split(".")[0]) >= OLDEST_POSTGRES
        remedy = "" if is_new_enough else f"Use PostgreSQL {OLDEST_POSTGRES} or newer"
        yield Finding("PostgreSQL", is_new_enough, f"{status.version} at {where}", remedy)
        return
    remedy = "clickmart db start" if status.is_embedded else "Check PGHOST, PGPORT, PGUSER"
    yield Finding("PostgreSQL", False, f"not running ({kind})", remedy)


def _disk(settings: Settings) -> Iterator[Finding]:
    place = settings.home if settings.home.exists() else settings.project_dir
    free_gb = shutil.disk_usage(place).free / 1e9
    is_well = free_gb >= LEAST_FREE_GB
    remedy = "" if is_well else "Free some space, or set CLICKMART_HOME to another disk"
    yield Finding("Disk", is_well, f"{free_gb:,.0f} GB free at {place}", remedy)
