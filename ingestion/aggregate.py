"""Spark's pre-aggregates of the lake: sessions, users, products and days, as `raw.agg_*`.

A second computation of what dbt derives from the events, by the same definitions; a dbt test
compares the two. Every function takes and returns DataFrames; only `refresh` does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from psycopg2 import sql
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from ingestion import lake, load
from ingestion.contract.events import Column
from ingestion.postgres import connect
from ingestion.settings import PROJECT_DIR, Settings
from ingestion.spark import engine_name

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

UNUSABLE_ORDER_IDS = ("", "(not set)", "0", "null", "undefined", "none")
SEPARATOR = "\x1f"
MONEY = "decimal(18,4)"

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
        Column("revenue_amount", "decimal(18,4)"),
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
        Column("revenue_amount", "decimal(18,4)"),
    ),
}
UUID_COLUMNS = ("session_id", "user_key")


def refresh(spark: SparkSession, settings: Settings) -> None:
    """Bring `raw.agg_*` up to the lake: recomputed and replaced in one transaction.

    Loads that brought nothing but duplicates change nothing and cost nothing.
    """
    stages = _computed(spark, settings) if _has_new_events(settings) else {}
    with connect(settings) as connection, connection.cursor() as cursor:
        for name, tables in stages.items():
            cursor.execute(sql.SQL("delete from {}").format(sql.Identifier("raw", name)))
            _fill(cursor, name, TABLES[name], tables)
        cursor.execute(
            "update ops.loads set aggregated_at = clock_timestamp() where aggregated_at is null"
        )
        load.drop_stages(cursor)


def _has_new_events(settings: Settings) -> bool:
    with connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select exists (select from ops.loads where aggregated_at is null and loaded_count > 0)"
        )
        return bool(cursor.fetchone()[0])


def _computed(spark: SparkSession, settings: Settings) -> dict[str, tuple[str, ...]]:
    """Compute the pre-aggregates into stage tables; return the tables' names."""
    events = lake.read_events(spark, settings.lake, engine=engine_name(settings))
    schema = "currency string, valid_from string, rate string"
    rates = spark.createDataFrame(_exchange_rates(), schema)
    frames = aggregates(_without_duplicates(spark, settings, events), rates, settings.dbt_vars)
    return {name: load.copy_frame(frame, settings, TABLES[name]) for name, frame in frames.items()}


def aggregates(
    events: DataFrame, rates: DataFrame, variables: Mapping[str, Any]
) -> dict[str, DataFrame]:
    """Return the four pre-aggregates of deduplicated events, by table name."""
    zone = str(variables["reporting_timezone"])
    sessionized = with_bots(with_sessions(with_users(events), variables), variables).persist()
    orders = priced_orders(sessionized, rates, zone, str(variables["reporting_currency"])).persist()
    is_counted = ~F.col("is_bot_visitor") if variables["exclude_bots"] else F.lit(True)
    counted, counted_orders = sessionized.where(is_counted), orders.where(is_counted)
    sessions = agg_sessions(sessionized, orders)
    return {
        "agg_sessions": sessions,
        "agg_users": agg_users(counted, counted_orders),
        "agg_products": agg_products(counted, zone),
        "agg_daily_metrics": agg_daily_metrics(counted, counted_orders, zone),
    }


# -- identity, sessions, bots --------------------------------------------------------------------


def with_users(events: DataFrame) -> DataFrame:
    """Add `latest_user_id`, the last user seen on the visitor, and the event's `user_key`."""
    of_visitor = Window.partitionBy("visitor_id")
    return (
        events.withColumn("event_micros", F.unix_micros("event_ts"))
        .withColumn("latest_user_id", F.max(_user_in_order()).over(of_visitor)["user_id"])
        .withColumn("user_key", _user_key(F.coalesce("user_id", "latest_user_id")))
    )


def with_sessions(events: DataFrame, variables: Mapping[str, Any]) -> DataFrame:
    """Add `session_number`: a gap of more than the timeout starts a visitor's next session."""
    timeout_micros = int(variables["session_timeout_minutes"]) * 60_000_000
    in_order = Window.partitionBy("visitor_id").orderBy("event_micros", "event_id")
    gap = F.col("event_micros") - F.lag("event_micros").over(in_order)
    starts = F.when(gap.isNull() | (gap > timeout_micros), 1).otherwise(0)
    return events.withColumn("starts_session", starts).withColumn(
        "session_number",
        F.sum("starts_session").over(in_order.rowsBetween(Window.unboundedPreceding, 0)),
    )


def with_bots(events: DataFrame, variables: Mapping[str, Any]) -> DataFrame:
    """Add `is_bot_visitor`: named a bot by a source, or with a session too quick for a human."""
    of_session = Window.partitionBy("visitor_id", "session_number")
    count = F.count(F.lit(1)).over(of_session)
    micros = F.max("event_micros").over(of_session) - F.min("event_micros").over(of_session)
    most_micros = F.lit(float(variables["bot_max_mean_gap_seconds"]) * 1e6) * (count - 1)
    is_quick = (count >= int(variables["bot_min_session_events"])) & (micros < most_micros)
    flagged = events.withColumn("is_flagged", F.coalesce("is_bot", F.lit(False)) | is_quick)
    of_visitor = Window.partitionBy("visitor_id")
    return flagged.withColumn("is_bot_visitor", F.max("is_flagged").over(of_visitor))


def _user_in_order() -> SparkColumn:
    in_order = F.struct("event_micros", "event_id", "user_id")
    return F.when(F.col("user_id").isNotNull(), in_order)


def _user_key(user_id: SparkColumn) -> SparkColumn:
    return F.when(user_id.isNotNull(), _key("user", user_id)).otherwise(
        _key("visitor", F.col("visitor_id"))
    )


