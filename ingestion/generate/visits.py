"""Who visits, on which device, and when each session should start.

Known users, strangers and bots are *actors*. A known user has one to three devices, and each is a
visitor; a stranger or a bot is one visitor.

The period is a window on a shop that was open before it and stays so. Visits that fall after its
end are not seen; at its beginning come those of actors who were there before. So every day has the
sessions of its traffic, however long actors wait between theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingestion.generate.options import Block
from ingestion.generate.people import SEGMENT_NAMES, People, draw_countries, people
from ingestion.generate.timeline import Timeline
from ingestion.generate.traffic import (
    DECLARED_BOT_DEVICE,
    HIDDEN_BOT_DEVICE,
    draw_devices,
)

# Share of the sessions that known users make, and their sessions each at most on average. With
# strangers' one-off visits, over 80 % of all visitors have one session (measured on real shops).
KNOWN_SESSION_SHARE = 0.3
MOST_SESSIONS_PER_PERSON = 5
# A stranger's sessions, within the period or not: one with 93 %, two with 5 %, three with 2 %.
STRANGER_SESSIONS = (0.93, 0.98, 1.0)
# A known user's devices: one with 62 %, two with 30 %, three with 8 %.
PERSON_DEVICES = (0.62, 0.92, 1.0)
PRIMARY_DEVICE_BIAS = 2.2  # the higher, the more sessions are made on the first device
SHARED_DEVICE_SHARE = 0.03  # people whose first device is that of the person before them
# Days from an actor's first session to each further one: log-normal, so most return soon.
RETURN_MEDIAN_DAYS = 2.0
RETURN_SIGMA = 2.2
# Share of a segment's people, those with the fewest visits, who may also come from before.
QUIETEST_SHARE = 1 / 3

STRANGER = len(SEGMENT_NAMES)
BOT = STRANGER + 1
SEGMENT_COUNT = BOT + 1
MOST_DEVICES = len(PERSON_DEVICES)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Visitors:
    """One row per visitor of a block. -1 in `person` and `is_bot` means that nothing is known."""

    person: Ints
    is_bot: Ints
    is_truly_bot: NDArray[np.bool_]
    device: Ints
    country: Ints
    variant: Ints
    skew: Ints

    def __len__(self) -> int:
        return len(self.person)


@dataclass(frozen=True)
class Visits:
    """One row per session, sorted by (visitor, wanted start). `person` is -1 for strangers."""

    visitor: Ints
    person: Ints
    segment: Ints
    start: Ints

    def __len__(self) -> int:
        return len(self.visitor)


def plan_visits(block: Block, line: Timeline) -> tuple[Visitors, Visits]:
    """Draw the block's visitors and sessions; human sessions are exactly `session_count`."""
    random = block.random("visits")
    first, end = block.people
    known = people(block.options, first, end)
    segment, counts = _actors(random, block, known)
    busy_time, lap = _busy_times(random, known, counts, block.options.days)
    actor = np.repeat(np.arange(len(counts)), counts)
    actor = np.where(lap > 0, _those_before(known, counts, actor, lap), actor)
    keys, visitor = np.unique(_visitor_key(random, actor, end - first), return_inverse=True)
    kind = np.append(segment, STRANGER)[np.minimum(actor, len(segment))]
    person = np.where(actor < end - first, actor + first, -1)
    starts = line.at(busy_time)
    order = np.lexsort((starts, visitor))
    visits = Visits(visitor[order], person[order], kind[order], starts[order])
    owner = np.where(keys < (end - first) * MOST_DEVICES, keys // MOST_DEVICES, -1)
    is_truly_bot = np.zeros(len(keys), bool)
    is_truly_bot[visitor[kind == BOT]] = True
    return _visitors(block, first, owner, known.country, is_truly_bot), visits


def _actors(random: np.random.Generator, block: Block, known: People) -> tuple[Ints, Ints]:
    """Return each actor's segment and sessions: the block's people, strangers, then bots."""
    person_sessions = _person_sessions(random, block, known.activity)
    stranger_sessions = _stranger_sessions(random, block.session_count - person_sessions.sum())
    bot_count = _bot_count(random, block, person_sessions, stranger_sessions)
    others = np.repeat([STRANGER, BOT], [len(stranger_sessions), bot_count])
    counts = np.concatenate([person_sessions, stranger_sessions, np.ones(bot_count, np.int64)])
    return np.concatenate([known.segment, others]), counts


def _person_sessions(
    random: np.random.Generator, block: Block, activity: NDArray[np.float64]
) -> Ints:
    if len(activity) == 0:
        return np.zeros(0, np.int64)
    wanted = int(block.session_count * KNOWN_SESSION_SHARE)
    total = min(wanted, len(activity) * MOST_SESSIONS_PER_PERSON)
    return random.multinomial(total, activity / activity.sum())


def _stranger_sessions(random: np.random.Generator, total: int) -> Ints:
    """Return sessions per stranger that sum to `total`; the last one takes what is left."""
    counts = np.searchsorted(STRANGER_SESSIONS, random.random(total), side="right") + 1
    before = np.cumsum(counts) - counts
    counts, before = counts[before < total], before[before < total]
    return np.asarray(np.minimum(counts, total - before))


def _bot_count(
    random: np.random.Generator, block: Block, person_sessions: Ints, stranger_sessions: Ints
) -> int:
    humans = np.count_nonzero(person_sessions) + len(stranger_sessions)
    return int(humans * block.options.bot_rate + random.random())


def _visitor_key(random: np.random.Generator, actor: Ints, person_count: int) -> Ints:
    """Number the visitors: a person's devices first, then strangers, then bots."""
    devices = np.searchsorted(PERSON_DEVICES, random.random(person_count), side="right") + 1
    shares = random.random(person_count) < SHARED_DEVICE_SHARE
    shares[:1] = False
    is_known = actor < person_count
    person = np.where(is_known, actor, 0)
    if person_count == 0:
        return actor
    device = devices[person] * random.random(len(actor)) ** PRIMARY_DEVICE_BIAS
    owner = np.where((device < 1) & shares[person], person - 1, person)
    stranger_key = actor + person_count * (MOST_DEVICES - 1)
    return np.where(is_known, owner * MOST_DEVICES + device.astype(np.int64), stranger_key)


def _busy_times(
    random: np.random.Generator, known: People, counts: Ints, days: int
) -> tuple[NDArray[np.float64], Ints]:
    """Draw each session's moment, and its lap: how often the period had ended before it.

    Who signs up within the period begins then, everyone else anywhere in it.
    """
    begun = random.random(len(counts))
    is_new = np.flatnonzero(known.signup >= 0)
    begun[is_new] = known.signup[is_new]
    is_first = np.zeros(counts.sum(), bool)
    is_first[(np.cumsum(counts) - counts)[counts > 0]] = True
    wait = RETURN_MEDIAN_DAYS * np.exp(RETURN_SIGMA * random.standard_normal(len(is_first))) / days
    lap, moment = np.divmod(np.repeat(begun, counts) + np.where(is_first, 0, wait), 1)
    return moment, lap.astype(np.int64)


def _those_before(known: People, counts: Ints, actor: Ints, lap: Ints) -> Ints:
    """Return who visits at the beginning in place of an actor who would after the end.

    In place of a known user it is one of the same segment who signed up before the period and has
    few visits in it (a stranger, should there be none), in place of a stranger another one. What
    one actor lost by the same lap comes from one actor: the waits between sessions stay.
    """
    before = actor + lap * len(counts)
    customers = np.flatnonzero(known.signup < 0)
    customers = customers[np.lexsort((counts[customers], known.segment[customers]))]
    row = np.flatnonzero(actor < len(known.segment))
    segments, segment = known.segment[customers], known.segment[actor[row]]
    first = np.searchsorted(segments, segment, side="left")
    quietest = np.ceil(QUIETEST_SHARE * (np.searchsorted(segments, segment, side="right") - first))
    row, first, quietest = (a[quietest > 0] for a in (row, first, quietest.astype(np.int64)))
    before[row] = customers[first + (actor[row] + lap[row]) % quietest]
    return before


def _visitors(
    block: Block,
    first_person: int,
    owner: Ints,
    person_country: Ints,
    is_truly_bot: NDArray[np.bool_],
) -> Visitors:
    random = block.random("visitors")
    count = len(owner)
    declared = is_truly_bot & (np.cumsum(is_truly_bot) % 2 == block.number % 2)
    device = draw_devices(random, count)
    device = np.where(is_truly_bot, HIDDEN_BOT_DEVICE, device)
    countries = draw_countries(random, count)
    # Only some of the shop's trackers say that a human is none.
    said_of_humans = np.where(random.random(count) < 0.5, 0, -1)
    return Visitors(
        person=np.where(owner >= 0, owner + first_person, -1),
        is_bot=np.where(is_truly_bot, np.where(declared, 1, -1), said_of_humans),
        is_truly_bot=is_truly_bot,
        device=np.where(declared, DECLARED_BOT_DEVICE, device),
        country=np.where(owner >= 0, np.append(person_country, 0)[owner], countries),
        variant=random.integers(0, 2, count) if block.options.experiment else np.zeros(count, int),
        skew=_clock_skew(random, count, block.options.clock_skew_rate),
    )


def _clock_skew(random: np.random.Generator, count: int, rate: float) -> Ints:
    """Return each visitor's wrong clock in ms: mostly minutes to hours, a tenth whole days ahead.

    A visitor's clock is wrong by one constant, so its sessions stay whole.
    """
    magnitude = np.exp(random.uniform(np.log(2 * 60), np.log(12 * 3600), count))
    shift = np.where(random.random(count) < 0.5, -magnitude, magnitude)
    days = random.integers(2, 40, count) * 86_400
    shift = np.where(random.random(count) < 0.1, days, shift)
    return np.where(random.random(count) < rate, (shift * 1000).astype(np.int64), 0)
