"""The four pre-aggregates, from events to the rows of `raw.agg_*`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ingestion.aggregates.identity import (
    user_in_order,
    user_key,
    with_bots,
    with_sessions,
    with_users,
)
from ingestion.aggregates.keys import SEPARATOR, date
from ingestion.aggregates.orders import MONEY, order_lines, priced_orders, purchases
from ingestion.contract.events import Column

# What of an event's items the pre-aggregates need.
LINE = ("line_id", "product_id", "quantity", "unit_price")

TABLES: dict[str, tuple[Column, ...]] = {
    "agg_sessions": (
        Column("session_id"),
        Column("visitor_id"),
        Column("user_key"),
        Column("started_at", "timestamp"),
        Column("ended_at", "timestamp"),
        Column("event_count", "bigint"),
        Column("product_view_count", "bigint"),
        Column("add_to_cart_count", "bigint"),
        Column("order_count", "bigint"),
        Column("is_bot", "boolean"),
    ),
    "agg_users": (
        Column("user_key"),
        Column("first_seen_at", "timestamp"),
        Column("last_seen_at", "timestamp"),
        Column("event_count", "bigint"),
        Column("order_count", "bigint"),
        Column("revenue_amount", "decimal(38,4)"),
    ),
    "agg_products": (
        Column("metric_date", "date"),
        Column("product_id"),
        Column("view_count", "bigint"),
        Column("add_to_cart_count", "bigint"),
        Column("purchased_quantity", "bigint"),
    ),
    "agg_daily_metrics": (
        Column("metric_date", "date"),
        Column("event_count", "bigint"),
        Column("visitor_count", "bigint"),
        Column("session_count", "bigint"),
        Column("order_count", "bigint"),
        Column("revenue_amount", "decimal(38,4)"),
    ),
}

KEYS: dict[str, tuple[str, ...]] = {
    "agg_sessions": ("session_id",),
    "agg_users": ("user_key",),
    "agg_products": ("metric_date", "product_id"),
    "agg_daily_metrics": ("metric_date",),
}


def narrowed(events: DataFrame, *also: str) -> DataFrame:
    """Select what the pre-aggregates need of an event, and of its items only where they count.

    Nothing else goes through the sorts. A blank `source_session_id` is none.
    """
    lines = F.transform("items", lambda i: F.struct(*(i[name].alias(name) for name in LINE)))
    has_lines = F.col("event_type").isin("product_view", "add_to_cart", "purchase")
    session_id = F.col("source_session_id")
    return events.select(
        *also,
        "visitor_id",
        F.unix_micros("event_ts").alias("event_micros"),
        "event_id",
        "event_type",
        "user_id",
        F.when(F.trim(session_id) != "", session_id).alias("source_session_id"),
        "is_bot",
        "order_id",
        "order_total",
        "currency",
        F.when(has_lines, lines).alias("items"),
    )


def identified(events: DataFrame, variables: Mapping[str, Any]) -> DataFrame:
    """Return narrowed, deduplicated events with their user, session and bot flag."""
    found = with_bots(with_sessions(with_users(events), variables), variables)
    return found.drop("load_id", "source_session_id", "is_bot", "is_flagged")


def aggregates(
    events: DataFrame, rates: DataFrame, variables: Mapping[str, Any]
) -> dict[str, DataFrame]:
    """Return the four pre-aggregates of identified events, by table name."""
    zone = str(variables["reporting_timezone"])
    orders = priced_orders(events, rates, zone, str(variables["reporting_currency"]))
    is_counted = ~F.col("is_bot_visitor") if variables["exclude_bots"] else F.lit(True)
    counted, counted_orders = events.where(is_counted), orders.where(is_counted)
    lines = order_lines(purchases(events))
    return {
        "agg_sessions": agg_sessions(events, orders),
        "agg_users": agg_users(counted, counted_orders),
        "agg_products": agg_products(counted, lines, counted_orders, zone),
        "agg_daily_metrics": agg_daily_metrics(counted, counted_orders, zone),
    }


def agg_sessions(events: DataFrame, orders: DataFrame) -> DataFrame:
    """Return one row per session, bots included."""
    in_order = F.struct("event_micros", "event_id")
    sessions = events.groupBy("visitor_id", "session_number").agg(
        F.min_by("event_id", in_order).alias("first_event_id"),
        F.max(user_in_order())["user_id"].alias("own_user_id"),
        F.max("latest_user_id").alias("latest_user_id"),
        F.timestamp_micros(F.min("event_micros")).alias("started_at"),
        F.timestamp_micros(F.max("event_micros")).alias("ended_at"),
        F.count(F.lit(1)).alias("event_count"),
        _count_type("product_view").alias("product_view_count"),
        _count_type("add_to_cart").alias("add_to_cart_count"),
        F.max("is_bot_visitor").alias("is_bot"),
    )
    counts = orders.groupBy("visitor_id", "session_number").agg(
        F.count(F.lit(1)).alias("order_count")
    )
    return (
        sessions.join(counts, ["visitor_id", "session_number"], "left")
        .withColumn("session_id", F.md5(F.concat_ws(SEPARATOR, "visitor_id", "first_event_id")))
        .withColumn("user_key", user_key(F.coalesce("own_user_id", "latest_user_id")))
        .withColumn("order_count", F.coalesce("order_count", F.lit(0)).cast("bigint"))
    )


def agg_users(events: DataFrame, orders: DataFrame) -> DataFrame:
    """Return one row per user, by the events' own user key."""
    users = events.groupBy("user_key").agg(
        F.timestamp_micros(F.min("event_micros")).alias("first_seen_at"),
        F.timestamp_micros(F.max("event_micros")).alias("last_seen_at"),
        F.count(F.lit(1)).alias("event_count"),
    )
    bought = orders.groupBy("user_key").agg(
        F.count(F.lit(1)).alias("order_count"), _revenue().alias("revenue_amount")
    )
    return _filled(users.join(bought, "user_key", "left"), "agg_users")


