"""REES46's "eCommerce behavior data": one row per event and product, as CSV.

The source has no event id, so the event's id is a hash of the whole row: of rows that are equal in
every column the first is kept and the others count as duplicates. It has no order id either: each
purchase row is an order of one line, and its line id is the event's id. `user_id` is the shop's
permanent id of a person, and so both visitor and user. Quantity is not given. The category's
number is kept in `properties`.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ingestion.adapters import parsing
from ingestion.adapters.adapter import Adapter, candidates
from ingestion.contract.events import Column
from ingestion.contract.rules import INVALID_EVENT_TS, INVALID_NUMBER

COLUMNS = (
    Column("event_time", is_required=True),
    Column("event_type", is_required=True),
    Column("product_id", is_required=True),
    Column("category_id"),
    Column("category_code"),
    Column("brand"),
    Column("price"),
    Column("user_id", is_required=True),
    Column("user_session"),
)
EVENT_TYPE_OF = {
    "view": "product_view",
    "cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart",
    "purchase": "purchase",
}


def adapt(rows: DataFrame) -> DataFrame:
    """Map rows of REES46 to candidates."""
    values = {c.name: parsing.text(F.col(c.name).cast("string")) for c in COLUMNS}
    time = parsing.timestamp(values["event_time"])
    price = parsing.amount(values["price"])
    event_id = parsing.content_hash(*values.values())
    category = F.when(
        values["category_id"].isNotNull(),
        F.to_json(F.struct(values["category_id"].alias("category_id"))),
    )
    item = parsing.item(
        line_id=event_id,
        product_id=values["product_id"],
        category=values["category_code"],
        brand=values["brand"],
        unit_price=price.value,
    )
    known = {
        "event_id": event_id,
        "event_type": parsing.event_type(values["event_type"], EVENT_TYPE_OF),
        "event_name": values["event_type"],
        "event_ts": time.value,
        "visitor_id": values["user_id"],
        "user_id": values["user_id"],
        "source_session_id": values["user_session"],
        "page_type": F.when(values["event_type"] == "view", F.lit("product")),
        "properties": parsing.merged_properties(category, F.col("extra")),
    }
    found = parsing.issues((INVALID_EVENT_TS, time.is_invalid), (INVALID_NUMBER, price.is_invalid))
    return candidates(rows, known, items=F.array(item), issues=found)


ADAPTER = Adapter(
    name="rees46",
    description="REES46 multi-category store (CSV, one row per event and product)",
    columns=COLUMNS,
    adapt=adapt,
    person_columns=("user_id",),
)
