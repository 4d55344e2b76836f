"""Who an event belongs to: its user, its session, and whether that is a bot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from ingestion.aggregates.keys import date, key

PLACE_DIGITS = 10


def with_sessions(events: DataFrame, variables: Mapping[str, Any]) -> DataFrame:
    """Add `starts_session` (0 or 1) and `session_number`, counted by the visitor's session starts.

    Also `event_number`, in the visitor's order of events, or in that of its source session.

    A gap of more than the timeout starts a session. With `session_source: source` the events of
    one `source_session_id` are a session, and the gaps are those between the events without one.
    Either is cut where it would outgrow `session_max_hours` or `session_max_events`.
    """
    is_by_source = variables["session_source"] == "source"
    scope = ["visitor_id", *(["source_session_id"] if is_by_source else [])]
    numbered = _with_starts(events, scope, variables).withColumn(
        "session_number", _started_count("visitor_id")
    )
    if not is_by_source:
        return numbered
    # The sessions of a visitor may interleave: all events take the number of their session's start.
    of_session = Window.partitionBy(*scope, "scope_number")
    started = F.when(F.col("starts_session") == 1, F.col("session_number"))
    return (
        numbered.withColumn("scope_number", _started_count(*scope))
        .withColumn("session_number", F.max(started).over(of_session))
        .drop("scope_number")
    )


def _with_starts(events: DataFrame, scope: list[str], variables: Mapping[str, Any]) -> DataFrame:
    """Add `starts_session`: 1 after a gap and where a piece begins, else 0; and `event_number`."""
    in_scope = Window.partitionBy(*scope).orderBy("event_micros", "event_id")
    gap = F.col("event_micros") - F.col("previous_micros")
    is_split = gap > int(variables["session_timeout_minutes"]) * 60_000_000
    if variables["session_source"] == "source":
        is_split = is_split & F.col("source_session_id").isNull()
    is_whole_start = F.col("previous_micros").isNull() | is_split
    so_far = in_scope.rowsBetween(Window.unboundedPreceding, 0)

    def latest_start(name: str) -> SparkColumn:
        return F.max(F.when(is_whole_start, F.col(name))).over(so_far)

    # The latest start so far is that of the event's own session, before any cut; time and number
    # both grow in this order, and numbers are compared faster than structs of them.
    # What one call adds, an engine computes in one pass.
    numbered = events.withColumns(
        {
            "previous_micros": F.lag("event_micros").over(in_scope),
            "event_number": F.row_number().over(in_scope),
        }
    )
    placed = numbered.withColumns(
        {
            "start_micros": latest_start("event_micros"),
            "start_number": latest_start("event_number"),
        }
    )
    return placed.withColumn(
        "starts_session", F.when(_begins_piece(variables), 1).otherwise(0)
    ).drop("previous_micros", "start_micros", "start_number")


def _begins_piece(variables: Mapping[str, Any]) -> SparkColumn:
    """Return whether the event is in another piece of its session than the one before it."""
    earlier_count = F.col("event_number") - F.col("start_number")
    most_micros = int(float(variables["session_max_hours"]) * 3_600_000_000)

    def full_spans(micros: SparkColumn) -> SparkColumn:
        # Right at the hour an event still belongs to the piece before.
        past = micros - F.col("start_micros") - 1
        return past - past % most_micros

    is_later = full_spans(F.col("event_micros")) > full_spans(F.col("previous_micros"))
    is_first = earlier_count % int(variables["session_max_events"]) == 0
    return is_first | ((earlier_count > 0) & is_later)


def _started_count(*scope: str) -> SparkColumn:
    until_now = Window.partitionBy(*scope).orderBy("event_micros", "event_id")
    return F.sum("starts_session").over(until_now.rowsBetween(Window.unboundedPreceding, 0))


def stretches(events: DataFrame, variables: Mapping[str, Any]) -> DataFrame:
    """Return one row per session, user id and day, and one for each purchase event.

    All that follows is computed from these rows, a tenth of the events: what is sorted is narrow,
    and sorted once. `last_place` is that of the last event in the visitor's order of events.
    """
    in_order = Window.partitionBy("visitor_id").orderBy("event_micros", "event_id")
    is_by_source = variables["session_source"] == "source"
    place = F.row_number().over(in_order) if is_by_source else F.col("event_number")
    zone = str(variables["reporting_timezone"])
    is_purchase = F.col("event_type") == "purchase"
    return (
        with_sessions(events, variables)
        .withColumn("place", place)
        .withColumn("metric_date", date(F.col("event_micros"), zone))
        .withColumn("purchase_event_id", F.when(is_purchase, F.col("event_id")))
        .groupBy("visitor_id", "session_number", "user_id", "metric_date", "purchase_event_id")
        .agg(
            F.max(F.when(F.col("starts_session") == 1, F.col("event_id"))).alias("first_event_id"),
            F.min("event_micros").alias("first_micros"),
            F.max("event_micros").alias("last_micros"),
            F.max("place").alias("last_place"),
            F.count(F.lit(1)).alias("event_count"),
            count_type("product_view").alias("product_view_count"),
            count_type("add_to_cart").alias("add_to_cart_count"),
            F.sum("starts_session").cast("bigint").alias("session_count"),
            F.max(F.coalesce("is_bot", F.lit(False))).alias("is_named_bot"),
        )
    )


def sessions_of(stretches: DataFrame) -> DataFrame:
    """Return one row per session, with `last_user`: who was seen last in it, behind where.

    Place and user are one text, as engines compare texts much faster than structs.
    """
    last_user = F.concat(F.lpad(F.col("last_place").cast("string"), PLACE_DIGITS, "0"), "user_id")
    counts = ("event_count", "product_view_count", "add_to_cart_count")
    return stretches.groupBy("visitor_id", "session_number").agg(
        F.max("first_event_id").alias("first_event_id"),
        F.min("first_micros").alias("first_micros"),
        F.max("last_micros").alias("last_micros"),
        F.max(last_user).alias("last_user"),
        *[F.sum(name).cast("bigint").alias(name) for name in counts],
        F.max("is_named_bot").alias("is_named_bot"),
    )


def visitors_of(sessions: DataFrame, variables: Mapping[str, Any]) -> DataFrame:
    """Return one row per visitor: `latest_user_id`, the last user seen, and `is_bot_visitor`.

    A bot is named so by a source, or has a session too quick for a human.
    """
    count = F.col("event_count")
    micros = F.col("last_micros") - F.col("first_micros")
    most_micros = F.lit(float(variables["bot_max_mean_gap_seconds"]) * 1e6) * (count - 1)
    is_quick = (count >= int(variables["bot_min_session_events"])) & (micros < most_micros)
    return sessions.groupBy("visitor_id").agg(
        user_of(F.max("last_user")).alias("latest_user_id"),
        F.max(F.col("is_named_bot") | is_quick).alias("is_bot_visitor"),
    )


def user_of(last_user: SparkColumn) -> SparkColumn:
    """Return the user id in a session's `last_user`."""
    return last_user.substr(F.lit(PLACE_DIGITS + 1), F.length(last_user))


def user_key(user_id: SparkColumn) -> SparkColumn:
    """Return the key of a user, or of the visitor where there is none."""
    return F.when(user_id.isNotNull(), key("user", user_id)).otherwise(
        key("visitor", F.col("visitor_id"))
    )


def count_type(event_type: str) -> SparkColumn:
    """Return how many of the events are of a type."""
    return F.count(F.when(F.col("event_type") == event_type, 1))
