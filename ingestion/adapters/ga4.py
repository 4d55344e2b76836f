"""Google Analytics 4's export to BigQuery: `events_*` tables, as Parquet or JSON.

A table is taken out of BigQuery as Parquet, or as JSON with one object per line or as one array;
both forms of one event give the same event. Daily and intraday tables have the same columns; every
column but the event's name, its time and `user_pseudo_id` may be absent, as those are that Google
added over the years.

**Event id.** The export has none. It is a hash of what tells two events apart, as many share a
microsecond: stream, `user_pseudo_id`, `user_id`, `event_timestamp`, `event_name`,
`event_bundle_sequence_id`, the batch columns (`batch_page_id`, `batch_ordering_id`,
`batch_event_index`), all `event_params` and the items. Attributes that Google fills in later
(traffic source, lifetime value, place) are not part of it, so that a table exported again, or the
intraday table beside the daily one, repeats events and does not add any. **Duplicates** are rows
that are equal in all of that.

**Visitor** is `user_pseudo_id`, **user** is `user_id`. Without consent Google leaves out the
former: such an event belongs to the visitor named by its `user_id`, and one without either is
quarantined as `missing_visitor_id`. **Session**: the parameter `ga_session_id`, which is unique
only within the visitor. **Time**: `event_timestamp`, microseconds UTC; there is no time of receipt.
**Bots** are not in the export, and neither is the user agent.

**Types.** `page_view` and `screen_view`; `search` and `view_search_results`; `view_item_list`,
`select_item`, `view_item`, `add_to_cart`, `remove_from_cart`, `begin_checkout`;
`add_shipping_info` and `add_payment_info` (a step of the checkout); `purchase`, `refund`. All
others (promotions, `user_engagement`, `scroll`, `session_start`, the shop's own) are `custom`.

**Order id**: `ecommerce.transaction_id`, or the parameter of that name where the former is null or
`(not set)`. **Order total** of a purchase: `ecommerce.purchase_revenue`, else the parameter
`value`, which Google wants to be the sum of price times quantity, **without tax and shipping**: a
shop that sends them with it has them in it here too. Of a refund: `ecommerce.refund_value`, else
`value`. Tax and shipping: `ecommerce.tax_value` and `shipping_value`, else `tax` and `shipping`.
All are in the event's own currency, the parameter `currency`; columns that end in `_in_usd` are
kept in the properties only.

**Items.** The line's id is its position. The product's id is `item_id`, or `item_name` where that
is not set, as Google asks for one of the two; the category is the chain of `item_category` to
`item_category5`, joined by a slash. A quantity that is not given stays so; 0 counts as not given
where products are only shown, and puts a row with goods that move (cart, purchase, refund) into
quarantine. The text `(not set)` is null in all fields of an item, of the device and of the place.

**Traffic** is the event's own, never `traffic_source`, which is the visitor's first:
`collected_traffic_source`, else the parameters `source`, `medium`, `campaign`, `term`, `content`,
`gclid` and the like, else the query of `page_location`. `session_traffic_source_last_click` is not
used: it brings the last campaign into sessions that came directly, which is for the attribution to
decide; it is kept in the properties.

**Properties**: `event_params` and `user_properties` as flat objects of name and value, what the
contract has no column for in `items`, and all other columns as they are. Nothing is dropped.
"""

from __future__ import annotations

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ingestion.adapters import parsing
from ingestion.adapters.adapter import Adapter, candidates
from ingestion.contract.events import Column
from ingestion.contract.rules import INVALID_EVENT_TS, INVALID_ITEMS, INVALID_NUMBER

EVENT_TYPE_OF = {
    "page_view": "page_view",
    "screen_view": "page_view",
    "search": "search",
    "view_search_results": "search",
    "view_item_list": "product_list_view",
    "select_item": "product_click",
    "view_item": "product_view",
    "add_to_cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart",
    "begin_checkout": "checkout_start",
    "add_shipping_info": "checkout_step",
    "add_payment_info": "checkout_step",
    "purchase": "purchase",
    "refund": "refund",
}
MONEY = ("order_total", "tax", "shipping")
MOVES_GOODS = ("add_to_cart", "remove_from_cart", "purchase", "refund")
NOT_SET = "(not set)"

