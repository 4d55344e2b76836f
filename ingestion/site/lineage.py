"""Column lineage: for each column of each model, the columns it is computed from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage
from sqlglot.schema import MappingSchema

Lineage = dict[str, dict[str, Any]]


def read_lineage(folder: Path) -> Lineage:
    """Return what `clickmart docs` left in its folder, by `schema.table`; nothing where it is not.

    Each table has a `description` and `columns`: by name, with a `description` and, as `from`, the
    `[schema.table, column]` it is computed from. `is_traced` says whether its SQL could be read.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        catalog = json.loads((folder / "catalog.json").read_text())
    except FileNotFoundError:
        return {}
    tables = {**catalog["sources"], **catalog["nodes"]}
    types = _types(tables)
    nodes = {**manifest["sources"], **manifest["nodes"]}
    return dict(
        sorted(
            _described(nodes[key], table, types) for key, table in tables.items() if key in nodes
        )
    )


def _types(tables: dict[str, Any]) -> MappingSchema:
    """Return the catalogue as sqlglot wants it: the types of the columns, by schema and table."""
    types: dict[str, Any] = {}
    for table in tables.values():
        of_schema = types.setdefault(table["metadata"]["schema"], {})
        of_schema[table["metadata"]["name"]] = {
            column["name"]: column["type"] for column in table["columns"].values()
        }
    # PostgreSQL has written the names: they need no second look, for each of the queries.
    return MappingSchema(types, dialect="postgres", normalize=False)


def _described(
    node: dict[str, Any], table: dict[str, Any], types: MappingSchema
) -> tuple[str, dict[str, Any]]:
    sql = node.get("compiled_code")
    origins = _origins(sql, types) if sql else {}
    columns = {
        name: {
            "description": node["columns"].get(name, {}).get("description", ""),
            "from": origins.get(name, []),
        }
        for name in table["columns"]
    }
    described = {
        "description": node["description"],
        "columns": columns,
        "is_traced": bool(origins) or not sql,
    }
    return f"{table['metadata']['schema']}.{table['metadata']['name']}", described


def _origins(sql: str, types: MappingSchema) -> dict[str, list[list[str]]]:
    """Return the columns of tables that each column of a query comes from; none if unreadable."""
    try:
        roots = lineage(None, sql, types, dialect="postgres", trim_selects=False)
    except SqlglotError:
        return {}
    return {name: sorted(map(list, set(_leaves(root)))) for name, root in roots.items()}


def _leaves(root: Node) -> Iterator[tuple[str, str]]:
    for node in root.walk():
        table = node.expression
        if isinstance(table, exp.Table) and table.db:  # A set-returning function is of no schema.
            yield f"{table.db}.{table.name}", node.name.rsplit(".", 1)[-1]
