"""What is true of the generated events, as the data says it: skewed clocks are told as skewed.

Bots have sessions, too; `is_bot` is the truth, whether they say so or not. Counts and amounts of
the summary are those of distinct good events.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ingestion.generate.columns import (
    Coded,
    Codes,
    Ids,
    Money,
    Times,
    coded,
    hexadecimal,
    scramble,
)
from ingestion.generate.defects import DEFECTS, Delivery
from ingestion.generate.journeys import State, is_any
from ingestion.generate.orders import COUPONS
from ingestion.generate.pages import EVENT_TYPE_OF_STATE
from ingestion.generate.people import user_ids
from ingestion.generate.rows import (
    VARIANT_IDS,
    order_ids,
    visitor_ids,
)
from ingestion.generate.simulate import Simulation
from ingestion.generate.traffic import DEVICES, TOUCHES

TABLES = ("sessions", "orders", "visitors", "duplicates", "malformed")
CENTS = pa.decimal128(18, 2)

Ints = NDArray[np.int64]
Counts = dict[str, int]


def truth_tables(sim: Simulation, delivery: Delivery, file: str) -> dict[str, pa.Table]:
    """Return the block's part of each truth file."""
    return {
        "sessions": _sessions(sim),
        "orders": _orders(sim),
        "visitors": _visitors(sim),
        "duplicates": pa.table({"event_id": hexadecimal(delivery.event_id[delivery.is_copy])}),
        "malformed": _malformed(delivery, file),
    }


def _event_ts(sim: Simulation) -> Ints:
    return sim.time + sim.visitors.skew[sim.visitor]


def _user_of_event(sim: Simulation, event: Ints) -> pa.Array:
    first, end = sim.block.people
    person = sim.visits.person[sim.session[event]] - first
    return _strings(np.where(sim.is_logged_in[event], person, -1), user_ids(first, end))


def _strings(codes: Codes, values: pa.Array) -> pa.Array:
    return Coded(codes, values).arrow().dictionary_decode()


def _times(milliseconds: Ints) -> pa.Array:
    return Times(milliseconds, np.zeros(len(milliseconds), bool)).arrow()


def _amounts(cents: Ints) -> pa.Array:
    return Money(cents, np.zeros(len(cents), bool)).arrow().cast(CENTS)


def _event_ids(sim: Simulation, event: Ints) -> pa.Array:
    return hexadecimal(scramble((sim.block.number << 32) + event, sim.block.options.seed))


def _counts(sim: Simulation) -> Ints:
    """Return how many events of each state (a row each) each session has."""
    places = sim.state * len(sim.visits) + sim.session
    counts = np.bincount(places, minlength=len(State) * len(sim.visits))
    return counts.reshape(len(State), len(sim.visits))


def left_in_cart(sim: Simulation) -> Ints:
    """Return what the cart of each session holds at its end, in cents."""
    amount = sim.products.quantity[sim.left.source] * sim.price[sim.left.source]
    left = np.zeros(len(sim.visits), np.int64)
    np.add.at(left, sim.left.event, amount)
    return left


def _sessions(sim: Simulation) -> pa.Table:
    of_state = _counts(sim)
    counts = of_state.sum(axis=0)
    first = np.cumsum(counts) - counts
    last = first + counts - 1
    kept = np.flatnonzero(sim.is_kept)
    shown = kept[np.lexsort((sim.visits.start[kept], sim.visits.visitor[kept]))]
    event_ts, visitor = _event_ts(sim), sim.visits.visitor[shown]
    adds, buys = of_state[State.ADD], of_state[State.PURCHASE]
    touch = coded(sim.touch[shown], tuple(touch.channel for touch in TOUCHES))
    return pa.table(
        {
            "visitor_id": _strings(visitor, visitor_ids(sim)),
            "user_id": _user_of_event(sim, last[shown]),
            "first_event_id": _event_ids(sim, first[shown]),
            "session_start": _times(event_ts[first[shown]]),
            "session_end": _times(event_ts[last[shown]]),
            "event_count": counts[shown],
            "product_view_count": of_state[State.VIEW][shown],
            "add_to_cart_count": adds[shown],
            "order_count": buys[shown],
            "is_bot": sim.visitors.is_truly_bot[visitor],
            "channel": _strings(touch.codes, touch.values),
            "has_cart": adds[shown] > 0,
            "has_checkout": of_state[State.CHECKOUT][shown] > 0,
            "has_purchase": buys[shown] > 0,
            "is_refund": of_state[State.REFUND][shown] > 0,
            "is_abandoned": (adds[shown] > 0) & (buys[shown] == 0),
            "cart_amount": _amounts(left_in_cart(sim)[shown]),
        }
    )


def _orders(sim: Simulation) -> pa.Table:
    orders, event = sim.orders, sim.orders.event
    count = len(event)
    is_purchase = is_any(sim.state, State.PURCHASE, State.RELOAD)
    line_count = np.bincount(sim.lines.event, minlength=len(sim.state))[event]
    refunded = np.zeros(count, np.int64)
    refunded[sim.refunds.order] = sim.refunds.amount
    coupon = coded(orders.coupon, tuple(name for name, _, _ in COUPONS))
    return pa.table(
        {
            "order_id": order_ids(sim),
            "visitor_id": _strings(sim.visitor[event], visitor_ids(sim)),
            "user_id": _user_of_event(sim, event),
            "first_event_id": _event_ids(sim, event),
            "ordered_at": _times(_event_ts(sim)[event]),
            "line_count": line_count,
            "purchase_event_count": np.bincount(sim.order[is_purchase], minlength=count)[:count],
            "gross_amount": _amounts(orders.total),
            "tax_amount": _amounts(orders.tax),
            "shipping_amount": _amounts(orders.shipping),
            "discount_amount": _amounts(orders.discount),
            "coupon": _strings(coupon.codes, coupon.values),
            "refund_amount": _amounts(refunded),
        }
    )


