"""What shops call the contract's columns and event types: a table, the likeliest name first.

Names are compared in lower case, with every other sign as an underscore, and a dotted path also by
its last two names and its last.
"""

from __future__ import annotations

import re

COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "event_id": ("event_id", "message_id", "hit_id", "event_uuid", "insert_id", "uuid", "id"),
    "event_type": ("event_type", "event", "event_name", "action", "type", "activity", "name"),
    "event_ts": (
        "event_ts",
        "event_time",
        "event_timestamp",
        "occurred_at",
        "timestamp",
        "ts",
        "time",
        "created_at",
        "created",
        "datetime",
        "date_time",
        "event_date",
        "date",
        "server_time",
    ),
    "received_at": ("received_at", "collected_at", "ingested_at", "server_received_at"),
    "visitor_id": (
        "visitor_id",
        "anonymous_id",
        "client_id",
        "device_id",
        "cookie_id",
        "cookie",
        "visitor",
        "distinct_id",
        "user_pseudo_id",
        "visitorid",
        "fullvisitorid",
    ),
    "user_id": (
        "user_id",
        "customer_id",
        "account_id",
        "member_id",
        "userid",
        "user",
        "customer",
        "login",
    ),
    "source_session_id": (
        "session_id",
        "source_session_id",
        "user_session",
        "sessionid",
        "session",
    ),
    "order_id": (
        "order_id",
        "transaction_id",
        "order_number",
        "order_no",
        "orderid",
        "transactionid",
        "order",
        "transaction",
    ),
    "page_url": ("page_url", "page_location", "url", "current_url", "href", "uri", "page"),
    "page_type": ("page_type", "page_category", "template"),
    "referrer": ("referrer", "referer", "page_referrer", "referring_url", "ref"),
    "utm_source": ("utm_source", "campaign_source", "traffic_source"),
    "utm_medium": ("utm_medium", "campaign_medium", "traffic_medium"),
    "utm_campaign": ("utm_campaign", "campaign_name", "campaign"),
    "utm_term": ("utm_term", "campaign_term"),
    "utm_content": ("utm_content", "campaign_content"),
    "click_id": ("click_id", "gclid", "fbclid", "msclkid"),
    "device_type": ("device_type", "device_category", "devicetype", "device"),
    "browser": ("browser", "browser_name"),
    "os": ("os", "operating_system", "os_name", "platform"),
    "country": ("country", "country_code", "geo_country"),
    "language": ("language", "locale", "lang"),
    "search_term": ("search_term", "search_query", "query", "keyword", "q"),
    "experiment_id": ("experiment_id", "experiment", "ab_test", "test_id"),
    "variant_id": ("variant_id", "experiment_variant", "variation", "ab_variant"),
    "order_total": (
        "order_total",
        "total",
        "revenue",
        "order_value",
        "grand_total",
        "total_amount",
        "amount",
        "value",
    ),
    "tax": ("tax", "tax_amount", "vat"),
    "shipping": ("shipping", "shipping_cost", "shipping_amount", "delivery_cost"),
    "discount": ("discount", "discount_amount", "total_discount"),
    "coupon": ("coupon", "coupon_code", "promo_code", "voucher"),
    "currency": ("currency", "currency_code"),
    "is_bot": ("is_bot", "bot", "is_crawler"),
    "user_agent": ("user_agent", "useragent", "ua"),
}
ITEM_NAMES: dict[str, tuple[str, ...]] = {
    "product_id": ("product_id", "sku", "item_id", "productid", "itemid", "article_id", "id"),
    "product_name": ("product_name", "item_name", "product_title", "title", "name"),
    "category": ("category", "product_category", "category_code", "item_category", "category_name"),
    "brand": ("brand", "product_brand", "item_brand", "vendor", "manufacturer"),
    "variant": ("variant", "product_variant", "item_variant", "variant_name"),
    "quantity": ("quantity", "qty", "units", "count"),
    "unit_price": ("unit_price", "price", "product_price", "item_price", "sale_price"),
    "discount": ("item_discount", "line_discount", "discount"),
    "line_id": ("line_id", "line_item_id", "order_line_id", "line_number"),
}
LIST_NAMES = ("items", "products", "line_items", "lines", "cart_items", "basket", "cart")

EVENT_NAMES: dict[str, tuple[str, ...]] = {
    "page_view": ("page_view", "pageview", "page", "page_viewed", "screen_view", "visit"),
    "search": ("search", "products_searched", "view_search_results", "site_search", "searched"),
    "product_list_view": (
        "product_list_view",
        "product_list_viewed",
        "view_item_list",
        "category_view",
        "list_view",
    ),
    "product_click": ("product_click", "product_clicked", "select_item", "click_product"),
    "product_view": (
        "product_view",
        "product_viewed",
        "view_item",
        "view_product",
        "view",
        "detail",
        "item_view",
    ),
    "add_to_cart": (
        "add_to_cart",
        "addtocart",
        "product_added",
        "cart_add",
        "basket_add",
        "add_to_basket",
        "add",
        "cart",
        "basket",
    ),
    "remove_from_cart": (
        "remove_from_cart",
        "removefromcart",
        "product_removed",
        "cart_remove",
        "basket_remove",
        "remove_from_basket",
        "remove",
    ),
    "checkout_start": (
        "checkout_start",
        "checkout_started",
        "begin_checkout",
        "start_checkout",
        "checkout",
    ),
    "checkout_step": (
        "checkout_step",
        "checkout_step_completed",
        "add_shipping_info",
        "add_payment_info",
        "checkout_progress",
        "payment_info_entered",
    ),
    "purchase": (
        "purchase",
        "order_completed",
        "order_placed",
        "transaction",
        "order",
        "buy",
        "purchased",
        "sale",
        "checkout_completed",
    ),
    "refund": ("refund", "order_refunded", "refunded", "return"),
}


def plain_name(name: str) -> str:
    """Return a name as it is compared: `Order ID`, `orderId` and `order-id` are `order_id`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")


def type_of_event(name: str) -> str | None:
    """Return the contract's event type that shops call by this name, if there is one."""
    plain = plain_name(name)
    return next((ours for ours, names in EVENT_NAMES.items() if plain in names), None)
