"""Mapping files: what is wrong with one is said in one line, with file, key, value and remedy."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from ingestion import propose, repeats
from ingestion.adapters import adapter_for
from ingestion.adapters.mapping_file import Value, read_mapping
from ingestion.errors import UsageError

BASE = {
    "source": "shop",
    "event_id": "id",
    "event_type": "what",
    "event_ts": "at",
    "visitor_id": "who",
}


def written(folder: Path, **changes: str | None) -> Path:
    path = folder / "shop.yml"
    keys = {name: value for name, value in {**BASE, **changes}.items() if value is not None}
    path.write_text("".join(f"{name}: {value}\n" for name, value in keys.items()))
    return path


def test_every_scalar_is_the_text_that_stands_there(tmp_path: Path) -> None:
    path = written(tmp_path, coupon="{constant: 007}", order_id="1", os="no", tax="2026-01-01")
    values = read_mapping(path, ()).values
    assert [values[name] for name in ("coupon", "order_id", "os", "tax")] == [
        Value(constant="007"),
        Value(("1",)),
        Value(("no",)),
        Value(("2026-01-01",)),
    ]


WRONG = {
    "sku": ({"sku": "x"}, "line 6: sku: unknown key"),
    "visitor": ({"visitor": "x"}, "is it 'visitor_id'?"),
    "userid": ({"cookie": "x"}, "is it 'visitor_id'?"),
    "missing": ({"event_ts": None}, "missing key event_ts"),
    "empty": ({"user_id": ""}, "user_id: it has no value"),
    "twice": ({"user_id": "a\nuser_id: b"}, "line 7: user_id: it stands twice"),
    "type": ({"event_types": "{view: product_veiw}"}, "is it 'product_view'?"),
    "default": ({"default_event_type": "other"}, "no event type 'other'"),
    "zone": ({"timezone": "Berlin"}, "no time zone 'Berlin'; name one such as"),
    "own name": ({"source": "native"}, "'native' is a source of Clickmart's own"),
    "name": ({"source": "My Shop"}, "it is 'My Shop'; name the source in small letters"),
    "divide": ({"tax": "{column: t, divide_by: 7}"}, "divide_by: it is '7'"),
    "divide text": ({"os": "{column: t, divide_by: 100}"}, "only amounts can be divided"),
    "value": ({"os": "{colum: t}"}, "is it 'column'?"),
    "items": ({"items": "{product_id: p, colour: c}"}, "items.colour: unknown key"),
    "item": ({"items": "{quantity: n}"}, "items: missing key product_id"),
    "ip": ({"user_id": "request.client_ip"}, "IP addresses are not kept"),
    "taken": ({"user_id": "record"}, "a column cannot be named 'record' here"),
    "case": ({"user_id": "Who"}, "differ in case alone"),
    "yaml": ({"user_id": "[a"}, "not YAML"),
    "code": ({"user_id": "!!python/object/apply:os.getcwd []"}, "must name a column"),
    "cycle": ({"user_id": "&a [*a]"}, "it refers to itself"),
}


@pytest.mark.parametrize(("changes", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, changes: dict[str, str | None], said: str
) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(UsageError) as error:
        adapter_for(str(path))
    assert said in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_mapping_that_is_not_there_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="clickmart mapping init FILE"):
        adapter_for(str(tmp_path / "none.yml"))


def test_a_proposal_never_overwrites_and_is_a_mapping_that_can_be_read(tmp_path: Path) -> None:
    file, path = tmp_path / "My Shop.csv", tmp_path / "out.yaml"
    file.write_text(
        "Event Time,eventName,clientId,SKU,unitPrice,IP\n"
        "2026-03-01T10:00:00Z,Product Viewed,c1,lamp,9.5,203.0.113.7\n"
        "2026-03-01T10:00:01Z,addToCart,c1,lamp,9.5,203.0.113.7\n"
    )
    propose.write(file, path)
    mapping = read_mapping(path, ())
    assert (mapping.source, mapping.hash_of) == ("my-shop", ())
    assert mapping.event_types == {"Product Viewed": "product_view", "addToCart": "add_to_cart"}
    assert set(mapping.columns) == {"Event Time", "eventName", "clientId", "SKU", "unitPrice"}
    assert "203.0.113" not in path.read_text()
    with pytest.raises(UsageError, match="is there already"):
        propose.write(file, path)


def test_repeated_ids_are_counted_exactly_while_they_fit_and_estimated_beyond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = [f"e{number % 9_000}" for number in range(10_000)]
    exact, estimate, merged = repeats.Repeats(), repeats.Repeats(), repeats.Repeats()
    exact.add(pa.chunked_array([ids]))
    assert (exact.total, exact.is_exact) == (1_000, True)
    monkeypatch.setattr(repeats, "MOST_IDS", 1_000)
    for start in range(0, 10_000, 500):
        estimate.add(pa.chunked_array([ids[start : start + 500]]))
    merged.merge(estimate.as_dict())
    assert len(merged.counts) <= 1_000
    assert not merged.is_exact
    assert 700 < merged.total < 1_300
