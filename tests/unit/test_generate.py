"""The generator without an engine: one block at a time, in this process."""

from __future__ import annotations

import csv
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.contract.events import EVENT_TYPES, ITEM_COLUMNS, SOURCE_COLUMNS
from ingestion.errors import UsageError
from ingestion.generate import journeys
from ingestion.generate.catalog import catalog
from ingestion.generate.defects import DEFECTS, deliver
from ingestion.generate.folder import check_replaceable
from ingestion.generate.journeys import GAP_P50_SECONDS, GAP_P90_SECONDS, State, draw_elapsed
from ingestion.generate.options import Block, Format, GenerateOptions
from ingestion.generate.people import SEGMENT_NAMES, write_people
from ingestion.generate.rows import build_rows
from ingestion.generate.simulate import Simulation, simulate
from ingestion.generate.timeline import DAY_MS, LEAST_PAUSE_MS, MINUTE_MS, spread, timeline
from ingestion.generate.truth import TABLES, block_counts, truth_tables
from ingestion.generate.visits import BOT, STRANGER
from ingestion.generate.write import CODED_COLUMNS, EVENT_SCHEMA, write_rows

SHOP = GenerateOptions(sessions=24_000, people=2_400)
DIRTY = {
    "duplicate_rate": 0.02,
    "malformed_rate": 0.05,
    "late_rate": 0.05,
    "clock_skew_rate": 0.2,
}


@pytest.fixture(scope="module")
def blocks() -> list[Simulation]:
    return [simulate(Block(SHOP, number), catalog(SHOP)) for number in range(SHOP.block_count)]


def write_first_block(folder: Path, form: Format) -> Path:
    options = GenerateOptions(sessions=2_400, people=240, products=30, format=form, **DIRTY)
    sim = simulate(Block(options, 0), catalog(options))
    path = folder / f"events.{form}"
    write_rows(build_rows(sim, deliver(sim)), path, form)
    return path


def session_counts(sim: Simulation, *states: State) -> np.ndarray:
    chosen = np.isin(sim.state, states) if states else np.ones(len(sim.state), bool)
    return np.bincount(sim.session[chosen], minlength=len(sim.visits))


