"""Which products events concern, and what is in the cart at each moment.

The cart is a stack of lines: a removal takes out the line added last, a purchase all of them. A
line is known by its add_to_cart event, whose product, quantity and price it keeps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingestion.generate.catalog import Catalog
from ingestion.generate.journeys import State, is_any

# Share of the product interest that stays within the category a session is about.
FOCUS = 0.7
# Quantity of a line: one with 86 %, two with 11 %, three with 3 %.
QUANTITIES = (0.86, 0.97, 1.0)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Products:
    """The product of each event that draws or carries one; one row per event.

    `category` is per session: what it is about.
    """

    product: Ints
    variant: Ints
    quantity: Ints
    category: Ints


@dataclass(frozen=True)
class Lines:
    """Lines of events with more to them than one product of their own.

    `event` is the event, `source` the add_to_cart event that put the line into the cart, `number`
    the line's number within the event.
    """

    event: Ints
    source: Ints
    number: Ints


def draw_products(
    random: np.random.Generator, shop: Catalog, session: Ints, session_count: int, state: Ints
) -> Products:
    """Draw a product wherever the visitor turns to a new one; other events keep the last.

    A click leads to its product's page, and a product is added from its page.
    """
    category = shop.category[shop.draw(random.random(session_count))]
    before = np.concatenate([[State.START], state[:-1]])
    turns = (state == State.CLICK) | ((state == State.VIEW) & (before != State.CLICK))
    new = np.flatnonzero(turns)
    share, is_focused = random.random(len(new)), random.random(len(new)) < FOCUS
    drawn = np.where(is_focused, shop.draw_within(category[session[new]], share), shop.draw(share))
    place = np.cumsum(turns) - 1
    product = drawn[np.maximum(place, 0)] if len(drawn) else np.zeros(len(state), np.int64)
    variant = shop.variant_codes(drawn, random.random(len(new)))
    adds = state == State.ADD
    quantity = np.zeros(len(state), np.int64)
    drawn_quantity = np.searchsorted(QUANTITIES, random.random(np.count_nonzero(adds)), "right")
    quantity[adds] = drawn_quantity + 1
    variants = variant[np.maximum(place, 0)] if len(drawn) else np.zeros(len(state), np.int64)
    return Products(product, variants, quantity, category)


def follow_carts(session: Ints, state: Ints) -> tuple[Lines, Lines]:
    """Return the lines of removals and purchases, and the lines left at each session's end.

    In the second result `event` is the session's number. Carts change together: the n-th change
    of every session at once.
    """
    changes = is_any(state, State.ADD, State.REMOVE, State.PURCHASE)
    event = np.flatnonzero(changes)
    cart_session, cart, counts = np.unique(session[event], return_inverse=True, return_counts=True)
    ordinal = np.arange(len(event)) - np.repeat(np.cumsum(counts) - counts, counts)
    by_ordinal = np.argsort(ordinal, kind="stable")
    ends = np.cumsum(np.bincount(ordinal))
    slots = np.zeros((len(cart_session), int(counts.max(initial=0)) + 1), np.int64)
    depth = np.zeros(len(cart_session), np.int64)
    taken = []
    for turn in np.split(by_ordinal, ends[:-1]):
        kind, row, at = state[event[turn]], cart[turn], event[turn]
        adds, removes, buys = (kind == s for s in (State.ADD, State.REMOVE, State.PURCHASE))
        slots[row[adds], depth[row[adds]]] = at[adds]
        taken.append(_lines(at[buys], slots[row[buys]], depth[row[buys]]))
        depth[row] += np.where(adds, 1, 0) - np.where(removes, 1, 0)
        gone = slots[row[removes], depth[row[removes]]]
        taken.append(Lines(at[removes], gone, np.ones(len(gone), np.int64)))
        depth[row[buys]] = 0
    return _join(taken), _lines(cart_session, slots, depth)


def _lines(event: Ints, slots: Ints, depth: Ints) -> Lines:
    held = np.arange(slots.shape[1])[None, :] < depth[:, None]
    row, number = np.nonzero(held)
    return Lines(event[row], slots[row, number], number + 1)


def _join(parts: list[Lines]) -> Lines:
    if not parts:
        return Lines(*(np.zeros(0, np.int64) for _ in range(3)))
    event = np.concatenate([part.event for part in parts])
    order = np.argsort(event, kind="stable")
    source = np.concatenate([part.source for part in parts])
    number = np.concatenate([part.number for part in parts])
    return Lines(event[order], source[order], number[order])
