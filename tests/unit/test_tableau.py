"""What the names, types and `meta` of a report's columns become in Tableau."""

from __future__ import annotations

from typing import Any

import pytest

from ingestion.errors import ClickmartError
from ingestion.tableau.datasource import Server, document
from ingestion.tableau.fields import Report, caption, reports
from ingestion.tableau.sheets import Dashboard, Sheet
from ingestion.tableau.workbook import workbook

SERVER = Server("db.example", "5432", "clickmart", "clickmart_bi")


def described(**columns: tuple[str, dict[str, Any]]) -> Report:
    """The report of a manifest with one view of these columns, each a type and its `meta`."""
    node = {
        "resource_type": "model",
        "name": "rpt_days",
        "schema": "reports",
        "fqn": ["clickmart", "reports", "rpt_days"],
        "description": "One row per\n  day.",
        "config": {},
        "columns": {
            name: {"data_type": data_type, "description": name, "config": {"meta": meta}}
            for name, (data_type, meta) in columns.items()
        },
    }
    (report,) = reports({"nodes": {"model.clickmart.rpt_days": node}})
    return report


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("gross_revenue_amount", "Gross revenue"),
        ("previous_week_session_count", "Previous week sessions"),
        ("month_start_date", "Month"),
        ("metric_date", "Metric"),
        ("is_weekend", "Weekend"),
        ("session_count_change_rate", "Session change"),
        ("purchased_quantity", "Purchased quantity"),
        ("step_number", "Step number"),
    ],
)
def test_a_caption_is_the_column_as_people_say_it(column: str, said: str) -> None:
    assert caption(column) == said


@pytest.mark.parametrize(
    ("data_type", "column", "expected"),
    [
        ("date", "metric_date", ("date", "ordinal", "", "Dates")),
        ("varchar(64)", "channel", ("string", "nominal", "", "Break down by")),
        ("boolean", "is_paid", ("boolean", "nominal", "", "Break down by")),
        ("integer", "step_number", ("integer", "ordinal", "", "Break down by")),
        ("bigint", "revenue_rank", ("integer", "ordinal", "", "Break down by")),
        ("bigint", "order_count", ("integer", "quantitative", "Sum", "Counts")),
        ("numeric(24, 4)", "cost_amount", ("real", "quantitative", "Sum", "Amounts")),
    ],
)
def test_a_column_becomes_a_dimension_or_a_measure(
    data_type: str, column: str, expected: tuple[str, ...]
) -> None:
    field = described(**{column: (data_type, {})}).field(column)
    assert (field.datatype, field.kind, field.aggregation, field.folder) == expected
    assert field.formula == ""


def test_a_type_that_tableau_does_not_read_is_named() -> None:
    with pytest.raises(ClickmartError, match="type 'text'"):
        described(channel=("text", {}))


COLUMNS: dict[str, tuple[str, dict[str, Any]]] = {
    "month_start_date": ("date", {}),
    "orders": ("bigint", {}),
    "sessions": ("bigint", {"same_within": ["month_start_date"]}),
    "everything": ("bigint", {"same_within": []}),
    "cost": ("numeric(24, 4)", {}),
    "before": ("bigint", {}),
}


@pytest.mark.parametrize(
    ("meta", "formula"),
    [
        (
            {"numerator": "orders", "denominator": "sessions"},
            "SUM([orders]) / SUM({INCLUDE [month_start_date]: MAX([sessions])})",
        ),
        (
            {"numerator": "orders", "denominator": "everything"},
            "SUM([orders]) / MAX([everything])",
        ),
        (
            {"numerator": "orders", "denominator": "cost", "where_known": "cost"},
            "SUM(IF NOT ISNULL([cost]) THEN [orders] END) / SUM([cost])",
        ),
        (
            {"now": "orders", "before": "before"},
            "(SUM(IF NOT ISNULL([before]) THEN [orders] END) - SUM([before])) / ABS(SUM([before]))",
        ),
        (
            {"weight": "orders"},
            "SUM([figure] * [orders]) / SUM(IF NOT ISNULL([figure]) THEN [orders] END)",
        ),
    ],
)
def test_a_ratio_becomes_a_formula_of_sums(meta: dict[str, Any], formula: str) -> None:
    report = described(**COLUMNS, figure=("numeric(9, 6)", meta))
    assert report.field("figure").formula == formula


def test_a_figure_that_repeats_counts_once() -> None:
    report = described(**COLUMNS)
    assert report.field("sessions").formula == "SUM({INCLUDE [month_start_date]: MAX([sessions])})"
    assert report.field("everything").formula == "MAX([everything])"


def test_a_data_source_hides_the_column_that_a_formula_stands_for() -> None:
    root = document(described(**COLUMNS), SERVER)
    hidden = [column.get("name") for column in root.iter("column") if column.get("hidden")]
    assert hidden == ["[sessions]", "[everything]"]
    items = [item.get("name") for item in root.iter("folder-item")]
    assert len(items) == len(COLUMNS)
    assert not set(hidden) & set(items)


def drawn(**changes: Any) -> str:
    """The row shelf of a sheet on a report of two dimensions and two figures."""
    report = described(
        month_start_date=("date", {}), channel=("varchar(9)", {}),
        orders=("bigint", {}), cost=("numeric(24, 4)", {"aggregation": "average"}),
    )  # fmt: skip
    shape: dict[str, Any] = {"mark": "Bar", "rows": (), "cols": (), **changes}
    sheet = Sheet(name="s", question="?", report="rpt_days", **shape)
    root = workbook([report], [sheet], [Dashboard("d", "?", (("s",),))], SERVER)
    return str(root.findtext(".//rows")).replace("[federated.rpt_days].", "")


@pytest.mark.parametrize(
    ("shape", "shelf"),
    [
        ({"rows": ("channel",)}, "[none:channel:nk]"),
        ({"rows": ("orders", "cost")}, "([sum:orders:qk] + [avg:cost:qk])"),
        (
            {"rows": ("month_start_date@month", "channel", "orders")},
            "([tmn:month_start_date:ok] / [none:channel:nk] / [sum:orders:qk])",
        ),
        ({"rows": ("month_start_date@week",), "mark": "Line"}, "[twk:month_start_date:qk]"),
    ],
)
def test_a_shelf_names_its_fields_as_tableau_does(shape: dict[str, Any], shelf: str) -> None:
    assert drawn(**shape) == shelf


def test_a_sheet_of_an_unknown_column_is_an_error() -> None:
    with pytest.raises(KeyError, match="cahnnel"):
        drawn(rows=("cahnnel",))
