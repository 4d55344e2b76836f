"""Stands in for dbt's `adapter` while sqlfluff renders the models without dbt."""

from __future__ import annotations

from collections.abc import Callable


def dispatch(_name: str) -> Callable[..., str]:
    """Return a stand-in for a dispatched macro: SQL that fits as a value and as a table."""
    return lambda *_arguments, **_options: "dispatched()"
