"""Retailrocket's recommender data set: `events.csv`, one row per event and product.

The data set is published on Kaggle: four and a half months of one shop, 2.7 million rows. Its
columns are `timestamp` (milliseconds since 1970, UTC), `visitorid`, `event` (`view`, `addtocart`,
`transaction`), `itemid` and `transactionid`. Its other files (item properties, category tree) are
no events.

- **Event id**: the source has none, so it is a hash of the row. Of rows that are equal in every
  column one counts and the others are duplicates (the published file has some hundreds).
- **Order id**: the `transactionid`; rows of one transaction are the lines of one order.
- **Line id**: the event's id, as each row holds one product.
- **Times** are in UTC. **Sessions** and **users** are not given: sessions are made from the gaps,
  and each visitor is its own user. **Bots** are not marked; only their pace gives them away.
- **Money**: there is none, and no quantity: orders have lines but no revenue.
- Further columns go to `properties`. Nothing is dropped.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ingestion.adapters import parsing
from ingestion.adapters.adapter import Adapter, candidates
from ingestion.contract.events import Column
from ingestion.contract.rules import INVALID_EVENT_TS

COLUMNS = (
    Column("timestamp", is_required=True),
    Column("visitorid", is_required=True),
    Column("event", is_required=True),
    Column("itemid", is_required=True),
    Column("transactionid"),
)
EVENT_TYPE_OF = {"view": "product_view", "addtocart": "add_to_cart", "transaction": "purchase"}


def adapt(rows: DataFrame) -> DataFrame:
    """Map rows of Retailrocket's events to candidates."""
    values = {c.name: parsing.text(F.col(c.name).cast("string")) for c in COLUMNS}
    time = parsing.timestamp(values["timestamp"])
    event_id = parsing.content_hash(*values.values())
    known = {
        "event_id": event_id,
        "event_type": parsing.event_type(values["event"], EVENT_TYPE_OF),
        "event_name": values["event"],
        "event_ts": time.value,
        "visitor_id": values["visitorid"],
        "order_id": values["transactionid"],
        "page_type": F.when(values["event"] == "view", F.lit("product")),
        "properties": F.col("extra"),
    }
    item = parsing.item(line_id=event_id, product_id=values["itemid"])
    found = parsing.issues((INVALID_EVENT_TS, time.is_invalid))
    return candidates(rows, known, items=F.array(item), issues=found)


ADAPTER = Adapter(
    name="retailrocket",
    description="Retailrocket recommender data set (events.csv, one row per event and product)",
    columns=COLUMNS,
    adapt=adapt,
    person_columns=("visitorid",),
)
