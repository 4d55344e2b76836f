"""Snowplow: enriched events, as tab-separated text without a header: 131 columns by position.

That is what Enrich writes to its stream and its archives hold (files such as `part-00000`, packed
or not); every file is taken for it, whatever its name. A row with another number of columns is set
aside. The texts of the self-describing JSON columns (`unstruct_event`, `contexts`,
`derived_contexts`) must be readable, else the row is set aside as `invalid_items`.

- **Event id**: `event_id`, alone. Snowplow knows two kinds of duplicates: those with the same
  `event_fingerprint`, which were sent or processed twice, and those with another one, copies that
  crawlers and page savers make. Of both the first that is loaded stays and the others count as
  duplicates; the fingerprint is in `properties`.
- **Time**: `derived_tstamp`, which Snowplow has corrected by the clock of the sender. Where it is
  missing its own rule is applied: `true_tstamp`, else `collector_tstamp - (dvce_sent_tstamp -
  dvce_created_tstamp)`, else `collector_tstamp`, else `dvce_created_tstamp`.
- **Visitor and user**: `domain_userid`, else `network_userid`, else `user_fingerprint`, else
  `user_id`; the user is `user_id`. Ids inside entities are not read.
- **Session**: `domain_sessionid`, else that of the entity `client_session`, else the visitor's
  count of sessions, `domain_sessionidx`.
- **Types**: `page_view` and `screen_view` are page views, `site_search` is a search. Of
  `snowplow_ecommerce_action` the event's name is its `type`: `list_view`, `list_click`,
  `product_view`, `add_to_cart`, `remove_from_cart`, `checkout_step` (with step 1 the checkout's
  start), `transaction` (a purchase) and `refund`. So are the older `add_to_cart` and
  `remove_from_cart`, and the older `transaction` and `transaction_item`. A structured event is
  custom under its action; all others, `page_ping` too, are custom under their name.
- **Orders**: the id, total, tax, shipping and currency of a purchase are those of the entity
  `transaction` (`revenue`) or of `tr_orderid`, `tr_total`, `tr_tax`, `tr_shipping` and
  `tr_currency`, as the shop sends them: Snowplow does not say whether the total has tax and
  shipping in it. A refund has those of the entity `refund`.
- **Lines**: entities `product`, numbered by position. Each `transaction_item` is a purchase event
  of one line; its line id is a hash of what it says of the product, so that a page that is loaded
  again counts its lines once, though its events have new ids.
- **Traffic**: `mkt_*`, else the query of `page_url`, also for click ids.
- **Bots**: the user agent, and what the enrichments say: `br_type`, the IAB's list, YAUAA's class.
- **Properties**: the columns that are not mapped, the event's own data as `event_data`, and the
  entities as `contexts`, each with its schema.
- **Dropped**: `user_ipaddress` and what is looked up by it but country, region, city and time
  zone; ids of other devices and sites (`user_fingerprint`, `refr_domain_userid`); entities that
  name a person or device (`user`, `client_session`, HTTP headers and cookies); parts of URLs, which
  stand in `page_url` and `page_referrer`; the plug-ins of old browsers; the versions, tags and
  times of processing.
"""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ingestion.adapters import parsing
from ingestion.adapters.adapter import Adapter, candidates
from ingestion.adapters.snowplow_columns import COLUMN_NAMES, KEPT_IN_PROPERTIES
from ingestion.contract.events import Column
from ingestion.contract.rules import INVALID_EVENT_TS, INVALID_ITEMS, INVALID_NUMBER

EVENT_TYPE_OF = {
    "page_view": "page_view",
    "screen_view": "page_view",
    "site_search": "search",
    "list_view": "product_list_view",
    "list_click": "product_click",
    "product_view": "product_view",
    "add_to_cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart",
    "checkout_step": "checkout_step",
    "transaction": "purchase",
    "transaction_item": "purchase",
    "refund": "refund",
}
ECOMMERCE = "com.snowplowanalytics.snowplow.ecommerce"
ACTION = f"{ECOMMERCE}/snowplow_ecommerce_action"
VENDORS_MAPPED = (
    "com.snowplowanalytics.snowplow",
    ECOMMERCE,
    "com.snowplowanalytics.mobile",
)
"""Whose events are mapped by name; another vendor may call anything `refund`."""

