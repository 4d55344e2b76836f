"""The site without a database or a browser: its queries, its key figures, its lineage."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingestion.settings import Settings
from ingestion.site import kpis, pages
from ingestion.site.lineage import read_lineage
from ingestion.site.write import HERE, Span, as_json, templates

QUERIES = {
    f"{page.name} {name}": query for page in pages.PAGES for name, query in page.queries.items()
} | {"span": pages.SPAN, "last load": pages.LAST_LOAD}
SOURCES = sorted(path for path in HERE.rglob("*") if path.suffix in (".html", ".css", ".js"))


# -- the queries ---------------------------------------------------------------------------------


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_queries_read_marts_and_reports_alone(query: str) -> None:
    read = set(re.findall(r"\b(?:from|join)\s+([\w.]+)", query))
    within = set(re.findall(r"(\w+) as \(\s*(?:with|select)", query))
    assert read
    assert {
        table for table in read - within if not re.match(r"(marts|reports)\.\w+$", table)
    } == set()


def test_each_page_has_a_template_and_a_script() -> None:
    names = {page.name for page in pages.PAGES}
    templates = {path.stem for path in (HERE / "templates").glob("*.html")}
    scripts = {path.stem for path in (HERE / "assets").glob("*.js")}
    assert templates - {"base", "parts"} == names
    assert scripts - {"theme", "site", "charts"} == names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_is_fetched_from_elsewhere(path: Path) -> None:
    assert re.findall(r"https?://|//cdn|@import|fetch\(|XMLHttpRequest", path.read_text()) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("12.3400"), 12.34),
        (Decimal("12.0000"), 12),
        (Decimal("NaN"), None),
        (Decimal("Infinity"), None),
        (float("nan"), None),
        (date(2026, 3, 1), "2026-03-01"),
        (datetime(2026, 3, 1, 4, 5, tzinfo=timezone.utc), "2026-03-01T04:05:00+00:00"),
        ("<b>", "<b>"),
        (None, None),
        (True, True),
    ],
)
def test_values_become_what_json_can_say(value: Any, expected: Any) -> None:
    found = as_json(value)
    assert found == expected
    assert type(found) is type(expected)


# -- the pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "is_said"),
    [(["Direct", "Direct"], True), (["Direct", "Email"], False), ([], False)],
)
def test_the_page_says_that_no_event_names_where_it_came_from(
    channels: list[str], is_said: bool
) -> None:
    table = {
        "columns": ["month_start_date", "channel"],
        "rows": [["2026-01-01", channel] for channel in channels],
    }
    written = (
        templates(
            Settings(),
            Span(date(2026, 1, 1), date(2026, 1, 2), datetime.now(timezone.utc)),
            has_documentation=False,
        )
        .get_template("attribution.html")
        .render(page=pages.ATTRIBUTION, data={"channels": table})
    )
    assert ("Every session is Direct" in written) == is_said


# -- week over week ------------------------------------------------------------------------------


def weeks(*rows: dict[str, Any]) -> dict[str, Any]:
    """A table of weeks; what a row does not say is 0."""
    columns = [
        *("week_start_date", "day_count", "is_complete", "visitor_count", "session_count"),
        *("add_to_cart_session_count", "converted_session_count", "order_count"),
        *("gross_revenue_amount", "net_revenue_amount", "abandoned_cart_count"),
        "lost_revenue_amount",
    ]
    whole = [{"is_complete": True, "day_count": 7, **row} for row in rows]
    return {"columns": columns, "rows": [[row.get(name, 0) for name in columns] for row in whole]}


def shown(week: kpis.Week | None) -> dict[str, tuple[str, str, str]]:
    assert week is not None
    return {kpi.label: (kpi.text, kpi.change, kpi.meaning) for kpi in week.kpis}


def test_the_last_whole_week_is_compared_with_the_one_before() -> None:
    week = kpis.week_over_week(
        weeks(
            {"week_start_date": "2026-03-02", "session_count": 200, "converted_session_count": 2},
            {"week_start_date": "2026-03-09", "session_count": 250, "converted_session_count": 5},
            {"week_start_date": "2026-03-16", "is_complete": False, "session_count": 9},
        )
    )
    assert week is not None
    assert (week.first, week.last) == (date(2026, 3, 9), date(2026, 3, 15))
    assert week.is_compared
    assert shown(week)["Sessions"] == ("250", "+25.0 %, from 200", "better")
    assert shown(week)["Conversion"] == ("2.00 %", "+1.00 points, from 1.00 %", "better")


def test_more_abandoned_carts_are_worse() -> None:
    week = kpis.week_over_week(
        weeks(
            {
                "week_start_date": "2026-03-02",
                "abandoned_cart_count": 5,
                "add_to_cart_session_count": 10,
            },
            {
                "week_start_date": "2026-03-09",
                "abandoned_cart_count": 6,
                "add_to_cart_session_count": 10,
            },
        )
    )
    assert shown(week)["Cart abandonment"] == ("60.0 %", "+10.0 points, from 50.0 %", "worse")


def test_a_week_missing_between_is_no_week_before() -> None:
    week = kpis.week_over_week(
        weeks(
            {"week_start_date": "2026-03-02", "session_count": 200},
            {"week_start_date": "2026-03-16", "session_count": 250},
        )
    )
    assert shown(week)["Sessions"] == ("250", "", "same")


def test_no_change_is_neither_better_nor_worse() -> None:
    week = kpis.week_over_week(
        weeks(
            {"week_start_date": "2026-03-02", "lost_revenue_amount": 1000.0},
            {"week_start_date": "2026-03-09", "lost_revenue_amount": 1000.04},
        )
    )
    assert shown(week)["Lost in carts"] == ("1,000.04", "+0.0 %, from 1,000.00", "same")


def test_what_was_nothing_before_has_no_percentage() -> None:
    week = kpis.week_over_week(
        weeks(
            {"week_start_date": "2026-03-02"}, {"week_start_date": "2026-03-09", "order_count": 4}
        )
    )
    assert shown(week)["Orders"] == ("4", "0 the week before", "same")
    assert shown(week)["Conversion"] == ("none", "", "same")


def test_days_that_are_no_whole_week_stand_alone() -> None:
    week = kpis.week_over_week(
        weeks({"week_start_date": "2026-03-02", "is_complete": False, "session_count": 7})
    )
    assert week is not None
    assert not week.is_complete
    assert shown(week)["Sessions"] == ("7", "", "same")


def test_no_weeks_no_key_figures() -> None:
    assert kpis.week_over_week(weeks()) is None


# -- lineage -------------------------------------------------------------------------------------


def table(schema: str, name: str, *columns: str) -> dict[str, Any]:
    """An entry of dbt's catalogue."""
    return {
        "metadata": {"schema": schema, "name": name},
        "columns": {column: {"name": column, "type": "integer"} for column in columns},
    }


