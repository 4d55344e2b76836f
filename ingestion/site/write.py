"""Write the site: read the marts at one moment, render the pages, put the folder in place."""

from __future__ import annotations

import importlib.util
import math
import shutil
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ingestion import postgres
from ingestion.errors import ClickmartError, DatabaseError
from ingestion.settings import Settings
from ingestion.site.kpis import number, week_over_week
from ingestion.site.lineage import read_lineage
from ingestion.site.pages import LAST_LOAD, LINEAGE, OVERVIEW, PAGES, SPAN

HERE = Path(__file__).resolve().parent
# Thirteen months: a month can be seen beside that of the year before, and pages stay small.
DAYS_SHOWN = 396
PLOTLY = "plotly.min.js"


@dataclass(frozen=True)
class Span:
    """The days shown, both included, and when the last load was; all None in an empty warehouse."""

    first: date | None
    last: date | None
    last_load_at: datetime | None


def write(settings: Settings) -> Path:
    """Write all pages; return the first one's path.

    Raises DatabaseError when PostgreSQL is away, or the marts were not built yet.
    """
    with postgres.connect(settings, read_only=True) as connection:
        span, tables = read_tables(connection)
    tables[LINEAGE.name] = {"tables": read_lineage(settings.home / "docs")}
    fresh = settings.home / "site.new"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(HERE / "assets", fresh / "assets")
    shutil.copyfile(_plotly_script(), fresh / "assets" / PLOTLY)
    documentation = settings.home / "docs" / "index.html"
    if documentation.exists():
        shutil.copyfile(documentation, fresh / "documentation.html")
    pages = templates(settings, span, has_documentation=documentation.exists())
    for page in PAGES:
        template = pages.get_template(page.file)
        week = week_over_week(tables[page.name]["weeks"]) if page is OVERVIEW else None
        text = template.render(page=page, data=tables[page.name], week=week)
        (fresh / page.file).write_text(text, encoding="utf-8")
    target = settings.home / "site"
    shutil.rmtree(target, ignore_errors=True)
    fresh.replace(target)
    return target / OVERVIEW.file


def read_tables(connection: Any) -> tuple[Span, dict[str, dict[str, Any]]]:
    """Return the span, and each page's tables: `columns`, and `rows` of what JSON can say."""
    with connection.cursor() as cursor:
        (first, last), *_ = _rows(cursor, SPAN, {"days": DAYS_SHOWN})
        ((last_load_at,),) = _rows(cursor, LAST_LOAD)
        span = Span(first, last, last_load_at)
        days = {"first": first, "last": last}
        tables = {
            page.name: {name: _table(cursor, query, days) for name, query in page.queries.items()}
            for page in PAGES
        }
    return span, tables


def _table(cursor: Any, query: str, parameters: dict[str, Any]) -> dict[str, Any]:
    rows = _rows(cursor, query, parameters)
    columns = [column.name for column in cursor.description]
    return {"columns": columns, "rows": [[as_json(value) for value in row] for row in rows]}


def _rows(cursor: Any, query: str, parameters: dict[str, Any] | None = None) -> list[Any]:
    try:
        cursor.execute(query, parameters)
    except (psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedColumn) as error:
        said = str(error).splitlines()[0]
        raise DatabaseError(
            f"The marts are not built as the site needs them: {said}. Build them: clickmart build"
        ) from None
    return list(cursor.fetchall())


def as_json(value: Any) -> Any:
    """Return a value of PostgreSQL as JSON can say it: dates as ISO texts, no NaN."""
    if isinstance(value, Decimal | float) and not math.isfinite(value):
        return None
    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if isinstance(value, date) else value


def templates(settings: Settings, span: Span, *, has_documentation: bool) -> Environment:
    """Return the pages' templates, with what all of them name."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.globals.update(
        pages=PAGES,
        plotly=PLOTLY,
        span=span,
        currency=settings.dbt_vars["reporting_currency"],
        timezone=settings.dbt_vars["reporting_timezone"],
        lookback_days=settings.dbt_vars["attribution_lookback_days"],
        recovery_days=settings.dbt_vars["cart_recovery_days"],
        has_documentation=has_documentation,
        number=number,
        record=lambda table: dict(zip(table["columns"], *table["rows"], strict=True)),
    )
    return environment


def _plotly_script() -> Path:
    """Return the script inside the package, without importing it."""
    spec = importlib.util.find_spec("plotly")
    if spec is None or spec.origin is None:
        raise ClickmartError("The package plotly is missing. Mend it: python start.py setup")
    return Path(spec.origin).parent / "package_data" / PLOTLY
