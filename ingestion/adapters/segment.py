"""Segment: raw calls as its HTTP API takes them and its S3 archives keep them, as JSON lines.

Read are `track`, `page`, `screen`, `identify`, `group` and `alias` calls, with the events of the
e-commerce spec, version 2, and the names they had in version 1 (compared without regard to case).
Archives are named without a suffix, so every file is taken for JSON lines, or one JSON array.

- **Event id**: `messageId`. Two calls with one are duplicates.
- **Time**: `timestamp`, which Segment has already corrected by the clock of the sender. Where it is
  missing, the same rule is applied: `receivedAt - (sentAt - originalTimestamp)`; where one of those
  is missing, `originalTimestamp`, else `receivedAt`.
- **Visitor and user**: `anonymousId`, and `userId`. A call without the first comes from a server:
  its visitor is `previousId` (of `alias`), else `userId`. Segment has no sessions.
- **Types**: `page` and `screen` are page views, with the category, else the name, as page type. The
  spec's events are mapped where they have a meaning here (see `EVENT_TYPE_OF`): a filtered list is
  a list viewed, entered payment a step of the checkout. All others are custom, under their name,
  `Order Updated` and `Order Cancelled` too: Segment gives no rule for what they do to an order's
  amount, and a cancelled order that is also refunded would count twice. `identify`, `group` and
  `alias` are custom events of that name and tie the visitor to the user.
- **Orders**: `order_id`. The order's total is `total`, which has discounts, tax and shipping in it;
  else `revenue`, which is without tax and shipping. Products come from `products`, or from the
  properties themselves, where an event is about one; lines are numbered by position. A product's
  id is `product_id`, else `id` (version 1), else `sku`. Amounts and products are read of the
  spec's events only: another event may call anything `total`, and keeps it in `properties`.
- **Traffic**: `context.campaign`, else the query of the page's URL; click ids from that query.
- **Bots** are known by `context.userAgent`.
- **Properties**: Segment's own `properties` as they came, the rest of `context` under that name
  (the fields that Segment publishes), and the call's other fields.
- **Dropped**: `context.ip`; `traits`, which are a person's name and addresses; ids of devices and
  advertising; a position's latitude and longitude; `integrations`, `_metadata` and `writeKey`,
  which are about the delivery and not the event.
"""

from __future__ import annotations

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ingestion.adapters import parsing
from ingestion.adapters.adapter import Adapter, candidates
from ingestion.contract.events import CUSTOM_EVENT_TYPE, Column
from ingestion.contract.rules import INVALID_EVENT_TS, INVALID_ITEMS, INVALID_NUMBER

COLUMNS = (
    Column("type", is_required=True),
    Column("event"),
    Column("messageId", is_required=True),
    Column("anonymousId"),
    Column("userId"),
    Column("previousId"),
    Column("timestamp"),
    Column("originalTimestamp"),
    Column("sentAt"),
    Column("receivedAt"),
    Column("name"),
    Column("category"),
    Column("properties"),
    Column("context"),
    Column("traits"),
    Column("integrations"),
    Column("_metadata"),
    Column("writeKey"),
)
EVENT_TYPE_OF_SPEC = {
    "products searched": "search",
    "product list viewed": "product_list_view",
    "product list filtered": "product_list_view",
    "product clicked": "product_click",
    "product viewed": "product_view",
    "product added": "add_to_cart",
    "wishlist product added to cart": "add_to_cart",
    "product removed": "remove_from_cart",
    "checkout started": "checkout_start",
    "checkout step viewed": "checkout_step",
    "checkout step completed": "checkout_step",
    "payment info entered": "checkout_step",
    "order completed": "purchase",
    "order refunded": "refund",
}
"""The events of the spec's version 2 with a meaning in the warehouse, in lower case."""

EVENT_TYPE_OF = {
    **EVENT_TYPE_OF_SPEC,
    # Version 1 of the spec.
    "viewed product category": "product_list_view",
    "clicked product": "product_click",
    "viewed product": "product_view",
    "added product": "add_to_cart",
    "removed product": "remove_from_cart",
    "started order": "checkout_start",
    "viewed checkout step": "checkout_step",
    "completed checkout step": "checkout_step",
    "completed order": "purchase",
}
"""The same of both versions."""