_IDENTITY = (
    "stream_id",
    "user_pseudo_id",
    "user_id",
    "event_timestamp",
    "event_name",
    "event_bundle_sequence_id",
    "batch_page_id",
    "batch_ordering_id",
    "batch_event_index",
)
_NUMBERS = tuple(name for name in _IDENTITY if name.startswith(("stream", "event_bundle", "batch")))
_NESTED = ("device", "geo", "ecommerce", "collected_traffic_source")
_REQUIRED = ("user_pseudo_id", "event_timestamp", "event_name")
COLUMNS = tuple(
    Column(name, is_required=name in _REQUIRED)
    for name in (*_IDENTITY, "event_params", "user_properties", "items", *_NESTED)
)

_CATEGORIES = tuple(f"item_category{n}" for n in ("", 2, 3, 4, 5))
_MAPPED_OF_ITEM = (
    "item_id",
    "item_name",
    *_CATEGORIES,
    "item_brand",
    "item_variant",
    "quantity",
    "price",
)
_REST_OF_ITEM = (
    "coupon",
    "affiliation",
    "location_id",
    "item_list_id",
    "item_list_name",
    "item_list_index",
    "promotion_id",
    "promotion_name",
    "creative_name",
    "creative_slot",
    "price_in_usd",
    "item_revenue",
    "item_revenue_in_usd",
    "item_refund",
    "item_refund_in_usd",
)
_NUMBER = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_PARAMS = (
    "array<struct<key:string,value:struct<string_value:string,int_value:string,"
    "float_value:string,double_value:string>>>"
)


def _struct(*names: str) -> str:
    return f"struct<{','.join(f'{name}:string' for name in names)}>"


_ITEM = ",".join(f"{name}:string" for name in (*_MAPPED_OF_ITEM, *_REST_OF_ITEM))
_TYPE_OF = {
    "event_params": _PARAMS,
    "user_properties": _PARAMS,
    "items": f"array<struct<{_ITEM},item_params:{_PARAMS}>>",
    "device": (
        "struct<category:string,operating_system:string,language:string,browser:string,"
        "web_info:struct<browser:string>>"
    ),
    "geo": _struct("country"),
    "ecommerce": _struct(
        "transaction_id", "purchase_revenue", "refund_value", "tax_value", "shipping_value"
    ),
    "collected_traffic_source": _struct(
        "manual_source",
        "manual_medium",
        "manual_campaign_name",
        "manual_term",
        "manual_content",
        "gclid",
        "dclid",
        "srsltid",
    ),
}


def adapt(rows: DataFrame) -> DataFrame:
    """Map rows of the export to candidates.

    In steps, each with columns that the next uses more than once: engines compute an expression as
    often as it is written.
    """
    nested = rows.withColumns(
        {f"_{name}": F.from_json(name, type_) for name, type_ in _TYPE_OF.items()}
    )
    flat = nested.withColumns(
        {
            "_flat": _flat("_event_params"),
            "_type": parsing.event_type(_text("event_name"), EVENT_TYPE_OF),
        }
    )
    with_params = flat.withColumn("_p", F.from_json("_flat", "map<string,string>"))
    with_texts = with_params.withColumns(
        {**_amount_texts(), "_url": _param("page_location"), "_rest": _rest_of_items()}
    )
    time = parsing.timestamp(F.col("event_timestamp"))
    money = {name: parsing.amount(F.col(f"_{name}")) for name in MONEY}
    values = {
        **{name: amount.value for name, amount in money.items()},
        **_traffic(),
        **_context(),
        "event_id": _event_id(),
        "event_type": F.col("_type"),
        "event_name": _text("event_name"),
        "event_ts": time.value,
        "visitor_id": F.coalesce(_text("user_pseudo_id"), _text("user_id")),
        "user_id": _text("user_id"),
        "source_session_id": _param("ga_session_id"),
        "order_id": _order_id(),
        "coupon": _param("coupon"),
        "currency": F.upper(_param("currency")),
        "properties": _properties(),
    }
    items = F.col("_items")
    issues = parsing.issues(
        (INVALID_EVENT_TS, time.is_invalid),
        *((INVALID_NUMBER, amount.is_invalid) for amount in money.values()),
        (INVALID_NUMBER, parsing.numbers_invalid(items, whole=["quantity"], amounts=["price"])),
        (INVALID_ITEMS, parsing.list_invalid(F.col("items"), items)),
    )
    return candidates(with_texts, values, items=_items(), issues=issues)