PERSONAL_ENTITIES = (
    f"{ECOMMERCE}/user",
    "com.snowplowanalytics.snowplow/client_session",
    "org.ietf/http_header",
    "org.ietf/http_cookie",
)
_ENTITIES = "array<struct<schema:string,data:string>>"
_PRODUCT_FIELDS = ("id", "name", "category", "brand", "variant", "quantity", "price", "currency")
_PRODUCTS = "array<struct<" + ",".join(f"{name}:string" for name in _PRODUCT_FIELDS) + ">>"
_EVENT_DATA_FIELDS = (
    "type",
    "sku",
    "name",
    "category",
    "unitPrice",
    "price",
    "quantity",
    "currency",
)
_SINGLE_ENTITIES = {
    "transaction": (
        f"{ECOMMERCE}/transaction",
        "transaction_id,revenue,currency,tax,shipping,discount_code,discount_amount",
    ),
    "refund": (f"{ECOMMERCE}/refund", "transaction_id,currency,refund_amount"),
    "cart": (f"{ECOMMERCE}/cart", "currency"),
    "checkout": (f"{ECOMMERCE}/checkout_step", "step,coupon_code"),
    "page": (f"{ECOMMERCE}/page", "type,language"),
    "session": ("com.snowplowanalytics.snowplow/client_session", "sessionId"),
    "ua_parser": ("com.snowplowanalytics.snowplow/ua_parser_context", "useragentFamily,osFamily"),
    "yauaa": ("nl.basjes/yauaa_context", "agentName,operatingSystemName,deviceClass"),
    "iab": ("com.iab.snowplow/spiders_and_robots", "spiderOrRobot"),
}
"""Entities of which an event has one at most: their schema, and the fields that are read."""

_DEVICE_TYPES = {"computer": "desktop", "phone": "mobile"}


def adapt(rows: DataFrame) -> DataFrame:
    """Map enriched events to candidates."""
    parsed = _with_entities(rows).withColumn("name_of_event", _event_name())
    name = F.col("name_of_event")
    is_item = _text("event") == "transaction_item"
    items, items_invalid = _items(is_item)
    amounts = _amounts()
    event_ts, event_ts_invalid = _event_ts()
    invalid_numbers = [items.is_invalid, *[amount.is_invalid for amount in amounts.values()]]
    values = {
        "event_id": _text("event_id"),
        "event_type": _event_type(name),
        "event_name": name,
        "event_ts": event_ts,
        "received_at": parsing.timestamp(F.col("collector_tstamp")).value,
        "visitor_id": F.coalesce(
            *[_text(n) for n in ("domain_userid", "network_userid", "user_fingerprint", "user_id")]
        ),
        "user_id": _text("user_id"),
        "source_session_id": F.coalesce(
            _text("domain_sessionid"), _entity("session", "sessionId"), _text("domain_sessionidx")
        ),
        **{contract_name: amount.value for contract_name, amount in amounts.items()},
        **_order(),
        **_traffic(),
        **_visit(),
        "is_bot": _is_bot(),
        "properties": _properties(),
    }
    return candidates(
        parsed,
        values,
        items=items.value,
        issues=parsing.issues(
            (INVALID_EVENT_TS, event_ts_invalid),
            (INVALID_NUMBER, reduce(SparkColumn.__or__, invalid_numbers)),
            (INVALID_ITEMS, items_invalid),
        ),
        user_agent=F.col("useragent"),
    )


def _text(name: str) -> SparkColumn:
    return parsing.text(F.col(name))


def _entity(name: str, field: str) -> SparkColumn:
    return parsing.text(F.col(f"entity_{name}")[field])


# -- self-describing JSON ------------------------------------------------------------------------


def _with_entities(rows: DataFrame) -> DataFrame:
    """Add the event's own data, the list of all entities, and each that is read as a struct."""
    own = F.from_json("unstruct_event", "struct<data:struct<schema:string,data:string>>")["data"]
    data = "struct<" + ",".join(f"{name}:string" for name in _EVENT_DATA_FIELDS) + ">"
    step_1 = rows.withColumns(
        {
            "own_schema": own["schema"],
            "own_data": own["data"],
            "own": F.from_json(own["data"], data),
            "custom_entities": _entities("contexts"),
            "derived_entities": _entities("derived_contexts"),
        }
    )
    both = F.concat(
        *[
            F.coalesce(F.col(name), F.array().cast(_ENTITIES))
            for name in ("custom_entities", "derived_entities")
        ]
    )
    step_2 = step_1.withColumn("entities", both)
    return step_2.withColumns(
        {
            f"entity_{name}": F.from_json(
                F.get(_of_schema(schema), F.lit(0))["data"],
                "struct<" + ",".join(f"{field}:string" for field in fields.split(",")) + ">",
            )
            for name, (schema, fields) in _SINGLE_ENTITIES.items()
        }
    )


def _entities(name: str) -> SparkColumn:
    return F.from_json(name, f"struct<data:{_ENTITIES}>")["data"]


