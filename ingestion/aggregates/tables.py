"""The four pre-aggregates, from events to the rows of `raw.agg_*`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ingestion.aggregates.identity import count_type, sessions_of, user_key, user_of, visitors_of
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


def aggregates(
    events: DataFrame,
    stretches: DataFrame,
    rates: DataFrame,
    variables: Mapping[str, Any],
    kept: Callable[[DataFrame, str], DataFrame],
) -> dict[str, DataFrame]:
    """Return the four pre-aggregates of narrowed events and their stretches, by table name.

    `kept` is given what is used more than once, with a name, and may return it computed.
    """
    zone = str(variables["reporting_timezone"])
    sessions = kept(sessions_of(stretches), "sessions")
    visitors = kept(visitors_of(sessions, variables), "visitors")
    bought = kept(purchases(events, stretches, visitors), "purchases")
    priced = priced_orders(bought, rates, zone, str(variables["reporting_currency"]))
    orders = kept(priced, "orders")
    is_counted = ~F.col("is_bot_visitor") if variables["exclude_bots"] else F.lit(True)
    counted_orders, counted_visitors = orders.where(is_counted), visitors.where(is_counted)
    counted = stretches.join(counted_visitors, "visitor_id")
    seen = events.join(visitors.where(~is_counted), "visitor_id", "left_anti")
    return {
        "agg_sessions": agg_sessions(sessions, visitors, orders),
        "agg_users": agg_users(counted, counted_orders),
        "agg_products": agg_products(seen, order_lines(bought), counted_orders, zone),
        "agg_daily_metrics": agg_daily_metrics(counted, counted_orders),
    }


def agg_sessions(sessions: DataFrame, visitors: DataFrame, orders: DataFrame) -> DataFrame:
    """Return one row per session, bots included."""
    counts = orders.groupBy("visitor_id", "session_number").agg(
        F.count(F.lit(1)).alias("order_count")
    )
    user_id = F.coalesce(user_of(F.col("last_user")), F.col("latest_user_id"))
    return (
        sessions.join(visitors, "visitor_id")
        .join(counts, ["visitor_id", "session_number"], "left")
        .withColumn("session_id", F.md5(F.concat_ws(SEPARATOR, "visitor_id", "first_event_id")))
        .withColumn("user_key", user_key(user_id))
        .withColumn("started_at", F.timestamp_micros("first_micros"))
        .withColumn("ended_at", F.timestamp_micros("last_micros"))
        .withColumn("order_count", F.coalesce("order_count", F.lit(0)).cast("bigint"))
        .withColumn("is_bot", F.col("is_bot_visitor"))
    )


def agg_users(stretches: DataFrame, orders: DataFrame) -> DataFrame:
    """Return one row per user, by the events' own user key."""
    by_user = stretches.withColumn("user_key", user_key(F.coalesce("user_id", "latest_user_id")))
    users = by_user.groupBy("user_key").agg(
        F.timestamp_micros(F.min("first_micros")).alias("first_seen_at"),
        F.timestamp_micros(F.max("last_micros")).alias("last_seen_at"),
        F.sum("event_count").cast("bigint").alias("event_count"),
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
            date(F.col("event_micros"), zone).alias("metric_date"),
            "event_type",
            F.explode(F.array_distinct("items.product_id")).alias("product_id"),
        )
        .groupBy("metric_date", "product_id")
        .agg(
            count_type("product_view").alias("view_count"),
            count_type("add_to_cart").alias("add_to_cart_count"),
        )
    )
    bought = (
        lines.join(orders.select("order_key", "order_date"), "order_key")
        .groupBy(F.col("order_date").alias("metric_date"), "product_id")
        .agg(F.sum("quantity").cast("bigint").alias("purchased_quantity"))
    )
    return _filled(touched.join(bought, ["metric_date", "product_id"], "full"), "agg_products")


def agg_daily_metrics(stretches: DataFrame, orders: DataFrame) -> DataFrame:
    """Return one row per day with events, sessions or orders."""
    by_visitor = stretches.groupBy("metric_date", "visitor_id").agg(
        F.sum("event_count").alias("event_count"), F.sum("session_count").alias("session_count")
    )
    by_event = by_visitor.groupBy("metric_date").agg(
        F.sum("event_count").cast("bigint").alias("event_count"),
        F.count(F.lit(1)).alias("visitor_count"),
        F.sum("session_count").cast("bigint").alias("session_count"),
    )
    by_order = orders.groupBy(F.col("order_date").alias("metric_date")).agg(
        F.count(F.lit(1)).alias("order_count"), _revenue().alias("revenue_amount")
    )
    return _filled(by_event.join(by_order, "metric_date", "left"), "agg_daily_metrics")


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
