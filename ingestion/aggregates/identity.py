"""Who an event belongs to: its user, its session, and whether that is a bot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from ingestion.aggregates.keys import key


def with_users(events: DataFrame) -> DataFrame:
    """Add `latest_user_id`, the last user seen on the visitor, and the event's `user_key`."""
    of_visitor = Window.partitionBy("visitor_id")
    return (
        events.withColumn("event_micros", F.unix_micros("event_ts"))
        .withColumn("latest_user_id", F.max(user_in_order()).over(of_visitor)["user_id"])
        .withColumn("user_key", user_key(F.coalesce("user_id", "latest_user_id")))
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


def user_in_order() -> SparkColumn:
    """Return (time, event id, user id) of an event with a user of its own, to take the last of."""
    in_order = F.struct("event_micros", "event_id", "user_id")
    return F.when(F.col("user_id").isNotNull(), in_order)


def user_key(user_id: SparkColumn) -> SparkColumn:
    """Return the key of a user, or of the visitor where there is none."""
    return F.when(user_id.isNotNull(), key("user", user_id)).otherwise(
        key("visitor", F.col("visitor_id"))
    )
