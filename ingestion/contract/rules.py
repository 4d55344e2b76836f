"""What can be wrong with a row: one list of rules, read by Spark, by the docs and by the tests.

A rule's predicate is Spark SQL over the contract's columns and `items`, true for a row it is
about. Rules without one are found while the row is read or its values are parsed: the readers and
the adapters name them in `row_issue`, `parse_issues` and `repairs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LARGEST_AMOUNT = 1_000_000_000
LARGEST_QUANTITY = 1_000_000
LONGEST_ID = 512
# With an event id it must fit into one entry of an index: 2,704 bytes, four a character.
LONGEST_LINE_ID = 128
LONGEST_TEXT = 8_192
LONGEST_PROPERTIES = 1_000_000
LONGEST_ROW_BYTES = 8 * 2**20
LARGEST_CLOCK_LEAD_HOURS = 24

Severity = Literal["quarantine", "repair", "flag"]


@dataclass(frozen=True)
class Rule:
    """One thing that can be wrong: its code, what it means, when it applies, what follows.

    `quarantine`: the row is set aside. `repair`: it is mended, counted and loaded. `flag`: it is
    loaded and marked.
    """

    code: str
    text: str
    predicate: str | None = None
    severity: Severity = "quarantine"


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
OVERSIZE_ROW = "oversize_row"
BYTE_ORDER_MARK_REMOVED = "byte_order_mark_removed"
NUL_REMOVED = "nul_removed"
INVALID_UTF8_REPLACED = "invalid_utf8_replaced"
LONE_SURROGATE_REPLACED = "lone_surrogate_replaced"
CLOCK_SKEW_CORRECTED = "clock_skew_corrected"
BOT_USER_AGENT = "bot_user_agent"

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
        OVERSIZE_ROW,
        f"An id is longer than {LONGEST_ID} characters, a line id than {LONGEST_LINE_ID}, a text "
        f"than {LONGEST_TEXT}, the "
        f"properties than {LONGEST_PROPERTIES}, or the row than {LONGEST_ROW_BYTES} bytes.",
        " or ".join(
            [f"length({column}) > {LONGEST_ID}" for column in _IDS]
            + [f"length({column}) > {LONGEST_TEXT}" for column in _TEXTS]
            + [f"length(properties) > {LONGEST_PROPERTIES}"]
            + [f"exists(items, i -> length(i.product_id) > {LONGEST_ID})"]
            + [f"exists(items, i -> length(i.line_id) > {LONGEST_LINE_ID})"]
        ),
    ),
    Rule(
        BYTE_ORDER_MARK_REMOVED,
        "The file begins with a byte order mark; it is taken off (its first row counts).",
        severity="repair",
    ),
    Rule(NUL_REMOVED, "NUL characters are taken out.", severity="repair"),
    Rule(
        INVALID_UTF8_REPLACED,
        "Bytes that are no UTF-8 become the replacement character.",
        severity="repair",
    ),
    Rule(
        LONE_SURROGATE_REPLACED,
        "Halves of a surrogate pair become the replacement character.",
        severity="repair",
    ),
    Rule(
        CLOCK_SKEW_CORRECTED,
        f"The event's time is more than {LARGEST_CLOCK_LEAD_HOURS} hours after its receipt; "
        "the time of receipt is taken.",
        f"event_ts > received_at + interval {LARGEST_CLOCK_LEAD_HOURS} hours "
        "and received_at >= timestamp'2000-01-01 00:00:00' "
        "and received_at < timestamp'2100-01-01 00:00:00'",
        severity="repair",
    ),
    Rule(
        BOT_USER_AGENT,
        "The user agent is on the list in `seeds/bot_user_agents.csv`: `is_bot` is set.",
        severity="flag",
    ),
)
"""In the order in which a row's reasons are listed."""


def rules_of(severity: Severity) -> tuple[Rule, ...]:
    """Return the rules of one severity, in their order."""
    return tuple(rule for rule in RULES if rule.severity == severity)
