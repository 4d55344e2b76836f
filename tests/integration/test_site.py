"""The site: its numbers against the marts, hostile names, an empty warehouse, and a real browser.

One warehouse holds a small generated shop and visitors whose every text tries to be markup.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ingestion import batch, postgres
from ingestion.errors import DatabaseError
from ingestion.generate.options import GenerateOptions
from ingestion.generate.run import generate
from ingestion.settings import Settings
from ingestion.site.pages import PAGES
from ingestion.site.slides import SLIDES, write_slides
from ingestion.site.write import write
from tests.conftest import empty_warehouse
from tests.dbt_runs import run_dbt
from tests.integration.test_warehouse import Warehouse
from tests.site_pages import data_of

OPTIONS = GenerateOptions(people=150, products=60, sessions=1500, days=40, seed=12)
START = datetime(2026, 2, 1, 9, tzinfo=timezone.utc)
EVIL = "<script>alert(1)</script>"
TWIN = "</script><b>&amp;</b><img src=x onerror=alert(2)>\u2028'\""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# To preload would fetch the styles once more. The dark theme changes colours, and nothing else.
AXE = {"resultTypes": ["violations"], "preload": False}
AXE_BY_THEME = {"light": AXE, "dark": {**AXE, "runOnly": ["color-contrast"]}}
SIZES = {"desktop": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}


# -- the warehouse -------------------------------------------------------------------------------


def hostile_visit(number: int) -> list[dict[str, Any]]:
    """A visitor who sees, and mostly leaves in the cart, two products with hostile names."""
    items = [
        {
            "line_id": str(n),
            "product_id": f"p{n} {name}",
            "product_name": name,
            "category": name,
            "brand": name,
            "quantity": 1,
            "unit_price": "500",
        }
        for n, name in enumerate((EVIL, TWIN))
    ]
    types = ["product_view", "add_to_cart", *(["purchase"] if number % 8 == 0 else [])]
    return [
        {
            "event_id": f"evil {number} {event_type}",
            "event_type": event_type,
            "event_ts": (START + timedelta(hours=number, minutes=n)).isoformat(),
            "visitor_id": f"evil {number}",
            "page_url": f"https://shop.example/{EVIL}",
            "device_type": EVIL,
            "experiment_id": EVIL,
            "variant_id": TWIN if number % 2 else "control",
            "items": items,
        }
        for n, event_type in enumerate(types)
    ]


@pytest.fixture(scope="module")
def empty_site(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site of a warehouse without events."""
    empty_warehouse(settings)
    run_dbt(settings, "build", "--exclude-resource-type", "test", "unit_test", "snapshot")
    folder = tmp_path_factory.mktemp("empty") / "site"
    shutil.copytree(write(settings).parent, folder)
    assert len(write_slides(settings)) == len(SLIDES)
    return folder


