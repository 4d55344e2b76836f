"""PostHog's batch exports of events: JSON lines or Parquet, from object storage or a download.

`properties` is an object in JSON lines and its text in Parquet; both give the same event. Tables
of the exports to a database (with `set`, `ip`, `team_id`, `elements`), unloaded to such files, are
read too. Only `uuid`, `event`, `distinct_id` and `timestamp` are required.

**Event id** is `uuid`; an export repeats events when it is tried again, and those are
**duplicates** by it. **Times**: `timestamp` (PostHog has corrected it for the device's clock), and
`created_at` as the time of receipt.

**Visitor** is the device: `properties.$device_id`, which stays the same when a person logs in,
while `distinct_id` changes from the device's own to the person's. Where there is no device id (a
server's events), it is `$anon_distinct_id` of an `$identify` event, else `distinct_id`.
**User** is `distinct_id` where it names a person: `$is_identified` says so, or `$user_id` is
given, or the event is `$identify`, or it comes from a server's library, which knows people only
(unless `$process_person_profile` is false). Anonymous events have none: they follow their visitor.
**Session** is `$session_id`. **Bots** are known by `$raw_user_agent`.

**Types.** `$pageview` and `$screen` are page views. Shops name their own events: the names of
PostHog's e-commerce specification (which are Segment's) and those of Google Analytics 4 are known,
in any spelling of words and case: `Order Completed`, `order_completed`, `orderCompleted`. All
others are `custom`: promotions, `Cart Viewed`, `Order Updated`, `Order Cancelled` (which says
nothing of money paid back), `$autocapture`, `$identify`.

**Order id** is `order_id`, or `transaction_id`. **Order total** of a purchase or a refund: `total`,
with tax and shipping; else `revenue`, then `subtotal`, then `value`, which are without them. Tax,
shipping, discount, coupon and currency are the properties of those names.

**Items** are `products` (or `items`), or the event itself where it names one product. The product's
id is `product_id`, else `sku`, `item_id`, `id`; the line's id is its position.

**Traffic**: PostHog's `utm_*` properties stay with a device until the next campaign, also in
sessions that came directly. So the query of `$current_url` comes first; then the session's own
`$session_entry_utm_*`, where the library sends `$session_entry_url`; and `utm_*` only without it.
Click ids follow the same rule. `$referrer` is the referrer, but for `$direct`.
**Experiments**: an event `$feature_flag_called` names the flag and its variant.

**Properties** are kept whole, with `person_id` and all other columns. **Dropped** are
`person_properties`, `set` and `set_once`: they are the state of a person, often names and
addresses, and say nothing of the event; and `ip`.
"""

from __future__ import annotations

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ingestion.adapters import ga4, parsing, segment
from ingestion.adapters.adapter import Adapter, candidates
from ingestion.contract.events import Column
from ingestion.contract.rules import INVALID_EVENT_TS, INVALID_ITEMS, INVALID_NUMBER

EVENT_TYPE_OF = {
    "$pageview": "page_view",
    "$screen": "page_view",
    **{name.replace("_", " "): type_ for name, type_ in ga4.EVENT_TYPE_OF.items()},
    **segment.EVENT_TYPE_OF_SPEC,
}
"""By the event's name in lower case, its words parted by single blanks."""

DROPPED = ("person_properties", "set", "set_once", "people_set", "people_set_once", "ip")
COLUMNS = (
    Column("uuid", is_required=True),
    Column("event", is_required=True),
    Column("distinct_id", is_required=True),
    Column("timestamp", "timestamp", is_required=True),
    Column("created_at", "timestamp"),
    Column("person_id"),
    Column("properties"),
    *[Column(name) for name in DROPPED],
)
MONEY = ("order_total", "tax", "shipping", "discount")
OF_PERSONS = (
    "distinct_id",
    "$device_id",
    "$user_id",
    "$anon_distinct_id",
    "alias",
    "$set",
    "$set_once",
)
"""The properties that name a person or say something of one."""
LIBRARIES_OF_DEVICES = (
    "web",
    "js",
    "posthog-ios",
    "posthog-android",
    "posthog-flutter",
    "posthog-react-native",
)

_PRODUCT = (
    "product_id",
    "sku",
    "item_id",
    "id",
    "name",
    "product_name",
    "item_name",
    "category",
    "brand",
    "variant",
    "quantity",
    "price",
    "discount",
)
_PRODUCTS = f"array<struct<{','.join(f'{name}:string' for name in _PRODUCT)}>>"


def adapt(rows: DataFrame) -> DataFrame:
    """Map rows of the export to candidates."""
    types = dict(rows.dtypes)
    person_id = parsing.json_value(parsing.text(F.col("person_id")))
    named = rows.withColumns(
        {
            "_p": F.from_json("properties", "map<string,string>"),
            "_rest": parsing.json_object(F.col("extra"), person_id=person_id),
            "_type": parsing.event_type(_words(parsing.text(F.col("event"))), EVENT_TYPE_OF),
        }
    )
    listed = named.withColumns({"_list": _list_text(), **_amount_texts()})
    parsed = listed.withColumn("_products", F.from_json("_list", _PRODUCTS))
    times = {name: _time(name, types[name]) for name in ("timestamp", "created_at")}
    money = {name: parsing.amount(F.col(f"_{name}")) for name in MONEY}
    values = {
        **{name: amount.value for name, amount in money.items()},
        **_context(),
        **_traffic(),
        "event_id": parsing.text(F.col("uuid")),
        "event_type": F.col("_type"),
        "event_name": parsing.text(F.col("event")),
        "event_ts": times["timestamp"].value,
        "received_at": times["created_at"].value,
        "visitor_id": _visitor_id(),
        "user_id": _user_id(),
        "properties": parsing.merged_properties(F.col("properties"), F.col("_rest")),
    }
    products = F.col("_products")
    issues = parsing.issues(
        (INVALID_EVENT_TS, times["timestamp"].is_invalid),
        *((INVALID_NUMBER, amount.is_invalid) for amount in money.values()),
        (
            INVALID_NUMBER,
            parsing.numbers_invalid(products, whole=["quantity"], amounts=["price", "discount"]),
        ),
        (INVALID_ITEMS, parsing.list_invalid(F.col("_list"), products)),
    )
    agent = F.coalesce(_property("$raw_user_agent"), _property("$user_agent"))
    return candidates(parsed, values, items=_items(), issues=issues, user_agent=agent)


