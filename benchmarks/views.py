"""The reports as a dashboard asks for them: one month's aggregate, and every row."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import psycopg2

from benchmarks.measuring import MODELS_ALONE, empty_home, generate, run, say, server_of

REPEATS = 9
BUSIEST_MONTH = """
    select month_start_date, cast(month_start_date + interval '1 month' as date) - 1
    from reports.rpt_daily_kpis
    group by month_start_date order by sum(session_count) desc, month_start_date limit 1
"""
QUESTIONS = {
    "rpt_daily_kpis": "sum(net_revenue_amount) from {} where month_start_date = %(first)s",
    "rpt_conversion_funnel": "step, sum(session_count) from {} "
    "where session_date between %(first)s and %(last)s group by step",
    "rpt_customer_journey": "to_step, sum(transition_count) from {} "
    "where month_start_date = %(first)s and is_entry group by to_step",
    "rpt_user_segments": "segment, sum(user_count) from {} group by segment",
    "rpt_cohort_retention": "period_number, sum(active_user_count) from {} "
    "where cohort_month = %(first)s group by period_number",
    "rpt_product_performance": "category, sum(view_count) from {} "
    "where month_start_date = %(first)s group by category",
    "rpt_cart_abandonment": "channel, sum(lost_revenue_amount) from {} "
    "where cart_date between %(first)s and %(last)s group by channel",
    "rpt_channel_attribution": "channel, sum(attributed_revenue_amount) from {} "
    "where month_start_date = %(first)s and attribution_model = 'linear' group by channel",
}
"""One aggregate of each report, of a month where it knows months."""


@dataclass(frozen=True)
class View:
    """One report at one size: medians of nine queries each, all rows fetched."""

    report: str
    sessions: int
    events: int
    month_ms: float
    month_row_count: int
    all_rows_ms: float
    row_count: int


def measure_views(sessions: int, _runs: int) -> list[View]:
    """Measure every report at one size, in one warehouse: each query is repeated there."""
    with empty_home() as home:
        run(["ingest", str(generate(home, sessions)), "--source", "native"], home)
        run([*MODELS_ALONE], home)
        return time_views(server_of(home), sessions)


def time_views(server: dict[str, Any], sessions: int) -> list[View]:
    """Time every report of a server's warehouse."""
    connection = psycopg2.connect(**server)
    connection.autocommit = True
    with connection.cursor() as cursor:
        events = _rows(cursor, "select count(*) from marts.fct_events")[0][0]
        month = dict(zip(("first", "last"), _rows(cursor, BUSIEST_MONTH)[0], strict=True))
        found = [_time_view(cursor, report, month, sessions, events) for report in QUESTIONS]
    connection.close()
    return found


def _time_view(cursor: Any, report: str, month: dict[str, Any], sessions: int, events: int) -> View:
    view = f"reports.{report}"
    month_ms, month_row_count = _time(cursor, f"select {QUESTIONS[report]}".format(view), month)
    all_rows_ms, row_count = _time(cursor, f"select * from {view}", month)
    say(sessions, f"{report}, all rows", all_rows_ms / 1000)
    return View(report, sessions, events, month_ms, month_row_count, all_rows_ms, row_count)


def _time(cursor: Any, query: str, values: dict[str, Any]) -> tuple[float, int]:
    """Return the median of some repeats in milliseconds, and how many rows there are."""
    seconds, rows = [], []
    for _ in range(REPEATS):
        began = time.perf_counter()
        rows = _rows(cursor, query, values)
        seconds.append(time.perf_counter() - began)
    return round(median(seconds) * 1000, 1), len(rows)


def _rows(cursor: Any, query: str, values: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    cursor.execute(query, values)
    return list(cursor.fetchall())
