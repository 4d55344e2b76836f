"""Orders and their lines, counted once and priced in the reporting currency."""

from __future__ import annotations

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from ingestion.aggregates.identity import user_key
from ingestion.aggregates.keys import date, key

UNUSABLE_ORDER_IDS = ("", "(not set)", "0", "null", "undefined", "none")
MONEY = "decimal(38,4)"  # sums: a valid line alone may be worth 1e15


def purchases(events: DataFrame, stretches: DataFrame, visitors: DataFrame) -> DataFrame:
    """Return the purchase events, each with its session, its user and the key of its order."""
    bought = events.where("event_type = 'purchase'")
    sessions = stretches.where("purchase_event_id is not null").select(
        F.col("purchase_event_id").alias("event_id"), "session_number"
    )
    return (
        bought.join(sessions, "event_id")
        .join(visitors, "visitor_id")
        .withColumn("user_key", user_key(F.coalesce("user_id", "latest_user_id")))
        .withColumn("order_key", order_key())
    )


def priced_orders(bought: DataFrame, rates: DataFrame, zone: str, currency: str) -> DataFrame:
    """Return one row per order: where its first purchase event stands, and its gross amount."""
    first = F.struct("event_micros", "event_id")
    orders = bought.groupBy("order_key").agg(
        *[
            F.min_by(name, first).alias(name)
            for name in (
                "visitor_id",
                "user_key",
                "session_number",
                "is_bot_visitor",
                "currency",
            )
        ],
        F.min("event_micros").alias("event_micros"),
        F.min(
            F.when(
                F.col("order_total").isNotNull(),
                F.struct("event_micros", "event_id", "order_total"),
            )
        )["order_total"].alias("order_total"),
    )
    totals = order_lines(bought).groupBy("order_key").agg(F.sum("amount").alias("lines_amount"))
    priced = orders.join(totals, "order_key", "left").withColumn(
        "source_amount", F.coalesce("order_total", "lines_amount")
    )
    return converted(
        priced.withColumn("order_date", date(F.col("event_micros"), zone)), rates, currency
    )


def order_lines(bought: DataFrame) -> DataFrame:
    """Return the lines of orders, unique by (order_key, line_id): the first event's wins."""
    lines = bought.select("order_key", "event_micros", "event_id", F.explode("items").alias("item"))
    first = F.min_by("item", F.struct("event_micros", "event_id"))
    line = (
        lines.withColumn("line_id", F.col("item.line_id"))
        .groupBy("order_key", "line_id")
        .agg(first.alias("item"))
    )
    quantity = F.coalesce("item.quantity", F.lit(1))
    return line.select(
        "order_key",
        F.col("item.product_id").alias("product_id"),
        quantity.alias("quantity"),
        (quantity * F.col("item.unit_price")).cast(MONEY).alias("amount"),
    )


def converted(orders: DataFrame, rates: DataFrame, currency: str) -> DataFrame:
    """Add `revenue_amount` in the reporting currency; a missing rate makes it null."""
    of_currency = Window.partitionBy("currency").orderBy("valid_from")
    typed = rates.select(
        "currency",
        F.to_date("valid_from").alias("valid_from"),
        F.col("rate").cast("decimal(18,8)").alias("rate"),
    ).withColumn("valid_to", F.lead("valid_from").over(of_currency))
    priced = orders.withColumn("currency", F.coalesce("currency", F.lit(currency)))
    for name, code in (("own_rate", F.col("currency")), ("reporting_rate", F.lit(currency))):
        rate = typed.select(
            F.col("currency").alias("rate_currency"),
            "valid_from",
            "valid_to",
            F.col("rate").alias(name),
        )
        is_valid = (
            (F.col("rate_currency") == code)
            & (F.col("order_date") >= F.col("valid_from"))
            & (F.col("valid_to").isNull() | (F.col("order_date") < F.col("valid_to")))
        )
        priced = priced.join(F.broadcast(rate), is_valid, "left").drop(
            "rate_currency", "valid_from", "valid_to"
        )
    is_same = F.col("currency") == currency
    exact = F.col("source_amount") * F.col("own_rate") / F.col("reporting_rate")
    return priced.withColumn(
        "revenue_amount",
        F.when(is_same, F.col("source_amount")).otherwise(F.round(exact, 4).cast(MONEY)),
    )


def order_key() -> SparkColumn:
    """Return the key of a purchase event's order: by its id if usable, else its own."""
    order_id = usable_order_id()
    return F.when(order_id.isNotNull(), key("order", order_id)).otherwise(
        key("event", F.col("event_id"))
    )


def usable_order_id() -> SparkColumn:
    """Return an event's order id, null where it is none that tells orders apart."""
    is_usable = ~F.lower(F.trim("order_id")).isin(*UNUSABLE_ORDER_IDS)
    return F.when(is_usable, F.col("order_id"))
