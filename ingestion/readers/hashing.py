"""Keyed hashing of people's ids while they are read, so that nothing behind it knows them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from ingestion.readers.rows import as_text, json_text

DIGITS = 32
NOT_KEPT = "(not kept: ids are hashed)"


def hashed_id(key: bytes, id_: str | None) -> str | None:
    """Return the HMAC-SHA-256 (RFC 2104) of an id, its first 128 bits in hexadecimal."""
    text = (id_ or "").strip()
    if not text:
        return None
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:DIGITS]


def fingerprint(key: bytes) -> str | None:
    """Return by what a key is known again without telling it; None for no key."""
    return hashed_id(key, "the key of clickmart's ids") if key else None


@dataclass(frozen=True)
class Hashing:
    """Which columns hold people's ids, and the secret by which they are hashed.

    A name with a dot is of a member of a JSON object: `properties.user` of the column `properties`;
    unless the reader took it out into a column of that name.
    """

    key: bytes
    person_columns: tuple[str, ...]

    def applied(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch with its ids hashed, and without the text of unreadable rows."""
        for name, change in self._changes(batch.schema.names).items():
            place = batch.schema.get_field_index(name)
            values = [change(value) for value in batch.column(place).to_pylist()]
            batch = batch.set_column(place, name, pa.array(values, pa.string()))
        return batch

    def _changes(self, columns: list[str]) -> dict[str, Callable[[str | None], str | None]]:
        """Return by column how its values are changed."""
        members: dict[str, list[str]] = {}
        for name in self.person_columns:
            column, dot, member = (name, "", "") if name in columns else name.partition(".")
            members.setdefault(column, []).extend([member] if dot else [])
        return {
            "record": _not_kept,
            **{
                column: partial(_hashed_members, self.key, names)
                if names
                else partial(hashed_id, self.key)
                for column, names in members.items()
            },
        }


def _hashed_members(key: bytes, names: list[str], text: str | None) -> str | None:
    """Return a JSON object with these members hashed; what is no object is not kept."""
    try:
        value = json.loads(text or "null")
    except (ValueError, RecursionError):
        return json_text(NOT_KEPT)
    if not isinstance(value, dict):
        return None if value is None else json_text(NOT_KEPT)
    hashed = {name: hashed_id(key, as_text(value[name])) for name in names if name in value}
    return json_text({**value, **hashed})


def _not_kept(record: str | None) -> str | None:
    return None if record is None else NOT_KEPT
