"""The known users: who they are, how often they come, and the file that lists them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from ingestion.generate.options import GenerateOptions, random_for
from ingestion.generate.timeline import DAY_MS, timeline

# Name, share of the people, and visits relative to each other.
SEGMENTS = (
    ("loyal", 0.10, 3.5),
    ("regular", 0.25, 1.8),
    ("occasional", 0.40, 0.8),
    ("browser", 0.25, 0.8),
)
SEGMENT_NAMES = tuple(name for name, _, _ in SEGMENTS)
# How unequal people of one segment are: the shape of a gamma distribution.
ACTIVITY_SHAPE = 1.2

# Country, share of the visitors, language, and where names and cities come from. Only locales
# whose lists Faker does not keep in sets: theirs change with the process (Italy's cities do).
COUNTRIES = (
    ("US", 0.46, "en-US", "en_US"),
    ("GB", 0.12, "en-GB", "en_GB"),
    ("DE", 0.09, "de-DE", "de_DE"),
    ("CA", 0.07, "en-CA", "en_CA"),
    ("FR", 0.06, "fr-FR", "fr_FR"),
    ("ES", 0.05, "es-ES", "es_ES"),
    ("NL", 0.04, "nl-NL", "nl_NL"),
    ("SE", 0.04, "sv-SE", "sv_SE"),
    ("PL", 0.03, "pl-PL", "pl_PL"),
    ("JP", 0.02, "ja-JP", "ja_JP"),
    ("BR", 0.02, "pt-BR", "pt_BR"),
)
COUNTRY_CODES = tuple(code for code, _, _, _ in COUNTRIES)
LANGUAGES = tuple(language for _, _, language, _ in COUNTRIES)
COUNTRY_SHARES: NDArray[np.float64] = np.cumsum([share for _, share, _, _ in COUNTRIES])

# All that is asked of Faker: it loads every other kind of word as well, and slowly.
POOL_PROVIDERS = ["faker.providers.person", "faker.providers.address"]
POOL_NAMES = 80  # names and cities asked of Faker per country, then combined
SIGNUP_DAYS = 730  # people signed up at most this long before the period, some within it
PEOPLE_A_CHUNK = 4_096  # the random numbers are drawn per chunk, so any block can find its people


@dataclass(frozen=True)
class People:
    """Consecutive known users; `activity` is how often they come, relative to each other.

    `signup` is a busy time: below 0 before the period, and nobody visits who is yet to sign up.
    """

    segment: NDArray[np.int64]
    country: NDArray[np.int64]
    activity: NDArray[np.float64]
    signup: NDArray[np.float64]

    def __getitem__(self, rows: slice) -> People:
        return People(
            self.segment[rows], self.country[rows], self.activity[rows], self.signup[rows]
        )


@lru_cache(maxsize=4)
def user_ids(first: int, end: int) -> pa.Array:
    """Return the user ids of the people numbered from `first` until before `end`."""
    return pa.array([f"U{number + 1:07d}" for number in range(first, end)], pa.string())


def draw_countries(random: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Return places in COUNTRIES."""
    share = random.random(count) * COUNTRY_SHARES[-1]
    return np.asarray(np.searchsorted(COUNTRY_SHARES, share).astype(np.int64))


def people(options: GenerateOptions, first: int, end: int) -> People:
    """Return the people numbered from `first` until before `end`, the same whoever asks."""
    chunks = [
        _chunk(options, number)
        for number in range(first // PEOPLE_A_CHUNK, -(-end // PEOPLE_A_CHUNK))
    ] or [_chunk(options, 0)]
    joined = People(
        segment=np.concatenate([chunk.segment for chunk in chunks]),
        country=np.concatenate([chunk.country for chunk in chunks]),
        activity=np.concatenate([chunk.activity for chunk in chunks]),
        signup=np.concatenate([chunk.signup for chunk in chunks]),
    )
    skipped = first // PEOPLE_A_CHUNK * PEOPLE_A_CHUNK
    return joined[first - skipped : end - skipped]


@lru_cache(maxsize=4)
def _chunk(options: GenerateOptions, number: int) -> People:
    random = random_for(options.seed, "people", str(number))
    shares = np.cumsum([share for _, share, _ in SEGMENTS])
    segment = np.searchsorted(shares, random.random(PEOPLE_A_CHUNK) * shares[-1])
    visits = np.array([weight for _, _, weight in SEGMENTS])[segment]
    return People(
        segment=segment,
        country=draw_countries(random, PEOPLE_A_CHUNK),
        activity=visits * random.gamma(ACTIVITY_SHAPE, 1 / ACTIVITY_SHAPE, PEOPLE_A_CHUNK),
        signup=random.uniform(-SIGNUP_DAYS / options.days, 1, PEOPLE_A_CHUNK),
    )


def write_people(options: GenerateOptions, path: Path) -> None:
    """Write the known users as CSV, a chunk at a time."""
    pools = _name_pools(options.seed)
    writer = None
    for first in range(0, options.people, PEOPLE_A_CHUNK):
        end = min(first + PEOPLE_A_CHUNK, options.people)
        table = _people_table(options, first, end, pools)
        writer = writer or csv.CSVWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def _people_table(
    options: GenerateOptions, first: int, end: int, pools: list[dict[str, list[str]]]
) -> pa.Table:
    chunk = people(options, first, end)
    random = random_for(options.seed, "people's names", str(first))
    picks = random.integers(0, POOL_NAMES, (3, end - first)).tolist()
    names, emails, cities = [], [], []
    for row, country in enumerate(chunk.country.tolist()):
        pool = pools[country]
        given, family = pool["given"][picks[0][row]], pool["family"][picks[1][row]]
        names.append(f"{given} {family}")
        emails.append(f"{_ascii(given)}.{_ascii(family)}.{first + row + 1}@example.com")
        cities.append(pool["city"][picks[2][row]])
    start = options.start_date.toordinal()
    return pa.table(
        {
            "user_id": user_ids(first, end),
            "name": names,
            "email": emails,
            "city": cities,
            "country": [COUNTRY_CODES[country] for country in chunk.country.tolist()],
            "signup_date": [date.fromordinal(start + day) for day in _signup_days(options, chunk)],
            "segment": [SEGMENT_NAMES[segment] for segment in chunk.segment.tolist()],
        }
    )


def _signup_days(options: GenerateOptions, chunk: People) -> list[int]:
    """Return the day of the period on which each signed up; it is negative before it."""
    line = timeline(options)
    within = (line.at(chunk.signup) - line.start) // DAY_MS
    before = np.floor(chunk.signup * options.days).astype(np.int64)
    days: list[int] = np.where(chunk.signup < 0, before, within).tolist()
    return days


def _name_pools(seed: int) -> list[dict[str, list[str]]]:
    """Ask Faker once per country: people combine these, for Faker makes only thousands a second."""
    from faker import Faker  # slow to import, and no task needs it

    pools = []
    for *_, locale in COUNTRIES:
        fake = Faker(locale, providers=POOL_PROVIDERS)
        fake.seed_instance(seed)
        pools.append(
            {
                "given": [fake.first_name() for _ in range(POOL_NAMES)],
                "family": [fake.last_name() for _ in range(POOL_NAMES)],
                "city": [fake.city() for _ in range(POOL_NAMES)],
            }
        )
    return pools


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "".join(letter for letter in plain if letter.isalnum()) or "customer"