@pytest.fixture(scope="module")
def warehouse(
    empty_site: Path, settings: Settings, spark: Any, tmp_path_factory: pytest.TempPathFactory
) -> Warehouse:
    """The warehouse with events; built after the empty one, whose marts it fills."""
    assert empty_site.exists()
    folder = tmp_path_factory.mktemp("events")
    generate(spark, OPTIONS, folder / "generated")
    rows = [event for number in range(80) for event in hostile_visit(number)]
    (folder / "evil.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    paths = [str(folder / "evil.jsonl"), str(folder / "generated" / "events")]
    batch.ingest(settings, paths, "native", report=lambda _: None, spark=spark)
    run_dbt(settings, "run")
    return Warehouse(settings.home)


@pytest.fixture(scope="module")
def site(warehouse: Warehouse) -> Path:
    """The site's folder."""
    return write(warehouse.settings).parent


def rows_of(site: Path, page: str, table: str) -> list[dict[str, Any]]:
    """The rows of one of a page's tables."""
    found = data_of(site, page)[table]
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


# -- numbers -------------------------------------------------------------------------------------

IN_SPAN = (
    "between (select min(metric_date) from marts.fct_tracking_quality where is_in_span) "
    "and (select max(metric_date) from marts.fct_tracking_quality where is_in_span)"
)
# A page's table, its column, the rows that are added up, and the sum by another way.
SUMS = [
    (
        *("index", "trends", "metric_value", {"metric": "session_count"}),
        f"select count(*) from marts.fct_sessions where not is_bot and session_date {IN_SPAN}",
    ),
    (
        *("index", "trends", "metric_value", {"metric": "gross_revenue_amount"}),
        f"select sum(gross_amount) from marts.fct_orders where not is_bot and order_date {IN_SPAN}",
    ),
    (
        *("index", "hours", "session_count", {}),
        f"select count(*) from marts.fct_sessions where not is_bot and session_date {IN_SPAN}",
    ),
    (
        *("funnel", "sessions", "session_count", {}),
        f"select count(*) from marts.fct_sessions where not is_bot and session_date {IN_SPAN}",
    ),
    (
        *("funnel", "sessions", "purchase_count", {}),
        "select count(*) from marts.fct_session_funnels where purchase_at is not null "
        f"and session_date {IN_SPAN}",
    ),
    (
        *("funnel", "users", "user_count", {"furthest_step_number": 4}),
        "select count(*) from marts.fct_user_funnels where purchase_at is not null",
    ),
    (
        *("journeys", "transitions", "transition_count", {"from_step": "(start)"}),
        "select count(*) from marts.fct_sessions where not is_bot "
        f"and session_date >= date '2026-01-01' and session_date {IN_SPAN}",
    ),
    (
        *("carts", "carts", "cart_count", {}),
        f"select count(*) from marts.fct_carts where not is_bot and cart_date {IN_SPAN}",
    ),
    (
        *("carts", "carts", "lost_revenue_amount", {}),
        "select sum(lost_revenue_amount) from marts.fct_carts "
        f"where not is_bot and cart_date {IN_SPAN}",
    ),
    (
        *("products", "categories", "gross_revenue_amount", {}),
        "select sum(gross_revenue_amount) from marts.fct_product_metrics",
    ),
    (
        *("attribution", "channels", "attributed_revenue_amount", {"attribution_model": "markov"}),
        "select sum(attributed_revenue_amount) from marts.fct_attribution "
        "where attribution_model = 'markov'",
    ),
    (
        *("cohorts", "cohorts", "cohort_user_count"),
        {"period_type": "month", "cohort_type": "purchase", "period_number": 0},
        f"select count(*) from marts.dim_users where first_order_date {IN_SPAN}",
    ),
    (
        *("segments", "segments", "user_count", {}),
        "select count(*) from marts.dim_users",
    ),
    (
        *("experiments", "results", "visitor_count", {}),
        "select count(*) from marts.fct_experiment_visitors where not is_bot",
    ),
    (
        *("quality", "loads", "read_count", {}),
        "select sum(read_count) from ops.loads",
    ),
    (
        *("quality", "days", "event_count", {}),
        f"select count(*) from marts.fct_events where event_date {IN_SPAN}",
    ),
]


@pytest.mark.parametrize(
    ("page", "table", "column", "chosen", "query"), SUMS, ids=lambda value: str(value)[:24]
)
def test_a_pages_sums_are_those_of_the_facts(
    site: Path,
    warehouse: Warehouse,
    page: str,
    table: str,
    column: str,
    chosen: dict[str, Any],
    query: str,
) -> None:
    rows = [row for row in rows_of(site, page, table) if chosen.items() <= row.items()]
    expected = warehouse.value(query)
    assert expected > 0
    assert sum(row[column] or 0 for row in rows) == pytest.approx(float(expected), abs=0.01)


def test_the_key_figures_are_those_of_the_last_whole_week(site: Path, warehouse: Warehouse) -> None:
    ((visitors, sessions, orders),) = warehouse.query(
        """
        with week as (
            select max(week_start_date) as monday from marts.fct_weekly_metrics where is_complete
        )
        select
            (select count(distinct visitor_id) from marts.fct_events
                where not is_bot and event_date between monday and monday + 6),
            (select count(*) from marts.fct_sessions
                where not is_bot and session_date between monday and monday + 6),
            (select count(*) from marts.fct_orders
                where not is_bot and order_date between monday and monday + 6)
        from week
        """
    )
    text = (site / "index.html").read_text()
    shown = dict(re.findall(r'<dt>(.*?)</dt><dd class="value">(.*?)</dd>', text))
    expected = {"Visitors": visitors, "Sessions": sessions, "Orders": orders}
    assert {name: shown[name] for name in expected} == {
        name: f"{value:,}" for name, value in expected.items()
    }


def test_nothing_can_be_written_through_the_sites_connection(warehouse: Warehouse) -> None:
    with (
        pytest.raises(Exception, match="read-only transaction"),
        postgres.connect(warehouse.settings, read_only=True) as connection,
    ):
        connection.cursor().execute("create table marts.mine (n int)")


# -- what could go wrong -------------------------------------------------------------------------


class Tags(HTMLParser):
    """The scripts, pictures, links and ids of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))

    def values(self, name: str) -> list[str]:
        return [values[name] or "" for _, values in self.found if name in values]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_hostile_names_stay_text(site: Path, empty_site: Path, page: Any) -> None:
    tags = Tags(site / page.file)
    # The same tags as without any event, but for the key figures of what is there now.
    scripts = [tag for tag in tags.found if tag[0] == "script"]
    assert scripts == [tag for tag in Tags(empty_site / page.file).found if tag[0] == "script"]
    assert "img" not in {tag for tag, _ in tags.found}
    assert "alert(" not in re.sub(r"\\u003c[^<]*", "", (site / page.file).read_text())


def test_hostile_names_are_shown_as_they_are(site: Path) -> None:
    for page, table, column in (
        ("products", "products", "product_name"),
        ("products", "categories", "category"),
        ("carts", "products", "product_name"),
        ("funnel", "categories", "category"),
    ):
        assert {EVIL, TWIN} <= {row[column] for row in rows_of(site, page, table)}
    pairs = rows_of(site, "products", "pairs")
    assert {EVIL, TWIN} in [{row["product_name"], row["other_product_name"]} for row in pairs]
    assert EVIL in {row["experiment_id"] for row in rows_of(site, "experiments", "results")}


@pytest.mark.parametrize("folder", ["site", "empty_site"])
def test_every_link_leads_somewhere(folder: str, request: pytest.FixtureRequest) -> None:
    root: Path = request.getfixturevalue(folder)
    for page in PAGES:
        tags = Tags(root / page.file)
        targets = [t for name in ("href", "src") for t in tags.values(name) if t != "data:,"]
        assert len(targets) > len(PAGES)
        for target in targets:
            file, _, anchor = target.partition("#")
            assert not file or (root / file).is_file(), f"{page.file}: {target}"
            assert not anchor or anchor in tags.values("id"), f"{page.file}: {target}"


def test_an_empty_warehouse_says_so(empty_site: Path) -> None:
    for page in PAGES:
        text = (empty_site / page.file).read_text()
        assert ("The warehouse holds no events yet" in text) == bool(page.queries)
        assert all(not table["rows"] for table in tables_without_totals(empty_site, page.name))


def tables_without_totals(site: Path, page: str) -> list[dict[str, Any]]:
    """The tables of a page but those of one row, which an empty warehouse fills with zeros."""
    one_row = {"totals", "times", "disagreement", "segments"}
    return [
        table
        for name, table in data_of(site, page).items()
        if name not in one_row and "rows" in table
    ]


def test_again_is_the_same(site: Path, warehouse: Warehouse) -> None:
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    write(warehouse.settings)
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before


def test_slides_are_pictures_for_a_whole_screen(warehouse: Warehouse) -> None:
    paths = write_slides(warehouse.settings)
    assert {path.stem for path in paths} == set(SLIDES)
    for path in paths:
        header = path.read_bytes()[:24]
        assert header.startswith(b"\x89PNG")
        size = (int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big"))
        assert size == (1920, 1080)


def test_without_marts_it_says_what_to_do(site: Path, warehouse: Warehouse) -> None:
    warehouse.query("alter table marts.fct_user_funnels rename to hidden; select 1")
    try:
        with pytest.raises(DatabaseError, match=r"fct_user_funnels.*clickmart build"):
            write(warehouse.settings)
        assert (site / "index.html").exists()
    finally:
        warehouse.query("alter table marts.hidden rename to fct_user_funnels; select 1")


# -- in a browser --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, where it is."""
    path = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*flags, *quiet])
        yield browser
        browser.close()


