"""Experiments, hours, weeks, months, trends and anomalies against a second computation of each.

A shop of ten weeks, on New York's clocks, with a planted effect, an outage and a busy day.
"""

from __future__ import annotations

import json
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ingestion.postgres import connect
from ingestion.settings import Settings
from tests import experiments_reference as statistics
from tests import trends_reference as reference
from tests.dbt_runs import run_dbt
from tests.trends_reference import Point, Visit

ZONE_NAME = "America/New_York"
ZONE = ZoneInfo(ZONE_NAME)
# A Wednesday, so that the first week and the first month are not whole.
FIRST_DAY = date(2026, 2, 4)
DAYS = 70
BUSY_DAY = date(2026, 3, 13)
OUTAGE = [datetime(2026, 3, 24, hour, tzinfo=ZONE) for hour in (12, 13, 14, 15)]
VARIANTS = {
    "button": ["control", "treatment"],
    "colour": ["red", "green", "blue"],
    "price": ["A", "A", "B"],
}
MODELS = (
    "fct_events",
    "fct_experiment_results",
    "fct_hourly_metrics",
    "fct_weekly_metrics",
    "fct_monthly_metrics",
    "fct_metric_trends",
    "fct_metric_anomalies",
)
Row = dict[str, Any]
Query = Callable[[str], list[Row]]


class Shop:
    """Draws visits in which everything meets: ties, switched variants, blank names, bots."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.visitors: list[Row] = []
        self.count = 0

    def events(self) -> list[Row]:
        rows = [row for number in range(DAYS) for row in self.day(FIRST_DAY + timedelta(number))]
        wrong_clocks = (datetime(2001, 5, 5, tzinfo=ZONE), datetime(2099, 5, 5, tzinfo=ZONE))
        return rows + [row for at in wrong_clocks for row in self.session(at, self.visitor())]

    def day(self, day: date) -> Iterator[Row]:
        usual = 40 if day.weekday() >= 5 else 60
        for _ in range((3 if day == BUSY_DAY else 1) * usual + self.draw.randrange(-5, 6)):
            # Most come at noon; every sixth at the full hour.
            minute = int(1440 * self.draw.betavariate(9, 8)) // 10 * 10
            at = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=ZONE)
            if at.replace(minute=0) not in OUTAGE:
                yield from self.session(at, self.visitor())

    def visitor(self) -> Row:
        if self.visitors and self.draw.random() < 0.25:
            return self.draw.choice(self.visitors)
        variants = {name: self.draw.choice(names) for name, names in VARIANTS.items()}
        is_bot = True if self.draw.random() < 0.01 else None
        name = f"v{len(self.visitors)}"
        self.visitors.append({"visitor_id": name, "variants": variants, "is_bot": is_bot})
        return self.visitors[-1]

    def session(self, at: datetime, visitor: Row) -> Iterator[Row]:
        is_instant = self.draw.random() < 0.1
        buys = self.draw.random() < (0.24 if visitor["variants"]["button"] == "treatment" else 0.08)
        order = {"event_type": "purchase", "order_id": f"o{self.count}"}
        order["order_total"] = self.draw.choice([None, 10, 25.5, 99.99])
        kinds = [{}] * self.draw.randrange(1, 5) + [order] * buys
        if self.draw.random() < 0.1:
            kinds.reverse()
        for number, kind in enumerate(kinds):
            moment = at if is_instant else at + timedelta(seconds=97.25 * number)
            yield {
                "event_id": self.draw.choice("aBcDz") + f"{self.count:06}",
                "event_type": "product_view",
                "event_ts": moment.astimezone(timezone.utc).isoformat(),
                "visitor_id": visitor["visitor_id"],
                "is_bot": visitor["is_bot"],
                **self.exposure(visitor),
                **kind,
            }
            self.count += 1

    def exposure(self, visitor: Row) -> Row:
        name = self.draw.choice([*VARIANTS, " "])
        variant = visitor["variants"].get(name, "A")
        if self.draw.random() < 0.02:
            variant = self.draw.choice([*VARIANTS.get(name, []), " ", None])
        return {"experiment_id": name, "variant_id": variant}


def dbt(settings: Settings, *arguments: str) -> list[Any]:
    """Run dbt on New York's clocks, and return its results."""
    return run_dbt(settings, *arguments, reporting_timezone=ZONE_NAME)