def test_columns_are_traced_through_ctes_joins_and_unions(tmp_path: Path) -> None:
    sql = """
        with both_kinds as (
            select id, price * quantity as amount from raw.lines
            union all
            select id, total as amount from raw.orders
        ),
        summed as (select id, sum(amount) as amount, count(*) as n from both_kinds group by id)
        select summed.id, summed.amount / 2 as half, summed.n, word from summed
        inner join raw.orders on summed.id = orders.id
        cross join lateral regexp_split_to_table('a,b', ',') as words (word)
    """
    described = {"columns": {}, "description": ""}
    manifest = {
        "sources": {"s.lines": described, "s.orders": described},
        "nodes": {
            "m.halves": {
                "compiled_code": sql,
                "description": "One row per order.",
                "columns": {"half": {"description": "Half of it."}},
            },
            "m.odd": {"compiled_code": "select from where", **described},
        },
    }
    catalog = {
        "sources": {
            "s.lines": table("raw", "lines", "id", "price", "quantity"),
            "s.orders": table("raw", "orders", "id", "total"),
        },
        "nodes": {
            "m.halves": table("marts", "halves", "id", "half", "n", "word"),
            "m.odd": table("marts", "odd", "id"),
        },
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    found = read_lineage(tmp_path)
    assert list(found) == ["marts.halves", "marts.odd", "raw.lines", "raw.orders"]
    columns = found["marts.halves"]["columns"]
    assert columns["id"]["from"] == [["raw.lines", "id"], ["raw.orders", "id"]]
    assert columns["half"] == {
        "description": "Half of it.",
        "from": [["raw.lines", "price"], ["raw.lines", "quantity"], ["raw.orders", "total"]],
    }
    assert columns["n"]["from"] == columns["word"]["from"] == []
    assert found["marts.halves"]["is_traced"]
    assert not found["marts.odd"]["is_traced"]


def test_without_documentation_there_is_no_lineage(tmp_path: Path) -> None:
    assert read_lineage(tmp_path) == {}
