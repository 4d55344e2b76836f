"""Stands in for dbt's `exceptions` while sqlfluff renders the models without dbt and its vars."""

from __future__ import annotations


def raise_compiler_error(_message: str) -> str:
    """Return SQL that fits as a column."""
    return "raised"
