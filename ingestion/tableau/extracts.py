"""Extracts: each report as a `.hyper` file, for those who have no way to the server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from ingestion import postgres
from ingestion.errors import DatabaseError, UsageError
from ingestion.settings import Settings
from ingestion.tableau.fields import Report

FETCHED_AT_ONCE = 10_000


def check_installed() -> None:
    """Raise UsageError, with the remedy, where Tableau's Hyper API is missing."""
    if find_spec("tableauhyperapi") is None:
        raise UsageError(
            "Tableau's Hyper API is not installed. Install it: pip install 'clickmart[hyper]' "
            "(there is none for Linux on ARM)."
        )


def write(
    settings: Settings, reports: Sequence[Report], folder: Path, on_report: Callable[[str], None]
) -> int:
    """Write `NAME.hyper` of each report into a folder; return how many rows they have in all.

    All are read in one snapshot, so that a build under way does not come between them.
    """
    from tableauhyperapi import HyperProcess, Telemetry

    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    rows = 0
    with (
        HyperProcess(
            Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU,
            # What amounts need: more digits than 18. Tableau 2022.4 and later read it.
            parameters={"default_database_version": "3", "log_dir": str(logs)},
        ) as process,
        postgres.connect(settings, read_only=True) as connection,
    ):
        for report in reports:
            on_report(report.name)
            rows += _write(process, connection, report, folder / f"{report.name}.hyper")
    return rows


def _write(process: Any, connection: Any, report: Report, path: Path) -> int:
    from tableauhyperapi import Connection, CreateMode, Inserter

    rows = 0
    table = _table(report)
    with (
        Connection(process.endpoint, str(path), CreateMode.CREATE_AND_REPLACE) as extract,
        connection.cursor(report.name) as cursor,
    ):
        cursor.itersize = FETCHED_AT_ONCE
        extract.catalog.create_schema(table.table_name.schema_name)
        extract.catalog.create_table(table)
        _select(cursor, report)
        with Inserter(extract, table) as inserter:
            for row in cursor:
                inserter.add_row(row)
                rows += 1
            inserter.execute()
    return rows


def _select(cursor: Any, report: Report) -> None:
    query = sql.SQL("select {columns} from {view}").format(
        columns=sql.SQL(", ").join(sql.Identifier(field.column) for field in report.fields),
        view=sql.Identifier(report.schema, report.name),
    )
    try:
        cursor.execute(query)
    except (psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedColumn):
        raise DatabaseError(
            f"{report.schema}.{report.name} is missing, or not as the project has it. "
            "Build it: clickmart build"
        ) from None


def _table(report: Report) -> Any:
    from tableauhyperapi import TableDefinition, TableName

    columns = [
        TableDefinition.Column(field.column, _hyper_type(field.column_type))
        for field in report.fields
    ]
    return TableDefinition(TableName("Extract", "Extract"), columns)


def _hyper_type(column_type: str) -> Any:
    from tableauhyperapi import SqlType

    name, _, sizes = column_type.rstrip(")").partition("(")
    if name == "numeric":
        precision, scale = map(int, sizes.split(","))
        return SqlType.numeric(precision, scale)
    if name == "varchar":
        return SqlType.varchar(int(sizes))
    plain = {
        "date": SqlType.date,
        "boolean": SqlType.bool,
        "integer": SqlType.int,
        "bigint": SqlType.big_int,
    }
    return plain[name]()
