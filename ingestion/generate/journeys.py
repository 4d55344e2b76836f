"""What a visitor does within a session: a Markov walk, its length and its pace.

Each session draws how long it lasts from its segment's distribution, then walks that many steps.
All sessions of a block take step n at once: they are sorted by length, so those still walking are
the first k, and no loop runs over sessions or events.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ingestion.generate.visits import BOT, SEGMENT_COUNT, STRANGER

# -- pace: gaps between events (measured: log-normal, p50 33 s, p90 115 s) ------------------------
GAP_P50_SECONDS = 33.0
GAP_P90_SECONDS = 115.0
GAP_LEAST_SECONDS = 2.0
GAP_MOST_SECONDS = 28 * 60.0  # strictly under the 30 minutes that end a session
BOT_GAP_MS = (100, 600)

# -- length: events per session (measured: p50 5, p90 21, p99 107) --------------------------------
# Median and sigma of a log-normal: loyal, regular, occasional, browser, stranger.
LENGTHS = ((8.6, 1.05), (7.2, 1.1), (5.8, 1.2), (5.8, 1.2), (4.3, 1.26))
LONGEST_SESSION = 300
BOT_LENGTH = (60, 200)

# -- appetite: how often a product view ends in the cart, against ADD in STEPS --------------------
APPETITE = (2.2, 1.5, 0.9, 0.35, 0.55)

EXPERIMENT_LIFT = 0.25
"""Variant B raises the probability that the payment step ends in a purchase by this share."""


class State(IntEnum):
    """Where a walk stands; each state but START is an event."""

    HOME = 0
    CONTENT = 1
    SEARCH = 2
    LIST = 3
    CLICK = 4
    VIEW = 5
    ADD = 6
    REMOVE = 7
    CART = 8
    CHECKOUT = 9
    SHIPPING = 10
    PAYMENT = 11
    PURCHASE = 12
    RELOAD = 13  # the thank-you page seen again: a purchase event with the same order
    REFUND = 14  # never walked to: refunds come days later (see orders.py)
    START = 15


S = State
Steps = dict[State, dict[State, float]]

STEPS: Steps = {
    S.START: {S.HOME: 0.36, S.LIST: 0.24, S.VIEW: 0.28, S.SEARCH: 0.06, S.CONTENT: 0.06},
    S.HOME: {S.LIST: 0.44, S.SEARCH: 0.24, S.VIEW: 0.10, S.CONTENT: 0.10, S.HOME: 0.12},
    S.CONTENT: {S.HOME: 0.30, S.LIST: 0.35, S.SEARCH: 0.15, S.CONTENT: 0.20},
    S.SEARCH: {S.CLICK: 0.50, S.LIST: 0.15, S.SEARCH: 0.25, S.HOME: 0.10},
    S.LIST: {S.CLICK: 0.48, S.LIST: 0.30, S.SEARCH: 0.12, S.HOME: 0.10},
    S.CLICK: {S.VIEW: 1.0},
    S.VIEW: {S.ADD: 0.036, S.LIST: 0.44, S.VIEW: 0.224, S.SEARCH: 0.16, S.HOME: 0.14},
    S.ADD: {S.CART: 0.46, S.CHECKOUT: 0.26, S.VIEW: 0.10, S.LIST: 0.18},
    S.REMOVE: {S.CART: 0.35, S.CHECKOUT: 0.25, S.LIST: 0.25, S.HOME: 0.15},
    S.CART: {S.CHECKOUT: 0.58, S.REMOVE: 0.12, S.LIST: 0.20, S.HOME: 0.10},
    S.CHECKOUT: {S.SHIPPING: 0.84, S.CART: 0.08, S.HOME: 0.08},
    S.SHIPPING: {S.PAYMENT: 0.90, S.CART: 0.05, S.CONTENT: 0.05},
    S.PAYMENT: {S.PURCHASE: 0.72, S.CART: 0.08, S.CONTENT: 0.20},
    S.PURCHASE: {S.RELOAD: 0.05, S.HOME: 0.45, S.CONTENT: 0.25, S.LIST: 0.25},
    S.RELOAD: {S.HOME: 0.50, S.CONTENT: 0.30, S.LIST: 0.20},
}
"""The chances of the next step. Those into NEEDS_CART hold only while the cart is not empty."""

BOT_STEPS: Steps = {
    S.START: {S.LIST: 0.5, S.VIEW: 0.5},
    S.LIST: {S.VIEW: 0.8, S.LIST: 0.2},
    S.VIEW: {S.VIEW: 0.6, S.LIST: 0.3, S.SEARCH: 0.1},
    S.SEARCH: {S.VIEW: 0.7, S.LIST: 0.3},
}
NEEDS_CART = (S.REMOVE, S.CART, S.CHECKOUT)

SLOTS = 1024  # the resolution of the chances: a step is one look-up in a table of so many slots
CART_UNIT = len(State)
LARGEST_CART = 15  # lines; a state and a cart together fit into one byte


def draw_lengths(random: np.random.Generator, segment: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many events each session has."""
    median = np.array([length[0] for length in LENGTHS] + [1.0])[segment]
    sigma = np.array([length[1] for length in LENGTHS] + [0.0])[segment]
    human = np.rint(median * np.exp(sigma * random.standard_normal(len(segment))))
    bot = random.integers(*BOT_LENGTH, len(segment), endpoint=True)
    return np.where(segment == BOT, bot, np.clip(human, 1, LONGEST_SESSION)).astype(np.int64)


