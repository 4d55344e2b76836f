"""Keyed hashing of people's ids while they are read, so that nothing behind it knows them."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

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
    """Which columns hold people's ids, and the secret by which they are hashed."""

    key: bytes
    person_columns: tuple[str, ...]

    def applied(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch with its ids hashed, and without the text of unreadable rows."""
        for name in ("record", *self.person_columns):
            place = batch.schema.get_field_index(name)
            change = _not_kept if name == "record" else partial(hashed_id, self.key)
            values = [change(value) for value in batch.column(place).to_pylist()]
            batch = batch.set_column(place, name, pa.array(values, pa.string()))
        return batch


def _not_kept(record: str | None) -> str | None:
    return None if record is None else NOT_KEPT