def _param(name: str) -> SparkColumn:
    """Return the text of a parameter of the event."""
    return parsing.text(F.col("_p")[name])


def _text(name: str) -> SparkColumn:
    return parsing.text(F.col(name))


def _set(value: SparkColumn) -> SparkColumn:
    """Return the text, null where Google says that it is not set."""
    own = parsing.text(value)
    return F.when(own != NOT_SET, own)


# -- what makes an event -------------------------------------------------------------------------


def _event_id() -> SparkColumn:
    params = F.array_sort(F.transform("_event_params", _identity_of_param))
    items = F.transform("_items", _identity_of_item)
    return parsing.content_hash(
        *[_text(name) for name in _IDENTITY],
        F.array_join(params, "\x1e"),
        F.array_join(items, "\x1e"),
    )


def _identity_of_param(param: SparkColumn) -> SparkColumn:
    value = param["value"]
    return _joined(
        param["key"],
        value["string_value"],
        value["int_value"],
        _rounded(F.coalesce(value["double_value"], value["float_value"])),
    )


def _identity_of_item(item: SparkColumn) -> SparkColumn:
    names = ("item_id", "item_name", "item_variant", "quantity", "item_list_index", "promotion_id")
    return _joined(*[item[name] for name in names], _rounded(item["price"]))


def _joined(*texts: SparkColumn) -> SparkColumn:
    return F.concat_ws("\x1f", *[F.coalesce(text, F.lit("")) for text in texts])


def _rounded(number: SparkColumn) -> SparkColumn:
    """Return a number in millionths, as text: the same for 5, 5.0, "5.0" and 5E0."""
    millionths = F.floor(number.try_cast("double") * 1_000_000 + 0.5)
    return F.when(F.abs(millionths) < 10**18, millionths.cast("bigint").cast("string")).otherwise(
        number
    )


# -- what an event says --------------------------------------------------------------------------


def _context() -> dict[str, SparkColumn]:
    device = F.col("_device")
    return {
        "page_url": F.col("_url"),
        "referrer": _param("page_referrer"),
        "search_term": _param("search_term"),
        "device_type": _set(device["category"]),
        "browser": F.coalesce(_set(device["web_info"]["browser"]), _set(device["browser"])),
        "os": _set(device["operating_system"]),
        "language": _set(device["language"]),
        "country": _set(F.col("_geo")["country"]),
    }


def _traffic() -> dict[str, SparkColumn]:
    collected = F.col("_collected_traffic_source")
    url = F.col("_url")
    found = {
        f"utm_{name}": F.coalesce(
            _set(collected[f"manual_{'campaign_name' if name == 'campaign' else name}"]),
            _set(_param(name)),
            parsing.query_parameter(url, f"utm_{name}"),
        )
        for name in ("source", "medium", "campaign", "term", "content")
    }
    own = [_set(collected[name]) for name in ("gclid", "dclid", "srsltid")]
    params = [_param(name) for name in parsing.CLICK_ID_PARAMETERS]
    click_id = F.coalesce(*own, *params, parsing.click_id(url))
    return {**found, "click_id": click_id}


