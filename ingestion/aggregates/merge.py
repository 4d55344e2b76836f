"""Bring staged pre-aggregates into `raw.agg_*`: all of them anew, or what has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg2 import sql

from ingestion.contract.events import Column

UUID_COLUMNS = ("session_id", "user_key")


def replace(
    cursor: Any,
    name: str,
    columns: Sequence[Column],
    keys: Sequence[str],
    stages: Sequence[str],
) -> None:
    """Let the table hold the staged rows and no others."""
    table = sql.Identifier("raw", name)
    cursor.execute(sql.SQL("delete from {}").format(table))
    # In the order of its key an index grows at its end, in half the time.
    insert = sql.SQL("insert into {} select * from ({}) as staged order by {}").format(
        table,
        _staged(name, columns, stages),
        sql.SQL(", ").join(map(sql.Identifier, keys)),
    )
    cursor.execute(insert)
    cursor.execute(sql.SQL("analyze {}").format(table))


def add_change(
    cursor: Any,
    name: str,
    columns: Sequence[Column],
    keys: Sequence[str],
    before: Sequence[str],
    after: Sequence[str],
) -> None:
    """Add what the staged rows differ by, before and after, to the table's rows of their keys.

    Numbers are added up; any other value is set where it differs. A row whose numbers all come to
    0 goes.
    """
    amounts = [c.name for c in columns if c.type == "bigint" or c.type.startswith("decimal")]
    others = [c.name for c in columns if c.name not in (*amounts, *keys)]
    parts = {
        "table": sql.Identifier("raw", name),
        "changed": sql.Identifier(f"changed_{name}"),
        "before": _staged(name, columns, before),
        "after": _staged(name, columns, after),
        "keys": sql.SQL(", ").join(map(sql.Identifier, keys)),
        "columns": sql.SQL(", ").join(sql.Identifier(c.name) for c in columns),
        "values": sql.SQL(", ").join(
            _value(c.name, is_key=c.name in keys, is_amount=c.name in amounts) for c in columns
        ),
        "differs": sql.SQL(" or ").join(
            sql.SQL("before.{0} is distinct from after.{0}").format(sql.Identifier(name))
            for name in (*amounts, *others)
        ),
        "is_left": sql.SQL(" or ").join(
            sql.SQL("{} <> 0").format(sql.Identifier(name)) for name in amounts
        ),
        "same_key": sql.SQL(" and ").join(
            sql.SQL("target.{0} = changed.{0}").format(sql.Identifier(key)) for key in keys
        ),
    }
    for statement in (
        "create temporary table {changed} on commit drop as "
        "select {values} from ({before}) as before full join ({after}) as after using ({keys}) "
        "left join {table} as target using ({keys}) where {differs}",
        "analyze {changed}",
        "delete from {table} as target using {changed} as changed where {same_key}",
        "insert into {table} ({columns}) select {columns} from {changed} where {is_left}",
    ):
        cursor.execute(sql.SQL(statement).format(**parts))


def _value(name: str, *, is_key: bool, is_amount: bool) -> sql.Composable:
    column = sql.Identifier(name)
    if is_key:
        return column
    if is_amount:
        text = "coalesce(target.{0}, 0) + coalesce(after.{0}, 0) - coalesce(before.{0}, 0) as {0}"
    else:
        text = (
            "case when before.{0} is distinct from after.{0} then after.{0} "
            "else target.{0} end as {0}"
        )
    return sql.SQL(text).format(column)


def _staged(name: str, columns: Sequence[Column], stages: Sequence[str]) -> sql.Composable:
    """Select the staged rows, typed as the table's; the table itself gives the types if none."""
    names = sql.SQL(", ").join(sql.Identifier(c.name) for c in columns)
    values = sql.SQL(", ").join(
        sql.SQL("{}::uuid" if c.name in UUID_COLUMNS else "{}").format(sql.Identifier(c.name))
        for c in columns
    )
    return sql.SQL(" union all ").join(
        [
            sql.SQL("select {} from {} where false").format(names, sql.Identifier("raw", name)),
            *(
                sql.SQL("select {} from {}").format(values, sql.Identifier("stage", table))
                for table in stages
            ),
        ]
    )
