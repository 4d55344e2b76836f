"""When an event is valid: one list of rules, read by Spark, by the docs and by the tests.

A rule's predicate is Spark SQL over the contract's columns and `items`, true for a bad row. Rules
without one are found while a value is parsed (the reader and the adapters name them in
`parse_issues`).
"""

from __future__ import annotations

from dataclasses import dataclass

LARGEST_AMOUNT = 1_000_000_000
LARGEST_QUANTITY = 1_000_000
LONGEST_ID = 512
LONGEST_TEXT = 8_192
LONGEST_PROPERTIES = 1_000_000


@dataclass(frozen=True)
class Rule:
    """A reason to quarantine a row: its code, what it means, and when it applies."""

    code: str
    text: str
    predicate: str | None = None


def _out_of_range(column: str) -> str:
    return f"{column} < 0 or {column} >= {LARGEST_AMOUNT}"


_EVENT_AMOUNTS = ("order_total", "tax", "shipping", "discount")
_ITEM_AMOUNTS = ("i.unit_price", "i.discount")
_IDS = ("event_id", "visitor_id", "user_id", "source_session_id", "order_id")
_TEXTS = ("page_url", "referrer", "search_term", "utm_campaign", "event_name")

UNPARSABLE_ROW = "unparsable_row"
INVALID_EVENT_TS = "invalid_event_ts"
INVALID_NUMBER = "invalid_number"
INVALID_ITEMS = "invalid_items"

RULES = (
    Rule(UNPARSABLE_ROW, "The row cannot be read: broken JSON, or another number of columns."),
    Rule("missing_event_id", "The event has no id.", "event_id is null"),
    Rule("missing_event_type", "The event has no type.", "event_type is null"),
    Rule("missing_visitor_id", "No visitor is named.", "visitor_id is null"),
    Rule(
        "missing_event_ts",
        "The event has no time.",
        f"event_ts is null and not array_contains(parse_issues, '{INVALID_EVENT_TS}')",
    ),
    Rule(INVALID_EVENT_TS, "The event's time cannot be read as one."),
    Rule(
        "event_ts_out_of_range",
        "The event's time is before 2000 or after 2099.",
        "event_ts < timestamp'2000-01-01 00:00:00' or event_ts >= timestamp'2100-01-01 00:00:00'",
    ),
    Rule(INVALID_NUMBER, "An amount or a quantity is not a number, or does not fit."),
    Rule(INVALID_ITEMS, "The items are not a list of products."),
    Rule(
        "amount_out_of_range",
        "An amount is negative, or a thousand million or more.",
        " or ".join(_out_of_range(column) for column in _EVENT_AMOUNTS)
        + f" or exists(items, i -> {' or '.join(_out_of_range(c) for c in _ITEM_AMOUNTS)})",
    ),
    Rule(
        "quantity_out_of_range",
        "A quantity is less than 1, or more than a million.",
        f"exists(items, i -> i.quantity < 1 or i.quantity > {LARGEST_QUANTITY})",
    ),
    Rule(
        "missing_product_id",
        "An item names no product.",
        "exists(items, i -> i.product_id is null)",
    ),
    Rule(
        "repeated_line_id",
        "Two items of the event have the same line id.",
        "size(array_distinct(transform(items, i -> i.line_id))) < size(items)",
    ),
    Rule(
        "oversize_row",
        f"An id is longer than {LONGEST_ID} characters, a text than {LONGEST_TEXT}, "
        f"or the properties than {LONGEST_PROPERTIES}.",
        " or ".join(
            [f"length({column}) > {LONGEST_ID}" for column in _IDS]
            + [f"length({column}) > {LONGEST_TEXT}" for column in _TEXTS]
            + [f"length(properties) > {LONGEST_PROPERTIES}"]
        ),
    ),
)
"""In the order in which a row's reasons are listed."""