def _order_id() -> SparkColumn:
    """Return the order's id; what is not usable is kept where there is nothing better."""
    own = parsing.text(F.col("_ecommerce")["transaction_id"])
    is_of_order = F.col("_type").isin("purchase", "refund")
    return F.coalesce(_set(own), _set(_param("transaction_id")), F.when(is_of_order, own))


def _amount_texts() -> dict[str, SparkColumn]:
    """Return the amounts of the event as text, by the contract's names with a dash before."""
    own, value = F.col("_ecommerce"), _param("value")
    total = F.when(F.col("_type") == "purchase", F.coalesce(own["purchase_revenue"], value)).when(
        F.col("_type") == "refund", F.coalesce(own["refund_value"], value)
    )
    return {
        "_order_total": total,
        "_tax": F.coalesce(own["tax_value"], _param("tax")),
        "_shipping": F.coalesce(own["shipping_value"], _param("shipping")),
    }


# -- items ---------------------------------------------------------------------------------------


def _items() -> SparkColumn:
    moves = F.col("_type").isin(*MOVES_GOODS)

    def item(raw: SparkColumn, position: SparkColumn) -> SparkColumn:
        quantity = parsing.whole_number(raw["quantity"]).value
        return parsing.item(
            line_id=(position + 1).cast("string"),
            product_id=F.coalesce(_set(raw["item_id"]), _set(raw["item_name"])),
            product_name=_set(raw["item_name"]),
            category=parsing.text(F.concat_ws("/", *[_set(raw[name]) for name in _CATEGORIES])),
            brand=_set(raw["item_brand"]),
            variant=_set(raw["item_variant"]),
            quantity=F.when((quantity != 0) | moves, quantity),
            unit_price=parsing.amount(raw["price"]).value,
        )

    return F.transform("_items", item)


# -- properties ----------------------------------------------------------------------------------


def _properties() -> SparkColumn:
    return parsing.json_object(
        F.col("extra"),
        event_params=F.col("_flat"),
        user_properties=_flat("_user_properties"),
        items=F.when(~F.col("_rest").rlike(r"^\[(\{\},?)*\]$"), F.col("_rest")),
        **{name: F.col(name) for name in _NESTED},
        **{name: parsing.json_value(_text(name)) for name in _NUMBERS},
    )


def _flat(params: str) -> SparkColumn:
    """Return parameters as a JSON object of name and value, null when there are none."""
    members = F.array_join(F.transform(params, _member), ",")
    return F.when(members != "", F.concat(F.lit("{"), members, F.lit("}")))


def _member(param: SparkColumn) -> SparkColumn:
    value = param["value"]
    number = F.coalesce(value["int_value"], value["double_value"], value["float_value"])
    as_json = F.coalesce(
        parsing.json_value(value["string_value"]), _json_number(number), F.lit("null")
    )
    return F.concat(parsing.json_value(F.coalesce(param["key"], F.lit(""))), F.lit(":"), as_json)


def _json_number(number: SparkColumn) -> SparkColumn:
    """Return a number, whole ones without a fraction: engines write large doubles differently."""
    double = number.try_cast("double")
    is_whole = number.rlike("[.eE]") & (F.abs(double) < 1e15) & (double == F.floor(double))
    as_text = F.when(is_whole, double.cast("bigint").cast("string")).otherwise(number)
    return F.when(number.rlike(_NUMBER), as_text)


def _rest_of_items() -> SparkColumn:
    """Return, as a JSON list, what the contract has no column for, of each item in order."""
    rest = F.transform(
        "_items",
        lambda item: F.struct(
            *[_set(item[name]).alias(name) for name in _REST_OF_ITEM],
            item["item_params"].alias("item_params"),
        ),
    )
    return F.to_json(rest)


ADAPTER = Adapter(
    name="ga4",
    description="Google Analytics 4's BigQuery export (Parquet, JSON)",
    columns=COLUMNS,
    adapt=adapt,
    person_columns=("user_pseudo_id", "user_id"),
)
