"""The event contract: one row per event, with the products it concerns as a list of items.

The types stand once, here. Spark's schema, the generator's Arrow schema and the DDL of
`raw.events` and `raw.event_items` follow from these lists or are tested against them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CONTRACT_VERSION = 3
"""Goes up with every change of the columns or the rules; `ops.loads` says which a load followed."""

EVENT_TYPES = (
    "page_view",
    "search",
    "product_list_view",
    "product_click",
    "product_view",
    "add_to_cart",
    "remove_from_cart",
    "checkout_start",
    "checkout_step",
    "purchase",
    "refund",
)
"""The types with a meaning in the warehouse."""

CUSTOM_EVENT_TYPE = "custom"
"""What an adapter cannot map: kept, under its own name in `event_name`."""

ColumnType = Literal[
    "string",
    "timestamp",
    "decimal(18,4)",
    "decimal(38,4)",
    "int",
    "bigint",
    "boolean",
    "json",
    "date",
]


@dataclass(frozen=True)
class Column:
    """A column of the contract. `type` is Spark's name for it; `json` is a string of JSON."""

    name: str
    type: ColumnType = "string"
    is_required: bool = False

    @property
    def spark_type(self) -> str:
        """Spark SQL's type."""
        return "string" if self.type == "json" else self.type

    @property
    def postgres_type(self) -> str:
        """PostgreSQL's type."""
        return {
            "string": "text",
            "timestamp": "timestamptz",
            "decimal(18,4)": "numeric(18,4)",
            "decimal(38,4)": "numeric(38,4)",
            "int": "integer",
            "bigint": "bigint",
            "boolean": "boolean",
            "json": "jsonb",
            "date": "date",
        }[self.type]


SOURCE_COLUMNS = (
    Column("event_id", is_required=True),
    Column("event_type", is_required=True),
    Column("event_name"),
    Column("event_ts", "timestamp", is_required=True),
    Column("received_at", "timestamp"),
    Column("visitor_id", is_required=True),
    Column("user_id"),
    Column("source_session_id"),
    Column("order_id"),
    Column("page_url"),
    Column("page_type"),
    Column("referrer"),
    Column("utm_source"),
    Column("utm_medium"),
    Column("utm_campaign"),
    Column("utm_term"),
    Column("utm_content"),
    Column("click_id"),
    Column("device_type"),
    Column("browser"),
    Column("os"),
    Column("country"),
    Column("language"),
    Column("search_term"),
    Column("experiment_id"),
    Column("variant_id"),
    Column("order_total", "decimal(18,4)"),
    Column("tax", "decimal(18,4)"),
    Column("shipping", "decimal(18,4)"),
    Column("discount", "decimal(18,4)"),
    Column("coupon"),
    Column("currency"),
    Column("is_bot", "boolean"),
    Column("properties", "json"),
)
"""What a source says of an event; the columns of the native format, beside `items`."""

LOAD_COLUMNS = (
    Column("source", is_required=True),
    Column("file_id", "bigint", is_required=True),
    Column("source_row", "bigint", is_required=True),
    Column("load_id", "bigint", is_required=True),
)
"""Where the row came from: `file_id` leads to `ops.files`, `source_row` counts from 1 in it."""

EVENT_COLUMNS = SOURCE_COLUMNS + LOAD_COLUMNS

ITEM_COLUMNS = (
    Column("line_id", is_required=True),
    Column("product_id", is_required=True),
    Column("product_name"),
    Column("category"),
    Column("brand"),
    Column("variant"),
    Column("quantity", "int"),
    Column("unit_price", "decimal(18,4)"),
    Column("discount", "decimal(18,4)"),
)
"""One product of an event. In PostgreSQL: `raw.event_items`, keyed by (event_id, line_id)."""

ITEMS = "items"
"""The column of an event's products: a list of structs of ITEM_COLUMNS."""

ITEMS_SPARK_TYPE = (
    "array<struct<" + ",".join(f"{c.name}:{c.spark_type}" for c in ITEM_COLUMNS) + ">>"
)


def spark_ddl(columns: tuple[Column, ...]) -> str:
    """Return Spark's schema string of the columns, in their order."""
    return ", ".join(f"{column.name} {column.spark_type}" for column in columns)
