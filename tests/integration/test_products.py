"""Products, affinity, prices, carts and versions, against a second computation in Python.

One warehouse holds a small generated shop and random events full of edges: lines without prices,
two currencies, removals before adds, repeated purchases, wrong clocks, bots.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ingestion import batch
from ingestion.generate.catalog import Catalog, catalog
from ingestion.generate.options import GenerateOptions
from ingestion.generate.run import generate
from ingestion.settings import Settings
from tests import products_reference as reference
from tests.conftest import empty_warehouse
from tests.dbt_runs import run_dbt
from tests.integration.test_warehouse import Warehouse

OPTIONS = GenerateOptions(people=150, products=60, sessions=1500, days=40, seed=12)
MODELS = (
    *("fct_product_metrics", "fct_product_affinity", "fct_product_prices", "fct_cart_changes"),
    *("fct_cart_items", "fct_product_carts", "snap_products", "snap_user_segments"),
)
PRODUCTS = ("lamp", "rug", "Été", "cup", "jar")
START = datetime(2026, 2, 1, 9, tzinfo=timezone.utc)


# -- the events ----------------------------------------------------------------------------------


def item(draw: random.Random, number: int) -> dict[str, Any]:
    """A line; often without a quantity or a price, sometimes at an odd one."""
    line = {
        "line_id": str(number),
        "product_id": draw.choice(PRODUCTS),
        "quantity": draw.choice((None, 1, 1, 2, 3)),
        "unit_price": draw.choice((None, "10", "10", "10", "12.5", "0", "9.995")),
    }
    return {name: value for name, value in line.items() if value is not None}


def random_events(seed: int) -> list[dict[str, Any]]:
    """Visits of some visitors: short gaps and long ones, some over midnight, some orders twice."""
    draw = random.Random(seed)
    types = ("product_view", "product_view", "add_to_cart", "add_to_cart", "remove_from_cart")
    rows = []
    for visitor in range(60):
        at = START + timedelta(hours=draw.randrange(24 * 12))
        for number in range(draw.randrange(2, 22)):
            at += timedelta(seconds=draw.choice((0, 20, 90, 600, 1800, 1801, 40_000)))
            row = {
                "event_id": f"x{visitor}-{number}",
                "event_type": draw.choice((*types, "purchase", "page_view")),
                "event_ts": at.isoformat(),
                "visitor_id": f"v{visitor}",
                "currency": draw.choice(("USD", "USD", "EUR")),
                "items": [item(draw, n) for n in range(draw.choice((0, 1, 1, 1, 2, 4)))],
            }
            if draw.random() < 0.2:
                row["user_id"] = f"u{draw.randrange(25)}"
            if row["event_type"] == "purchase" and draw.random() < 0.7:
                row["order_id"] = draw.choice((f"o{visitor}", f"o{visitor}", "(not set)", "shared"))
            if visitor % 15 == 7 and number == 0:
                row["is_bot"] = True
            rows.append(row)
    return rows


def view(event_id: str, at: datetime, products: tuple[str, ...], price: str) -> dict[str, Any]:
    """One visitor's view of products at a price."""
    return {
        "event_id": event_id,
        "event_type": "product_view",
        "event_ts": at.isoformat(),
        "visitor_id": f"visitor of {event_id}",
        "items": [
            {"line_id": str(n), "product_id": product, "unit_price": price}
            for n, product in enumerate(products)
        ],
    }


def edge_events() -> list[dict[str, Any]]:
    """A view of more products than affinity takes, a fast bot, a clock in 2099, a price history."""
    many = tuple(f"many-{n:02}" for n in range(51))
    day = timedelta(days=1)
    fast = [
        {**view(f"fast-{n}", START + n * timedelta(seconds=0.5), ("lamp",), "1"), "visitor_id": "z"}
        for n in range(50)
    ]
    history = [(0, "20"), (0, "20"), (1, "99"), (2, "20"), (2, "20"), (3, "18"), (4, "18")]
    return [
        view("crowd", START, many, "3"),
        view("crowd again", START, many[:2], "3"),
        view("crowd once more", START, many[:2], "3"),
        view("future", datetime(2099, 1, 1, tzinfo=timezone.utc), ("lamp",), "77"),
        view("future too", datetime(2099, 1, 1, tzinfo=timezone.utc), ("lamp",), "77"),
        *(view(f"h{n}", START + d * day, ("history",), p) for n, (d, p) in enumerate(history)),
        *fast,
    ]


# -- the warehouse -------------------------------------------------------------------------------


Load = Callable[..., None]


