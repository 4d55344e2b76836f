"""The embedded server's life, each test in a home of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg2
import pytest

from ingestion import embedded, postgres
from ingestion.errors import DatabaseError
from ingestion.settings import Settings


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Settings]:
    """Settings of an empty home; whatever was started in it is stopped."""
    own = Settings(home=tmp_path / "home")
    yield own
    if own.home.exists():
        embedded.stop(own)


def count_of_tables(settings: Settings) -> int:
    with postgres.connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_tables where schemaname in ('raw', 'ops')")
        return int(cursor.fetchone()[0])


def test_start_is_repeatable_and_stop_too(home: Settings) -> None:
    first, second = embedded.start(home), embedded.start(home)
    assert first.is_running
    assert (first.pid, first.port) == (second.pid, second.port)
    ddl = (home.project_dir / "warehouse" / "ddl" / "01_raw.sql").read_text()
    assert count_of_tables(home) == ddl.count("create table if not exists ") > 0
    assert embedded.stop(home)
    assert not embedded.stop(home)
    assert not embedded.status(home).is_running


def test_two_starts_at_once_start_one_server(home: Settings) -> None:
    code = (
        "from ingestion import embedded as p, settings as s; print(p.start(s.Settings.load()).pid)"
    )
    environment = {**os.environ, "CLICKMART_HOME": str(home.home)}

    def start(_: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            cwd=home.project_dir,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    with ThreadPoolExecutor(3) as pool:
        pids = set(pool.map(start, range(3)))
    assert len(pids) == 1


def test_a_taken_port_is_left_alone(home: Settings) -> None:
    with socket.socket() as other:
        # Connections to an earlier server that linger must not keep this one from the port.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", embedded.FIRST_PORT))
            other.listen()
        except OSError:
            pass  # another program has it: all the better
        status = embedded.start(home)
    assert status.is_running
    assert status.port != embedded.FIRST_PORT


def test_a_port_taken_while_the_server_was_down_is_replaced(home: Settings) -> None:
    before = embedded.start(home)
    embedded.stop(home)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", before.port))
        other.listen()
        after = embedded.start(home)
    assert after.is_running
    assert after.port != before.port


def test_a_crash_is_recovered_from(home: Settings) -> None:
    before = embedded.start(home)
    assert before.pid is not None
    with postgres.connect(home) as connection, connection.cursor() as cursor:
        cursor.execute("create table raw.kept as select 1 as id")
    server = psutil.Process(before.pid)
    children = server.children()
    os.kill(before.pid, signal.SIGKILL)
    psutil.wait_procs([server, *children], timeout=20)
    assert (home.home / "postgres" / "postmaster.pid").exists()
    after = embedded.start(home)
    assert after.is_running
    with postgres.connect(home) as connection, connection.cursor() as cursor:
        cursor.execute("select id from raw.kept")
        assert cursor.fetchall() == [(1,)]


def test_a_pid_file_that_names_another_program_is_stale(home: Settings) -> None:
    embedded.start(home)
    pid_file = home.home / "postgres" / "postmaster.pid"
    text = pid_file.read_text()
    embedded.stop(home)
    pid_file.write_text(text.replace(text.split()[0], str(os.getpid()), 1))
    assert embedded.start(home).is_running


def test_a_half_made_cluster_is_made_anew(home: Settings) -> None:
    (home.home / "postgres.new").mkdir(parents=True)
    (home.home / "postgres.new" / "junk").write_text("left by a kill")
    assert embedded.start(home).is_running


def test_secrets_are_for_the_owner_alone_and_the_password_is_asked_for(home: Settings) -> None:
    status = embedded.start(home)
    for name in ("password", "server.json", "bi_password"):
        assert (home.home / name).stat().st_mode & 0o077 == 0
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(
            host=status.host,
            port=status.port,
            user=status.user,
            dbname=status.database,
            password="",
        )


def test_it_listens_on_loopback_alone(home: Settings) -> None:
    status = embedded.start(home)
    addresses = {
        c.laddr.ip for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == status.port
    }
    assert addresses == {"127.0.0.1"}


def test_a_server_that_is_down_is_said_in_one_line(home: Settings) -> None:
    with pytest.raises(DatabaseError, match=r"not running\. Start it: clickmart db start"):
        count_of_tables(home)
    embedded.start(home)
    embedded.stop(home)
    with pytest.raises(DatabaseError, match=r"not running\. Start it: clickmart db start"):
        count_of_tables(home)


def test_the_bi_role_sees_reports_alone_and_writes_nothing(home: Settings) -> None:
    embedded.start(home)
    connection = psycopg2.connect(postgres.url(home, for_bi=True))
    connection.autocommit = True
    for forbidden in (
        "select * from raw.events",
        "select * from ops.loads",
        "create table reports.mine (id int)",
        "create table public.mine (id int)",
        "create schema mine",
    ):
        with connection.cursor() as cursor, pytest.raises(psycopg2.Error, match="denied"):
            cursor.execute(forbidden)
    connection.close()


def test_every_program_of_the_environment_finds_the_server(home: Settings) -> None:
    status = embedded.start(home)
    environment = {**os.environ, "CLICKMART_HOME": str(home.home)}
    code = (
        "import ingestion.settings as s; s.adopt_embedded_server(); "
        "import psycopg2; print(psycopg2.connect('').info.port)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == str(status.port)


def test_a_server_the_user_names_is_never_replaced(home: Settings) -> None:
    environment = {**os.environ, "CLICKMART_HOME": str(home.home), "PGHOST": "db.example"}
    environment.pop("CLICKMART_EMBEDDED", None)
    code = (
        "import ingestion.settings as s; s.adopt_embedded_server(); "
        "own = s.Settings.load(); print(own.postgres_is_embedded, own.environment['PGHOST'])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["False", "db.example"]


def test_stopping_leaves_no_process(home: Settings) -> None:
    status = embedded.start(home)
    embedded.stop(home)
    time.sleep(0.2)
    assert status.pid is not None
    if psutil.pid_exists(status.pid):  # as a zombie, where nobody reaps orphans
        assert psutil.Process(status.pid).status() == psutil.STATUS_ZOMBIE
    shutil.rmtree(home.home)
