"""How events reach the files: delays, late rows, exact duplicates, and malformed extra rows.

All of it is planted and told in the truth files, so that a warehouse can be scored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingestion.contract.rules import LARGEST_CLOCK_LEAD_HOURS
from ingestion.generate.columns import Coded, Column, scramble
from ingestion.generate.journeys import State
from ingestion.generate.options import Format
from ingestion.generate.simulate import Simulation
from ingestion.generate.timeline import DAY_MS, HOUR_MS

PROMPT_DELAY_MS = (50, 3_000)
LATE_DELAY_MS = (2 * HOUR_MS, 20 * DAY_MS)

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Patch = Callable[[Any, Bools], Column]


@dataclass(frozen=True)
class Defect:
    """One way in which a row can be broken, and the reason code expected for it.

    `column` is the broken one; `items.` before its name means the row's first item. `patch`
    breaks it in a typed column. Without a patch the damage is in the text of the row.
    """

    name: str
    reason: str
    column: str = ""
    patch: Patch | None = None
    text: str = ""
    formats: tuple[Format, ...] = ("csv", "jsonl", "parquet")


# The columns are of the kind that the patched name has: see rows.py.
def _null(column: Any, rows: Bools) -> Column:
    if isinstance(column, Coded):
        return replace(column, codes=np.where(rows, -1, column.codes))
    return _changed(column, is_null=column.is_null | rows)


def _cents(value: int) -> Patch:
    def patch(column: Any, rows: Bools) -> Column:
        cents = np.where(rows, value, column.cents)
        return _changed(column, cents=cents, is_null=column.is_null & ~rows)

    return patch


def _number(value: int) -> Patch:
    def patch(column: Any, rows: Bools) -> Column:
        numbers = np.where(rows, value, column.numbers)
        return _changed(column, numbers=numbers, is_null=column.is_null & ~rows)

    return patch


def _moment(value: int) -> Patch:
    def patch(column: Any, rows: Bools) -> Column:
        return _changed(column, milliseconds=np.where(rows, value, column.milliseconds))

    return patch


def _changed(column: Any, **changes: Any) -> Column:
    changed: Column = replace(column, **changes)
    return changed


YEAR_1970 = 9 * HOUR_MS
YEAR_2150 = 5_680_281_600_000
TEXT: tuple[Format, ...] = ("csv", "jsonl")

DEFECTS = (
    Defect("null_event_id", "missing_event_id", "event_id", _null),
    Defect("null_event_type", "missing_event_type", "event_type", _null),
    Defect("null_event_ts", "missing_event_ts", "event_ts", _null),
    Defect("null_visitor_id", "missing_visitor_id", "visitor_id", _null),
    Defect("negative_total", "amount_out_of_range", "order_total", _cents(-1_999)),
    Defect("huge_total", "amount_out_of_range", "order_total", _cents(2 * 10**11)),
    Defect("negative_price", "amount_out_of_range", "items.unit_price", _cents(-500)),
    Defect("zero_quantity", "quantity_out_of_range", "items.quantity", _number(0)),
    Defect("huge_quantity", "quantity_out_of_range", "items.quantity", _number(2_000_000)),
    Defect("year_1970", "event_ts_out_of_range", "event_ts", _moment(YEAR_1970)),
    Defect("year_2150", "event_ts_out_of_range", "event_ts", _moment(YEAR_2150)),
    Defect("null_product_id", "missing_product_id", "items.product_id", _null),
    Defect("repeated_line", "repeated_line_id"),  # see rows.py: the item stands there twice
    Defect("text_for_time", "invalid_event_ts", "event_ts", text="last tuesday", formats=TEXT),
    Defect("text_for_number", "invalid_number", "order_total", text="n/a", formats=TEXT),
    Defect("cut_line", "unparsable_row", formats=TEXT),
    Defect("extra_column", "unparsable_row", formats=("csv",)),
    Defect("not_an_object", "unparsable_row", formats=("jsonl",)),
)
DEFECT_NAMES = tuple(defect.name for defect in DEFECTS)
REPEATED_LINE = DEFECT_NAMES.index("repeated_line")
IN_2150 = DEFECT_NAMES.index("year_2150")


@dataclass(frozen=True)
class Delivery:
    """One row per row of the block's file, in delivery order.

    `event` is a row of the simulation; a malformed row has another's content and an id of its
    own. `defect` is a place in DEFECTS, -1 for a good row. A row whose time lies far ahead is not
    stamped with its receipt: with that, a wrong time would be mended.
    """

    event: Ints
    event_id: NDArray[np.uint64]
    received_at: Ints
    defect: Ints
    is_copy: Bools
    is_late: Bools
    is_stamped: Bools


def deliver(sim: Simulation) -> Delivery:
    """Draw when each event arrives, and what arrives twice or broken."""
    options = sim.block.options
    random = sim.block.random("delivery")
    events = np.flatnonzero(sim.is_kept[sim.session])
    received, is_late = _received(random, sim, options.late_rate)
    copies = events[random.random(len(events)) < options.duplicate_rate]
    templates, defect = _malformed(random, sim, events)
    event = np.concatenate([events, copies, templates])
    own = np.concatenate([events, copies, len(sim.session) + np.arange(len(templates))])
    ids = scramble((sim.block.number << 32) + own, options.seed)
    arrival = received[event]
    order = _sorted_places(arrival)
    is_copy = np.repeat([False, True, False], [len(events), len(copies), len(templates)])
    all_defects = np.concatenate([np.full(len(events) + len(copies), -1), defect])
    lead = sim.visitors.skew[sim.visits.visitor[sim.session[event]]]
    is_stamped = (lead <= LARGEST_CLOCK_LEAD_HOURS * HOUR_MS) & (all_defects != IN_2150)
    late = is_late[event] & ~is_copy & (all_defects < 0) & is_stamped
    return Delivery(
        event[order],
        ids[order],
        arrival[order],
        all_defects[order],
        is_copy[order],
        late[order],
        is_stamped[order],
    )


def _sorted_places(times: Ints) -> Ints:
    """Return the places of the times in their order, equal ones as they lie.

    Time and place in one number: numbers are sorted several times as fast as places.
    """
    bits = len(times).bit_length()
    numbers = (times - times.min(initial=YEAR_2150) << bits) + np.arange(len(times))
    return np.sort(numbers) & ((1 << bits) - 1)


def _received(random: np.random.Generator, sim: Simulation, rate: float) -> tuple[Ints, Bools]:
    count = len(sim.session)
    delay = random.integers(*PROMPT_DELAY_MS, count)
    is_late = random.random(count) < rate
    low, high = (float(np.log(bound)) for bound in LATE_DELAY_MS)
    delay[is_late] = np.exp(random.uniform(low, high, np.count_nonzero(is_late))).astype(np.int64)
    return sim.line.after_outage(sim.time + delay), is_late


def _malformed(random: np.random.Generator, sim: Simulation, events: Ints) -> tuple[Ints, Ints]:
    """Choose product views to break, and give each the next defect of the format in turn."""
    options = sim.block.options
    views = events[sim.state[events] == State.VIEW]
    wanted = int(len(events) * options.malformed_rate + random.random())
    count = wanted if len(views) else 0
    kinds = [i for i, defect in enumerate(DEFECTS) if options.format in defect.formats]
    turn = sim.block.number * max(wanted, 1) + np.arange(count)
    chosen = random.choice(views, count) if count else np.zeros(0, np.int64)
    return chosen, np.array(kinds)[turn % len(kinds)]


def break_columns(columns: dict[str, Column], defect: Ints, prefix: str = "") -> None:
    """Apply the defects to typed columns, in place; `defect` has one row per row of them."""
    for number in np.unique(defect[defect >= 0]).tolist():
        kind = DEFECTS[number]
        name = kind.column.removeprefix(prefix)
        if kind.patch and kind.column.startswith(prefix) and name in columns:
            columns[name] = kind.patch(columns[name], defect == number)
