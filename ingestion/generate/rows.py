"""The rows of a block's file: the contract's columns, filled from the simulation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingestion.contract.events import ITEM_COLUMNS, SOURCE_COLUMNS
from ingestion.generate.catalog import BRANDS, CATEGORIES, VARIANTS
from ingestion.generate.columns import (
    Coded,
    Column,
    Flags,
    Ids,
    Integers,
    Items,
    Money,
    Times,
    coded,
    hexadecimal,
    scramble,
)
from ingestion.generate.defects import REPEATED_LINE, Delivery, break_columns
from ingestion.generate.journeys import State, is_any, step_numbers
from ingestion.generate.orders import COUPONS
from ingestion.generate.pages import EVENT_TYPE_OF_STATE, page_columns
from ingestion.generate.people import COUNTRY_CODES, LANGUAGES, user_ids
from ingestion.generate.simulate import Simulation
from ingestion.generate.traffic import DEVICES, TOUCHES

EXPERIMENT_ID = "checkout-button"
VARIANT_IDS = ("A", "B")
CURRENCY = "USD"
S = State
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """The contract's columns by name, the items, and each row's defect."""

    columns: dict[str, Column]
    items: Items
    defect: Ints

    def __len__(self) -> int:
        return len(self.defect)


def session_ids(sim: Simulation) -> pa.Array:
    """Return the shop's own id of each session."""
    return _ids(sim, len(sim.visits), "session")


def visitor_ids(sim: Simulation) -> pa.Array:
    """Return the id of each visitor."""
    return _ids(sim, len(sim.visitors), "visitor")


def order_ids(sim: Simulation) -> pa.Array:
    """Return the id of each order."""
    return pa.array(
        [f"O{sim.block.number:05d}{i:06d}" for i in range(len(sim.orders.event))], pa.string()
    )


def _ids(sim: Simulation, count: int, kind: str) -> pa.Array:
    salt = sim.block.options.seed + sum(kind.encode()) * 0x9E3779B97F4A7C15
    return hexadecimal(scramble((sim.block.number << 32) + np.arange(count), salt))


def build_rows(sim: Simulation, delivery: Delivery) -> Rows:
    """Fill the columns for the delivered rows and break what is to be broken."""
    event = delivery.event
    filled: dict[str, Column] = {
        **_identity(sim, delivery),
        **page_columns(sim, event),
        **_traffic(sim, event),
        **_surroundings(sim, event),
        **_money(sim, event),
    }
    columns = {c.name: filled.get(c.name) or _nothing(len(event)) for c in SOURCE_COLUMNS}
    break_columns(columns, delivery.defect)
    return Rows(columns, _items(sim, delivery), delivery.defect)


def _nothing(count: int) -> Coded:
    return Coded(np.full(count, -1), pa.array([""]))


def _none(count: int) -> NDArray[np.bool_]:
    return np.zeros(count, bool)


def _identity(sim: Simulation, delivery: Delivery) -> dict[str, Column]:
    event, no_null = delivery.event, _none(len(delivery.event))
    session = sim.session[event]
    visitor = sim.visits.visitor[session]
    first, end = sim.block.people
    person = np.where(sim.is_logged_in[event], sim.visits.person[session] - first, -1)
    state = sim.state[event]
    return {
        "event_id": Ids(delivery.event_id, no_null),
        "event_type": coded(state, EVENT_TYPE_OF_STATE),
        "event_ts": Times(sim.time[event] + sim.visitors.skew[visitor], no_null),
        "received_at": Times(delivery.received_at, ~delivery.is_stamped),
        "visitor_id": Coded(visitor, visitor_ids(sim)),
        "user_id": Coded(person, user_ids(first, end)),
        "source_session_id": Coded(session, session_ids(sim)),
        "order_id": Coded(sim.order[event], order_ids(sim)),
    }


def _traffic(sim: Simulation, event: Ints) -> dict[str, Column]:
    """Only the page a session begins on knows where the visitor came from."""
    session = sim.session[event]
    is_landing = (sim.step[event] == 0) & (sim.state[event] != S.REFUND)
    touch = np.where(is_landing, sim.touch[session], -1)
    has_click = np.array([t.click_prefix is not None for t in TOUCHES] + [False])[touch]
    prefixes = pa.array([t.click_prefix or "" for t in TOUCHES]).take(pa.array(sim.touch))
    clicks = pc.binary_join_element_wise(prefixes, session_ids(sim), "")
    return {
        "referrer": coded(touch, tuple(t.referrer for t in TOUCHES)),
        "utm_source": coded(touch, tuple(t.source for t in TOUCHES)),
        "utm_medium": coded(touch, tuple(t.medium for t in TOUCHES)),
        "utm_campaign": coded(touch, tuple(t.campaign for t in TOUCHES)),
        "utm_term": coded(touch, tuple(t.term for t in TOUCHES)),
        "utm_content": coded(touch, tuple(t.content for t in TOUCHES)),
        "click_id": Coded(np.where(has_click, session, -1), clicks),
    }