def walk(
    random: np.random.Generator,
    segment: NDArray[np.int64],
    variant: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return the states of all sessions, one session after the other.

    A place in the table is a chain (segment and variant), the cart, the state, and the slot drawn.
    """
    table = _next_states()
    order = np.argsort(-lengths, kind="stable")
    walking = np.searchsorted(-lengths[order], -np.arange(lengths.max()), side="left")
    offsets = np.concatenate([[0], np.cumsum(walking)])
    chain = (segment * 2 + variant)[order] * (LARGEST_CART + 1) * CART_UNIT * SLOTS
    place = chain.astype(np.int32)[step_numbers(walking)]
    place += random.integers(0, SLOTS, offsets[-1], dtype=np.int32)
    found = np.empty(offsets[-1], np.uint8)
    state = np.full(len(order), State.START, np.uint8)
    for begin, count in zip(offsets.tolist(), walking.tolist(), strict=False):
        at = np.multiply(state[:count], SLOTS, dtype=np.int32)
        at += place[begin : begin + count]
        state = table.take(at, out=found[begin : begin + count], mode="clip")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    states = found[offsets[step_numbers(lengths)] + np.repeat(rank, lengths)] % CART_UNIT
    return np.asarray(states, np.int64)


def is_any(state: NDArray[np.int64], *states: State) -> NDArray[np.bool_]:
    """Say which states are among the given ones."""
    is_given = np.zeros(len(State), bool)
    is_given[list(states)] = True
    return is_given[state]


def step_numbers(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0, 1, 2 ... within each session, one session after the other."""
    numbers = np.arange(lengths.sum(), dtype=np.int64)
    return np.asarray(numbers - np.repeat(np.cumsum(lengths) - lengths, lengths))


def draw_elapsed(
    random: np.random.Generator, lengths: NDArray[np.int64], segment: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return each event's milliseconds since its session's start."""
    count = lengths.sum()
    quantiles = _gap_quantiles()
    gaps = quantiles.take(random.integers(0, len(quantiles), count, dtype=np.int32))
    is_bot = np.repeat(segment == BOT, lengths)
    gaps[is_bot] = random.integers(*BOT_GAP_MS, np.count_nonzero(is_bot), endpoint=True)
    first = np.cumsum(lengths) - lengths
    gaps[first] = 0
    total = np.cumsum(gaps, dtype=np.int64)
    return np.asarray(total - np.repeat(total[first], lengths))


@lru_cache(maxsize=1)
def _gap_quantiles() -> NDArray[np.int64]:
    """The gaps' distribution as equally likely values: the same milliseconds on every machine."""
    count = 1 << 14
    normal = NormalDist()
    sigma = np.log(GAP_P90_SECONDS / GAP_P50_SECONDS) / normal.inv_cdf(0.9)
    z = np.array([normal.inv_cdf((i + 0.5) / count) for i in range(count)])
    seconds = np.clip(GAP_P50_SECONDS * np.exp(sigma * z), GAP_LEAST_SECONDS, GAP_MOST_SECONDS)
    return np.asarray(np.rint(seconds * 1000).astype(np.int64))


@lru_cache(maxsize=1)
def _next_states() -> NDArray[np.uint8]:
    """The look-up table: row (segment, variant, cart, state), one next cart and state per slot."""
    kinds = [(segment, variant) for segment in range(SEGMENT_COUNT) for variant in range(2)]
    rows = []
    for cart in range(LARGEST_CART + 1):
        if cart <= 1 or cart == LARGEST_CART:  # in between, the chances are those of one line
            states = np.stack([[_row(*kind, cart, state) for state in State] for kind in kinds])
        rows.append(_with_cart(cart).take(states))
    return np.stack(rows, axis=1).ravel()


def _with_cart(cart: int) -> NDArray[np.uint8]:
    """Return each state together with the cart after it."""
    after = np.full(len(State), cart)
    after[[State.ADD, State.REMOVE, State.PURCHASE]] = (
        min(cart + 1, LARGEST_CART),
        max(cart - 1, 0),
        0,
    )
    return (after * CART_UNIT + np.arange(len(State))).astype(np.uint8)


def _row(segment: int, variant: int, cart: int, state: State) -> NDArray[np.uint8]:
    chances = dict((BOT_STEPS if segment == BOT else STEPS).get(state, {S.HOME: 1.0}))
    if segment <= STRANGER and S.ADD in chances:
        _raise_chance(chances, S.ADD, APPETITE[segment])
    if variant == 1 and S.PURCHASE in chances:
        _raise_chance(chances, S.PURCHASE, 1 + EXPERIMENT_LIFT)
    barred = {0: NEEDS_CART, LARGEST_CART: (S.ADD,)}.get(cart, ())
    chances = {s: c for s, c in chances.items() if s not in barred} or {S.HOME: 1.0}
    ends = np.rint(np.cumsum(list(chances.values())) / sum(chances.values()) * SLOTS)
    counts = np.diff(np.concatenate([[0], ends])).astype(int)
    return np.repeat(np.array(list(chances), np.uint8), counts)


def _raise_chance(chances: dict[State, float], state: State, factor: float) -> None:
    """Multiply one chance; the others shrink alike, so that all still sum to one."""
    raised = chances[state] * factor
    shrink = (1 - raised) / (1 - chances[state])
    for other in chances:
        chances[other] *= shrink
    chances[state] = raised