def _of_schema(schema: str) -> SparkColumn:
    return F.filter("entities", lambda entity: entity["schema"].startswith(f"iglu:{schema}/"))


def _unreadable() -> SparkColumn:
    """Return true where a column of self-describing JSON holds none."""
    flags = [_text("unstruct_event").isNotNull() & F.col("own_schema").isNull()]
    for name, entities in (
        ("contexts", F.col("custom_entities")),
        ("derived_contexts", F.col("derived_entities")),
    ):
        flags.append(parsing.list_invalid(F.col(name), entities))
    return reduce(SparkColumn.__or__, flags)


# -- what the event is ---------------------------------------------------------------------------


def _event_name() -> SparkColumn:
    """Return the name of the event: an action's type, a schema's name, or the kind of event."""
    own_name = F.regexp_extract(F.col("own_schema"), r"^iglu:[^/]+/([^/]+)/", 1)
    action = F.when(F.col("own_schema").startswith(f"iglu:{ACTION}/"), F.col("own")["type"])
    kind = _text("event")
    return F.coalesce(
        F.when(kind == "struct", _text("se_action")),
        action,
        F.when(kind == "unstruct", F.coalesce(parsing.text(own_name), _text("event_name"))),
        kind,
        _text("event_name"),
    )


def _event_type(name: SparkColumn) -> SparkColumn:
    vendor = F.regexp_extract(F.col("own_schema"), r"^iglu:([^/]+)/", 1)
    is_named_by_shop = (_text("event") == "struct") | ~vendor.isin(*VENDORS_MAPPED)
    starts = parsing.whole_number(_entity("checkout", "step")).value == 1
    return (
        F.when(name.isNull(), F.lit(None))
        .when(is_named_by_shop, F.lit("custom"))
        .when((name == "checkout_step") & starts, F.lit("checkout_start"))
        .otherwise(parsing.event_type(name, EVENT_TYPE_OF))
    )


def _event_ts() -> tuple[SparkColumn, SparkColumn]:
    """Return the corrected time of the event, and whether what gives it is no time."""
    derived, true, collector, created, sent = (
        parsing.timestamp(F.col(f"{name}_tstamp"))
        for name in ("derived", "true", "collector", "dvce_created", "dvce_sent")
    )
    corrected = parsing.corrected_time(collector.value, sent.value, created.value)
    value = F.coalesce(derived.value, true.value, corrected, collector.value, created.value)
    return value, derived.is_invalid | (value.isNull() & collector.is_invalid)


# -- orders and products -------------------------------------------------------------------------


def _amounts() -> dict[str, parsing.Parsed]:
    total = F.coalesce(
        _entity("refund", "refund_amount"), _entity("transaction", "revenue"), _text("tr_total")
    )
    return {
        "order_total": parsing.amount(total),
        "tax": parsing.amount(F.coalesce(_entity("transaction", "tax"), _text("tr_tax"))),
        "shipping": parsing.amount(
            F.coalesce(_entity("transaction", "shipping"), _text("tr_shipping"))
        ),
        "discount": parsing.amount(_entity("transaction", "discount_amount")),
    }


def _order() -> dict[str, SparkColumn]:
    currencies = (
        _entity("refund", "currency"),
        _entity("transaction", "currency"),
        _entity("cart", "currency"),
        parsing.text(F.col("own")["currency"]),
        _text("tr_currency"),
        _text("ti_currency"),
        parsing.text(F.get(_products(), F.lit(0))["currency"]),
    )
    return {
        "order_id": F.coalesce(
            _entity("refund", "transaction_id"),
            _entity("transaction", "transaction_id"),
            _text("tr_orderid"),
            _text("ti_orderid"),
        ),
        "coupon": F.coalesce(
            _entity("transaction", "discount_code"), _entity("checkout", "coupon_code")
        ),
        "currency": F.upper(F.coalesce(*currencies)),
    }


def _products_text() -> SparkColumn:
    data = F.transform(_of_schema(f"{ECOMMERCE}/product"), lambda entity: entity["data"])
    return F.concat(F.lit("["), F.array_join(data, ","), F.lit("]"))


def _products() -> SparkColumn:
    return F.from_json(_products_text(), _PRODUCTS)


def _items(is_item: SparkColumn) -> tuple[parsing.Parsed, SparkColumn]:
    """Return the event's products, and whether the JSON they stand in is unreadable."""
    products = _products()
    raw = (
        F.when(is_item, F.array(_transaction_item()))
        .when(F.col("own")["sku"].isNotNull(), F.array(_cart_item()))
        .when(F.size(products) > 0, F.transform(products, _product))
    )
    return parsing.typed_items(raw), _unreadable() | products.isNull()