def _property(*names: str) -> SparkColumn:
    """Return the text of the first of these properties that is given."""
    return F.coalesce(*[parsing.text(F.col("_p")[name]) for name in names])


def _time(name: str, type_: str) -> parsing.Parsed:
    if type_ == "timestamp":
        return parsing.Parsed(F.col(name), F.lit(False))
    return parsing.timestamp(F.col(name))


def _words(name: SparkColumn) -> SparkColumn:
    parted = F.regexp_replace(name, "([a-z])([A-Z])", "$1 $2")
    return F.lower(F.regexp_replace(parted, r"[\s_-]+", " "))


# -- people --------------------------------------------------------------------------------------


def _visitor_id() -> SparkColumn:
    before = F.when(F.col("event") == "$identify", _property("$anon_distinct_id"))
    return F.coalesce(_property("$device_id"), before, parsing.text(F.col("distinct_id")))


def _user_id() -> SparkColumn:
    is_identified = parsing.boolean(F.col("_p")["$is_identified"])
    has_profile = F.coalesce(parsing.boolean(F.col("_p")["$process_person_profile"]), F.lit(True))
    is_of_device = _property("$device_id").isNotNull() | F.coalesce(
        _property("$lib").isin(*LIBRARIES_OF_DEVICES), F.lit(False)
    )
    names_person = F.coalesce(
        F.when(F.col("event") == "$identify", F.lit(True)),
        is_identified,
        F.when(_property("$user_id").isNotNull(), F.lit(True)),
        ~is_of_device & has_profile,
    )
    return F.when(names_person, parsing.text(F.col("distinct_id")))


# -- what an event says --------------------------------------------------------------------------


def _context() -> dict[str, SparkColumn]:
    referrer = _property("$referrer")
    is_flag = F.col("event") == "$feature_flag_called"
    return {
        "source_session_id": _property("$session_id"),
        "page_url": _property("$current_url"),
        "referrer": F.when(referrer != "$direct", referrer),
        "device_type": F.lower(_property("$device_type")),
        "browser": _property("$browser"),
        "os": _property("$os"),
        "country": _property("$geoip_country_code"),
        "language": _property("$browser_language", "$locale"),
        "search_term": _property("query", "search_term"),
        "experiment_id": F.when(is_flag, _property("$feature_flag")),
        "variant_id": F.when(is_flag, _property("$feature_flag_response")),
        "order_id": _property("order_id", "transaction_id"),
        "coupon": _property("coupon"),
        "currency": F.upper(_property("currency")),
    }


def _traffic() -> dict[str, SparkColumn]:
    url = _property("$current_url")
    knows_entry = _property("$session_entry_url").isNotNull()

    def kept(name: str) -> SparkColumn:
        of_session = _property(f"$session_entry_{name}")
        return F.coalesce(of_session, F.when(~knows_entry, _property(name)))

    campaign = {
        name: F.coalesce(parsing.query_parameter(url, name), kept(name))
        for name in ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
    }
    clicks = [kept(name) for name in parsing.CLICK_ID_PARAMETERS]
    return {**campaign, "click_id": F.coalesce(parsing.click_id(url), *clicks)}


def _amount_texts() -> dict[str, SparkColumn]:
    """Return the amounts of the event as text, by the contract's names with a dash before."""
    total = _property("total", "revenue", "subtotal", "value")
    return {
        "_order_total": F.when(F.col("_type").isin("purchase", "refund"), total),
        **{f"_{name}": _property(name) for name in ("tax", "shipping", "discount")},
    }


# -- items ---------------------------------------------------------------------------------------


def _list_text() -> SparkColumn:
    """Return the event's products as a JSON list; one that is the event itself as a list of it."""
    names_product = F.coalesce(F.col("_p")["product_id"], F.col("_p")["sku"]).isNotNull()
    itself = F.concat(F.lit("["), F.col("properties"), F.lit("]"))
    return F.coalesce(_property("products", "items"), F.when(names_product, itself))


def _items() -> SparkColumn:
    return F.transform("_products", _item)


def _item(raw: SparkColumn, position: SparkColumn) -> SparkColumn:
    def first(*names: str) -> SparkColumn:
        return F.coalesce(*[parsing.text(raw[name]) for name in names])

    return parsing.item(
        line_id=(position + 1).cast("string"),
        product_id=first("product_id", "sku", "item_id", "id"),
        product_name=first("name", "product_name", "item_name"),
        category=first("category"),
        brand=first("brand"),
        variant=first("variant"),
        quantity=parsing.whole_number(raw["quantity"]).value,
        unit_price=parsing.amount(raw["price"]).value,
        discount=parsing.amount(raw["discount"]).value,
    )


ADAPTER = Adapter(
    name="posthog",
    description="PostHog's batch export of events (JSON lines, Parquet)",
    columns=COLUMNS,
    adapt=adapt,
    person_columns=(
        "distinct_id",
        "person_id",
        *DROPPED,
        *[f"properties.{name}" for name in OF_PERSONS],
    ),
)