class Opened:
    """A page in the browser, and what it complained of."""

    def __init__(self, browser: Any, path: Path) -> None:
        self.page = browser.new_page(viewport=SIZES["desktop"], color_scheme="light")
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog: {dialog.message}"))
        self.page.on("console", self._hear)
        self.page.goto(path.as_uri())
        self.settle()

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def settle(self) -> None:
        """Wait until all charts are drawn."""
        self.page.wait_for_function("document.documentElement.dataset.drawn === String(round)")

    def fits(self) -> bool:
        """Whether nothing is wider than the screen; charts hear of a new size a little later."""
        from playwright.sync_api import TimeoutError as TooWide

        try:
            self.page.wait_for_function(
                "document.documentElement.scrollWidth <= innerWidth", timeout=5_000
            )
        except TooWide:
            return False
        return True

    def cells(self, figure: str) -> list[list[str]]:
        """The texts of a figure's table, its numbers opened."""
        section = self.page.locator(f'[data-figure="{figure}"]')
        if section.locator("details:not([open])").count():
            section.locator("summary").click()
        section.locator("tbody tr").first.wait_for()
        script = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        found: list[list[str]] = section.locator("tbody tr").evaluate_all(script)
        return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_page_is_accessible_in_light_and_dark_at_both_sizes(
    site: Path, browser: Any, page: Any
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    opened = Opened(browser, site / page.file)
    faults = []
    for theme, options in AXE_BY_THEME.items():
        opened.page.emulate_media(color_scheme=theme)
        for size, viewport in SIZES.items():
            opened.page.set_viewport_size(viewport)
            opened.settle()
            found = Axe().run(opened.page, options=options)
            faults += [
                (theme, size, fault["id"], fault["nodes"][0]["html"])
                for fault in found.response["violations"]
                if fault["impact"] in ("serious", "critical")
            ]
            if not opened.fits():
                faults.append((theme, size, "wider than the screen", ""))
    opened.page.close()
    assert faults == []
    assert opened.errors == []


def test_an_empty_page_draws_nothing_and_says_why(empty_site: Path, browser: Any) -> None:
    opened = Opened(browser, empty_site / PAGES[0].file)
    for page in PAGES:
        opened.page.goto((empty_site / page.file).as_uri())
        opened.settle()
        figures = opened.page.locator("[data-figure]").count()
        said = opened.page.locator("[data-figure] .empty:visible").count()
        assert (page.name, said) == (page.name, figures)
    assert opened.errors == []
    opened.page.close()


def test_charts_show_hostile_names_as_they_are(site: Path, browser: Any) -> None:
    opened = Opened(browser, site / "products.html")
    labels = opened.page.locator('[data-figure="product-categories"] .ytick').all_text_contents()
    assert EVIL in labels
    assert any(label.startswith("</script><b>&amp;</b><img") for label in labels)
    assert opened.page.locator("main img").count() == 0
    assert opened.errors == []
    opened.page.close()


def test_filters_choose_and_headings_sort(site: Path, browser: Any, warehouse: Warehouse) -> None:
    opened = Opened(browser, site / "funnel.html")
    opened.page.select_option('[data-filter="device_type"]', EVIL)
    opened.page.fill("[data-from]", "2026-02-02")
    opened.page.fill("[data-to]", "2026-02-03")
    opened.page.locator("[data-to]").blur()
    opened.settle()
    expected = warehouse.query(
        "select count(*), count(product_view_at), count(add_to_cart_at) "
        "from marts.fct_session_funnels "
        "where device_type like '<script>%' and session_date between '2026-02-02' and '2026-02-03'"
    )
    assert [int(row[1]) for row in opened.cells("funnel")[:3]] == list(expected[0])
    assert [row[0] for row in opened.cells("by-device")] == [EVIL]
    opened.page.select_option('[data-filter="device_type"]', "")
    opened.settle()
    opened.page.locator('[data-figure="by-device"] th button').first.click()
    devices = [row[0] for row in opened.cells("by-device")]
    assert devices == sorted(devices)
    assert len(devices) > 1
    assert opened.errors == []
    opened.page.close()


def test_the_curve_of_cohorts_leaves_out_what_is_not_over(
    site: Path, browser: Any, warehouse: Warehouse
) -> None:
    """Each cohort has a last week of which only some days are there yet."""
    expected = warehouse.query(
        """
        with last_day as (
            select max(metric_date) as date_day from marts.fct_tracking_quality where is_in_span
        )
        select period_number, sum(cohort_user_count), sum(active_user_count)
        from marts.fct_user_cohorts cross join last_day
        where period_type = 'week' and cohort_type = 'activity' and period_number > 0
            and cohort_start_date + 7 * period_number + 6 <= last_day.date_day
        group by period_number order by period_number
        """
    )
    ((unfinished,),) = warehouse.query("select max(period_number) from marts.fct_user_cohorts")
    opened = Opened(browser, site / "cohorts.html")
    shown = [[int(cell.replace(",", "")) for cell in row[:3]] for row in opened.cells("curve")]
    assert shown == [list(row) for row in expected]
    cells = opened.page.locator('[data-figure="cohorts"] .heatmap-label').all_text_contents()
    assert sum(cell.endswith("…") for cell in cells) == unfinished
    opened.page.close()


def test_it_works_by_keyboard_and_keeps_the_theme(site: Path, browser: Any) -> None:
    opened = Opened(browser, site / "index.html")
    keyboard = opened.page.keyboard
    keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.className") == "skip"
    for _ in range(len(PAGES) + 1):
        keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.id") == "theme"
    keyboard.press("Enter")
    opened.settle()
    background = "getComputedStyle(document.body).backgroundColor"
    dark = opened.page.evaluate(background)
    opened.page.goto((site / "carts.html").as_uri())
    opened.settle()
    assert opened.page.evaluate(background) == dark != "rgb(246, 247, 249)"
    assert opened.errors == []
    opened.page.close()
