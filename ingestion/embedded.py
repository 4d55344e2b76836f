"""The embedded PostgreSQL: made, started, left running and stopped, on loopback alone."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from filelock import FileLock

from ingestion.errors import DatabaseError
from ingestion.postgres import (
    DATABASE,
    apply_ddl,
    connect,
    connection_parameters,
    program,
    read_server_file,
    secret,
    write_private,
)
from ingestion.settings import SERVER_FILE, Settings, cores

FIRST_PORT = 54329
SUPERUSER = "clickmart"
SYSTEM_USER = "clickmart"  # PostgreSQL refuses to run as root; root starts it as this user
START_TRIES = 10
SHUTDOWN_SECONDS = 30


@dataclass(frozen=True)
class ServerStatus:
    """What is known of the server; `pid` is None for one that is not embedded or not running."""

    is_embedded: bool
    is_running: bool
    host: str
    port: int
    database: str
    user: str
    pid: int | None = None
    version: str | None = None


def start(settings: Settings) -> ServerStatus:
    """Start the embedded server and leave it running; a server that runs already is kept.

    Safe against two starts at once, a stale pid file, a taken port and an earlier crash. With a
    given server (libpq's variables) nothing is started. Raises DatabaseError.
    """
    if settings.postgres_is_embedded:
        settings.home.mkdir(parents=True, exist_ok=True)
        with FileLock(settings.home / "postgres.lock"):
            _wait_for_shutdown(settings)
            if _running_pid(settings) is None:
                _initialize(settings)
                _start_on_a_free_port(settings)
            elif read_server_file(settings) is None:
                _write_server_file(settings, _port_of_running(settings))
    apply_ddl(settings)
    return status(settings)


def _wait_for_shutdown(settings: Settings) -> None:
    """Let a server that is on its way down, and so answers no more, end first."""
    pid = _running_pid(settings)
    if pid is not None and not status(settings).is_running:
        with suppress(psutil.Error):
            psutil.Process(pid).wait(SHUTDOWN_SECONDS)


def stop(settings: Settings) -> bool:
    """Stop the embedded server; return False when none was running."""
    if not settings.postgres_is_embedded:
        raise DatabaseError("The server is a given one (libpq's variables are set): stop it there.")
    with FileLock(settings.home / "postgres.lock") if settings.home.exists() else nullcontext():
        if _running_pid(settings) is None:
            return False
        try:
            _pg_ctl(settings, "stop", "-m", "fast", "-w", "-t", "60")
        except DatabaseError:
            if _running_pid(settings) is not None:  # else it went down by itself meanwhile
                raise
        return True


def status(settings: Settings) -> ServerStatus:
    """Say where the server is and whether it answers."""
    try:
        parameters = connection_parameters(settings)
    except DatabaseError:
        parameters = {}
    version = None
    try:
        with connect(settings) as connection, connection.cursor() as cursor:
            cursor.execute("show server_version")
            version = str(cursor.fetchone()[0])
    except DatabaseError:
        pass
    return ServerStatus(
        is_embedded=settings.postgres_is_embedded,
        is_running=version is not None,
        host=parameters.get("host", "127.0.0.1"),
        port=int(parameters.get("port", "5432" if not settings.postgres_is_embedded else "0")),
        database=parameters.get("dbname", DATABASE),
        user=parameters.get("user", SUPERUSER),
        pid=_running_pid(settings) if settings.postgres_is_embedded else None,
        version=version,
    )


def _data_dir(settings: Settings) -> Path:
    return settings.home / "postgres"


def _log_file(settings: Settings) -> Path:
    return settings.home / "postgres.log"


def _initialize(settings: Settings) -> None:
    """Make the cluster beside its place and move it there, so that a crash leaves none or all."""
    data = _data_dir(settings)
    if (data / "PG_VERSION").exists():
        return
    fresh = data.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    password_file = settings.home / "password.tmp"
    write_private(password_file, secret(settings.home / "password"))
    _hand_over(fresh, password_file)
    try:
        _run(
            settings,
            [
                str(program("initdb")),
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--locale=C.UTF-8",
                "--auth=scram-sha-256",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                "--no-instructions",
                "-D",
                str(fresh),
            ],
            "initdb",
        )
    finally:
        password_file.unlink(missing_ok=True)
    with (fresh / "postgresql.conf").open("a") as conf:
        conf.write("include_if_exists = 'clickmart.conf'\n")
    fresh.rename(data)


def _start_on_a_free_port(settings: Settings) -> None:
    pid_file = _data_dir(settings) / "postmaster.pid"
    pid_file.unlink(missing_ok=True)  # nothing of ours runs: the file outlived a crash
    conf = _data_dir(settings) / "clickmart.conf"
    conf.write_text(_tuning())
    _log_file(settings).touch()
    _hand_over(_data_dir(settings), conf, _log_file(settings))
    known = read_server_file(settings)
    wanted = int(known["PGPORT"]) if known else FIRST_PORT
    for _ in range(START_TRIES):
        port = _free_port(wanted)
        try:
            _pg_ctl(
                settings,
                "start",
                "-w",
                "-t",
                "120",
                "-l",
                str(_log_file(settings)),
                "-o",
                f"-h 127.0.0.1 -p {port} -c unix_socket_directories=''",
            )
        except DatabaseError:
            if _free_port(port) == port:  # not the port, then: a second try would fail the same
                raise
            # Another server took it just now; the two must not go on to the same one.
            wanted = port + random.randint(1, 50)
            continue
        _write_server_file(settings, port)
        _create_database(settings)
        return
    raise DatabaseError(f"No free port near {wanted} for PostgreSQL on 127.0.0.1.")


def _create_database(settings: Settings) -> None:
    parameters = connection_parameters(settings)
    connection = psycopg2.connect(**{**parameters, "dbname": "postgres"})
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("select from pg_database where datname = %s", (DATABASE,))
        if cursor.fetchone() is None:
            cursor.execute(f"create database {DATABASE}")
            # dbt logs in for every model and test, and nobody guesses a password of 144 random
            # bits: to stretch it by thousands of hashes at each login protects nothing.
            cursor.execute("set scram_iterations = 1")
            cursor.execute(f"alter role {SUPERUSER} password %s", (parameters["password"],))
    connection.close()


def _tuning() -> str:
    """Return settings for this machine: a bulk-loaded warehouse with few connections."""
    memory_mb = psutil.virtual_memory().total // 2**20
    shared_mb = max(128, min(memory_mb // 12, 4096))
    return "\n".join(
        [
            f"shared_buffers = {shared_mb}MB",
            f"effective_cache_size = {max(256, memory_mb // 2)}MB",
            f"work_mem = {max(8, min(memory_mb // 128, 256))}MB",
            f"maintenance_work_mem = {max(64, min(memory_mb // 16, 1024))}MB",
            f"max_parallel_workers = {cores()}",
            f"max_parallel_workers_per_gather = {max(1, cores() // 2)}",
            "wal_level = minimal",
            "max_wal_senders = 0",
            "max_wal_size = 4GB",
            "checkpoint_timeout = 15min",
            # Builds analyze what they make; to have it done again meanwhile would slow them down.
            "autovacuum_naptime = 5min",
            "random_page_cost = 1.1",
            # What is read lies mostly in the system's cache: to have other processes fetch it from
            # there doubles the cost of a scan.
            "io_method = sync",
            "jit = off",
            "timezone = 'UTC'",
            "log_timezone = 'UTC'",
            "",
        ]
    )


def _free_port(wanted: int) -> int:
    for port in range(wanted, wanted + 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise DatabaseError(f"No free port from {wanted} to {wanted + 199} on 127.0.0.1.")


def _running_pid(settings: Settings) -> int | None:
    """Return the postmaster's pid; a pid file left by a crash, or a reused pid, does not count."""
    try:
        pid = int((_data_dir(settings) / "postmaster.pid").read_text().split()[0])
        process = psutil.Process(pid)
        is_ours = process.name().startswith("postgres") and str(_data_dir(settings)) in " ".join(
            process.cmdline()
        )
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return pid if is_ours and process.status() != psutil.STATUS_ZOMBIE else None


def _port_of_running(settings: Settings) -> int:
    return int((_data_dir(settings) / "postmaster.pid").read_text().splitlines()[3])


def _pg_ctl(settings: Settings, verb: str, *arguments: str) -> None:
    _run(
        settings,
        [str(program("pg_ctl")), verb, "-D", str(_data_dir(settings)), *arguments],
        f"pg_ctl {verb}",
    )


def _run(settings: Settings, command: list[str], what: str) -> None:
    as_user: dict[str, Any] = {}
    if _is_root():
        _let_through(settings)
        as_user = {"user": SYSTEM_USER, "group": SYSTEM_USER, "extra_groups": []}
    output = settings.home / "postgres.out"  # a pipe would stay open as long as the server lives
    with output.open("w+") as stream:
        code = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, cwd="/", **as_user
        ).returncode
        if code != 0:
            stream.seek(0)
            said = [line for line in stream.read().splitlines() if line.strip()]
            logged = _log_file(settings).read_text().splitlines() if what != "initdb" else []
            fatal = [line for line in logged[-20:] if "FATAL" in line or "ERROR" in line]
            reason = (fatal or said or [f"exit code {code}"])[-1].strip()
            raise DatabaseError(f"{what} failed: {reason} (log: {_log_file(settings)})")


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _hand_over(*paths: Path) -> None:
    """When run as root, give the paths to the system user."""
    if not _is_root():
        return
    import pwd

    try:
        user = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        try:
            subprocess.run(
                ["useradd", "--system", "--user-group", SYSTEM_USER],  # noqa: S607
                check=True,
                capture_output=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise DatabaseError(
                "PostgreSQL does not run as root, and no system user could be made for it "
                f"({error}). Run clickmart as an ordinary user."
            ) from None
        user = pwd.getpwnam(SYSTEM_USER)
    for path in paths:
        for entry in [path, *(path.rglob("*") if path.is_dir() else ())]:
            os.chown(entry, user.pw_uid, user.pw_gid)


def _let_through(settings: Settings) -> None:
    """Let the system user pass through the folders above the cluster and the programs."""
    for target in (settings.home, program("postgres").parent):
        for folder in [target, *target.parents]:
            mode = folder.stat().st_mode
            if not mode & 0o001:
                folder.chmod(mode | 0o001)  # may pass through; still may not list


def _write_server_file(settings: Settings, port: int) -> None:
    server = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(port),
        "PGUSER": SUPERUSER,
        "PGPASSWORD": secret(settings.home / "password"),
        "PGDATABASE": DATABASE,
    }
    write_private(settings.home / SERVER_FILE, json.dumps(server, indent=2))
