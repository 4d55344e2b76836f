"""When known users log in: anonymous first, known from then on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ingestion.generate.journeys import State
from ingestion.generate.visits import Visits

# When a known user logs in on a device: in the first session with 55 %, the second with 25 % ...
LOGIN_SESSION = (0.55, 0.80, 0.92, 1.0)
LOGGED_IN_BEFORE_SHARE = 0.3  # of these logins: the user was logged in when the period began
NEVER = 1 << 30

Ints = NDArray[np.int64]


def draw_logins(
    random: np.random.Generator, visits: Visits, session: Ints, step: Ints, state: Ints
) -> NDArray[np.bool_]:
    """Say at which events the user is known: from the login on, for good.

    Per visitor and user: the login falls into an early session, and no known user reaches the
    checkout without it.
    """
    order = np.lexsort((np.arange(len(visits)), visits.person, visits.visitor))
    is_new = np.ones(len(visits), bool)
    is_new[1:] = (np.diff(visits.visitor[order]) != 0) | (np.diff(visits.person[order]) != 0)
    pair = np.empty(len(visits), np.int64)
    pair[order] = np.cumsum(is_new) - 1
    ordinal = np.empty(len(visits), np.int64)
    first = np.flatnonzero(is_new)
    ordinal[order] = np.arange(len(visits)) - first[np.cumsum(is_new) - 1]
    login = np.searchsorted(LOGIN_SESSION, random.random(len(first)), side="right")
    login[random.random(len(first)) < LOGGED_IN_BEFORE_SHARE] = -1
    at_checkout = np.flatnonzero(state == State.CHECKOUT)
    checkout = np.full(len(visits), NEVER)
    np.minimum.at(checkout, session[at_checkout], step[at_checkout])
    np.minimum.at(login, pair[checkout < NEVER], ordinal[checkout < NEVER])
    lengths = np.bincount(session, minlength=len(visits))
    drawn = (random.random(len(visits)) * lengths).astype(np.int64)
    login_step = np.minimum(drawn, checkout)
    login_step[ordinal > login[pair]] = 0
    login_step[(ordinal < login[pair]) | (visits.person < 0)] = NEVER
    return np.asarray(step >= login_step[session])
