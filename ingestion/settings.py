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
LIBPQ_VARIABLES = ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSERVICE")


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
    an `sc://` address, or "" to choose by what the machine has.
    """

    project_dir: Path = PROJECT_DIR
    home: Path = field(default_factory=home_dir)
    lake: str = ""
    engine: str = ""
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
        return cls(
            home=home,
            lake=lake,
            engine=environment.get("CLICKMART_SPARK", ""),
            postgres_is_embedded=bool(environment.get(EMBEDDED_MARK)) or not named,
            environment=environment,
        )

    @cached_property
    def dbt_vars(self) -> dict[str, Any]:
        """The vars of `dbt_project.yml`: what Python and dbt both need stands there once."""
        import yaml

        text = (self.project_dir / "dbt_project.yml").read_text()
        return dict(yaml.safe_load(text)["vars"])