def build(warehouse: Warehouse, *selection: str) -> None:
    without_tests = ("--exclude-resource-type", "test", "unit_test")
    run_dbt(warehouse.settings, "build", *without_tests, "-s", *selection)


@pytest.fixture(scope="module")
def load(settings: Settings, spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Load:
    """A function that loads rows and files."""
    folder, numbers = tmp_path_factory.mktemp("rows"), count()

    def run(rows: list[dict[str, Any]], *other_paths: Path) -> None:
        path = folder / f"{next(numbers)}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        paths = [str(path), *map(str, other_paths)]
        batch.ingest(settings, paths, "native", report=lambda _: None, spark=spark)

    return run


@pytest.fixture(scope="module")
def built(
    settings: Settings, spark: Any, load: Load, tmp_path_factory: pytest.TempPathFactory
) -> Warehouse:
    """A warehouse with the generated shop and the events above."""
    empty_warehouse(settings)
    warehouse = Warehouse(settings.home)
    warehouse.query("drop schema if exists snapshots cascade; select 1")
    generated = tmp_path_factory.mktemp("products") / "generated"
    generate(spark, OPTIONS, generated)
    load([*random_events(5), *edge_events()], generated / "events")
    build(warehouse, "resource_type:seed", *(f"+{model}" for model in MODELS))
    return warehouse


@pytest.fixture(scope="module")
def shop(built: Warehouse) -> reference.Shop:
    """The raw events, with sessions, persons, bots and orders found anew."""
    items: dict[str, list[reference.Item]] = {}
    for event_id, *values in built.query(
        "select event_id, line_id, product_id, coalesce(quantity, 1), unit_price "
        "from raw.event_items"
    ):
        items.setdefault(event_id, []).append(reference.Item(*values))
    rows = built.query(
        "select event_id, event_type, event_ts, visitor_id, user_id, "
        "case when order_id <> '(not set)' then order_id end, coalesce(currency, 'USD'), "
        "coalesce(is_bot, false) from raw.events"
    )
    shop = reference.Shop(reference.Event(*row, items.get(row[0], [])) for row in rows)
    assert len(shop.sessions) == built.value("select count(*) from marts.fct_sessions")
    bots = built.value("select count(*) from intermediate.int_visitors_flagged where is_bot")
    assert len(shop.bots) == bots
    return shop


def variable(warehouse: Warehouse, name: str) -> Any:
    return warehouse.settings.dbt_vars[name]


def test_every_data_test_of_the_subject_passes(built: Warehouse) -> None:
    run_dbt(built.settings, "test", "--exclude-resource-type", "unit_test", "-s", *MODELS)


# -- the marts against the second computation ----------------------------------------------------


def test_product_metrics_equal_the_reference(built: Warehouse, shop: reference.Shop) -> None:
    found = built.query(
        "select metric_date, product_id, view_count, add_to_cart_count, remove_from_cart_count, "
        "order_count, purchased_quantity, gross_revenue_amount, view_session_count, "
        "cart_session_count, view_to_cart_session_count, cart_to_purchase_session_count, "
        "view_to_cart_rate, cart_to_purchase_rate from marts.fct_product_metrics"
    )
    expected = set()
    for key, row in reference.product_metrics(shop).items():
        viewed, added, bought = row["viewed"], row["added"], row["bought"]
        expected.add(
            (
                *key,
                *(row[name] for name in ("views", "adds", "removes", "orders", "pieces")),
                *(row["revenue"], len(viewed), len(added)),
                *(len(viewed & added), len(added & bought)),
                reference.share(len(viewed & added), len(viewed)),
                reference.share(len(added & bought), len(added)),
            )
        )
    assert len(found) == len(expected) > 1000
    assert set(found) == expected


@pytest.mark.parametrize("basis", ["order", "view"])
def test_affinity_equals_the_reference(built: Warehouse, shop: reference.Shop, basis: str) -> None:
    found = built.query(
        "select product_id, other_product_id, basket_count, left_out_basket_count, "
        "product_basket_count, other_product_basket_count, pair_basket_count, support_rate, "
        f"confidence_rate, lift from marts.fct_product_affinity where basis = '{basis}'"
    )
    expected = reference.association_rules(
        reference.baskets(shop, basis),
        most_products=variable(built, "affinity_max_basket_products"),
        least_baskets=variable(built, "affinity_min_basket_count"),
    )
    assert len(found) == len(expected) > 10
    assert set(found) == expected
    assert {row[3] > 0 for row in found} == {basis == "view"}


def test_the_closest_product_comes_first(built: Warehouse) -> None:
    ranked = built.query(
        "select basis, product_id, pair_rank, pair_basket_count, other_product_basket_count, "
        "other_product_id from marts.fct_product_affinity"
    )
    by_rank = sorted(ranked, key=lambda r: (r[0], r[1].encode(), r[2]))
    by_count = sorted(ranked, key=lambda r: (r[0], r[1].encode(), -r[3], r[4], r[5].encode()))
    assert by_rank == by_count


def test_prices_equal_the_reference(built: Warehouse, shop: reference.Shop) -> None:
    found = built.query(
        "select product_id, currency, price_number, valid_from, valid_until, last_seen_date, "
        "source_unit_price_amount, observation_count, all_observation_count "
        "from marts.fct_product_prices"
    )
    ((first, last),) = built.query(
        "select first_date, last_date from intermediate.int_span_observed"
    )
    assert last.year == 2026
    expected = reference.prices(
        shop,
        first=first,
        last=last,
        least_observations=variable(built, "price_min_observation_count"),
    )
    assert len(found) == len(expected) > 60
    assert set(found) == expected


def test_an_odd_price_makes_no_change(built: Warehouse) -> None:
    found = built.query(
        "select valid_from, valid_until, unit_price_amount, price_change_amount, price_change_rate "
        "from marts.fct_product_prices where product_id = 'history' order by price_number"
    )
    changed = date(2026, 2, 4)
    assert found == [
        (date(2026, 2, 1), changed, Decimal(20), None, None),
        (changed, None, Decimal(18), Decimal(-2), Decimal("-0.1")),
    ]


def test_price_changes_are_those_that_were_planted(built: Warehouse) -> None:
    shop = catalog(OPTIONS)
    planted = planted_prices(shop)
    found: dict[str, list[Any]] = {}
    for product, *row in built.query(
        "select product_id, source_unit_price_amount, valid_from, last_seen_date "
        "from marts.fct_product_prices where product_id like 'P0%' order by 1, price_number"
    ):
        found.setdefault(product, []).append(row)
    assert set(found) == set(planted)
    changed = {product for product, (before, after, _) in planted.items() if before != after}
    # Near the ends of the period too few visitors see one of the two prices.
    edge, end = timedelta(days=4), OPTIONS.end_date
    surely_seen = {
        product
        for product in changed
        if OPTIONS.start_date + edge <= planted[product][2] < end - edge
    }
    assert len(surely_seen) > 8
    assert surely_seen <= {product for product, rows in found.items() if len(rows) > 1} <= changed
    for product, rows in found.items():
        before, after, day = planted[product]
        assert [row[0] for row in rows] in ([before], [after], [before, after])
        if len(rows) > 1:
            assert rows[0][2] < day <= rows[1][1]


def planted_prices(shop: Catalog) -> dict[str, tuple[Decimal, Decimal, date]]:
    """The price of each generated product before and after its change, and the day of it."""
    planted = {}
    for number, product in enumerate(shop.product_ids.to_pylist()):
        day = int(shop.change_day[number])
        before = int(shop.price[number])
        after = int(shop.new_price[number]) if day < OPTIONS.days else before
        planted[product] = (
            Decimal(before) / 100,
            Decimal(after) / 100,
            OPTIONS.start_date + timedelta(days=day),
        )
    return planted


def test_carts_hold_what_the_reference_holds(built: Warehouse, shop: reference.Shop) -> None:
    found = built.query(
        "select e.event_id, c.product_id, c.cart_date, c.first_added_at, c.last_changed_at, "
        "c.added_quantity, c.removed_quantity, c.final_quantity, c.unit_price_amount, "
        "c.final_amount, c.purchased_quantity, c.is_abandoned, c.lost_revenue_amount, "
        "c.is_recovered, c.recovered_quantity, c.is_bot from marts.fct_cart_items as c "
        "join intermediate.int_events_sessionized as e on e.session_id = c.session_id "
        "and e.session_event_number = 1"
    )
    names = (
        *("day", "first_added", "changed", "added", "removed", "left", "price", "worth", "bought"),
        *("is_abandoned", "lost", "is_recovered", "recovered", "is_bot"),
    )
    items = reference.cart_items(shop)
    expected = {(*key, *(row[name] for name in names)) for key, row in items.items()}
    assert len(found) == len(expected) > 200
    assert set(found) == expected
    assert any(row["is_recovered"] and row["recovered"] for row in items.values())
    assert any(row["is_recovered"] and not row["recovered"] for row in items.values())
    assert any(row["first_added"] is None for row in items.values())


def test_carts_change_as_the_reference_does(built: Warehouse, shop: reference.Shop) -> None:
    found = built.query(
        "select event_id, cart_change_number, cart_quantity, cart_amount, is_last_change "
        "from marts.fct_cart_changes"
    )
    expected = reference.cart_changes(shop)
    assert len(found) == len(expected) > 200
    assert set(found) == expected


def test_carts_by_product_equal_the_reference(built: Warehouse, shop: reference.Shop) -> None:
    found = built.query(
        "select cart_date, product_id, cart_count, purchased_cart_count, abandoned_cart_count, "
        "recovered_cart_count, product_recovered_cart_count, lost_revenue_amount, "
        "recovered_revenue_amount from marts.fct_product_carts"
    )
    groups: dict[tuple[date, str], list[reference.Row]] = {}
    for (_, product), row in reference.cart_items(shop).items():
        if row["added"] and not row["is_bot"]:
            groups.setdefault((row["day"], product), []).append(row)
    expected = {
        (
            *key,
            len(rows),
            *(sum(bool(row[n]) for row in rows) for n in ("bought", "is_abandoned")),
            *(sum(bool(row[n]) for row in rows) for n in ("is_recovered", "recovered")),
            sum(row["lost"] for row in rows),
            sum(row["lost"] for row in rows if row["is_recovered"]),
        )
        for key, rows in groups.items()
    }
    assert len(found) == len(expected) > 50
    assert set(found) == expected


# -- versions ------------------------------------------------------------------------------------

CURRENT = {
    "snapshots.snap_products": "marts.dim_products",
    "snapshots.snap_user_segments": "intermediate.int_users_segmented",
}
SAME = {
    "snapshots.snap_products": "product_id, product_name, category, brand, unit_price_amount",
    "snapshots.snap_user_segments": "user_key, segment",
}


def versions(warehouse: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    return {name: warehouse.query(f"select * from {name} order by version_key") for name in CURRENT}


@pytest.fixture(scope="module")
def changed(built: Warehouse, load: Load) -> Any:
    """The versions before a change of prices and segments, after it, and after no further one.

    Comes last: it loads an event, takes out the product `jar`, and has a visitor forgotten.
    """
    first = versions(built)
    later = {"event_ts": "2026-02-20T10:00:00Z", "visitor_id": "visitor of h0"}
    line = {"line_id": "1", "product_id": "history", "unit_price": "15", "brand": "Olden"}
    bought = {"event_id": "bought", "event_type": "purchase", "order_total": "1", **later}
    load([{**bought, "items": [line]}])
    built.query("delete from raw.event_items where product_id = 'jar' returning 1")
    ran = built.run("clickmart", "forget", "--visitor", "visitor of h1")
    assert ran.returncode == 0, ran.stderr + ran.stdout
    second = versions(built)
    build(built, "snap_products", "snap_user_segments")
    return first, second, versions(built)


@pytest.mark.usefixtures("changed")
def test_a_change_makes_a_second_version(built: Warehouse) -> None:
    found = built.query(
        "select unit_price_amount, brand, valid_until_at is null, "
        "valid_until_at = lead(valid_from_at) over (order by valid_from_at) "
        "from snapshots.snap_products where product_id = 'history' order by valid_from_at"
    )
    assert found == [(Decimal(18), None, False, True), (Decimal(15), "Olden", True, None)]
    segments = built.query(
        "select s.segment, s.valid_until_at is null from snapshots.snap_user_segments as s "
        "join marts.fct_orders as o on o.user_key = s.user_key and o.event_id = 'bought' "
        "order by s.valid_from_at"
    )
    assert [is_current for _, is_current in segments] == [False, True]
    assert segments[0][0] in ("New", "Engaged", "Inactive")
    assert segments[1][0] in ("Converted", "High Value")


@pytest.mark.usefixtures("changed")
@pytest.mark.parametrize("snapshot", CURRENT)
def test_current_versions_are_the_warehouse_of_now(built: Warehouse, snapshot: str) -> None:
    columns = SAME[snapshot]
    current = built.query(f"select {columns} from {snapshot} where valid_until_at is null")
    now = built.query(f"select {columns} from {CURRENT[snapshot]}")
    assert sorted(current, key=str) == sorted(now, key=str)


@pytest.mark.usefixtures("changed")
def test_a_product_that_is_gone_keeps_its_closed_version(built: Warehouse) -> None:
    assert built.query(
        "select valid_until_at is not null from snapshots.snap_products where product_id = 'jar'"
    ) == [(True,)]


def test_a_user_who_is_gone_leaves_nothing(changed: Any) -> None:
    first, second, _ = changed
    users = [{row[0] for row in state["snapshots.snap_user_segments"]} for state in (first, second)]
    assert len(users[0] - users[1]) == 1


def test_without_a_change_there_is_no_new_version(changed: Any) -> None:
    first, second, third = changed
    assert third == second
    assert second != first