def _surroundings(sim: Simulation, event: Ints) -> dict[str, Column]:
    visitor = sim.visitor[event]
    device, country = sim.visitors.device[visitor], sim.visitors.country[visitor]
    surroundings: dict[str, Column] = {
        "device_type": coded(device, tuple(d.type for d in DEVICES)),
        "browser": coded(device, tuple(d.browser for d in DEVICES)),
        "os": coded(device, tuple(d.os for d in DEVICES)),
        "country": coded(country, COUNTRY_CODES),
        "language": coded(country, LANGUAGES),
        "is_bot": Flags(sim.visitors.is_bot[visitor]),
    }
    if sim.block.options.experiment:
        surroundings["experiment_id"] = coded(np.zeros(len(event), np.int64), (EXPERIMENT_ID,))
        surroundings["variant_id"] = coded(sim.visitors.variant[visitor], VARIANT_IDS)
    return surroundings


def _money(sim: Simulation, event: Ints) -> dict[str, Column]:
    """Purchases tell all amounts of their order, refunds what was paid back."""
    state = sim.state[event]
    is_refund = state == S.REFUND
    has_order = sim.order[event] >= 0
    order = np.where(has_order & ~is_refund, sim.order[event], -1)

    def amounts(values: Ints) -> Money:
        return Money(np.append(values, 0)[order], order < 0)

    total = np.append(sim.orders.total, 0)[order]
    refunded = np.append(sim.refunds.amount, 0)
    total[is_refund] = refunded[event[is_refund] - (len(sim.session) - len(sim.refunds))]
    coupon = np.append(sim.orders.coupon, -1)[order]
    has_items = is_any(state, S.CLICK, S.VIEW, S.ADD, S.REMOVE) | has_order
    return {
        "order_total": Money(total, ~has_order),
        "tax": amounts(sim.orders.tax),
        "shipping": amounts(sim.orders.shipping),
        "discount": amounts(sim.orders.discount),
        "coupon": coded(coupon, tuple(name for name, _, _ in COUPONS)),
        "currency": coded(np.where(has_items, 0, -1), (CURRENCY,)),
    }


def _items(sim: Simulation, delivery: Delivery) -> Items:
    """Clicks, views and additions have one item of their own; the others the cart's lines."""
    has_own = is_any(sim.state, S.CLICK, S.VIEW, S.ADD)
    in_lines = np.bincount(sim.lines.event, minlength=len(sim.state))
    per_event = np.where(has_own, 1, in_lines)
    first = np.cumsum(per_event) - per_event
    source = np.empty(per_event.sum(), np.int64)
    number = np.ones(len(source), np.int64)
    source[first[has_own]] = np.flatnonzero(has_own)
    by_event = np.argsort(sim.lines.event, kind="stable")
    place = np.repeat(first, in_lines) + step_numbers(in_lines)
    source[place], number[place] = sim.lines.source[by_event], sim.lines.number[by_event]

    counts = per_event[delivery.event]
    counts[delivery.defect == REPEATED_LINE] = 2
    defect = np.repeat(delivery.defect, counts)
    within = np.where(defect == REPEATED_LINE, 0, step_numbers(counts))
    item = np.repeat(first[delivery.event], counts) + within
    return Items(counts, _item_columns(sim, source[item], number[item], defect))


def _item_columns(sim: Simulation, source: Ints, number: Ints, defect: Ints) -> dict[str, Column]:
    product, shop = sim.products.product[source], sim.shop
    quantity = sim.products.quantity[source]
    numbers = pa.array([str(n) for n in range(1, int(number.max(initial=1)) + 1)])
    filled: dict[str, Column] = {
        "line_id": Coded(number - 1, numbers),
        "product_id": Coded(product, shop.product_ids),
        "product_name": Coded(product, shop.names),
        "category": coded(shop.category[product], tuple(c.name for c in CATEGORIES)),
        "brand": coded(shop.brand[product], BRANDS),
        "variant": Coded(sim.products.variant[source], pa.array(VARIANTS)),
        "quantity": Integers(quantity, quantity == 0),
        "unit_price": Money(sim.price[source], _none(len(source))),
        "discount": Money(np.zeros(len(source), np.int64), ~_none(len(source))),
    }
    break_columns(filled, defect, "items.")
    return {column.name: filled[column.name] for column in ITEM_COLUMNS}
