"""Keyed hashing of people's ids while they are read, so that nothing behind it knows them."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

import pyarrow as pa

DIGITS = 32


def hashed_id(key: bytes, id_: str | None) -> str | None:
    """Return the HMAC-SHA-256 (RFC 2104) of an id, its first 128 bits in hexadecimal."""
    text = (id_ or "").strip()
    if not text:
        return None
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:DIGITS]


@dataclass(frozen=True)
class Hashing:
    """Which columns hold people's ids, and the secret by which they are hashed."""

    key: bytes
    person_columns: tuple[str, ...]

    def applied(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch with its ids hashed, and without the text of unreadable rows."""
        for name in ("record", *self.person_columns):
            place = batch.schema.get_field_index(name)
            values = batch.column(place).to_pylist()
            hashed = [None if name == "record" else hashed_id(self.key, v) for v in values]
            batch = batch.set_column(place, name, pa.array(hashed, pa.string()))
        return batch