@pytest.fixture(scope="module")
def shop(
    settings: Settings,
    spark: Any,
    forget_all: Callable[[], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Row]:
    """The shop's events, loaded, and the marts built from them."""
    from ingestion import batch

    forget_all()
    rows = Shop(1).events()
    path = tmp_path_factory.mktemp("shop") / "events.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = logging.getLogger(__name__).info
    batch.ingest(settings, [str(path)], "native", report=report, spark=spark)
    selection = [f"+{model}" for model in MODELS]
    dbt(settings, "build", "-s", *selection, "--exclude-resource-type", "test", "unit_test")
    return rows


@pytest.fixture(scope="module")
def ask(settings: Settings, shop: list[Row]) -> Query:
    """A function that returns a query's rows, by column."""
    assert shop

    def run(text: str) -> list[Row]:
        with connect(settings) as connection, connection.cursor() as cursor:
            cursor.execute(text)
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    return run


@pytest.fixture(scope="module")
def visits(ask: Query) -> list[Visit]:
    """All that is counted, from the facts."""
    events = ask("select event_at, visitor_id from marts.fct_events where not is_bot")
    sessions = ask(
        "select started_at, visitor_id, is_converted from marts.fct_sessions where not is_bot"
    )
    orders = ask(
        "select ordered_at, visitor_id, coalesce(gross_amount, 0) as amount "
        "from marts.fct_orders where not is_bot"
    )
    return [
        *(Visit("event", row["event_at"], row["visitor_id"]) for row in events),
        *(
            Visit("session", row["started_at"], row["visitor_id"], is_converted=row["is_converted"])
            for row in sessions
        ),
        *(Visit("order", row["ordered_at"], row["visitor_id"], row["amount"]) for row in orders),
    ]


@pytest.fixture(scope="module")
def by_hour(ask: Query, visits: list[Visit]) -> dict[datetime, list[Visit]]:
    """What happened in each hour of the calendar's days."""
    hours: dict[datetime, list[Visit]] = {
        hour: []
        for row in ask("select date_day from marts.dim_dates")
        for hour in reference.hours_of(row["date_day"], ZONE)
    }
    for visit in visits:
        hours[reference.hour_of(visit.at, ZONE)].append(visit)
    return hours


@pytest.fixture(scope="module")
def by_day(by_hour: dict[datetime, list[Visit]]) -> dict[date, list[Visit]]:
    """What happened on each day of the data's span: wrong clocks have no part in it."""
    span = {FIRST_DAY + timedelta(number) for number in range(DAYS)}
    days: dict[date, list[Visit]] = {day: [] for day in span}
    for hour, happened in by_hour.items():
        day = hour.astimezone(ZONE).date()
        if day in span:
            days[day] += happened
    return days


# -- hours, weeks and months ---------------------------------------------------------------------


def test_the_shop_lies_over_a_change_of_the_clocks(by_hour: dict[datetime, list[Visit]]) -> None:
    local = [hour.astimezone(ZONE).date() for hour in by_hour]
    assert local.count(date(2026, 3, 8)) == 23
    assert local.count(date(2026, 3, 9)) == 24
    assert {date(2001, 5, 5), date(2099, 5, 5)} < set(local)


def test_hours_equal_a_recount(ask: Query, by_hour: dict[datetime, list[Visit]]) -> None:
    found = {row["hour_at"]: row for row in ask("select * from marts.fct_hourly_metrics")}
    assert set(found) == set(by_hour)
    for hour, happened in by_hour.items():
        row, local, metrics = found[hour], hour.astimezone(ZONE), reference.figures(happened)
        assert (row["metric_date"], row["hour_of_day"]) == (local.date(), local.hour)
        for name in (*reference.VISITS, "order_count", "gross_revenue_amount"):
            assert row[name] == metrics[name][0], (hour, name)
        assert row["conversion_rate"] == reference.value(metrics["conversion_rate"])
        assert row["converted_session_count"] == metrics["conversion_rate"][0]


@pytest.mark.parametrize("period", ["week", "month"])
def test_weeks_and_months_equal_a_recount(
    ask: Query, by_day: dict[date, list[Visit]], period: str
) -> None:
    found = {
        row[f"{period}_start_date"]: row
        for row in ask(f"select * from marts.fct_{period}ly_metrics")
    }
    happened: dict[date, list[Visit]] = defaultdict(list)
    days: dict[date, set[date]] = defaultdict(set)
    for day, visits in by_day.items():
        start = reference.start_of(day, period)
        happened[start] += visits
        days[start].add(day)
    assert set(found) == set(happened)
    for start, visits in happened.items():
        row, metrics = found[start], reference.figures(visits)
        assert row["day_count"] == len(days[start])
        assert row["is_complete"] == (len(days[start]) == reference.length(start, period))
        for name in (*reference.VISITS, "order_count", "gross_revenue_amount"):
            assert row[name] == metrics[name][0], (start, name)
        assert row["conversion_rate"] == reference.value(metrics["conversion_rate"])
        revenue, orders = metrics["average_order_amount"]
        assert row["average_order_amount"] == reference.rounded(revenue / orders, 4)
    assert {row["is_complete"] for row in found.values()} == {True, False}


def test_users_of_a_week_are_counted_once(ask: Query) -> None:
    assert (
        ask(
            "select week_start_date, user_count from marts.fct_weekly_metrics "
            "except select date_trunc('week', event_date)::date, count(distinct user_key) "
            "from marts.fct_events where not is_bot group by 1"
        )
        == []
    )


# -- trends --------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", ["day", "week", "month"])
def test_trends_equal_a_recount(ask: Query, by_day: dict[date, list[Visit]], period: str) -> None:
    rows = ask(f"select * from marts.fct_metric_trends where period_type = '{period}'")
    found = {(row["period_start_date"], row["metric"]): row for row in rows}
    expected = list(reference.trends(by_day, period))
    assert set(found) == {(start, metric) for start, metric, *_ in expected}
    for start, metric, is_whole, figure, change, averages in expected:
        row = found[start, metric]
        assert row["is_complete"] == is_whole
        assert (row["numerator"], row["denominator"]) == figure
        assert row["metric_value"] == reference.value(figure)
        assert row["change_rate"] == change, (start, metric)
        assert [row["seven_days_average_value"], row["four_weeks_average_value"]] == averages


def test_windows_that_are_not_whole_have_no_average(ask: Query) -> None:
    counts = ask(
        "select period_type, count(*) as periods, count(change_rate) as changes, "
        "count(seven_days_average_value) as sevens, count(four_weeks_average_value) as fours "
        "from marts.fct_metric_trends where metric = 'session_count' group by 1"
    )
    # Eleven weeks, of which nine are whole; March is the one whole month.
    assert {tuple(row.values()) for row in counts} == {
        ("day", DAYS, DAYS - 7, DAYS - 6, DAYS - 27),
        ("week", 11, 8, 0, 6),
        ("month", 3, 0, 0, 0),
    }


# -- anomalies -----------------------------------------------------------------------------------


def series_of(
    period: str, by_hour: dict[datetime, list[Visit]], by_day: dict[date, list[Visit]]
) -> dict[str, dict[datetime, Point]]:
    """Return each metric's values, by the start of the day or hour."""
    series: dict[str, dict[datetime, Point]] = defaultdict(dict)
    span = [hour for hour in by_hour if hour.astimezone(ZONE).date() in by_day]
    if period == "day":
        points = [(reference.hours_of(day, ZONE)[0], day, None, by_day[day]) for day in by_day]
    else:
        busy = [hour for hour in span if by_hour[hour]]
        points = [
            (hour, hour.astimezone(ZONE).date(), hour.astimezone(ZONE).hour, by_hour[hour])
            for hour in span
            if min(busy) <= hour <= max(busy)
        ]
    for at, day, hour, happened in points:
        for metric, figure in reference.figures(happened).items():
            value = reference.value(figure)
            is_judged = metric != "average_order_amount" and (
                hour is None or metric in reference.VISITS
            )
            if value is not None and is_judged:
                series[metric][at] = Point(day, hour, value)
    return series


@pytest.mark.parametrize("period", ["day", "hour"])
def test_anomalies_equal_a_second_computation(
    ask: Query,
    by_hour: dict[datetime, list[Visit]],
    by_day: dict[date, list[Visit]],
    period: str,
) -> None:
    rows = ask(f"select * from marts.fct_metric_anomalies where period_type = '{period}'")
    found = {(row["metric"], row["period_start_at"]): row for row in rows}
    series = series_of(period, by_hour, by_day)
    assert set(found) == {(metric, at) for metric, points in series.items() for at in points}
    for metric, points in series.items():
        for at, score in reference.scores(metric, points, weeks=4).items():
            row = found[metric, at]
            assert row["metric_value"] == points[at].value
            if score is None:
                assert (row["robust_z_score"], row["is_anomaly"]) == (None, False), (metric, at)
            else:
                assert float(row["robust_z_score"]) == pytest.approx(score, abs=2e-6), (metric, at)
                assert row["is_anomaly"] == (abs(score) > 3.5)
                assert row["direction"] == (
                    None if abs(score) <= 3.5 else "up" if score > 0 else "down"
                )


def test_the_expected_range_ends_where_anomalies_begin(ask: Query) -> None:
    outside = "metric_value not between expected_low_value and expected_high_value"
    assert (
        ask(
            f"select * from marts.fct_metric_anomalies where is_anomaly <> ({outside}) "
            "and abs(abs(robust_z_score) - 3.5) > 0.0001"
        )
        == []
    )


def test_the_busy_day_and_the_outage_are_found(ask: Query) -> None:
    rows = ask("select * from marts.fct_metric_anomalies where is_anomaly")
    found = {(row["metric"], row["direction"], row["period_start_at"]) for row in rows}
    busy = datetime(2026, 3, 13, tzinfo=ZONE)
    for metric in reference.VISITS:
        assert (metric, "up", busy) in found
    for hour in OUTAGE:
        assert ("session_count", "down", hour) in found


def test_false_alarms_are_few(ask: Query) -> None:
    (row,) = ask(
        "select count(*) as judged, count(*) filter (where is_anomaly and metric_date not in "
        f"('{BUSY_DAY}', '{OUTAGE[0].date()}')) as false_alarms "
        "from marts.fct_metric_anomalies where robust_z_score is not null"
    )
    assert row["judged"] > 3500
    assert row["false_alarms"] <= row["judged"] / 500


# -- experiments ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exposed(ask: Query, shop: list[Row]) -> dict[tuple[str, str], Row]:
    """Each experiment's visitors, from the events that were sent and the shop's orders."""
    orders: dict[str, list[tuple[datetime, bytes, Decimal]]] = defaultdict(list)
    for row in ask("select * from marts.fct_orders"):
        amount = row["gross_amount"] or Decimal(0)
        orders[row["visitor_id"]].append((row["ordered_at"], row["event_id"].encode(), amount))
    found: dict[tuple[str, str], Row] = {}
    for event in sorted(shop, key=lambda row: (row["event_ts"], row["event_id"].encode())):
        name, variant = event["experiment_id"].strip(), (event["variant_id"] or "").strip()
        if not name or not variant:
            continue
        moment = (datetime.fromisoformat(event["event_ts"]), event["event_id"].encode())
        first = {"variant": variant, "moment": moment, "seen": set(), "is_bot": event["is_bot"]}
        found.setdefault((name, event["visitor_id"]), first)["seen"].add(variant)
    for (_, visitor), row in found.items():
        row["amounts"] = [order[2] for order in orders[visitor] if order[:2] >= row["moment"]]
    return found


def test_every_visitor_has_the_first_variant_seen_and_the_orders_since(
    ask: Query, exposed: dict[tuple[str, str], Row]
) -> None:
    rows = ask("select * from marts.fct_experiment_visitors")
    assert len(rows) == len(exposed)
    for row in rows:
        true = exposed[row["experiment_id"], row["visitor_id"]]
        assert row["variant_id"] == true["variant"]
        assert row["first_exposed_at"] == true["moment"][0]
        assert row["variant_count"] == len(true["seen"])
        assert row["order_count"] == len(true["amounts"])
        assert row["is_converted"] == bool(true["amounts"])
        assert row["gross_revenue_amount"] == sum(true["amounts"])
        assert row["is_bot"] == bool(true["is_bot"])
    ordered = {row["visitor_id"] for row in ask("select visitor_id from marts.fct_orders")}
    assert any(not row["amounts"] for (_, visitor), row in exposed.items() if visitor in ordered)
    assert any(len(row["seen"]) > 1 for row in exposed.values())


def test_results_equal_a_second_computation(
    ask: Query, exposed: dict[tuple[str, str], Row]
) -> None:
    counted: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for (name, _), row in exposed.items():
        if not row["is_bot"]:
            counted[name, row["variant"]].append(row)
    samples = {
        key: statistics.Sample(
            [sum(row["amounts"], Decimal(0)) for row in rows],
            sum(bool(row["amounts"]) for row in rows),
        )
        for key, rows in counted.items()
    }
    controls = {"button": "control", "colour": "blue", "price": "A"}
    rows = ask("select * from marts.fct_experiment_results")
    assert {(row["experiment_id"], row["variant_id"]) for row in rows} == set(counted)
    for row in rows:
        key = name, variant = row["experiment_id"], row["variant_id"]
        sample, control = samples[key], samples[name, controls[name]]
        assert row["visitor_count"] == sample.size
        assert row["switched_visitor_count"] == sum(len(r["seen"]) > 1 for r in counted[key])
        assert row["converted_visitor_count"] == sample.converted
        assert row["order_count"] == sum(len(r["amounts"]) for r in counted[key])
        assert row["gross_revenue_amount"] == sum(sample.revenue)
        assert float(row["revenue_variance"]) == pytest.approx(
            sample.mean_variance * sample.size, abs=1e-6
        )
        assert row["is_control"] == (variant == controls[name])
        sizes = [other.size for (of, _), other in samples.items() if of == name]
        expected = sum(sizes) / len(sizes)
        chi_square = sum((size - expected) ** 2 / expected for size in sizes)
        assert float(row["sample_ratio_p_value"]) == pytest.approx(
            statistics.chi_square_p_value(chi_square, len(sizes) - 1), abs=1e-6
        )
        for column, value in statistics.compared(sample, control).items():
            if row["is_control"]:
                assert row[column] is None
            else:
                places = 1e-4 if column.endswith("_amount") else 1e-6
                assert float(row[column]) == pytest.approx(value, abs=places), (key, column)


def test_the_planted_effect_is_found_and_no_other(ask: Query) -> None:
    rows = ask("select * from marts.fct_experiment_results where not is_control")
    found = {(row["experiment_id"], row["variant_id"]): row for row in rows}
    treatment = found["button", "treatment"]
    assert treatment["conversion_p_value"] < 0.0001
    assert treatment["revenue_p_value"] < 0.0001
    assert treatment["conversion_uplift_low_rate"] > 0.5
    for variant in ("red", "green"):
        assert found["colour", variant]["conversion_p_value"] > 0.01
        assert found["colour", variant]["revenue_p_value"] > 0.01
    assert found["colour", "red"]["sample_ratio_p_value"] > 0.01
    # Drawn two to one, and planned one to one.
    assert found["price", "B"]["sample_ratio_p_value"] < 0.000001


def test_the_distributions_are_those_of_the_textbooks(settings: Settings, ask: Query) -> None:
    text = """
    select 'student' as distribution, t as x, degrees,
        {{ normal_p_value(student_score("t", "degrees")) }} as found
    from (values (0.0::float8), (0.5), (1.96), (3.3), (12)) as scores (t),
        (values (5.0::float8), (7.3), (10), (33.3), (1000), (1e6)) as many (degrees)
    union all
    select 'quantile', 0, degrees, {{ student_critical_value("degrees") }}
    from (values (5.0::float8), (7.3), (10), (33.3), (1000), (1e6)) as many (degrees)
    union all
    select 'chi_square', x, degrees, {{ chi_square_p_value("x", "degrees") }}
    from (values (0.0::float8), (0.001), (1), (4.5), (30), (999), (1e7)) as scores (x),
        generate_series(1, 9) as many (degrees)
    """
    (compiled,) = dbt(settings, "compile", "--inline", text)
    rows = ask(compiled.node.compiled_code)
    assert len(rows) == 30 + 6 + 63
    for row in rows:
        x, degrees, found = row["x"], row["degrees"], row["found"]
        if row["distribution"] == "student":
            assert found == pytest.approx(statistics.student_p_value(x, degrees), abs=1e-6), row
        elif row["distribution"] == "quantile":
            assert found == pytest.approx(statistics.student_quantile(degrees), abs=3e-4), row
        else:
            true = statistics.chi_square_p_value(x, int(degrees)) if x < 1e6 else 0
            assert found == pytest.approx(true, abs=1e-9), row
