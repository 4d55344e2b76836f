"""One block, simulated: visitors, sessions, events, orders, refunds.

Events lie session by session, in the order in which they happened. Refunds come last; each is a
session of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from ingestion.generate.carts import Lines, Products, draw_products, follow_carts
from ingestion.generate.catalog import Catalog
from ingestion.generate.journeys import State, draw_elapsed, draw_lengths, step_numbers, walk
from ingestion.generate.logins import draw_logins
from ingestion.generate.options import Block
from ingestion.generate.orders import (
    Orders,
    Refunds,
    draw_refunds,
    price_orders,
    sessions_given_up,
)
from ingestion.generate.timeline import DAY_MS, Timeline, spread, timeline
from ingestion.generate.traffic import draw_touches
from ingestion.generate.visits import BOT, STRANGER, Visitors, Visits, plan_visits

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Simulation:
    """A block's shop life. `session`, `step`, `state`, `time`, `order` have one row per event.

    `time` is the true one, before any clock skew; `order` is a row of `orders` or -1.
    `is_kept` (per session) leaves out the sessions given up for refunds. `lines` hold the items
    of removals, purchases and refunds; `left` what stayed in the carts, by session.
    """

    block: Block
    line: Timeline
    shop: Catalog
    visitors: Visitors
    visits: Visits
    touch: Ints
    is_kept: Bools
    session: Ints
    step: Ints
    state: Ints
    time: Ints
    is_logged_in: Bools
    products: Products
    price: Ints
    lines: Lines
    left: Lines
    order: Ints
    orders: Orders
    refunds: Refunds

    @property
    def visitor(self) -> Ints:
        """The visitor of each event."""
        return self.visits.visitor[self.session]


def simulate(block: Block, shop: Catalog) -> Simulation:
    """Simulate a block."""
    line = timeline(block.options)
    visitors, visits = plan_visits(block, line)
    lengths = draw_lengths(block.random("lengths"), visits.segment)
    variant = visitors.variant[visits.visitor]
    state = walk(block.random("walk"), visits.segment, variant, lengths)
    elapsed = draw_elapsed(block.random("gaps"), lengths, visits.segment)
    duration = elapsed[np.cumsum(lengths) - 1]
    visits = replace(visits, start=spread(line, visits.visitor, visits.start, duration))
    session = np.repeat(np.arange(len(visits)), lengths)
    time = visits.start[session] + elapsed
    happened = ~line.is_in_outage(time)
    session, state, time = session[happened], state[happened], time[happened]
    return _shop(block, line, shop, visitors, visits, session, state, time)


def _shop(
    block: Block,
    line: Timeline,
    shop: Catalog,
    visitors: Visitors,
    visits: Visits,
    session: Ints,
    state: Ints,
    time: Ints,
) -> Simulation:
    products = draw_products(block.random("products"), shop, session, len(visits), state)
    day = (visits.start - line.start) // DAY_MS
    price = shop.price_on(products.product, day[session])
    lines, left = follow_carts(session, state)
    bought = np.flatnonzero(state == State.PURCHASE)
    amount = products.quantity[lines.source] * price[lines.source]
    is_spike = _is_spike(line, time[bought])
    orders = price_orders(block.random("orders"), bought, lines, amount, is_spike)
    of_order = np.cumsum(state == State.PURCHASE) - 1
    order = np.where((state == State.PURCHASE) | (state == State.RELOAD), of_order, -1)
    step = step_numbers(np.bincount(session, minlength=len(visits)))
    touch = draw_touches(block.random("touches"), visits.segment < STRANGER)
    touch[visits.segment == BOT] = 0
    known = draw_logins(block.random("logins"), visits, session, step, state)
    lines = _with_reloads(lines, state, order, orders)
    refunds, is_kept = _plan_refunds(block, line, visits, session, state, time, orders)
    simulation = Simulation(
        *(block, line, shop, visitors, visits, touch, is_kept, session, step, state, time),
        *(known, products, price, lines, left, order, orders, refunds),
    )
    return _with_refunds(simulation)


def _plan_refunds(
    block: Block,
    line: Timeline,
    visits: Visits,
    session: Ints,
    state: Ints,
    time: Ints,
    orders: Orders,
) -> tuple[Refunds, Bools]:
    """Draw the refunds, and say which sessions are kept beside theirs."""
    random = block.random("refunds")
    ends = time[np.cumsum(np.bincount(session, minlength=len(visits))) - 1]
    buyer = visits.visitor[session[orders.event]]
    refunds = draw_refunds(random, orders, time[orders.event], buyer, visits, ends, line)
    has_cart = np.bincount(session[state == State.ADD], minlength=len(visits)) > 0
    given_up = sessions_given_up(visits, has_cart, len(refunds))
    is_kept = np.ones(len(visits), bool)
    is_kept[given_up] = False
    return _first(refunds, len(given_up)), is_kept


def _is_spike(line: Timeline, time: Ints) -> Bools:
    if line.spike_day is None:
        return np.zeros(len(time), bool)
    spike = line.spike_day.toordinal() - date(1970, 1, 1).toordinal()
    return np.asarray(time // DAY_MS == spike)


def _first(refunds: Refunds, count: int) -> Refunds:
    return Refunds(
        refunds.order[:count], refunds.time[:count], refunds.amount[:count], refunds.is_full[:count]
    )


def _lines_of_orders(lines: Lines, orders: Orders, order: Ints, event: Ints) -> Lines:
    """Return the lines of the given orders again, for the events that repeat them."""
    first = np.searchsorted(lines.event, orders.event[order], side="left")
    count = np.searchsorted(lines.event, orders.event[order], side="right") - first
    row = np.repeat(first, count) + step_numbers(count)
    return Lines(np.repeat(event, count), lines.source[row], lines.number[row])


def _append(one: Lines, other: Lines) -> Lines:
    return Lines(
        np.concatenate([one.event, other.event]),
        np.concatenate([one.source, other.source]),
        np.concatenate([one.number, other.number]),
    )


def _with_reloads(lines: Lines, state: Ints, order: Ints, orders: Orders) -> Lines:
    reload = np.flatnonzero(state == State.RELOAD)
    return _append(lines, _lines_of_orders(lines, orders, order[reload], reload))


def _with_refunds(sim: Simulation) -> Simulation:
    """Append the refunds: one session and one event each, logged in as at the order."""
    count, of_order = len(sim.refunds), sim.refunds.order
    bought = sim.orders.event[of_order]
    origin = sim.session[bought]
    event = len(sim.session) + np.arange(count)
    bought_lines = _lines_of_orders(_sorted(sim.lines), sim.orders, of_order, event)
    is_given_back = sim.refunds.is_full[bought_lines.event - len(sim.session)] | (
        bought_lines.number == 1
    )
    given_back = Lines(
        bought_lines.event[is_given_back],
        bought_lines.source[is_given_back],
        bought_lines.number[is_given_back],
    )
    visits = Visits(
        np.append(sim.visits.visitor, sim.visits.visitor[origin]),
        np.append(sim.visits.person, sim.visits.person[origin]),
        np.append(sim.visits.segment, sim.visits.segment[origin]),
        np.append(sim.visits.start, sim.refunds.time),
    )
    return replace(
        sim,
        visits=visits,
        touch=np.append(sim.touch, np.zeros(count, np.int64)),
        is_kept=np.append(sim.is_kept, np.ones(count, bool)),
        session=np.append(sim.session, len(sim.visits) + np.arange(count)),
        step=np.append(sim.step, np.zeros(count, np.int64)),
        state=np.append(sim.state, np.full(count, State.REFUND)),
        time=np.append(sim.time, sim.refunds.time),
        is_logged_in=np.append(sim.is_logged_in, sim.is_logged_in[bought]),
        products=replace(
            sim.products,
            product=np.append(sim.products.product, sim.products.product[bought]),
            variant=np.append(sim.products.variant, sim.products.variant[bought]),
            quantity=np.append(sim.products.quantity, np.zeros(count, np.int64)),
            category=np.append(sim.products.category, sim.products.category[origin]),
        ),
        price=np.append(sim.price, sim.price[bought]),
        order=np.append(sim.order, of_order),
        lines=_append(sim.lines, given_back),
    )


def _sorted(lines: Lines) -> Lines:
    order = np.argsort(lines.event, kind="stable")
    return Lines(lines.event[order], lines.source[order], lines.number[order])
