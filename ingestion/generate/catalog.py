"""The shop's products: category, brand, price and how popular they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from ingestion.generate.options import GenerateOptions, random_for

# Views of a product fall with its rank to this power; on real shops -0.65 to -1.0. The top tenth
# of 500 products then gets about 43 % of the views (measured: 40-46 %).
ZIPF_SLOPE = 0.7
PRICE_SIGMA = 0.65
COST_SHARE = (0.45, 0.7)
PRICE_CHANGE_SHARE = 0.15  # products whose price changes once in the period
PRICE_CHANGE = (-0.2, 0.15)


@dataclass(frozen=True)
class Category:
    """A department: its share of the products, its median price, what it sells."""

    name: str
    weight: float
    median_price: float
    nouns: tuple[str, ...]
    variants: tuple[str, ...]


SIZES = ("S", "M", "L", "XL")
COLOURS = ("black", "white", "blue", "red")
CATEGORIES = (
    Category("Women", 0.16, 32, ("Dress", "Blouse", "Cardigan", "Skirt"), SIZES),
    Category("Men", 0.14, 30, ("Shirt", "Chinos", "Jumper", "Polo"), SIZES),
    Category("Shoes", 0.10, 52, ("Trainers", "Boots", "Sandals", "Loafers"), ("38", "40", "42")),
    Category("Home & Kitchen", 0.14, 24, ("Crème Bowl", "Lamp", "Kettle", "Cushion"), COLOURS),
    Category("Electronics", 0.12, 58, ('27" Monitor', "Headphones", "Speaker", "Mouse"), COLOURS),
    Category("Beauty", 0.10, 16, ("Serum", "Shampoo", "Lipstick", "Soap, 3 bars"), ()),
    Category("Sports", 0.08, 30, ("Yoga Mat", "Dumbbell", "Bottle", "Backpack"), COLOURS),
    Category("Toys", 0.07, 20, ("Puzzle", "Building Set", "Plush Bear", "Card Game"), ()),
    Category("Garden", 0.05, 27, ("Planter", "Hose", "Rake", "Lantern"), ()),
    Category("Books", 0.04, 14, ("Novel", "Cookbook", "Atlas", "Biography"), ()),
)
ADJECTIVES = (
    *("Classic", "Modern", "Essential", "Premium", "Compact", "Everyday", "Nordic", "Vintage"),
    *("Urban", "Organic", "Light", "Ultra", "Soft", "Bold", "Pure", "Original"),
)
BRANDS = (
    *("Alder & Co", "Brightwell", "Casa Luma", "Dunmore", "Everline", "Fjordhus", "Grovely"),
    *("Halden", "Ivory Lane", "Juniper", "Kestrel", "Lindqvist", "Meridian", "Northway"),
    *("Oakridge", "Pallas", "Quillon", "Rosedale", "Solvang", "Tindal", "Umbra", "Velora"),
    *("Wexford", "Yarrow", "Zephyr"),
)
VARIANTS = tuple(dict.fromkeys(v for category in CATEGORIES for v in category.variants))


@dataclass(frozen=True)
class Catalog:
    """The products, sorted by category; prices and costs in cents.

    `popularity` is the cumulated share of interest before each product, with a last entry of 1;
    `category_bounds[c]` and `[c + 1]` are a category's first product and the one after its last.
    From `change_day` of the period on (never, if it is past the end) `new_price` holds.
    """

    product_ids: pa.Array
    names: pa.Array
    category: NDArray[np.int64]
    brand: NDArray[np.int64]
    price: NDArray[np.int64]
    new_price: NDArray[np.int64]
    change_day: NDArray[np.int64]
    cost: NDArray[np.int64]
    popularity: NDArray[np.float64]
    category_bounds: NDArray[np.int64]

    def draw(self, share: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the product at each share (0 to 1) of all interest."""
        found = np.searchsorted(self.popularity, share, side="right") - 1
        return np.minimum(found, len(self.price) - 1).astype(np.int64)

    def draw_within(
        self, category: NDArray[np.int64], share: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Return the product at each share of the interest in a category."""
        low = self.popularity[self.category_bounds[category]]
        high = self.popularity[self.category_bounds[category + 1]]
        found = self.draw(low + share * (high - low))
        return np.minimum(found, self.category_bounds[category + 1] - 1)

    def price_on(self, product: NDArray[np.int64], day: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the price in cents of each product on a day of the period."""
        changed = day >= self.change_day[product]
        return np.where(changed, self.new_price[product], self.price[product])

    def variant_codes(
        self, product: NDArray[np.int64], share: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Return a place in VARIANTS for each product, -1 where its category has none."""
        category = self.category[product]
        picked = (share * VARIANT_COUNTS[category]).astype(np.int64)
        return np.asarray(VARIANT_TABLE[category, picked])

    def write(self, path: Path) -> None:
        """Write the list prices as CSV."""
        columns = {
            "product_id": self.product_ids,
            "name": self.names,
            "category": pa.array([c.name for c in CATEGORIES]).take(pa.array(self.category)),
            "brand": pa.array(BRANDS).take(pa.array(self.brand)),
            "base_price": _dollars(self.price),
            "cost": _dollars(self.cost),
        }
        csv.write_csv(pa.table(columns), path)


@lru_cache(maxsize=4)
def catalog(options: GenerateOptions) -> Catalog:
    """Build the shop's products."""
    count = options.products
    random = random_for(options.seed, "catalog")
    weights = np.array([category.weight for category in CATEGORIES])
    category = np.sort(random.choice(len(CATEGORIES), count, p=weights / weights.sum()))
    interest = (random.permutation(count) + 1.0) ** -ZIPF_SLOPE
    medians = np.array([c.median_price for c in CATEGORIES])[category]
    price = _shelf_price(medians * np.exp(PRICE_SIGMA * random.standard_normal(count)))
    changes = random.random(count) < PRICE_CHANGE_SHARE
    brand = random.integers(0, len(BRANDS), count)
    return Catalog(
        product_ids=pa.array([f"P{number:05d}" for number in range(1, count + 1)]),
        names=_names(random, category, brand),
        category=category,
        brand=brand,
        price=price,
        new_price=_shelf_price(price / 100 * (1 + random.uniform(*PRICE_CHANGE, count))),
        change_day=np.where(changes, random.integers(0, options.days, count), options.days + 1),
        cost=(price * random.uniform(*COST_SHARE, count)).astype(np.int64),
        popularity=np.concatenate([[0.0], np.cumsum(interest) / interest.sum()]),
        category_bounds=np.searchsorted(category, np.arange(len(CATEGORIES) + 1)),
    )


def _names(
    random: np.random.Generator, category: NDArray[np.int64], brand: NDArray[np.int64]
) -> pa.Array:
    adjective = random.integers(0, len(ADJECTIVES), len(category)).tolist()
    noun = random.integers(0, 4, len(category)).tolist()
    names, seen = [], Counter[str]()
    for b, a, c, n in zip(brand.tolist(), adjective, category.tolist(), noun, strict=True):
        name = f"{BRANDS[b]} {ADJECTIVES[a]} {CATEGORIES[c].nouns[n]}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} No. {seen[name]}")
    return pa.array(names)


def _shelf_price(dollars: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the price in cents, one cent short of a whole dollar."""
    return np.maximum(np.rint(dollars), 2).astype(np.int64) * 100 - 1


def _dollars(cents: NDArray[np.int64]) -> pa.Array:
    return pa.array([f"{value // 100}.{value % 100:02d}" for value in cents.tolist()])


VARIANT_COUNTS = np.array([len(category.variants) or 1 for category in CATEGORIES])
VARIANT_TABLE = np.full((len(CATEGORIES), max(VARIANT_COUNTS)), -1)
for _row, _category in enumerate(CATEGORIES):
    for _column, _variant in enumerate(_category.variants):
        VARIANT_TABLE[_row, _column] = VARIANTS.index(_variant)
