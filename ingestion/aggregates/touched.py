"""Whose pre-aggregates new events can change: a short way from the new rows to all they touch.

A visitor's user, sessions and bot flag follow from its own events alone, so new events change those
of their own visitors only. An order may have purchase events of several visitors, and a user may be
seen on several. Hence, beside the visitors of the new events: those that share an order with them
(an order may move from one to the other), and those that share a user with them (the user's first
and last event are found anew). Nobody else's events, orders or users change.

Orders and users of these others may reach further still, to visitors that are not read. They are
then computed from a part of their events, but from the same part before and after, as none of it is
new: in the difference, which is all that counts, they vanish.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ingestion.aggregates.orders import usable_order_id


def new_visitors(events: DataFrame, load_ids: Sequence[int]) -> DataFrame:
    """Return the visitors of the loads' events, one row each."""
    return events.where(F.col("load_id").isin(*load_ids)).select("visitor_id").distinct()


def visitor_links(events: DataFrame) -> DataFrame:
    """Return what visitors may share: their users and, of their purchases, the order ids."""
    order_id = F.when(F.col("event_type") == "purchase", usable_order_id()).alias("order_id")
    links = events.select("visitor_id", "user_id", order_id)
    return links.where(F.coalesce("user_id", "order_id").isNotNull()).distinct()


def touched_visitors(new: DataFrame, links: DataFrame) -> DataFrame:
    """Return the new events' visitors, and those that share a user or an order with them."""
    links_of_new = links.join(new, "visitor_id", "left_semi")
    touched = new
    for link in ("user_id", "order_id"):
        shared = links_of_new.select(link).where(F.col(link).isNotNull()).distinct()
        touched = touched.union(links.join(shared, link, "left_semi").select("visitor_id"))
    return touched.distinct()
