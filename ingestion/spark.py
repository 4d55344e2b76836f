"""The one session factory: Apache Spark or Sail, behind the same DataFrame API."""

from __future__ import annotations

import atexit
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2

from ingestion.errors import ClickmartError, DatabaseError, EngineError
from ingestion.settings import Settings, cores

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OLDEST_JAVA = 17
IDLE_SECONDS = 30 * 24 * 3600
"""How long Sail keeps a session that nobody uses; by itself it would be some minutes."""

# What every Apache Spark is told, this machine's and a cluster's. To keep a batch for Python below
# a number of bytes, Spark 4.1 measures it after each row, which takes the longer the more rows it
# has where lists are null: of large batches, half of a load's time. So rows are counted alone, and
# few of them, since they may be wide; `files.rounds` bounds them all.
SPARK_SETTINGS = {
    "spark.sql.execution.arrow.maxBytesPerBatch": str(2**31 - 1),
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",
}


def java_version() -> tuple[str, int] | None:
    """Return the path and major version of the Java that Spark would use, or None."""
    home = os.environ.get("JAVA_HOME")
    path = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not path:
        return None
    try:
        said = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
    return (path, int(found.group(1))) if found else None


def engine_name(settings: Settings) -> str:
    """Return the engine in use: the one asked for, else Sail (see docs/decisions/0001)."""
    return settings.engine or "sail"


@contextmanager
def session(settings: Settings) -> Iterator[SparkSession]:
    """Start the engine, hand out its session, stop it at the end.

    Raises EngineError in one line when the engine cannot be started.
    """
    engine = engine_name(settings)
    # Executors on this machine must run this interpreter, whatever `python3` is on PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    if engine == "sail":
        with _sail() as spark:
            yield spark
    else:
        spark = _spark(settings, engine)
        try:
            yield spark
        finally:
            spark.stop()


@contextmanager
def _sail() -> Iterator[SparkSession]:
    os.environ.setdefault("RUST_LOG", "error")
    # While PostgreSQL loads or a test waits, nobody asks the engine anything, for minutes or hours.
    os.environ.setdefault("SAIL_SPARK__SESSION_TIMEOUT_SECS", str(IDLE_SECONDS))
    # Programs started while a session is open are forked; gRPC's own care for forks disturbs them.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    from pysail.spark import SparkConnectServer
    from pyspark.sql import SparkSession

    server = SparkConnectServer(port=0)
    server.start(background=True)
    _, port = server.listening_address
    try:
        spark = SparkSession.builder.remote(f"sc://127.0.0.1:{port}").create()
        _do_not_wait_for_ever(spark)
        try:
            _configure(spark)
            yield spark
        finally:
            with suppress(Exception):  # the server may be gone first; nothing of ours is lost
                spark.stop()
    finally:
        server.stop()


def _do_not_wait_for_ever(spark: SparkSession) -> None:
    """Let the client give up on a server of this very process soon, and at exit at once.

    By default it tries again for ten minutes, and once more at exit, for a cache nobody has used.
    """
    from pyspark.sql.connect.client.retries import DefaultPolicy

    client: Any = getattr(spark, "client")  # noqa: B009 -- mypy takes it for a method
    client.set_retry_policies([DefaultPolicy(max_retries=8, max_backoff=5_000)])
    atexit.unregister(client._cleanup_ml_cache)


def _spark(settings: Settings, engine: str) -> SparkSession:
    from pyspark.sql import SparkSession

    is_remote = engine.startswith("sc://")
    if not is_remote:
        _require_java()
    logging.getLogger("py4j").setLevel(logging.ERROR)
    builder = SparkSession.builder.appName("clickmart")
    log = settings.home / "logs" / "spark.log"
    try:
        if is_remote:
            spark = builder.remote(engine).getOrCreate()
        else:
            for name, value in _driver_settings(settings, engine).items():
                builder = builder.config(name, value)
            with _stderr_to(log):
                spark = builder.getOrCreate()
    except Exception as error:
        raise EngineError(
            f"The engine {engine!r} did not start: {_first_line(error)} (log: {log})"
        ) from error
    _configure(spark, SPARK_SETTINGS)
    return spark


def _require_java() -> None:
    if has_java():
        return
    java = java_version()
    found = f"Java {java[1]} at {java[0]}" if java else "no Java"
    raise EngineError(
        f"Apache Spark needs Java {OLDEST_JAVA} or newer and there is {found}. "
        "Install one, or unset CLICKMART_SPARK to use the engine that needs none."
    )


def _driver_settings(settings: Settings, engine: str) -> dict[str, str]:
    own = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.warehouse.dir": str(settings.home / "spark-warehouse"),
        "spark.log.level": "ERROR",
    }
    if engine != "local":
        return {**own, "spark.master": engine}
    return {
        **own,
        "spark.master": f"local[{cores()}]",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.sql.shuffle.partitions": str(cores()),
    }


@contextmanager
def _stderr_to(log: Path) -> Iterator[None]:
    """Let the JVM that starts in the block write its chatter to a file, not to the terminal."""
    log.parent.mkdir(parents=True, exist_ok=True)
    kept = os.dup(2)
    try:
        with log.open("w") as stream:
            os.dup2(stream.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _configure(spark: SparkSession, settings: dict[str, str] | None = None) -> None:
    for name, value in {"spark.sql.session.timeZone": "UTC", **(settings or {})}.items():
        spark.conf.set(name, value)


@contextmanager
def faults_in_one_line() -> Iterator[None]:
    """Raise what fails inside the engine's tasks as an error that says it in one line.

    An engine hands on a task's error as text, the whole traceback of the worker in it.
    """
    try:
        yield
    except (ClickmartError, psycopg2.Error):
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines()]
        of_postgres = [line for line in lines if line.startswith("psycopg2.")]
        of_system = [line for line in lines if line.startswith(("OSError: ", "MemoryError"))]
        if of_postgres:
            reason = of_postgres[0].partition(": ")[2]
            raise DatabaseError(f"PostgreSQL failed under way: {reason}") from error
        if of_system:
            raise EngineError(f"A task of the engine failed: {of_system[-1]}") from error
        raise


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def parallelism(spark: SparkSession, settings: Settings) -> int:
    """Return how many tasks run at once: the machine's cores, or what a cluster says it has."""
    if engine_name(settings) in ("local", "sail"):
        return cores()
    return int(spark.conf.get("spark.default.parallelism", None) or 2 * cores())


def has_java() -> bool:
    """Return whether there is a Java that Apache Spark runs on."""
    java = java_version()
    return java is not None and java[1] >= OLDEST_JAVA


if __name__ == "__main__":  # for the Makefile: exit code 0 where Apache Spark can run
    sys.exit(0 if has_java() else 1)