def _key(*parts: str | SparkColumn) -> SparkColumn:
    columns = [F.lit(part) if isinstance(part, str) else part for part in parts]
    return F.md5(F.concat_ws(SEPARATOR, *columns))


def _date(micros: SparkColumn, zone: str) -> SparkColumn:
    return F.to_date(F.from_utc_timestamp(F.timestamp_micros(micros), zone))


# -- orders --------------------------------------------------------------------------------------


def priced_orders(events: DataFrame, rates: DataFrame, zone: str, currency: str) -> DataFrame:
    """Return one row per order: where its first purchase event stands, and its gross amount."""
    purchases = events.where("event_type = 'purchase'").withColumn("order_key", _order_key())
    first = F.struct("event_micros", "event_id")
    orders = purchases.groupBy("order_key").agg(
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
    totals = order_lines(purchases).groupBy("order_key").agg(F.sum("amount").alias("lines_amount"))
    priced = orders.join(totals, "order_key", "left").withColumn(
        "source_amount", F.coalesce("order_total", "lines_amount")
    )
    return converted(
        priced.withColumn("order_date", _date(F.col("event_micros"), zone)), rates, currency
    )


def order_lines(purchases: DataFrame) -> DataFrame:
    """Return the lines of orders, unique by (order_key, line_id): the first event's wins."""
    lines = purchases.select(
        "order_key", "event_micros", "event_id", "is_bot_visitor", F.explode("items").alias("item")
    )
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


def _order_key() -> SparkColumn:
    is_usable = F.col("order_id").isNotNull() & ~F.lower(F.trim("order_id")).isin(
        *UNUSABLE_ORDER_IDS
    )
    return F.when(is_usable, _key("order", F.col("order_id"))).otherwise(
        _key("event", F.col("event_id"))
    )


# -- the four tables -----------------------------------------------------------------------------


def agg_sessions(events: DataFrame, orders: DataFrame) -> DataFrame:
    """Return one row per session, bots included."""
    in_order = F.struct("event_micros", "event_id")
    sessions = events.groupBy("visitor_id", "session_number").agg(
        F.min_by("event_id", in_order).alias("first_event_id"),
        F.max(_user_in_order())["user_id"].alias("own_user_id"),
        F.max("latest_user_id").alias("latest_user_id"),
        F.min("event_ts").alias("started_at"),
        F.max("event_ts").alias("ended_at"),
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
        .withColumn("user_key", _user_key(F.coalesce("own_user_id", "latest_user_id")))
        .withColumn("order_count", F.coalesce("order_count", F.lit(0)).cast("bigint"))
    )


def agg_users(events: DataFrame, orders: DataFrame) -> DataFrame:
    """Return one row per user, by the events' own user key."""
    users = events.groupBy("user_key").agg(
        F.min("event_ts").alias("first_seen_at"),
        F.max("event_ts").alias("last_seen_at"),
        F.count(F.lit(1)).alias("event_count"),
    )
    bought = orders.groupBy("user_key").agg(
        F.count(F.lit(1)).alias("order_count"), _revenue().alias("revenue_amount")
    )
    return _filled(users.join(bought, "user_key", "left"), "agg_users")


def agg_products(events: DataFrame, zone: str) -> DataFrame:
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
        .groupBy(_date(F.col("event_micros"), zone).alias("metric_date"), "product_id")
        .agg(
            _count_type("product_view").alias("view_count"),
            _count_type("add_to_cart").alias("add_to_cart_count"),
        )
    )
    purchases = events.where("event_type = 'purchase'").withColumn("order_key", _order_key())
    dates = purchases.groupBy("order_key").agg(
        _date(F.min("event_micros"), zone).alias("metric_date")
    )
    bought = (
        order_lines(purchases)
        .join(dates, "order_key")
        .groupBy("metric_date", "product_id")
        .agg(F.sum("quantity").cast("bigint").alias("purchased_quantity"))
    )
    return _filled(touched.join(bought, ["metric_date", "product_id"], "full"), "agg_products")


def agg_daily_metrics(events: DataFrame, orders: DataFrame, zone: str) -> DataFrame:
    """Return one row per day with events, sessions or orders."""
    by_event = events.groupBy(_date(F.col("event_micros"), zone).alias("metric_date")).agg(
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


# -- input and output ----------------------------------------------------------------------------


def _exchange_rates() -> list[tuple[str, str, str]]:
    import csv

    with (PROJECT_DIR / "seeds" / "exchange_rates.csv").open() as stream:
        return [(r["currency"], r["valid_from"], r["rate"]) for r in csv.DictReader(stream)]


def _without_duplicates(spark: SparkSession, settings: Settings, events: DataFrame) -> DataFrame:
    with connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select load_id, file_id, source_row from ops.duplicates "
            "join ops.loads using (load_id) where loaded_count > 0"
        )
        duplicates = cursor.fetchall()
    if not duplicates:
        return events
    keys = ["load_id", "file_id", "source_row"]
    known = spark.createDataFrame(duplicates, "load_id bigint, file_id bigint, source_row bigint")
    return events.join(F.broadcast(known), keys, "left_anti")


def _fill(cursor: Any, name: str, columns: tuple[Column, ...], stages: tuple[str, ...]) -> None:
    values = sql.SQL(", ").join(
        sql.SQL("{}::uuid" if c.name in UUID_COLUMNS else "{}").format(sql.Identifier(c.name))
        for c in columns
    )
    for stage in stages:
        cursor.execute(
            sql.SQL("insert into {} ({}) select {} from {}").format(
                sql.Identifier("raw", name),
                sql.SQL(", ").join(sql.Identifier(c.name) for c in columns),
                values,
                sql.Identifier("stage", stage),
            )
        )
