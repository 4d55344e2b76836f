"""What a person sees on a terminal of 80 columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ingestion import console, propose
from ingestion.dry_run import DryRun
from ingestion.dry_run_page import page

LOAD = {
    "load_id": 12,
    "source": "retailrocket",
    "read": 10_000_000,
    "replaced": 0,
    "lake_version": 12,
    "removed": 0,
    "seconds": 1234.567,
    "committed_at": "2026-03-01 10:00",
}


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "out", Console(width=60, soft_wrap=True))


def shown(
    capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]], *optional: str
) -> list[str]:
    console.show_rows(rows, False, empty="none", optional=optional)
    return capsys.readouterr().out.splitlines()


def test_a_wide_table_leaves_out_first_what_says_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [LOAD, {**LOAD, "replaced": 7}]
    lines = shown(capsys, rows, "seconds", "removed", "replaced")
    assert max(map(len, lines)) <= 60
    assert "removed" not in " ".join(lines)
    assert "seconds" not in " ".join(lines)
    assert lines[-1].split() == [
        "12", "retailrocket", "10000000", "7", "12", "2026-03-01", "10:00",
    ]  # fmt: skip


def test_a_table_that_fits_has_all_columns(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, [{"load_id": 1, "removed": 0, "seconds": 0.5}], "seconds", "removed")
    assert lines[-1].split() == ["1", "0", "0.5"]


def test_reasons_are_shown_whole_and_records_cut(capsys: pytest.CaptureFixture[str]) -> None:
    reasons = "missing_visitor_id, amount_out_of_range, missing_product_id"
    text = " ".join(shown(capsys, [{"reasons": reasons, "record": "x" * 100}]))
    assert all(reason in text for reason in reasons.split(", "))
    assert "x" * console.LONGEST_CELL not in text.replace(" ", "")


def test_a_file_that_a_source_knows_is_said_to_be_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call = {"messageId": "m1", "type": "track", "user_ltv": {"revenue": 5, "currency": "USD"}}
    Path("calls.jsonl").write_text(json.dumps(call) + "\n")
    known: list[str] = []
    text = propose.write(Path("calls.jsonl"), None, known.append).read_text()
    assert known == ["segment"]
    assert "order_total" not in text  # what a person has spent in a lifetime is no order's
    assert "currency" not in text.split("# Kept in properties")[0]


@pytest.mark.parametrize(("quarantined", "is_refused"), [(2, False), (3, True)])
def test_a_dry_run_says_that_a_load_would_be_refused(quarantined: int, is_refused: bool) -> None:
    run = DryRun("native", 1, 10, 10 - quarantined, quarantined, repeated_ids=0, is_exact=True)
    assert any("A load refuses more than 20 %" in line for line in page(run)) == is_refused