def agg_products(events: DataFrame, lines: DataFrame, orders: DataFrame, zone: str) -> DataFrame:
    """Return one row per day and product that was viewed, added to a cart or bought."""
    touched = (
        events.where("event_type in ('product_view', 'add_to_cart')")
        .select(
            "event_micros",
            "event_type",
            "event_id",
            F.explode("items.product_id").alias("product_id"),
        )
        .distinct()
        .groupBy(date(F.col("event_micros"), zone).alias("metric_date"), "product_id")
        .agg(
            _count_type("product_view").alias("view_count"),
            _count_type("add_to_cart").alias("add_to_cart_count"),
        )
    )
    bought = (
        lines.join(orders.select("order_key", "order_date"), "order_key")
        .groupBy(F.col("order_date").alias("metric_date"), "product_id")
        .agg(F.sum("quantity").cast("bigint").alias("purchased_quantity"))
    )
    return _filled(touched.join(bought, ["metric_date", "product_id"], "full"), "agg_products")


def agg_daily_metrics(events: DataFrame, orders: DataFrame, zone: str) -> DataFrame:
    """Return one row per day with events, sessions or orders."""
    by_event = events.groupBy(date(F.col("event_micros"), zone).alias("metric_date")).agg(
        F.count(F.lit(1)).alias("event_count"),
        F.count_distinct("visitor_id").alias("visitor_count"),
        F.sum("starts_session").cast("bigint").alias("session_count"),
    )
    by_order = orders.groupBy(F.col("order_date").alias("metric_date")).agg(
        F.count(F.lit(1)).alias("order_count"), _revenue().alias("revenue_amount")
    )
    return _filled(by_event.join(by_order, "metric_date", "left"), "agg_daily_metrics")


def _count_type(event_type: str) -> SparkColumn:
    return F.count(F.when(F.col("event_type") == event_type, 1))


def _revenue() -> SparkColumn:
    return F.sum(F.coalesce("revenue_amount", F.lit(0).cast(MONEY))).cast(MONEY)


def _filled(frame: DataFrame, table: str) -> DataFrame:
    """Select the table's columns; a count or amount without rows is 0."""
    columns = []
    for column in TABLES[table]:
        value = F.col(column.name)
        if column.type in ("bigint", MONEY):
            value = F.coalesce(value, F.lit(0)).cast(column.spark_type)
        columns.append(value.alias(column.name))
    return frame.select(*columns)