# -- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sessions", 0),
        ("people", -1),
        ("products", 0),
        ("days", 0),
        ("days", 2.5j),
        ("seed", -1),
        ("bot_rate", 0.9),
        ("late_rate", -0.1),
        ("partitions", 0),
        ("format", "xml"),
        ("start_date", date(1999, 1, 1)),
    ],
)
def test_an_impossible_option_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=r"must (be|lie)"):
        GenerateOptions(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("sessions", [1, 7, 10_000, 123_457])
def test_the_blocks_share_out_every_session_and_person(sessions: int) -> None:
    options = GenerateOptions(sessions=sessions, people=333)
    blocks = [Block(options, number) for number in range(options.block_count)]
    assert sum(block.session_count for block in blocks) == sessions
    assert sum(end - first for first, end in (block.people for block in blocks)) == 333


@pytest.mark.parametrize(
    "options",
    [
        GenerateOptions(sessions=1, people=1, products=1, days=1),
        GenerateOptions(sessions=9, people=5_000, products=3, days=2, bot_rate=0.5),
        GenerateOptions(sessions=300, people=1, days=1, malformed_rate=0.5, late_rate=0.5),
        GenerateOptions(sessions=99, people=99, experiment=False, outage=False, spike=False),
    ],
)
def test_the_smallest_shops_have_their_sessions_too(options: GenerateOptions) -> None:
    humans = 0
    for number in range(options.block_count):
        sim = simulate(Block(options, number), catalog(options))
        delivery = deliver(sim)
        assert len(build_rows(sim, delivery)) == block_counts(sim, delivery)["rows"]
        assert set(truth_tables(sim, delivery, "events.csv")) == set(TABLES)
        humans += np.count_nonzero(sim.is_kept & (sim.visits.segment != BOT))
    assert humans == options.sessions


# -- sessions and time ----------------------------------------------------------------------------


def test_human_sessions_are_exactly_as_many_as_asked(blocks: list[Simulation]) -> None:
    humans = sum(np.count_nonzero(s.is_kept & (s.visits.segment != BOT)) for s in blocks)
    assert humans == SHOP.sessions


def test_gaps_within_sessions_are_short_and_between_sessions_long(
    blocks: list[Simulation],
) -> None:
    for sim in blocks:
        events = np.flatnonzero(sim.is_kept[sim.session])
        visitor, time, session = sim.visitor[events], sim.time[events], sim.session[events]
        order = np.lexsort((time, visitor))
        visitor, time, session = visitor[order], time[order], session[order]
        gap, same_visitor = np.diff(time), np.diff(visitor) == 0
        same_session = np.diff(session) == 0
        assert gap[same_session].max() < 29 * MINUTE_MS
        assert gap[same_session].min() >= 100
        assert gap[same_visitor & ~same_session].min() > 31 * MINUTE_MS


def test_human_gaps_have_the_measured_quantiles() -> None:
    lengths = np.full(2_000, 20)
    elapsed = draw_elapsed(np.random.default_rng(5), lengths, np.full(2_000, STRANGER))
    gaps = np.diff(elapsed.reshape(2_000, 20), axis=1).ravel() / 1000
    assert np.percentile(gaps, 50) == pytest.approx(GAP_P50_SECONDS, rel=0.05)
    assert np.percentile(gaps, 90) == pytest.approx(GAP_P90_SECONDS, rel=0.05)
    assert gaps.min() >= 2


def test_only_bots_are_as_quick_as_bots(blocks: list[Simulation]) -> None:
    for sim in blocks:
        count = session_counts(sim)
        start = np.full(len(sim.visits), np.iinfo(np.int64).max)
        end = np.zeros(len(sim.visits), np.int64)
        np.minimum.at(start, sim.session, sim.time)
        np.maximum.at(end, sim.session, sim.time)
        mean_gap = (end - start) / np.maximum(count - 1, 1) / 1000
        looks_like_bot = (count >= 50) & (mean_gap < 1)
        assert np.array_equal(looks_like_bot, sim.visits.segment == BOT)


def test_nothing_happens_or_arrives_in_the_outage(blocks: list[Simulation]) -> None:
    for sim in blocks:
        assert not sim.line.is_in_outage(sim.time).any()
        assert not sim.line.is_in_outage(deliver(sim).received_at).any()


def test_the_spike_day_has_about_three_times_the_sessions(blocks: list[Simulation]) -> None:
    starts = np.concatenate([sim.visits.start for sim in blocks])
    days = (starts - timeline(SHOP).start) // 86_400_000
    per_day = np.bincount(days[days < SHOP.days], minlength=SHOP.days)
    spike = int(SHOP.days * 0.4)
    assert 2.3 < per_day[spike] / per_day[[spike - 7, spike + 7]].mean() < 3.7


def test_weekends_are_quieter_and_the_shop_grows() -> None:
    options = GenerateOptions(sessions=40_000, days=84, spike=False, outage=False)
    sims = [simulate(Block(options, number), catalog(options)) for number in range(5)]
    starts = np.concatenate([sim.visits.start for sim in sims])
    per_day = np.bincount((starts - timeline(options).start) // 86_400_000, minlength=84)[:84]
    weekday = (np.arange(84) + options.start_date.weekday()) % 7
    assert 0.6 < per_day[weekday == 5].mean() / per_day[weekday == 2].mean() < 0.8
    assert per_day[42:].sum() > 1.1 * per_day[:42].sum()


def test_every_day_has_the_sessions_of_its_traffic(blocks: list[Simulation]) -> None:
    line = timeline(SHOP)
    starts = np.concatenate([sim.visits.start[sim.visits.segment != BOT] for sim in blocks])
    is_known = np.concatenate([sim.visits.person[sim.visits.segment != BOT] >= 0 for sim in blocks])
    day = (starts - line.start) // DAY_MS
    traffic = np.diff(line.cumulated[::24]) * len(starts)
    for span in (range(10), range(SHOP.days - 10, SHOP.days)):
        here = np.isin(day, span)
        assert here.sum() == pytest.approx(traffic[span].sum(), rel=0.07)
        assert is_known[here].mean() == pytest.approx(is_known.mean(), abs=0.03)
    assert day.max() <= SHOP.days


def test_returns_thin_out_with_the_time_since_the_first_visit(blocks: list[Simulation]) -> None:
    lags = []
    for sim in blocks:
        first = np.full(len(sim.visitors), np.iinfo(np.int64).max)
        np.minimum.at(first, sim.visits.visitor, sim.visits.start)
        lags.append((sim.visits.start - first[sim.visits.visitor]) // DAY_MS)
    lag = np.concatenate(lags)
    returns = np.histogram(lag, bins=[1, 8, 15, 30, 45, 60, 75, SHOP.days])[0]
    per_day = returns / np.array([7, 7, 15, 15, 15, 15, 15])
    assert (np.diff(per_day) < 0).all()
    assert returns[-1] > 0


def test_nobody_visits_who_is_yet_to_sign_up(blocks: list[Simulation], tmp_path: Path) -> None:
    write_people(SHOP, tmp_path / "people.csv")
    signed_up = pd.read_csv(tmp_path / "people.csv").signup_date.astype("datetime64[ms]")
    first_visit = np.full(SHOP.people, np.iinfo(np.int64).max)
    for sim in blocks:
        is_known = sim.visits.person >= 0
        np.minimum.at(first_visit, sim.visits.person[is_known], sim.visits.start[is_known])
    has_come = first_visit < np.iinfo(np.int64).max
    since = (first_visit - signed_up.astype(np.int64).to_numpy())[has_come]
    is_new = (signed_up >= pd.Timestamp(SHOP.start_date)).to_numpy()[has_come]
    assert since.min() >= 0
    assert is_new.sum() > 100
    assert (since[is_new] < DAY_MS).mean() > 0.95
    assert signed_up.max() < pd.Timestamp(SHOP.end_date)


def test_sessions_are_moved_apart_and_never_back() -> None:
    line = timeline(SHOP)
    starts = line.start + np.array([0, 10, 20, 5])
    visitors, durations = np.array([0, 0, 0, 1]), np.array([1_000, 0, 0, 0])
    moved = spread(line, visitors, starts, durations) - line.start
    second = 1_000 + LEAST_PAUSE_MS
    assert moved.tolist() == [0, second, second + LEAST_PAUSE_MS, 5]


# -- behaviour ------------------------------------------------------------------------------------


def test_the_funnel_is_that_of_a_real_shop(blocks: list[Simulation]) -> None:
    is_human = np.concatenate([s.is_kept & (s.visits.segment != BOT) for s in blocks])
    adds = np.concatenate([session_counts(s, State.ADD) > 0 for s in blocks])[is_human]
    buys = np.concatenate([session_counts(s, State.PURCHASE) > 0 for s in blocks])[is_human]
    length = np.concatenate([session_counts(s) for s in blocks])[is_human]
    total = np.concatenate([s.orders.total for s in blocks]) / 100
    assert 0.01 < buys.mean() < 0.04
    assert 0.03 < adds.mean() < 0.08
    assert 0.70 < (adds & ~buys).sum() / adds.sum() < 0.83
    assert 4 <= np.percentile(length, 50) <= 7
    assert 17 <= np.percentile(length, 90) <= 26
    assert length.mean() > 10
    assert 35 < np.median(total) < 55
    assert 50 < total.mean() < 80


def test_most_visitors_come_once(blocks: list[Simulation]) -> None:
    counts = np.concatenate([np.bincount(s.visits.visitor[s.is_kept]) for s in blocks])
    assert (counts[counts > 0] == 1).mean() > 0.8


def test_the_top_tenth_of_products_gets_the_measured_share_of_views(
    blocks: list[Simulation],
) -> None:
    views = sum(
        np.bincount(s.products.product[s.state == State.VIEW], minlength=SHOP.products)
        for s in blocks
    )
    top = np.sort(views)[::-1][: SHOP.products // 10].sum() / views.sum()
    assert 0.38 < top < 0.48


def test_variant_b_converts_better_by_about_the_planted_lift() -> None:
    options = GenerateOptions(sessions=160_000, people=16_000)
    payments, purchases = np.zeros(2), np.zeros(2)
    for number in range(options.block_count):
        sim = simulate(Block(options, number), catalog(options))
        variant = sim.visitors.variant[sim.visitor]
        follows = np.append(sim.state[1:], State.START) == State.PURCHASE
        goes_on = np.append(np.diff(sim.session) == 0, False)
        for v in range(2):
            at_payment = (sim.state == State.PAYMENT) & (variant == v) & goes_on
            payments[v] += at_payment.sum()
            purchases[v] += (at_payment & follows).sum()
    rate = purchases / payments
    assert rate[1] / rate[0] == pytest.approx(1.25, abs=0.05)


def test_a_cart_takes_no_more_lines_than_it_has_room_for(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setitem(journeys.STEPS, State.VIEW, {State.ADD: 0.4, State.VIEW: 0.6})
    monkeypatch.setitem(journeys.STEPS, State.ADD, {State.VIEW: 0.9, State.REMOVE: 0.1})
    monkeypatch.setitem(journeys.STEPS, State.REMOVE, {State.VIEW: 1.0})
    journeys._next_states.cache_clear()
    request.addfinalizer(journeys._next_states.cache_clear)
    segment, variant = np.full(50, SEGMENT_NAMES.index("loyal")), np.zeros(50, np.int64)
    lengths = np.full(50, 200)
    states = journeys.walk(np.random.default_rng(3), segment, variant, lengths).reshape(50, 200)
    change = (states == State.ADD) * 1 - (states == State.REMOVE) * 1
    lines = np.cumsum(change, axis=1)
    assert lines.min() == 0
    assert lines.max() == journeys.LARGEST_CART
    assert (states == State.ADD).any(axis=1).all()


def test_a_purchase_holds_what_was_added_and_not_removed(blocks: list[Simulation]) -> None:
    checked = 0
    for sim in blocks[:3]:
        bought: dict[int, list[int]] = {}
        for event, source in zip(sim.lines.event.tolist(), sim.lines.source.tolist(), strict=True):
            bought.setdefault(event, []).append(source)
        cart: list[int] = []
        session = -1
        for event, state in enumerate(sim.state.tolist()):
            if sim.session[event] != session:
                session, cart, last = sim.session[event], [], []
            if state == State.ADD:
                cart.append(event)
            elif state == State.REMOVE:
                assert bought[event] == [cart.pop()]
            elif state == State.PURCHASE:
                assert bought[event] == cart != []
                last, cart, checked = cart, [], checked + 1
            elif state == State.RELOAD:
                assert bought[event] == last
    assert checked > 50


def test_order_totals_add_up_and_refunds_stay_below_them(blocks: list[Simulation]) -> None:
    for sim in blocks:
        orders = sim.orders
        expected = orders.subtotal - orders.discount + orders.tax + orders.shipping
        assert np.array_equal(orders.total, expected)
        assert (orders.total > 0).all()
        assert (sim.refunds.amount <= orders.total[sim.refunds.order]).all()
        assert (sim.refunds.time > sim.time[orders.event[sim.refunds.order]]).all()
    assert sum(len(sim.refunds) for sim in blocks) > 5


def test_a_user_once_logged_in_stays_known_and_checks_out_known(
    blocks: list[Simulation],
) -> None:
    anonymous_first = 0
    for sim in blocks:
        frame = pd.DataFrame(
            {
                "visitor": sim.visitor,
                "person": sim.visits.person[sim.session],
                "time": sim.time,
                "known": sim.is_logged_in,
                "is_checkout": sim.state == State.CHECKOUT,
            }
        )
        known = frame[frame.person >= 0].sort_values("time")
        assert known[known.is_checkout].known.all()
        by_user = known.groupby(["visitor", "person"]).known
        assert (by_user.cummax() == known.known).all()
        anonymous_first += (by_user.first() != by_user.last()).sum()
        assert not frame[frame.person < 0].known.any()
    assert anonymous_first > 100


def test_some_visitors_are_shared_by_two_users(blocks: list[Simulation]) -> None:
    shared = 0
    for sim in blocks:
        known = sim.visits.person >= 0
        pairs = np.unique(np.stack([sim.visits.visitor, sim.visits.person])[:, known], axis=1)
        shared += pairs.shape[1] - len(np.unique(pairs[0]))
    assert shared > 5


# -- files ----------------------------------------------------------------------------------------


def from_csv(path: Path) -> dict[str, dict[str, object]]:
    lines = path.read_text(encoding="utf-8").split("\n")
    header = lines[0].split(",")
    assert header == EVENT_SCHEMA.names
    rows = [next(csv.reader([line])) for line in lines[1:] if line]
    return {
        row[0]: {name: plain(name, text) for name, text in zip(header, row, strict=True) if text}
        for row in rows
        if len(row) == len(header) and row[0]
    }


def from_jsonl(path: Path) -> dict[str, dict[str, object]]:
    rows = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        try:
            rows.append(json.loads(line, parse_float=Decimal))
        except ValueError:
            continue
    return {
        row["event_id"]: {name: plain(name, value) for name, value in row.items()}
        for row in rows
        if isinstance(row, dict) and row["event_id"]
    }


def from_parquet(path: Path) -> dict[str, dict[str, object]]:
    rows = pq.read_table(path).to_pylist()
    return {
        row["event_id"]: {n: plain(n, value) for n, value in row.items() if value is not None}
        for row in rows
        if row["event_id"]
    }


def plain(name: str, value: object) -> object:
    """Bring a value of any format to one form."""
    kinds = {column.name: column.type for column in SOURCE_COLUMNS}
    kind = kinds.get(name)
    if kind == "timestamp":
        moment = pd.to_datetime(value, errors="coerce", utc=True)
        return str(value) if moment is pd.NaT else moment.isoformat()
    if kind == "decimal(18,4)" and value != "n/a":
        return Decimal(str(value)).normalize()
    if kind == "boolean":
        return str(value).lower()
    if kind == "json" and isinstance(value, str):
        return json.loads(value)
    if name == "items":
        items = json.loads(value, parse_float=Decimal) if isinstance(value, str) else value
        return [
            {
                n: Decimal(str(v)).normalize() if n == "unit_price" else v
                for n, v in item.items()
                if v is not None
            }
            for item in items
        ]
    return value


def test_all_formats_hold_the_same_good_rows(tmp_path: Path) -> None:
    as_csv = from_csv(write_first_block(tmp_path, "csv"))
    as_jsonl = from_jsonl(write_first_block(tmp_path, "jsonl"))
    as_parquet = from_parquet(write_first_block(tmp_path, "parquet"))
    broken = set()
    for form in ("csv", "jsonl", "parquet"):
        options = GenerateOptions(sessions=2_400, people=240, products=30, format=form, **DIRTY)
        sim = simulate(Block(options, 0), catalog(options))
        delivery = deliver(sim)
        broken |= {f"{n:016x}" for n in delivery.event_id[delivery.defect >= 0].tolist()}
    good = as_parquet.keys() - broken
    assert len(good) > 400
    for event_id in good:
        assert as_csv[event_id] == as_parquet[event_id] == as_jsonl[event_id]


def test_parquet_has_the_contracts_columns_and_types(tmp_path: Path) -> None:
    table = pq.read_table(write_first_block(tmp_path, "parquet"))
    names = [column.name for column in SOURCE_COLUMNS] + ["items"]
    assert table.schema.names == names
    assert table.schema.field("event_ts").type == pa.timestamp("us", tz="UTC")
    assert table.schema.field("order_total").type == pa.decimal128(18, 4)
    items = table.schema.field("items").type.value_type
    assert [items.field(i).name for i in range(items.num_fields)] == [c.name for c in ITEM_COLUMNS]
    assert items.field("unit_price").type == pa.decimal128(18, 4)
    assert set(table["event_type"].drop_null().to_pylist()) <= set(EVENT_TYPES)


def test_parquet_keeps_every_dictionary(tmp_path: Path) -> None:
    # A repeated value makes Arrow give its dictionary up, and the bytes then vary by chance.
    group = pq.ParquetFile(write_first_block(tmp_path, "parquet")).metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    for name in CODED_COLUMNS:
        assert "RLE_DICTIONARY" in columns[name].encodings, name


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_rows_lie_in_delivery_order_with_late_ones_among_them(form: Format) -> None:
    options = GenerateOptions(sessions=2_400, people=240, format=form, **DIRTY)
    sim = simulate(Block(options, 0), catalog(options))
    delivery = deliver(sim)
    assert (np.diff(delivery.received_at) >= 0).all()
    first = np.unique(delivery.event_id, return_index=True)[1]
    assert not delivery.is_copy[first].any()
    assert delivery.is_copy.sum() == len(delivery.event) - len(first) > 10
    late_by = delivery.received_at - sim.time[delivery.event]
    assert delivery.is_late.sum() > 50
    assert (late_by[delivery.is_late] >= 2 * 3_600_000).all()
    assert late_by.max() <= 20 * 86_400_000 + 4 * 3_600_000


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_every_defect_of_the_format_is_planted(form: Format) -> None:
    options = GenerateOptions(sessions=2_400, people=240, format=form, **DIRTY)
    sim = simulate(Block(options, 0), catalog(options))
    planted = set(np.unique(deliver(sim).defect).tolist()) - {-1}
    assert planted == {i for i, defect in enumerate(DEFECTS) if form in defect.formats}


def test_a_broken_line_takes_no_other_line_with_it(tmp_path: Path) -> None:
    lines = write_first_block(tmp_path, "csv").read_text(encoding="utf-8").split("\n")
    assert all(line.count('"') % 2 == 0 for line in lines)
    widths = {len(next(csv.reader([line]))) for line in lines if line}
    assert {len(EVENT_SCHEMA), len(EVENT_SCHEMA) + 1} < widths


def test_the_people_are_listed_once_each(tmp_path: Path) -> None:
    options = GenerateOptions(people=5_000)
    write_people(options, tmp_path / "people.csv")
    frame = pd.read_csv(tmp_path / "people.csv", keep_default_na=False)
    assert frame.user_id.is_unique
    assert len(frame) == 5_000
    assert frame.email.str.endswith("@example.com").all()
    assert frame.email.is_unique
    assert set(frame.segment) == {"loyal", "regular", "occasional", "browser"}


def test_the_catalogue_has_prices_above_costs(tmp_path: Path) -> None:
    shop = catalog(GenerateOptions(products=300))
    shop.write(tmp_path / "catalog.csv")
    frame = pd.read_csv(tmp_path / "catalog.csv")
    assert list(frame) == ["product_id", "name", "category", "brand", "base_price", "cost"]
    assert (frame.base_price > frame.cost).all()
    assert frame.product_id.is_unique


# -- the folder -----------------------------------------------------------------------------------


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    check_replaceable(tmp_path / "new")
    check_replaceable(tmp_path)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match=r"thesis\.txt"):
        check_replaceable(tmp_path)


def test_a_folder_that_only_looks_like_the_generators_is_refused(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    with pytest.raises(UsageError, match="events"):
        check_replaceable(tmp_path)
