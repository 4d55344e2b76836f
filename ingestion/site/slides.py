"""Pictures for slides: what the site shows, as PNG files of 1920 by 1080 points."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, PercentFormatter

from ingestion import postgres
from ingestion.settings import Settings
from ingestion.site.write import read_tables

SIZE_INCHES = (12.8, 7.2)
DOTS_PER_INCH = 150
FEW_DAYS = 8
BLUE, GREY, ORANGE = "#0072b2", "#8a939c", "#d55e00"
Tables = dict[str, dict[str, Any]]


def write_slides(settings: Settings) -> list[Path]:
    """Write the pictures into the folder `slides` of the home; return their paths.

    Raises DatabaseError when PostgreSQL is away, or the marts were not built yet.
    """
    with postgres.connect(settings, read_only=True) as connection:
        _, tables = read_tables(connection)
    currency = str(settings.dbt_vars["reporting_currency"])
    folder = settings.home / "slides"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, draw in SLIDES.items():
        with sns.axes_style("whitegrid"), plt.rc_context({"font.size": 13}):
            figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
            draw(figure, tables, currency)
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], metadata={"Software": "Clickmart"})
    return paths


def _frame(table: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(table["rows"], columns=table["columns"])


def _largest(rows: pd.DataFrame, column: str, count: int) -> pd.DataFrame:
    return rows.sort_values(column, ascending=False, kind="stable").head(count)


def _plain(text: str, length: int = 40) -> str:
    """Return a name cut to a length, its dollars escaped: between two, matplotlib sees formulas."""
    cut = text if len(text) <= length else text[: length - 1] + "…"
    return cut.replace("$", r"\$")


def _draw_trends(figure: Figure, tables: Tables, currency: str) -> None:
    figure.suptitle("Daily trends", fontweight="bold")
    trends, anomalies = _frame(tables["index"]["trends"]), _frame(tables["index"]["anomalies"])
    panels = {
        "session_count": "Sessions",
        "order_count": "Orders",
        "gross_revenue_amount": f"Gross revenue, {currency}",
        "conversion_rate": "Conversion",
    }
    for axes, (metric, title) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        days = trends[trends["metric"] == metric].dropna(subset=["metric_value"])
        axes.set_title(title, loc="left")
        if _is_empty(axes, days):
            continue
        _draw_trend(axes, days, anomalies[anomalies["metric"] == metric])
        if metric == "conversion_rate":
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _draw_trend(axes: Axes, days: pd.DataFrame, anomalies: pd.DataFrame) -> None:
    dates = pd.to_datetime(days["metric_date"])
    averages = pd.to_numeric(days["seven_days_average_value"])
    sns.lineplot(x=dates, y=days["metric_value"], ax=axes, color=GREY, linewidth=1, label="Day")
    sns.lineplot(x=dates, y=averages, ax=axes, color=BLUE, linewidth=2.5, label="Mean of 7 days")
    if len(anomalies):
        axes.scatter(
            pd.to_datetime(anomalies["metric_date"]),
            anomalies["metric_value"],
            color=ORANGE,
            marker="D",
            zorder=3,
            label="Out of the ordinary",
        )
    if len(days) < FEW_DAYS:  # A line of one point would not be seen.
        axes.scatter(dates, days["metric_value"], color=GREY)
    axes.set(xlabel="", ylabel="")
    axes.set_ylim(bottom=0)
    _name_dates(axes, dates)
    axes.legend(fontsize=10, loc="upper left")


def _name_dates(axes: Axes, dates: pd.Series[pd.Timestamp]) -> None:
    """Name each of a few days, or some of many; hours would say nothing of days."""
    half_a_day = pd.Timedelta(hours=12)
    axes.set(xlim=(dates.min() - half_a_day, dates.max() + half_a_day))
    if len(dates) < FEW_DAYS:
        axes.set_xticks(dates, [f"{date:%d %b\n%Y}" for date in dates])
        return
    locator = AutoDateLocator(minticks=2, maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    )


def _draw_segments(figure: Figure, tables: Tables, currency: str) -> None:
    figure.suptitle("Users by segment", fontweight="bold")
    segments = _frame(tables["segments"]["segments"])
    titles = {"user_count": "Users", "net_revenue_amount": f"Net revenue, {currency}"}
    for axes, (column, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        axes.set_title(title, loc="left")
        _draw_bars(
            axes, segments if segments["user_count"].sum() else segments[:0], "segment", column
        )


def _draw_sessions(figure: Figure, tables: Tables, _currency: str) -> None:
    figure.suptitle("Sessions", fontweight="bold")
    left, right = figure.subplots(1, 2, width_ratios=[2, 3])
    sessions = _frame(tables["funnel"]["sessions"])
    channels = sessions.groupby("channel", as_index=False)[["session_count"]].sum()
    left.set_title("By channel", loc="left")
    _draw_bars(left, _largest(channels, "session_count", 12), "channel", "session_count")
    right.set_title("Mean by weekday and hour of the day", loc="left")
    hours = _frame(tables["index"]["hours"])
    if not _is_empty(right, hours):
        means = hours.assign(mean=hours["session_count"] / hours["day_count"])
        grid = means.pivot(index="day_of_week", columns="hour_of_day", values="mean")
        sns.heatmap(grid, ax=right, cmap="Blues", yticklabels=hours["day_name"].unique())
        right.set(xlabel="Hour", ylabel="")
        right.tick_params(axis="y", rotation=0)


def _draw_products(figure: Figure, tables: Tables, currency: str) -> None:
    figure.suptitle("Products with most revenue", fontweight="bold")
    products = _frame(tables["products"]["products"])
    by_product = products.groupby(["product_id", "product_name"], as_index=False)
    sums = _largest(by_product[["gross_revenue_amount"]].sum(), "gross_revenue_amount", 15)
    axes = figure.subplots()
    axes.set_title(f"Gross revenue, {currency}", loc="left")
    _draw_bars(axes, sums[sums["gross_revenue_amount"] > 0], "product_name", "gross_revenue_amount")


def _draw_bars(axes: Axes, rows: pd.DataFrame, name: str, value: str) -> None:
    """Draw one horizontal bar for each row; two rows of one name are two bars."""
    if _is_empty(axes, rows):
        return
    sns.barplot(x=rows[value].to_numpy(), y=list(range(len(rows))), orient="h", color=BLUE, ax=axes)
    axes.set_yticks(range(len(rows)), [_plain(text) for text in rows[name]])
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    for i, number in enumerate(rows[value]):
        axes.text(number, i, f" {number:,.0f}", va="center")
    axes.margins(x=0.15)
    axes.grid(visible=False, axis="y")


def _is_empty(axes: Axes, rows: pd.DataFrame) -> bool:
    if len(rows):
        return False
    axes.text(0.5, 0.5, "Nothing yet", ha="center", va="center", transform=axes.transAxes)
    axes.set_axis_off()
    return True


SLIDES: dict[str, Callable[[Figure, Tables, str], None]] = {
    "daily_trends": _draw_trends,
    "segments": _draw_segments,
    "sessions": _draw_sessions,
    "products": _draw_products,
}