OTHER_EVENTS_OF_SPEC = (
    "promotion viewed",
    "promotion clicked",
    "cart viewed",
    "order updated",
    "order cancelled",
    "coupon entered",
    "coupon applied",
    "coupon denied",
    "coupon removed",
    "product added to wishlist",
    "product removed from wishlist",
    "product shared",
    "cart shared",
    "product reviewed",
)

_PRODUCT = "product_id:string,id:string,sku:string,name:string,category:string,brand:string,"
_PRODUCT += "variant:string,price:string,quantity:string"
_PRODUCTS = f"array<struct<{_PRODUCT}>>"
_AMOUNTS = ("total", "revenue", "tax", "shipping", "discount")
_PROPERTIES = f"struct<{_PRODUCT},products:string,order_id:string,orderId:string,"
_PROPERTIES += "coupon:string,coupon_id:string,currency:string,query:string,url:string,"
_PROPERTIES += "referrer:string," + ",".join(f"{name}:string" for name in _AMOUNTS) + ">"
_CONTEXT = """struct<
    active:string, app:map<string,string>, campaign:map<string,string>,
    device:struct<manufacturer:string,model:string,type:string,version:string>,
    groupId:string, library:map<string,string>, locale:string,
    location:struct<city:string,country:string,region:string>,
    network:map<string,string>, os:struct<name:string,version:string>,
    page:struct<path:string,referrer:string,search:string,title:string,url:string>,
    referrer:map<string,string>, screen:map<string,string>, timezone:string, userAgent:string
>"""
_REST_OF_CONTEXT = (
    "active",
    "app",
    "campaign",
    "device",
    "groupId",
    "library",
    "location",
    "network",
    "os",
    "page",
    "referrer",
    "screen",
    "timezone",
    "userAgent",
)
_DEVICE_TYPES = {"ios": "mobile", "android": "mobile"}


def adapt(rows: DataFrame) -> DataFrame:
    """Map Segment's calls to candidates."""
    names = ("type", "event", "messageId", "anonymousId", "userId", "previousId")
    call, event, message, anonymous, user, previous = (parsing.text(F.col(n)) for n in names)
    call = F.lower(call)
    is_page = call.isin("page", "screen")
    # Columns of their own, for they are used often: inside one another, expressions multiply.
    parsed = rows.withColumns(
        {
            "own": F.from_json("properties", _PROPERTIES),
            "around": F.from_json("context", _CONTEXT),
            "of_spec": (call == "track")
            & F.lower(event).isin(*EVENT_TYPE_OF, *OTHER_EVENTS_OF_SPEC),
        }
    )
    of_spec = F.col("of_spec")
    amounts = {n: parsing.amount(F.when(of_spec, F.col("own")[n])) for n in _AMOUNTS}
    items, items_invalid = _items(of_spec)
    event_ts, event_ts_invalid = _event_ts()
    number_invalid = items.is_invalid
    for amount in amounts.values():
        number_invalid = number_invalid | amount.is_invalid
    values = {
        "event_id": message,
        "event_type": F.when(is_page, F.lit("page_view"))
        .when(call == "track", parsing.event_type(F.lower(event), EVENT_TYPE_OF))
        .when(call.isNotNull(), F.lit(CUSTOM_EVENT_TYPE)),
        "event_name": F.when(call == "track", event).otherwise(call),
        "event_ts": event_ts,
        "received_at": parsing.timestamp(F.col("receivedAt")).value,
        "visitor_id": F.coalesce(anonymous, F.when(call == "alias", previous), user),
        "user_id": user,
        "page_type": F.when(is_page, _first(F.col("category"), _own("category"), _page_name())),
        **_order(of_spec, amounts),
        **_traffic(is_page),
        **_visit(),
        "properties": _properties(),
    }
    return candidates(
        parsed,
        values,
        items=items.value,
        issues=parsing.issues(
            (INVALID_EVENT_TS, event_ts_invalid),
            (INVALID_NUMBER, number_invalid),
            (INVALID_ITEMS, items_invalid),
        ),
        user_agent=F.col("around")["userAgent"],
    )


def _own(name: str) -> SparkColumn:
    return F.col("own")[name]


def _page_name() -> SparkColumn:
    return _first(F.col("name"), _own("name"))


def _first(*columns: SparkColumn) -> SparkColumn:
    return F.coalesce(*[parsing.text(column) for column in columns])


