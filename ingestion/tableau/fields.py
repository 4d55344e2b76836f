"""What Tableau shall know of each report: fields with captions, roles, aggregations and formulas.

All of it follows from dbt's manifest: names and types of the columns, their descriptions, and what
their `meta` says. The keys of `meta`:

- `label`: the caption, where the name does not give a good one;
- `aggregation`: how rows are put together (`average`, `median`), where a sum says nothing;
- `same_within`: the columns within which the value is the same on all rows, so that it counts once;
- `numerator`, `denominator`: a ratio; `where_known` names a column without which a row is left out;
- `now`, `before`: by what share a figure changed;
- `weight`: an average, and how many it is the average of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ingestion.errors import ClickmartError

AGGREGATIONS = {"sum": "Sum", "average": "Avg", "median": "Median", "max": "Max"}
# Tableau's name of a type, and the number by which OLE DB knows it.
TYPES = {
    "date": ("date", 133),
    "boolean": ("boolean", 11),
    "integer": ("integer", 3),
    "bigint": ("integer", 20),
    "numeric": ("real", 131),
    "varchar": ("string", 129),
}
CALCULATED = "calculated_"


@dataclass(frozen=True)
class Field:
    """A field as Tableau shows it.

    `formula` is Tableau's, of sums over rows, and stands in for the column of the same name, which
    is right for its own row only. `column_type` is PostgreSQL's.
    """

    column: str
    column_type: str
    caption: str
    description: str
    datatype: str
    aggregation: str = ""
    formula: str = ""

    @property
    def name(self) -> str:
        """The field's name in formulas and on shelves, without brackets."""
        return CALCULATED + self.column if self.formula else self.column

    @property
    def is_measure(self) -> bool:
        """Whether it is a figure, and not what figures are broken down by."""
        return bool(self.aggregation)

    @property
    def kind(self) -> str:
        """Tableau's type of the field: quantitative, ordinal or nominal."""
        if self.is_measure:
            return "quantitative"
        return "ordinal" if self.datatype in ("date", "integer") else "nominal"

    @property
    def format(self) -> str:
        """Tableau's number format; empty for its own choice."""
        if not self.is_measure:
            return ""
        if self.column.endswith("_rate"):
            return "p0.0%"
        return "n#,##0.00" if self.datatype == "real" else "n#,##0"

    @property
    def folder(self) -> str:
        """Where the field stands in Tableau's data pane."""
        if not self.is_measure:
            return "Dates" if self.datatype == "date" else "Break down by"
        if "_change_rate" in self.column or self.column.startswith("previous_"):
            return "Change"
        if self.formula:
            return "Ratios and totals"
        return "Amounts" if self.column.endswith("_amount") else "Counts"


@dataclass(frozen=True)
class Report:
    """A view of the schema `reports`, with its fields in the order of its columns."""

    name: str
    schema: str
    caption: str
    description: str
    fields: tuple[Field, ...]

    def field(self, column: str) -> Field:
        """Return the field of a column. Raises KeyError when the view has no such column."""
        return {field.column: field for field in self.fields}[column]


def reports(manifest: dict[str, Any]) -> list[Report]:
    """Return the reports of dbt's manifest, by name. Raises ClickmartError for a type unknown."""
    nodes = [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["fqn"][1] == "reports"
    ]
    return [_report(node) for node in sorted(nodes, key=lambda node: str(node["name"]))]


def _report(node: dict[str, Any]) -> Report:
    columns = {name: _meta(column) for name, column in node["columns"].items()}
    return Report(
        name=node["name"],
        schema=node["schema"],
        caption=_meta(node).get("label") or _sentence(node["name"].removeprefix("rpt_")),
        description=_one_line(node["description"]),
        fields=tuple(_field(node, name, columns) for name in node["columns"]),
    )


def _meta(described: dict[str, Any]) -> dict[str, Any]:
    return dict(described["config"].get("meta") or {})


def _field(node: dict[str, Any], name: str, columns: dict[str, dict[str, Any]]) -> Field:
    column, meta = node["columns"][name], columns[name]
    datatype, _ = tableau_type(column["data_type"])
    is_measure = datatype in ("integer", "real") and not name.endswith(("_number", "_rank"))
    return Field(
        column=name,
        column_type=column["data_type"],
        caption=meta.get("label") or caption(name),
        description=_one_line(column["description"]),
        datatype=datatype,
        aggregation=AGGREGATIONS[meta.get("aggregation", "sum")] if is_measure else "",
        formula=_formula(name, columns),
    )


def tableau_type(column_type: str) -> tuple[str, int]:
    """Return Tableau's name and OLE DB's number of a PostgreSQL type.

    Raises ClickmartError for one that Tableau does not read as it is.
    """
    name = column_type.partition("(")[0].strip()
    if name not in TYPES:
        known = ", ".join(TYPES)
        raise ClickmartError(f"A report has a column of type {column_type!r}. Cast it: {known}.")
    return TYPES[name]


def caption(name: str) -> str:
    """Return a column's name as people say it: `gross_revenue_amount` as Gross revenue."""
    words = re.sub(r"(_start)?_date$|_amount$|^(is|has)_", "", name)
    words = re.sub(r"(_count)?_change_rate$", "_change", words)
    return _sentence(re.sub(r"_count$", "s", words))


def _sentence(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _formula(name: str, columns: dict[str, dict[str, Any]]) -> str:
    meta = columns[name]
    if "numerator" in meta:
        known = meta.get("where_known", "")
        numerator = _total(meta["numerator"], columns, known)
        return f"{numerator} / {_total(meta['denominator'], columns, known)}"
    if "now" in meta:
        now = _total(meta["now"], columns, meta["before"])
        before = _total(meta["before"], columns)
        return f"({now} - {before}) / ABS({before})"
    if "weight" in meta:
        weight = _total(meta["weight"], columns, name)
        return f"SUM([{name}] * [{meta['weight']}]) / {weight}"
    if "same_within" in meta:
        return _total(name, columns)
    return ""


def _total(name: str, columns: dict[str, dict[str, Any]], where_known: str = "") -> str:
    """Return the formula of a column's total over rows."""
    within = columns[name].get("same_within")
    if within == []:
        return f"MAX([{name}])"
    if within:
        listed = ", ".join(f"[{column}]" for column in within)
        return f"SUM({{INCLUDE {listed}: MAX([{name}])}})"
    if where_known and where_known != name:
        return f"SUM(IF NOT ISNULL([{where_known}]) THEN [{name}] END)"
    return f"SUM([{name}])"
