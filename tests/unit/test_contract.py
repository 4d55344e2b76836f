"""The contract's version follows its columns and its rules."""

from __future__ import annotations

import hashlib

from ingestion.contract.events import CONTRACT_VERSION, EVENT_COLUMNS, ITEM_COLUMNS
from ingestion.contract.rules import RULES

FINGERPRINT = (3, "16c91c0b43dda89d")


def test_a_change_of_the_contract_has_a_new_version() -> None:
    rules = [(rule.code, rule.predicate, rule.severity) for rule in RULES]
    contract = repr((EVENT_COLUMNS, ITEM_COLUMNS, rules))
    found = (CONTRACT_VERSION, hashlib.sha256(contract.encode()).hexdigest()[:16])
    assert found == FINGERPRINT, (
        "The contract changed: raise CONTRACT_VERSION in ingestion/contract/events.py, "
        f"and put the new fingerprint {found} here."
    )
