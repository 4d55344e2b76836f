"""Pages, searches and what else an event tells of itself: they follow from the state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import quote_plus

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ingestion.generate.catalog import CATEGORIES
from ingestion.generate.columns import Coded, Column, coded
from ingestion.generate.journeys import State
from ingestion.generate.simulate import Simulation
from ingestion.generate.traffic import DEVICES

SITE = "https://www.clickmart.example"
MOST_RESULTS = 60  # of a search

S = State
# State, event type, page type, page (None where it depends on the event).
STATE_TABLE = (
    (S.HOME, "page_view", "home", "/"),
    (S.CONTENT, "page_view", "content", None),
    (S.SEARCH, "search", "search", None),
    (S.LIST, "product_list_view", "category", None),
    (S.CLICK, "product_click", "category", None),
    (S.VIEW, "product_view", "product", None),
    (S.ADD, "add_to_cart", "product", None),
    (S.REMOVE, "remove_from_cart", "cart", "/cart"),
    (S.CART, "page_view", "cart", "/cart"),
    (S.CHECKOUT, "checkout_start", "checkout", "/checkout"),
    (S.SHIPPING, "checkout_step", "checkout", "/checkout/shipping"),
    (S.PAYMENT, "checkout_step", "checkout", "/checkout/payment"),
    (S.PURCHASE, "purchase", "confirmation", "/checkout/thank-you"),
    (S.RELOAD, "purchase", "confirmation", "/checkout/thank-you"),
    (S.REFUND, "refund", None, None),
)
EVENT_TYPE_OF_STATE = tuple(row[1] for row in STATE_TABLE)
CONTENT_PAGES = ("/about", "/delivery", "/returns", "/blog/gift-guide", "/stores")
SEARCH_TERMS = tuple(noun.lower() for category in CATEGORIES for noun in category.nouns)
TERMS_PER_CATEGORY = len(SEARCH_TERMS) // len(CATEGORIES)
FOCUSED_SEARCH_SHARE = 0.75

VIEWPORTS = tuple(f'{{"viewport":"{device.viewport}"}}' for device in DEVICES)
RESULTS = tuple(f'{{"result_count":{count}}}' for count in range(MOST_RESULTS + 1))
CHECKOUT_STEPS = ('{"step":"shipping","step_number":1}', '{"step":"payment","step_number":2}')
PROPERTIES = VIEWPORTS + RESULTS + CHECKOUT_STEPS

Ints = NDArray[np.int64]


def page_columns(sim: Simulation, event: Ints) -> dict[str, Column]:
    """Return the columns of the pages for the given events."""
    category = sim.products.category[sim.session]
    term = _draw_terms(sim, category)
    urls = _page_urls(len(sim.shop.product_ids))
    fixed = [urls.index(page) if page else -1 for *_, page in STATE_TABLE]
    page = np.array(fixed)[sim.state]
    is_content = sim.state == S.CONTENT
    page = np.where(is_content, urls.content + (sim.session + sim.step) % len(CONTENT_PAGES), page)
    page = np.where(sim.state == S.SEARCH, urls.search + term, page)
    is_category = (sim.state == S.LIST) | (sim.state == S.CLICK)
    page = np.where(is_category, urls.category + category, page)
    is_product = (sim.state == S.VIEW) | (sim.state == S.ADD)
    page = np.where(is_product, urls.product + sim.products.product, page)
    return {
        "page_url": Coded(page[event], urls.values),
        "page_type": coded(sim.state[event], tuple(row[2] for row in STATE_TABLE)),
        "search_term": Coded(term[event], pa.array(SEARCH_TERMS)),
        "properties": replace(coded(_properties(sim)[event], PROPERTIES), is_json=True),
    }


@dataclass(frozen=True)
class PageUrls:
    """All pages of the shop; the numbers say where a kind of page begins in `values`."""

    values: pa.Array
    fixed: tuple[str, ...]
    content: int
    search: int
    category: int
    product: int

    def index(self, page: str) -> int:
        """Return the place of a fixed page."""
        return self.fixed.index(page)


@lru_cache(maxsize=4)
def _page_urls(product_count: int) -> PageUrls:
    fixed = tuple(dict.fromkeys(page for *_, page in STATE_TABLE if page))
    searches = [f"/search?q={quote_plus(term)}" for term in SEARCH_TERMS]
    categories = [f"/c/{quote_plus(category.name.lower())}" for category in CATEGORIES]
    products = [f"/p/P{number:05d}" for number in range(1, product_count + 1)]
    kinds = (fixed, CONTENT_PAGES, searches, categories, products)
    begins = np.cumsum([0, *map(len, kinds)]).tolist()
    values = pa.array([SITE + page for kind in kinds for page in kind])
    return PageUrls(values, fixed, *begins[1:5])


def _draw_terms(sim: Simulation, category: Ints) -> Ints:
    random = sim.block.random("searches")
    searches = np.flatnonzero(sim.state == S.SEARCH)
    within = random.integers(0, TERMS_PER_CATEGORY, len(searches))
    focused = category[searches] * TERMS_PER_CATEGORY + within
    anything = random.integers(0, len(SEARCH_TERMS), len(searches))
    is_focused = random.random(len(searches)) < FOCUSED_SEARCH_SHARE
    term = np.full(len(sim.state), -1)
    term[searches] = np.where(is_focused, focused, anything)
    return term


def _properties(sim: Simulation) -> Ints:
    """The first event of a session tells the viewport, a search its results, a step its name."""
    random = sim.block.random("properties")
    results = random.integers(0, MOST_RESULTS, len(sim.state), endpoint=True)
    device = sim.visitors.device[sim.visitor]
    steps = len(VIEWPORTS) + len(RESULTS)
    code = np.where(sim.step == 0, device, -1)
    code = np.where(sim.state == S.SEARCH, len(VIEWPORTS) + results, code)
    code = np.where(sim.state == S.SHIPPING, steps, code)
    code = np.where(sim.state == S.PAYMENT, steps + 1, code)
    return np.where(sim.state == S.REFUND, -1, code)
