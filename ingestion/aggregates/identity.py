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
    return events.withColumn(
        "latest_user_id", F.max(user_in_order()).over(of_visitor)["user_id"]
    ).withColumn("user_key", user_key(F.coalesce("user_id", "latest_user_id")))


def with_sessions(events: DataFrame, variables: Mapping[str, Any]) -> DataFrame:
    """Add `starts_session` (0 or 1) and `session_number`, counted by the visitor's session starts.

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
    """Add `starts_session`: 1 after a gap and where a piece begins, else 0."""
    in_scope = Window.partitionBy(*scope).orderBy("event_micros", "event_id")
    gap = F.col("event_micros") - F.col("previous_micros")
    is_split = gap > int(variables["session_timeout_minutes"]) * 60_000_000
    if variables["session_source"] == "source":
        is_split = is_split & F.col("source_session_id").isNull()
    is_whole_start = F.col("previous_micros").isNull() | is_split
    started = F.when(is_whole_start, F.struct("event_micros", "event_number"))
    so_far = in_scope.rowsBetween(Window.unboundedPreceding, 0)
    # The latest start so far is that of the event's own session, before any cut.
    placed = (
        events.withColumn("previous_micros", F.lag("event_micros").over(in_scope))
        .withColumn("event_number", F.row_number().over(in_scope))
        .withColumn("whole_start", F.max(started).over(so_far))
    )
    return placed.withColumn(
        "starts_session", F.when(_begins_piece(variables), 1).otherwise(0)
    ).drop("previous_micros", "event_number", "whole_start")


def _begins_piece(variables: Mapping[str, Any]) -> SparkColumn:
    """Return whether the event is in another piece of its session than the one before it."""
    start = F.col("whole_start")
    earlier_count = F.col("event_number") - start["event_number"]
    most_micros = int(float(variables["session_max_hours"]) * 3_600_000_000)

    def full_spans(micros: SparkColumn) -> SparkColumn:
        # Right at the hour an event still belongs to the piece before.
        past = micros - start["event_micros"] - 1
        return past - past % most_micros

    is_later = full_spans(F.col("event_micros")) > full_spans(F.col("previous_micros"))
    is_first = earlier_count % int(variables["session_max_events"]) == 0
    return is_first | ((earlier_count > 0) & is_later)


def _started_count(*scope: str) -> SparkColumn:
    until_now = Window.partitionBy(*scope).orderBy("event_micros", "event_id")
    return F.sum("starts_session").over(until_now.rowsBetween(Window.unboundedPreceding, 0))


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
