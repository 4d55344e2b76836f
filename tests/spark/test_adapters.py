"""Adapters and validation: what each row becomes, on the engine of this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingestion.adapters import adapter_for
from ingestion.contract.rules import rules_of
from ingestion.errors import InputError, UsageError
from ingestion.readers import apart
from ingestion.settings import Settings
from ingestion.spark import engine_name

Judge = Callable[..., list[dict[str, Any]]]

ITEM = {"product_id": "p1"}
BROKEN = {
    "missing_event_id": {"event_id": " "},
    "missing_event_type": {"event_type": None},
    "missing_visitor_id": {"visitor_id": ""},
    "missing_event_ts": {"event_ts": None},
    "invalid_event_ts": {"event_ts": "2026-02-30T00:00:00Z"},
    "event_ts_out_of_range": {"event_ts": "1999-12-31T23:59:59Z"},
    "invalid_number": {"order_total": "twelve"},
    "invalid_items": {"items": "[{"},
    "amount_out_of_range": {"items": [{**ITEM, "unit_price": -1}]},
    "quantity_out_of_range": {"items": [{**ITEM, "quantity": 0}]},
    "missing_product_id": {"items": [{"quantity": 1}]},
    "repeated_line_id": {"items": [{**ITEM, "line_id": "1"}, {**ITEM, "line_id": "1"}]},
    "oversize_row": {"visitor_id": "v" * 513},
}


def test_every_rule_but_the_readers_own_has_a_broken_row_here() -> None:
    assert set(BROKEN) == {rule.code for rule in rules_of("quarantine")} - {"unparsable_row"}


@pytest.mark.both_engines
def test_each_broken_row_gets_its_reason_and_no_other(judge: Judge, event: Any) -> None:
    rows = judge([event(**changes) for changes in BROKEN.values()])
    assert [row["reasons"] for row in rows] == [[code] for code in BROKEN]
    assert all("visitor_id" in row["record"] or "event_id" in row["record"] for row in rows)


def test_a_valid_row_has_no_reasons_and_no_record(judge: Judge, event: Any) -> None:
    (row,) = judge([event()])
    assert (row["reasons"], row["record"], row["source_row"]) == ([], None, 1)


@pytest.mark.both_engines
def test_an_unparsable_line_keeps_its_text_and_its_neighbours(judge: Judge, event: Any) -> None:
    good = json.dumps(event())
    rows = judge(f'{good}\n{{"event_id": "e2",\n{good.replace("e1", "e3")}\n')
    assert [row["reasons"] for row in rows] == [[], ["unparsable_row"], []]
    assert rows[1]["record"] == '{"event_id": "e2",'


@pytest.mark.both_engines
def test_long_text_gives_the_same_rows_as_short_text(
    judge: Judge, event: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """GIVEN a bad line between good ones WHEN threads have it read THEN processes do, the same."""
    text = f'{json.dumps(event())}\n{{"event_id":\n{json.dumps(event(event_id="e2"))}\n'
    short = judge(text)
    mark = tmp_path / "a process began"
    monkeypatch.setattr(apart, "BYTES_WORTH_A_PROCESS", 1)
    monkeypatch.setattr(apart, "PROGRAM", f"open({str(mark)!r}, 'w').close(); {apart.PROGRAM}")
    assert judge(text) == short
    has_threads = engine_name(Settings.load()) == "sail"
    assert mark.exists() == has_threads


TIMES = {
    "2026-03-01T10:00:00Z": "2026-03-01T10:00:00",
    "2026-03-01T10:00:00.000007Z": "2026-03-01T10:00:00.000007",
    "2026-03-01T10:00:00.123456789Z": "2026-03-01T10:00:00.123456",
    "2026-03-01T10:00:00,5z": "2026-03-01T10:00:00.500000",
    "2026-03-01 10:00:00 UTC": "2026-03-01T10:00:00",
    "2026-03-01 10:00:00.25 GMT": "2026-03-01T10:00:00.250000",
    "2026-03-01T12:00:00+02:00": "2026-03-01T10:00:00",
    "2026-03-01T04:30:00-0530": "2026-03-01T10:00:00",
    "2026-03-01 12:00:00.5 +02": "2026-03-01T10:00:00.500000",
    "2026-03-01 10:00:00": "2026-03-01T10:00:00",
    "2026-03-01T10:00": "2026-03-01T10:00:00",
    "2026-03-01T10:00+01:00": "2026-03-01T09:00:00",
    "2026-03-01": "2026-03-01T00:00:00",
    "20260301": "2026-03-01T00:00:00",
    " 1772359200 ": "2026-03-01T10:00:00",
    "1772359200.25": "2026-03-01T10:00:00.250000",
    "1772359200123": "2026-03-01T10:00:00.123000",
    "1772359200123456": "2026-03-01T10:00:00.123456",
    "999999999": "2001-09-09T01:46:39",
}
NO_TIMES = (
    "10:00",
    "2026",
    "2026-03",
    "20260230",
    "2026-02-30T00:00:00Z",
    "2026-03-01T25:00:00Z",
    "2026-03-01T10:61:00Z",
    "2026-03-01T10:00:60Z",
    "2026-03-01T10:00:00+99:00",
    "2026-03-01T10:00:00Zulu",
    "01.03.2026 10:00",
    "03/01/2026",
    "now",
    "today",
    "epoch",
    "-1772359200",
    "17723592001234567890",
    "1e9",
    "NaN",
)


@pytest.mark.both_engines
def test_times_in_every_form(judge: Judge, event: Any) -> None:
    rows = judge([event(event_ts=text) for text in TIMES])
    assert [row["reasons"] for row in rows] == [[]] * len(TIMES)
    assert [row["event_ts"].replace(tzinfo=None).isoformat() for row in rows] == list(
        TIMES.values()
    )


@pytest.mark.both_engines
def test_what_is_no_time_is_never_guessed(judge: Judge, event: Any) -> None:
    rows = judge([event(event_ts=text) for text in NO_TIMES])
    assert {text: row["reasons"] for text, row in zip(NO_TIMES, rows, strict=True)} == {
        text: ["invalid_event_ts"] for text in NO_TIMES
    }


@pytest.mark.both_engines
def test_amounts_keep_four_places_and_refuse_what_is_no_number(judge: Judge, event: Any) -> None:
    texts = ["12.34", "1e2", " 7 ", "NaN", "Infinity", "1,5", "1e30"]
    rows = judge([event(event_id=f"e{i}", order_total=text) for i, text in enumerate(texts)])
    good = [Decimal("12.34"), Decimal(100), Decimal(7)]
    assert [row["order_total"] for row in rows[:3]] == good
    assert [row["reasons"] for row in rows[3:]] == [["invalid_number"]] * 4


@pytest.mark.both_engines
def test_items_get_positions_as_line_ids_and_typed_numbers(judge: Judge, event: Any) -> None:
    items = [
        {"product_id": "p1", "quantity": "2", "unit_price": 1.5},
        {"product_id": "p2", "quantity": 3.0, "line_id": "x"},
    ]
    (row,) = judge([event(items=items)])
    got = [(i["line_id"], i["product_id"], i["quantity"], i["unit_price"]) for i in row["items"]]
    assert got == [("1", "p1", 2, Decimal("1.5")), ("x", "p2", 3, None)]


def test_a_quantity_that_is_not_whole_is_refused(judge: Judge, event: Any) -> None:
    (row,) = judge([event(items=[{**ITEM, "quantity": 1.5}])])
    assert row["reasons"] == ["invalid_number"]


def test_an_unknown_type_is_kept_as_custom_under_its_name(judge: Judge, event: Any) -> None:
    rows = judge([event(event_type="wishlist"), event(event_type="purchase")])
    assert [(row["event_type"], row["event_name"]) for row in rows] == [
        ("custom", "wishlist"),
        ("purchase", None),
    ]


@pytest.mark.both_engines
def test_unknown_columns_join_the_properties(judge: Judge, event: Any) -> None:
    rows = judge(
        [
            event(colour="red", properties={"a": 1}),
            event(colour="red"),
            event(properties={"a": 1}),
            event(colour="red", properties={}),
        ]
    )
    got = [json.loads(row["properties"]) for row in rows]
    assert got == [{"a": 1, "colour": "red"}, {"colour": "red"}, {"a": 1}, {"colour": "red"}]


@pytest.mark.both_engines
def test_what_postgres_would_refuse_is_repaired_and_counted(judge: Judge, event: Any) -> None:
    rows = judge(
        [
            event(page_url="/a\u0000b", user_id="\u0000"),
            event(properties={"a": ["\ud800", {"b\u0000": 1}]}),
            event(page_url="/\\u0000"),
        ]
    )
    assert [row["reasons"] for row in rows] == [[], [], []]
    assert [row["repairs"] for row in rows] == [
        ["nul_removed"],
        ["lone_surrogate_replaced", "nul_removed"],
        None,
    ]
    assert (rows[0]["page_url"], rows[0]["user_id"]) == ("/ab", None)
    assert json.loads(rows[1]["properties"]) == {"a": ["\ufffd", {"b": 1}]}
    assert rows[2]["page_url"] == "/\\u0000"


@pytest.mark.both_engines
def test_a_clock_far_ahead_of_the_receipt_is_corrected(judge: Judge, event: Any) -> None:
    received = "2026-03-01T10:00:00Z"
    times = ("2026-03-02T10:00:00Z", "2026-03-02T10:00:01Z", "2190-01-01T00:00:00Z")
    rows = judge([event(event_ts=ts, received_at=received) for ts in times])
    assert [row["reasons"] for row in rows] == [[], [], []]
    assert [row["repairs"] for row in rows] == [None, *[["clock_skew_corrected"]] * 2]
    assert [row["event_ts"].day for row in rows] == [2, 1, 1]


@pytest.mark.both_engines
def test_bots_are_known_by_their_user_agent(judge: Judge, event: Any) -> None:
    agents = {
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": True,
        "curl/8.5.0": True,
        "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/126.0": True,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/126.0 Safari/537.36": None,
        "Mozilla/5.0 (Linux; Android 9; CUBOT_X18) Chrome/99.0": None,
    }
    rows = judge([event(user_agent=agent) for agent in agents])
    assert [row["is_bot"] for row in rows] == list(agents.values())
    assert json.loads(rows[1]["properties"]) == {"user_agent": "curl/8.5.0"}


@pytest.mark.both_engines
def test_no_address_of_the_internet_is_kept(judge: Judge, event: Any) -> None:
    addresses = ["203.0.113.7", "2001:db8::7", "203.0.113.7, 198.51.100.1"]
    rows = judge(
        [
            event(
                ip="203.0.113.7",
                version="126.0.6478.1",
                properties={"ips": addresses, "t": "10:30:15"},
            ),
            event(ip="203.0.113.7", event_ts=None),
        ]
    )
    assert json.loads(rows[0]["properties"]) == {
        "ips": [None, None, None],
        "t": "10:30:15",
        "ip": None,
        "version": "126.0.6478.1",
    }
    assert "203.0.113" not in rows[1]["record"]


def test_the_record_of_a_bad_row_is_the_row_as_it_was_read(judge: Judge, event: Any) -> None:
    (row,) = judge([event(event_ts="x", page_url="/a", items=[{"product_id": "p"}], colour="red")])
    record = json.loads(row["record"])
    assert json.loads(record.pop("items")) == [{"product_id": "p"}]
    assert record == event(event_ts="x", page_url="/a", colour="red")


@pytest.mark.both_engines
def test_csv_and_json_lines_give_the_same_event(judge: Judge, event: Any) -> None:
    full = event(order_total="9.90", items=[{**ITEM, "quantity": 2}], properties={"a": [1]})
    header, values = [], []
    for name, value in full.items():
        text = value if isinstance(value, str) else json.dumps(value)
        header.append(name)
        values.append('"' + text.replace('"', '""') + '"')
    (from_csv,) = judge(f"{','.join(header)}\n{','.join(values)}\n", suffix=".csv")
    (from_json,) = judge([full])
    ignored = ("file_id", "source_row", "properties")
    assert {k: v for k, v in from_csv.items() if k not in ignored} == {
        k: v for k, v in from_json.items() if k not in ignored
    }
    assert json.loads(from_csv["properties"]) == json.loads(from_json["properties"])


REES46_HEADER = (
    "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
)


@pytest.mark.both_engines
def test_rees46_rows_become_events_with_one_item(judge: Judge) -> None:
    line = "2019-10-01 00:00:01 UTC,{},17,2103807459595387724,a.b,acme,3.20,55,s-1\n"
    names = ("view", "cart", "purchase", "gift")
    text = REES46_HEADER + "".join(line.format(name) for name in names)
    rows = judge(text, "rees46", ".csv")
    assert [row["event_type"] for row in rows] == [
        "product_view",
        "add_to_cart",
        "purchase",
        "custom",
    ]
    first = rows[0]
    assert (first["visitor_id"], first["user_id"], first["source_session_id"]) == (
        "55",
        "55",
        "s-1",
    )
    assert json.loads(first["properties"]) == {"category_id": "2103807459595387724"}
    assert first["items"][0]["line_id"] == first["event_id"]
    assert first["items"][0]["unit_price"] == Decimal("3.20")


@pytest.mark.both_engines
def test_rees46_rows_that_are_equal_have_one_id_and_others_do_not(judge: Judge) -> None:
    line = "2019-10-01 00:00:01 UTC,view,17,1,,,3.20,55,s-1\n"
    rows = judge(REES46_HEADER + line + line + line.replace("17", "18"), "rees46", ".csv")
    assert rows[0]["event_id"] == rows[1]["event_id"] != rows[2]["event_id"]


def test_an_unknown_source_is_named_with_those_known() -> None:
    with pytest.raises(UsageError, match=r"Unknown source 'ga5'\. Known: .*native, .*rees46"):
        adapter_for("ga5")


def test_a_wrong_header_is_named_with_the_likely_rename() -> None:
    with pytest.raises(InputError, match=r"missing column event_time \(is it 'event_times'\?\)"):
        adapter_for("rees46").check_columns(
            "a.csv", ("event_times", "event_type", "product_id", "user_id")
        )
