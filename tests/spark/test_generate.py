"""The generator on an engine: its folder, its truth, and bytes that depend on the options alone."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from ingestion.contract.events import EVENT_TYPES, ITEMS_SPARK_TYPE, SOURCE_COLUMNS
from ingestion.errors import UsageError
from ingestion.generate import GenerateOptions, GenerateSummary, generate

DIRTY: dict[str, Any] = {
    "duplicate_rate": 0.01,
    "malformed_rate": 0.01,
    "late_rate": 0.05,
    "clock_skew_rate": 0.1,
    "bot_rate": 0.02,
}
OPTIONS = GenerateOptions(people=400, products=120, sessions=6_000, seed=7, **DIRTY)
SMALL: dict[str, Any] = {"people": 40, "products": 30, "sessions": 300, **DIRTY}

# Writes the same small data set in a process of its own; engine and partitions are arguments.
ANOTHER_PROCESS = """
import sys
from dataclasses import replace
from ingestion.generate import GenerateOptions, generate
from ingestion.settings import Settings
from ingestion.spark import session

with session(replace(Settings.load(), engine=sys.argv[1])) as spark:
    generate(spark, GenerateOptions(**eval(sys.argv[2])), sys.argv[3])
"""


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def written(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> GenerateSummary:
    return generate(spark, OPTIONS, tmp_path_factory.mktemp("shop") / "out")


@pytest.fixture(scope="module")
def truth(written: GenerateSummary) -> dict[str, Any]:
    return dict(json.loads((written.out_dir / "truth" / "summary.json").read_text()))


@pytest.fixture(scope="module")
def rows(written: GenerateSummary) -> pd.DataFrame:
    """All rows of the files, without the malformed ones."""
    files = sorted((written.out_dir / "events").iterdir())
    frames = [pq.read_table(file).to_pandas().assign(file=file.name) for file in files]
    for frame in frames:
        frame["row"] = range(1, len(frame) + 1)
    everything = pd.concat(frames, ignore_index=True)
    malformed = pd.read_parquet(written.out_dir / "truth" / "malformed.parquet")
    bad = pd.MultiIndex.from_frame(malformed[["file", "row"]])
    return everything[~pd.MultiIndex.from_frame(everything[["file", "row"]]).isin(bad)]


@pytest.fixture(scope="module")
def events(rows: pd.DataFrame) -> pd.DataFrame:
    """The distinct good events with their sessions by the gap rule, and what bots they are of."""
    events = rows.drop_duplicates("event_id").sort_values(["visitor_id", "event_ts", "event_id"])
    gap = events.groupby("visitor_id").event_ts.diff()
    events["session"] = (gap.isna() | (gap > pd.Timedelta(minutes=30))).cumsum()
    by_session = events.groupby("session")
    span = by_session.event_ts.max() - by_session.event_ts.min()
    count = by_session.size()
    is_quick = (count >= 50) & (span.dt.total_seconds() / (count - 1).clip(lower=1) < 1)
    is_bot = events.session.map(is_quick) | (events.is_bot == True)  # noqa: E712 - may be null
    events["bot"] = is_bot.groupby(events.visitor_id).transform("any")
    return events


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_the_bytes_do_not_depend_on_the_partitions(
    spark: SparkSession, tmp_path: Path, form: str
) -> None:
    for partitions in (1, 2, 7):
        options = GenerateOptions(**SMALL, format=form, partitions=partitions)  # type: ignore[arg-type]
        generate(spark, options, tmp_path / str(partitions))
    assert len(digests(tmp_path / "1")) > 10
    assert digests(tmp_path / "1") == digests(tmp_path / "2") == digests(tmp_path / "7")


@pytest.mark.parametrize("engine", ["local", "sail"])
def test_the_bytes_do_not_depend_on_engine_or_process(
    spark: SparkSession, tmp_path: Path, engine: str
) -> None:
    generate(spark, GenerateOptions(**SMALL), tmp_path / "here")
    command = [sys.executable, "-c", ANOTHER_PROCESS, engine, repr(SMALL), str(tmp_path / "there")]
    # This process's engine must not be found by the other one.
    environment = {name: v for name, v in os.environ.items() if not name.startswith("SPARK_")}
    environment["PYTHONHASHSEED"] = "4711"
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if "needs Java" in done.stderr:
        pytest.skip("Apache Spark needs Java")
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "here") == digests(tmp_path / "there")


def test_another_seed_gives_other_events(spark: SparkSession, tmp_path: Path) -> None:
    for seed in (1, 2):
        generate(spark, GenerateOptions(**SMALL, seed=seed), tmp_path / str(seed))
    one, two = digests(tmp_path / "1"), digests(tmp_path / "2")
    assert all(one[name] != two[name] for name in one if name.startswith("events/"))


def test_the_truth_counts_what_a_recount_finds(
    written: GenerateSummary, truth: dict[str, Any], rows: pd.DataFrame, events: pd.DataFrame
) -> None:
    malformed = sum(truth["malformed_by_reason"].values())
    assert truth["malformed"] == malformed == written.malformed > 100
    assert truth["rows"] == len(rows) + malformed == written.rows
    assert truth["events"] == len(events) == written.events
    assert truth["duplicates"] == len(rows) - len(events) == written.duplicates > 100
    assert truth["sessions"] == events.session.nunique()
    assert truth["human_sessions"] == events[~events.bot].session.nunique() == OPTIONS.sessions
    assert truth["visitors"] == events.visitor_id.nunique()
    assert truth["bot_visitors"] == events[events.bot].visitor_id.nunique() > 10
    assert truth["declared_bot_visitors"] == events[events.is_bot == True].visitor_id.nunique()  # noqa: E712
    assert truth["users"] == events.user_id.nunique()
    by_type = events.event_type.value_counts().to_dict()
    assert truth["events_by_type"] == by_type
    assert set(by_type) == set(EVENT_TYPES)


def test_the_truth_knows_orders_refunds_and_carts(
    truth: dict[str, Any], events: pd.DataFrame
) -> None:
    purchases = events[events.event_type == "purchase"]
    orders = purchases.drop_duplicates("order_id")
    assert truth["orders"] == len(orders)
    assert Decimal(truth["gross_amount"]) == orders.order_total.sum()
    refunds = events[events.event_type == "refund"]
    assert truth["refunds"] == len(refunds) > 0
    assert Decimal(truth["refund_amount"]) == sum(refunds.order_total, Decimal(0))
    humans = events[~events.bot]
    kinds = humans.groupby("session").event_type.agg(set)
    has_cart = kinds.map(lambda found: "add_to_cart" in found)
    bought = kinds.map(lambda found: "purchase" in found)
    assert truth["cart_sessions"] == has_cart.sum()
    assert truth["purchase_sessions"] == bought.sum()
    abandoned = kinds.index[has_cart & ~bought]
    assert truth["abandoned_carts"] == len(abandoned)
    left = Decimal(0)
    for event in humans[humans.session.isin(abandoned)].itertuples():
        if event.event_type in ("add_to_cart", "remove_from_cart"):
            amount = sum(int(item["quantity"]) * item["unit_price"] for item in event.items)
            left += amount if event.event_type == "add_to_cart" else -amount
    assert Decimal(truth["abandoned_amount"]) == left


def test_the_truths_sessions_are_those_of_the_gap_rule(
    written: GenerateSummary, events: pd.DataFrame
) -> None:
    told = pd.read_parquet(written.out_dir / "truth" / "sessions.parquet")
    first = events.drop_duplicates("session")
    found = pd.DataFrame(
        {
            "visitor_id": first.visitor_id.array,
            "first_event_id": first.event_id.array,
            "session_start": first.event_ts.array,
            "session_end": events.groupby("session").event_ts.last().array,
            "event_count": events.groupby("session").size().array,
            "is_bot": first.bot.array,
        }
    )
    columns = list(found)
    told = told[columns].sort_values("first_event_id", ignore_index=True)
    found = found.sort_values("first_event_id", ignore_index=True)
    pd.testing.assert_frame_equal(told, found, check_dtype=False)


def test_the_truths_orders_add_up_from_their_items(
    written: GenerateSummary, events: pd.DataFrame
) -> None:
    told = pd.read_parquet(written.out_dir / "truth" / "orders.parquet").set_index("order_id")
    purchases = events[events.event_type == "purchase"]
    assert len(told) > 20
    assert told.purchase_event_count.to_dict() == purchases.order_id.value_counts().to_dict()
    for event in purchases.itertuples():
        order = told.loc[event.order_id]
        amount = sum(int(item["quantity"]) * item["unit_price"] for item in event.items)
        assert event.order_total == order.gross_amount
        assert event.order_total == amount - event.discount + event.tax + event.shipping
        assert [item["line_id"] for item in event.items] == [
            str(number + 1) for number in range(order.line_count)
        ]


def test_the_engine_reads_the_contracts_types(
    spark: SparkSession, written: GenerateSummary, rows: pd.DataFrame
) -> None:
    frame = spark.read.parquet(str(written.out_dir / "events"))
    types = dict(frame.dtypes)
    assert {column.name: types[column.name] for column in SOURCE_COLUMNS} == {
        column.name: column.spark_type for column in SOURCE_COLUMNS
    }
    assert types["items"] == ITEMS_SPARK_TYPE
    purchases = rows[rows.event_type == "purchase"]
    found = frame.where("event_type = 'purchase'").selectExpr("sum(tax)", "sum(size(items))")
    tax, item_count = found.collect()[0]
    assert tax == purchases.tax.sum()
    assert item_count == purchases["items"].map(len).sum()


def test_every_malformed_row_breaks_as_the_truth_says(written: GenerateSummary) -> None:
    malformed = pd.read_parquet(written.out_dir / "truth" / "malformed.parquet")
    broken: Counter[str] = Counter()
    for name, told in malformed.groupby("file"):
        table = pq.read_table(written.out_dir / "events" / str(name))
        for row, event_id, reason in zip(told.row, told.event_id, told.reason, strict=True):
            record = table.slice(row - 1, 1).to_pylist()[0]
            assert record["event_id"] == event_id
            assert reason in found_reasons(record)
            broken[reason] += 1
    assert len(broken) == 9


def found_reasons(record: dict[str, Any]) -> set[str]:
    required = ("event_id", "event_type", "event_ts", "visitor_id")
    reasons = {f"missing_{name}" for name in required if record[name] is None}
    if record["event_ts"] and not 2000 <= record["event_ts"].year < 2100:
        reasons.add("event_ts_out_of_range")
    items = record["items"] or []
    amounts = [record["order_total"], *(item["unit_price"] for item in items)]
    if any(amount is not None and not 0 <= amount < 10**9 for amount in amounts):
        reasons.add("amount_out_of_range")
    for item in items:
        if item["product_id"] is None:
            reasons.add("missing_product_id")
        if item["quantity"] is not None and not 1 <= item["quantity"] <= 10**6:
            reasons.add("quantity_out_of_range")
    if len({item["line_id"] for item in items}) < len(items):
        reasons.add("repeated_line_id")
    return reasons


def test_a_run_replaces_its_own_folder_and_leaves_nothing_beside_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    generate(spark, GenerateOptions(**SMALL), out)
    (tmp_path / ".out.partial").mkdir()  # what a killed run leaves
    generate(spark, GenerateOptions(**SMALL, format="csv"), out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert {path.suffix for path in (out / "events").iterdir()} == {".csv"}
    (out / "events" / "mine.csv").write_text("precious")
    with pytest.raises(UsageError, match=r"mine\.csv"):
        generate(spark, GenerateOptions(**SMALL), out)


def test_progress_ends_at_the_number_of_blocks(spark: SparkSession, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    generate(
        spark,
        GenerateOptions(**SMALL),
        tmp_path / "out",
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (8, 8)
    assert seen == sorted(seen)


def test_the_default_gives_a_hundred_thousand_events(spark: SparkSession, tmp_path: Path) -> None:
    written = generate(spark, GenerateOptions(), tmp_path / "out")
    assert written.events >= 100_000
    assert written.files >= 8
    assert written.human_sessions == 10_000