def _product(entity: SparkColumn) -> SparkColumn:
    return parsing.item_texts(
        product_id=entity["id"],
        product_name=entity["name"],
        category=entity["category"],
        brand=entity["brand"],
        variant=entity["variant"],
        quantity=entity["quantity"],
        unit_price=entity["price"],
    )


def _transaction_item() -> SparkColumn:
    said = [_text(f"ti_{name}") for name in ("sku", "name", "category", "price", "quantity")]
    sku, name, category, price, quantity = said
    return parsing.item_texts(
        line_id=parsing.content_hash(*said),
        product_id=sku,
        product_name=name,
        category=category,
        unit_price=price,
        quantity=quantity,
    )


def _cart_item() -> SparkColumn:
    """The product of the older events of the cart."""
    own = F.col("own")
    return parsing.item_texts(
        product_id=own["sku"],
        product_name=own["name"],
        category=own["category"],
        unit_price=F.coalesce(own["unitPrice"], own["price"]),
        quantity=own["quantity"],
    )


# -- where from, with what -----------------------------------------------------------------------


def _traffic() -> dict[str, SparkColumn]:
    url = _text("page_url")
    return {
        "page_url": url,
        "page_type": _entity("page", "type"),
        "referrer": _text("page_referrer"),
        "click_id": F.coalesce(_text("mkt_clickid"), parsing.click_id(url)),
        "search_term": _search_term(),
        **{
            f"utm_{name}": F.coalesce(
                _text(f"mkt_{name}"), parsing.query_parameter(url, f"utm_{name}")
            )
            for name in ("source", "medium", "campaign", "term", "content")
        },
    }


def _search_term() -> SparkColumn:
    is_search = F.col("own_schema").startswith("iglu:com.snowplowanalytics.snowplow/site_search/")
    terms = F.from_json(F.col("own_data"), "struct<terms:array<string>>")["terms"]
    return F.when(is_search, parsing.text(F.array_join(terms, " ")))


def _visit() -> dict[str, SparkColumn]:
    device = F.lower(F.coalesce(_text("dvce_type"), _entity("yauaa", "deviceClass")))
    for theirs, ours in _DEVICE_TYPES.items():
        device = F.when(device == theirs, F.lit(ours)).otherwise(device)
    return {
        "device_type": F.when(device != "unknown", device),
        "browser": F.coalesce(
            _text("br_family"),
            _entity("ua_parser", "useragentFamily"),
            _entity("yauaa", "agentName"),
            _text("br_name"),
        ),
        "os": F.coalesce(
            _text("os_family"),
            _entity("ua_parser", "osFamily"),
            _entity("yauaa", "operatingSystemName"),
            _text("os_name"),
        ),
        "country": _text("geo_country"),
        "language": F.coalesce(_text("br_lang"), _entity("page", "language")),
    }


def _is_bot() -> SparkColumn:
    is_bot = (
        F.coalesce(_text("br_type") == "Robot", F.lit(False))
        | F.coalesce(_entity("yauaa", "deviceClass").startswith("Robot"), F.lit(False))
        | F.coalesce(parsing.boolean(_entity("iab", "spiderOrRobot")), F.lit(False))
    )
    return F.when(is_bot, F.lit(True))


# -- what is kept beside the contract ------------------------------------------------------------


def _properties() -> SparkColumn:
    columns = F.to_json(F.struct(*[_text(name).alias(name) for name in KEPT_IN_PROPERTIES]))
    kept = F.array_join(F.transform(F.filter("entities", _is_kept), _as_json), ",")
    contexts = F.concat(F.lit("["), F.nullif(kept, F.lit("")), F.lit("]"))
    return parsing.json_object(columns, event_data=F.col("own_data"), contexts=contexts)


def _is_kept(entity: SparkColumn) -> SparkColumn:
    is_personal = [entity["schema"].startswith(f"iglu:{schema}/") for schema in PERSONAL_ENTITIES]
    return entity["data"].isNotNull() & ~reduce(SparkColumn.__or__, is_personal)


def _as_json(entity: SparkColumn) -> SparkColumn:
    schema = F.regexp_replace(entity["schema"], r'["\\]', "")
    return F.concat(F.lit('{"schema":"'), schema, F.lit('","data":'), entity["data"], F.lit("}"))


ADAPTER = Adapter(
    name="snowplow",
    description="Snowplow's enriched events (131 tab-separated columns, no header)",
    columns=tuple(Column(name) for name in COLUMN_NAMES),
    adapt=adapt,
    person_columns=(
        "user_id",
        "user_ipaddress",
        "user_fingerprint",
        "domain_userid",
        "network_userid",
        "refr_domain_userid",
    ),
    format="tsv",
)