def _visitors(sim: Simulation) -> pa.Table:
    shown = np.unique(sim.visits.visitor[sim.is_kept])
    first, end = sim.block.people
    owner = sim.visitors.person[shown]
    variant = coded(sim.visitors.variant[shown], VARIANT_IDS)
    device = coded(sim.visitors.device[shown], tuple(d.type for d in DEVICES))
    has_test = sim.block.options.experiment
    return pa.table(
        {
            "visitor_id": _strings(shown, visitor_ids(sim)),
            "person": _strings(np.where(owner >= 0, owner - first, -1), user_ids(first, end)),
            "is_bot": sim.visitors.is_truly_bot[shown],
            "is_declared_bot": sim.visitors.is_bot[shown] == 1,
            "variant_id": _strings(np.where(has_test, variant.codes, -1), variant.values),
            "device_type": _strings(device.codes, device.values),
            "skew_seconds": sim.visitors.skew[shown] / 1000,
        }
    )


def _malformed(delivery: Delivery, file: str) -> pa.Table:
    rows = np.flatnonzero(delivery.defect >= 0)
    defects = [DEFECTS[number] for number in delivery.defect[rows].tolist()]
    is_null = np.array([defect.name == "null_event_id" for defect in defects], bool)
    return pa.table(
        {
            "file": pa.array([file] * len(rows), pa.string()),
            "row": rows + 1,
            "event_id": Ids(delivery.event_id[rows], is_null).arrow(),
            "defect": pa.array([defect.name for defect in defects], pa.string()),
            "reason": pa.array([defect.reason for defect in defects], pa.string()),
        }
    )


def block_counts(sim: Simulation, delivery: Delivery) -> Counts:
    """Return the block's counts and amounts (in cents), by the dotted names of the summary."""
    kept, visitor = sim.is_kept, sim.visits.visitor
    is_bot = sim.visitors.is_truly_bot[visitor] & kept
    is_human = ~sim.visitors.is_truly_bot[visitor] & kept
    of_state = _counts(sim)
    adds, buys = of_state[State.ADD] > 0, of_state[State.PURCHASE] > 0
    abandoned = is_human & adds & ~buys
    seen = np.unique(visitor[kept])
    is_seen_bot = sim.visitors.is_truly_bot[seen]
    reasons = Counter(DEFECTS[n].reason for n in delivery.defect[delivery.defect >= 0].tolist())
    counts: Counts = {
        "rows": len(delivery.event),
        "events": int(np.count_nonzero(~delivery.is_copy & (delivery.defect < 0))),
        "visitors": len(seen),
        "bot_visitors": int(is_seen_bot.sum()),
        "declared_bot_visitors": int((sim.visitors.is_bot[seen] == 1).sum()),
        "skewed_visitors": int((sim.visitors.skew[seen] != 0).sum()),
        "users": len(np.unique(_logged_in_people(sim))),
        "sessions": int(kept.sum()),
        "bot_sessions": int(is_bot.sum()),
        "human_sessions": int(is_human.sum()),
        "bot_events": int(np.count_nonzero(is_bot[sim.session])),
        "cart_sessions": int((is_human & adds).sum()),
        "purchase_sessions": int((is_human & buys).sum()),
        "abandoned_carts": int(abandoned.sum()),
        "abandoned_cents": int(left_in_cart(sim)[abandoned].sum()),
        "orders": len(sim.orders.event),
        "repeated_purchase_events": int((sim.state == State.RELOAD).sum()),
        "gross_cents": int(sim.orders.total.sum()),
        "refunds": len(sim.refunds),
        "refund_cents": int(sim.refunds.amount.sum()),
        "duplicates": int(delivery.is_copy.sum()),
        "late": int(delivery.is_late.sum()),
        "malformed": sum(reasons.values()),
        **{f"malformed_by_reason.{reason}": count for reason, count in sorted(reasons.items())},
    }
    return {**counts, **_experiment(sim, seen), **_event_types(sim)}


def _logged_in_people(sim: Simulation) -> Ints:
    is_known = sim.is_logged_in & sim.is_kept[sim.session]
    return sim.visits.person[sim.session[is_known]]


def _experiment(sim: Simulation, seen: Ints) -> Counts:
    if not sim.block.options.experiment:
        return {}
    humans = seen[~sim.visitors.is_truly_bot[seen]]
    buyers = np.unique(sim.visitor[sim.orders.event])
    counts = {}
    for number, variant in enumerate(VARIANT_IDS):
        in_variant = sim.visitors.variant == number
        counts[f"experiment.{variant}.visitors"] = int(in_variant[humans].sum())
        counts[f"experiment.{variant}.buyers"] = int(in_variant[buyers].sum())
    return counts


def _event_types(sim: Simulation) -> Counts:
    per_state = np.bincount(sim.state[sim.is_kept[sim.session]], minlength=len(State))
    counts: Counter[str] = Counter()
    for state, event_type in enumerate(EVENT_TYPE_OF_STATE):
        counts[f"events_by_type.{event_type}"] += int(per_state[state])
    return dict(sorted(counts.items()))
