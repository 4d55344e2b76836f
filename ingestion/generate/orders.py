"""Orders and their refunds. Money is whole cents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingestion.generate.carts import Lines
from ingestion.generate.timeline import DAY_MS, LEAST_PAUSE_MS, Timeline
from ingestion.generate.visits import STRANGER, Visits

TAX_PERCENT = 8
SHIPPING_CENTS = 499
FREE_SHIPPING_FROM_CENTS = 5_000
# Coupon, percent off, and the share of orders that use it; the last runs in the spike's week.
COUPONS = (("WELCOME10", 10, 0.07), ("FRIENDS15", 15, 0.04), ("SALE25", 25, 0.03))
SPIKE_COUPON = len(COUPONS) - 1
SPIKE_COUPON_SHARE = 0.4
REFUND_SHARE = 0.06
FULL_REFUND_SHARE = 0.7  # the others give back their first line
REFUND_DAYS = (2, 20)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Orders:
    """One row per order, in the order of `event`, its first purchase event."""

    event: Ints
    subtotal: Ints
    discount: Ints
    tax: Ints
    shipping: Ints
    total: Ints
    coupon: Ints
    first_line: Ints  # the amount of the first line


@dataclass(frozen=True)
class Refunds:
    """One row per refund: a session of its own. `order` is a row of the orders."""

    order: Ints
    time: Ints
    amount: Ints
    is_full: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.order)


def price_orders(
    random: np.random.Generator,
    event: Ints,
    lines: Lines,
    line_amount: Ints,
    is_spike_day: NDArray[np.bool_],
) -> Orders:
    """Sum up the orders; `event` are the purchase events, `line_amount` belongs to `lines`."""
    is_line = np.isin(lines.event, event)
    order, amount = np.searchsorted(event, lines.event[is_line]), line_amount[is_line]
    subtotal = np.zeros(len(event), np.int64)
    np.add.at(subtotal, order, amount)
    is_first = lines.number[is_line] == 1
    first_line = np.zeros(len(event), np.int64)
    first_line[order[is_first]] = amount[is_first]
    coupon = _draw_coupons(random, is_spike_day)
    percent = np.array([percent for _, percent, _ in COUPONS] + [0])[coupon]
    discount = subtotal * percent // 100
    tax = ((subtotal - discount) * TAX_PERCENT + 50) // 100
    shipping = np.where(subtotal - discount >= FREE_SHIPPING_FROM_CENTS, 0, SHIPPING_CENTS)
    total = subtotal - discount + tax + shipping
    return Orders(event, subtotal, discount, tax, shipping, total, coupon, first_line)


def _draw_coupons(random: np.random.Generator, is_spike_day: NDArray[np.bool_]) -> Ints:
    """Return a place in COUPONS for each order, -1 for none."""
    shares = np.cumsum([share for _, _, share in COUPONS])
    share = random.random(len(is_spike_day))
    coupon = np.where(share < shares[-1], np.searchsorted(shares, share, side="right"), -1)
    takes_sale = is_spike_day & (random.random(len(is_spike_day)) < SPIKE_COUPON_SHARE)
    return np.where(takes_sale, SPIKE_COUPON, coupon)


def draw_refunds(
    random: np.random.Generator,
    orders: Orders,
    ordered_at: Ints,
    visitor: Ints,
    visits: Visits,
    ends: Ints,
    line: Timeline,
) -> Refunds:
    """Draw refunds where they leave the visitor's other sessions whole.

    `ordered_at` and `visitor` belong to `orders`, `ends` to `visits`. A visitor gets one refund
    at most, none after the period or in the outage.
    """
    asked = np.flatnonzero(random.random(len(orders.event)) < REFUND_SHARE)
    wait = random.integers(REFUND_DAYS[0] * DAY_MS, REFUND_DAYS[1] * DAY_MS, len(asked))
    is_full = random.random(len(asked)) < FULL_REFUND_SHARE
    time = ordered_at[asked] + wait
    same_visitor = visits.visitor[None, :] == visitor[asked][:, None]
    is_near = (visits.start - LEAST_PAUSE_MS <= time[:, None]) & (
        time[:, None] <= ends + LEAST_PAUSE_MS
    )
    fits = ~(same_visitor & is_near).any(axis=1) & (time < line.end) & ~line.is_in_outage(time)
    is_only_one = np.zeros(len(asked), bool)
    is_only_one[np.unique(visitor[asked], return_index=True)[1]] = True
    kept = fits & is_only_one
    order, is_full = asked[kept], is_full[kept]
    part = np.minimum(orders.first_line[order], orders.total[order])
    amount = np.where(is_full, orders.total[order], part)
    return Refunds(order, time[kept], amount, is_full)


def sessions_given_up(visits: Visits, has_cart: NDArray[np.bool_], count: int) -> Ints:
    """Return up to `count` sessions to leave out, so that refund sessions keep the total exact.

    They are the only sessions of strangers who put nothing into a cart.
    """
    visitor_sessions = np.bincount(visits.visitor)
    is_lone = (visits.segment == STRANGER) & (visitor_sessions[visits.visitor] == 1) & ~has_cart
    return np.flatnonzero(is_lone)[:count]
