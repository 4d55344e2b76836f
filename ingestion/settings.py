"""Settings: the only reader of the environment and of `dbt_project.yml`'s vars.

Imported at the start of every Python process of the project's environment (see
`adopt_embedded_server`), so only the standard library is imported at the top.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ingestion.errors import UsageError

PROJECT_DIR = Path(__file__).resolve().parent.parent
SERVER_FILE = "server.json"
# Set beside the libpq variables that `adopt_embedded_server` fills in, so that they are not taken
# for a server the user has named.
EMBEDDED_MARK = "CLICKMART_EMBEDDED"
SHORTEST_ID_KEY = 16
LIBPQ_VARIABLES = ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSERVICE")


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 2


def home_dir() -> Path:
    """Return the folder of all local state: cluster, lake, docs."""
    return Path(os.environ.get("CLICKMART_HOME") or PROJECT_DIR / ".clickmart").resolve()


def adopt_embedded_server() -> None:
    """Point libpq's variables at the embedded server, unless the user has set any of them.

    Called by a `.pth` file of the virtual environment, so that bare `dbt run` and
    `psycopg2.connect("")` find the server on whatever port it got.
    """
    mark = os.environ.get(EMBEDDED_MARK)
    if mark != str(home_dir()):
        if mark:  # adopted from another CLICKMART_HOME by a parent process
            for name in LIBPQ_VARIABLES:
                os.environ.pop(name, None)
        elif any(name in os.environ for name in LIBPQ_VARIABLES):
            return
    try:
        server = json.loads((home_dir() / SERVER_FILE).read_text())
    except (OSError, ValueError):
        return
    os.environ.update({name: str(value) for name, value in server.items()})
    os.environ[EMBEDDED_MARK] = str(home_dir())


@dataclass(frozen=True)
class Settings:
    """All settings of one run.

    `lake` is a folder that every worker sees; `engine` is "local", "sail", a Spark master URL,
    an `sc://` address, or "" to choose by what the machine has. With an `id_key`, the ids of
    visitors and users are hashed by it when they are read.
    """

    project_dir: Path = PROJECT_DIR
    home: Path = field(default_factory=home_dir)
    lake: str = ""
    engine: str = ""
    id_key: bytes = field(default=b"", repr=False)
    postgres_is_embedded: bool = True
    environment: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls) -> Settings:
        """Read the settings of this process. Raises UsageError for one that is not possible."""
        environment = dict(os.environ)
        home = home_dir()
        named = any(name in environment for name in LIBPQ_VARIABLES)
        lake = environment.get("CLICKMART_LAKE") or str(home / "lake")
        if "://" in lake:
            raise UsageError(f"CLICKMART_LAKE is {lake!r}; it must be a folder, not a URI.")
        id_key = environment.get("CLICKMART_ID_KEY", "")
        if id_key and len(id_key) < SHORTEST_ID_KEY:
            raise UsageError(
                f"CLICKMART_ID_KEY has {len(id_key)} characters and needs {SHORTEST_ID_KEY}. "
                "Make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
            )
        return cls(
            home=home,
            lake=lake,
            engine=environment.get("CLICKMART_SPARK", ""),
            id_key=id_key.encode(),
            postgres_is_embedded=bool(environment.get(EMBEDDED_MARK)) or not named,
            environment=environment,
        )

    @property
    def dbt_target(self) -> Path:
        """The folder dbt writes to, as dbt itself finds it."""
        return self.project_dir / self.environment.get("DBT_TARGET_PATH", "target")

    @cached_property
    def dbt_vars(self) -> dict[str, Any]:
        """The vars of `dbt_project.yml`: what Python and dbt both need stands there once."""
        import yaml

        text = (self.project_dir / "dbt_project.yml").read_text()
        return dict(yaml.safe_load(text)["vars"])