def _event_ts() -> tuple[SparkColumn, SparkColumn]:
    """Return the corrected time of the call, and whether what gives it is no time."""
    given, original, sent, received = (
        parsing.timestamp(F.col(name))
        for name in ("timestamp", "originalTimestamp", "sentAt", "receivedAt")
    )
    corrected = parsing.corrected_time(received.value, sent.value, original.value)
    value = F.coalesce(given.value, corrected, original.value, received.value)
    return value, given.is_invalid | (given.value.isNull() & original.is_invalid)


def _items(of_spec: SparkColumn) -> tuple[parsing.Parsed, SparkColumn]:
    """Return the products of an event of the spec, and whether `products` is no list of them."""
    products = parsing.text(F.when(of_spec, _own("products")))
    listed = F.from_json(products, _PRODUCTS)
    is_single = of_spec & F.coalesce(_own("product_id"), _own("sku")).isNotNull()
    single = F.when(is_single, F.array(_product(F.col("own"))))
    raw = F.when(products.isNotNull(), F.transform(listed, _product)).otherwise(single)
    return parsing.typed_items(raw), parsing.list_invalid(products, listed)


def _product(source: SparkColumn) -> SparkColumn:
    return parsing.item_texts(
        product_id=_first(source["product_id"], source["id"], source["sku"]),
        product_name=source["name"],
        category=source["category"],
        brand=source["brand"],
        variant=source["variant"],
        quantity=source["quantity"],
        unit_price=source["price"],
    )


def _order(of_spec: SparkColumn, amounts: dict[str, parsing.Parsed]) -> dict[str, SparkColumn]:
    def if_of_spec(*names: str) -> SparkColumn:
        return F.when(of_spec, _first(*[_own(name) for name in names]))

    return {
        "order_id": if_of_spec("order_id", "orderId"),
        "order_total": F.coalesce(amounts["total"].value, amounts["revenue"].value),
        "tax": amounts["tax"].value,
        "shipping": amounts["shipping"].value,
        "discount": amounts["discount"].value,
        "coupon": if_of_spec("coupon", "coupon_id"),
        "currency": F.upper(if_of_spec("currency")),
        "search_term": if_of_spec("query"),
    }


def _traffic(is_page: SparkColumn) -> dict[str, SparkColumn]:
    page, campaign = F.col("around")["page"], F.col("around")["campaign"]
    url = _first(page["url"], F.when(is_page, _own("url")))
    utm = {
        f"utm_{name}": _first(campaign[theirs], parsing.query_parameter(url, f"utm_{name}"))
        for name, theirs in (
            ("source", "source"),
            ("medium", "medium"),
            ("campaign", "name"),
            ("term", "term"),
            ("content", "content"),
        )
    }
    return {
        "page_url": url,
        "referrer": _first(page["referrer"], F.when(is_page, _own("referrer"))),
        "click_id": parsing.click_id(url),
        **utm,
    }


def _visit() -> dict[str, SparkColumn]:
    context = F.col("around")
    device = F.lower(_first(context["device"]["type"]))
    for theirs, ours in _DEVICE_TYPES.items():
        device = F.when(device == theirs, F.lit(ours)).otherwise(device)
    return {
        "device_type": device,
        "os": _first(context["os"]["name"]),
        "country": _first(context["location"]["country"]),
        "language": _first(context["locale"]),
    }


def _properties() -> SparkColumn:
    given = parsing.text(F.col("properties"))
    own = F.when(given.startswith("{"), given).otherwise(
        F.when(given.isNotNull(), F.to_json(F.struct(given.alias("properties"))))
    )
    context = F.struct(*[F.col("around")[name].alias(name) for name in _REST_OF_CONTEXT])
    call = F.to_json(
        F.struct(
            F.when(_own("name").isNull(), F.col("name")).alias("name"),
            F.when(_own("category").isNull(), F.col("category")).alias("category"),
            F.col("previousId"),
            F.when(F.col("around").isNotNull(), context).alias("context"),
        )
    )
    of_call = F.when(~call.isin("{}", '{"context":{}}'), call)
    return parsing.merged_properties(own, of_call, F.col("extra"))


ADAPTER = Adapter(
    name="segment",
    description="Segment's raw calls with the e-commerce spec (JSON lines, S3 archives)",
    columns=COLUMNS,
    adapt=adapt,
    person_columns=("anonymousId", "userId", "previousId", "traits"),
    format="jsonl",
)
