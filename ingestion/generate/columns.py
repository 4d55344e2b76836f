"""Columns in compact form, and their two renderings: Arrow for Parquet, text for CSV and JSON.

Most columns of an event repeat few values, so they are codes into a list of values until the
last moment: Parquet takes the codes as they are, and text is escaped once per value, not per row.
A code, or a mask, says where a column is null.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

TIMESTAMP = pa.timestamp("us", tz="UTC")
MONEY = pa.decimal128(18, 4)
CENTS = pa.decimal128(18, 2)
ISO_LENGTH = len("2026-01-01T00:00:00.000000Z")
# Lists of values longer than this are cut down to those in use before they are rendered.
LONG_LIST = 256

Ints = NDArray[np.int64]
Codes = NDArray[np.int32] | NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Coded:
    """Strings: places in `values`, -1 for null. `is_json` marks values that are JSON already.

    `values` must not repeat: Parquet then gives up its dictionary.
    """

    codes: Codes
    values: pa.Array
    is_json: bool = False

    def arrow(self) -> pa.Array:
        """Return a dictionary array of the values in use."""
        codes, values = self._in_use()
        return pa.DictionaryArray.from_arrays(_nullable(codes), values)

    def text(self, render: Callable[[str], str]) -> pa.Array:
        """Return the rendered strings, null where the column is."""
        codes, values = self._in_use()
        rendered = pa.array([render(value) for value in values.to_pylist()], pa.string())
        return rendered.take(_nullable(codes))

    def _in_use(self) -> tuple[NDArray[np.int32], pa.Array]:
        codes = self.codes.astype(np.int32, copy=False)
        if len(self.values) <= LONG_LIST:
            return codes, self.values
        is_used = np.zeros(len(self.values) + 1, bool)  # the last place is that of -1
        is_used[codes] = True
        is_used[-1] = False
        place = np.cumsum(is_used, dtype=np.int32) - 1
        place[-1] = -1
        return place[codes], self.values.take(pa.array(np.flatnonzero(is_used)))


@dataclass(frozen=True)
class Ids:
    """Ids of 16 hexadecimal digits, one number each."""

    numbers: NDArray[np.uint64]
    is_null: Bools

    def arrow(self) -> pa.Array:
        """Return the ids as strings."""
        ids = hexadecimal(self.numbers)
        return pc.if_else(pa.array(~self.is_null), ids, None) if self.is_null.any() else ids

    def text(self) -> pa.Array:
        """Return the ids as strings."""
        return self.arrow()


@dataclass(frozen=True)
class Times:
    """Moments in milliseconds since 1970, UTC."""

    milliseconds: Ints
    is_null: Bools

    def arrow(self) -> pa.Array:
        """Return timestamps in microseconds."""
        return pa.array(self.milliseconds * 1000, pa.int64(), mask=self.is_null).cast(TIMESTAMP)

    def text(self) -> pa.Array:
        """Return ISO 8601 with microseconds and Z, put together from tables of digits."""
        count = len(self.milliseconds)
        days, of_day = np.divmod(self.milliseconds, 86_400_000)
        names, place = np.unique(days, return_inverse=True)
        dates = np.array([f"{day}T" for day in names.astype("datetime64[D]")], "S11")
        seconds, thousandths = np.divmod(of_day, 1000)
        letters = np.empty((count, ISO_LENGTH), np.uint8)
        letters[:, :11] = dates.view(np.uint8).reshape(-1, 11)[place]
        letters[:, 11:13] = _TWO_DIGITS[seconds // 3600]
        letters[:, 14:16] = _TWO_DIGITS[seconds // 60 % 60]
        letters[:, 17:19] = _TWO_DIGITS[seconds % 60]
        letters[:, 20:23] = _THREE_DIGITS[thousandths]
        letters[:, [13, 16, 19, 23, 24, 25, 26]] = np.frombuffer(b"::.000Z", np.uint8)
        offsets = np.arange(count + 1, dtype=np.int32) * ISO_LENGTH
        text = pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(letters))
        return pc.if_else(pa.array(~self.is_null), text, None) if self.is_null.any() else text


@dataclass(frozen=True)
class Money:
    """Amounts in cents."""

    cents: Ints
    is_null: Bools

    def arrow(self) -> pa.Array:
        """Return decimals with four places."""
        return _decimals(self.cents * 100, MONEY, self.is_null)

    def text(self) -> pa.Array:
        """Return dollars with two places, each amount written once."""
        codes = np.full(len(self.cents), -1, np.int32)
        amounts, codes[~self.is_null] = np.unique(self.cents[~self.is_null], return_inverse=True)
        text = _decimals(amounts, CENTS, np.zeros(len(amounts), bool)).cast(pa.string())
        return text.take(_nullable(codes))


@dataclass(frozen=True)
class Integers:
    """Small whole numbers."""

    numbers: Ints
    is_null: Bools

    def arrow(self) -> pa.Array:
        """Return 32-bit integers."""
        return pa.array(self.numbers.astype(np.int32), mask=self.is_null)

    def text(self) -> pa.Array:
        """Return the digits."""
        return self.arrow().cast(pa.string())


@dataclass(frozen=True)
class Flags:
    """True, false or null: 1, 0 or -1."""

    codes: Ints

    def arrow(self) -> pa.Array:
        """Return booleans."""
        return pa.array(self.codes == 1, mask=self.codes < 0)

    def text(self) -> pa.Array:
        """Return true or false."""
        return self.arrow().cast(pa.string())


def coded(codes: Ints, labels: tuple[str | None, ...]) -> Coded:
    """Return a column by way of a list of labels that may repeat or be None."""
    place, values = _without_repeats(labels)
    return Coded(place[codes], values)


@lru_cache(maxsize=64)
def _without_repeats(labels: tuple[str | None, ...]) -> tuple[NDArray[np.int32], pa.Array]:
    """Return each label's place among the distinct ones, -1 for None and at the end; and these."""
    values = [label for label in dict.fromkeys(labels) if label is not None]
    place = [values.index(label) if label is not None else -1 for label in labels] + [-1]
    return np.array(place, np.int32), pa.array(values or [""], pa.string())


Column = Coded | Ids | Times | Money | Integers | Flags


@dataclass(frozen=True)
class Items:
    """The items of all rows: row r has `counts[r]` of them, null where that is 0."""

    counts: Ints
    columns: dict[str, Column]

    def arrow(self) -> pa.Array:
        """Return lists of structs, the strings in them as codes."""
        arrays = [column.arrow() for column in self.columns.values()]
        return self.lists(pa.StructArray.from_arrays(arrays, names=list(self.columns)))

    def lists(self, items: pa.Array) -> pa.Array:
        """Group one value per item to one list per row."""
        offsets = np.concatenate([[0], np.cumsum(self.counts)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), items, mask=pa.array(self.counts == 0))


def as_json(column: Column) -> pa.Array:
    """Return the column's values as JSON, null where the column is."""
    if isinstance(column, Coded):
        return column.text(str if column.is_json else _json_string)
    if isinstance(column, Ids | Times):
        return pc.binary_join_element_wise('"', column.text(), '"', "")
    return column.text()


def as_csv(column: Column) -> pa.Array:
    """Return the column's values as fields of CSV, quoted only where needed."""
    return column.text(csv_field) if isinstance(column, Coded) else column.text()


def csv_field(value: str) -> str:
    """Quote a field by RFC 4180 where it holds a comma, a quote or nothing (null is unquoted)."""
    if value and not any(letter in value for letter in ',"\r\n'):
        return value
    return '"' + value.replace('"', '""') + '"'


def _json_string(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _nullable(codes: NDArray[np.int32]) -> pa.Array:
    """Take the codes as they lie, null where below 0."""
    return pa.Array.from_buffers(
        pa.int32(), len(codes), [_bitmap(codes >= 0), pa.py_buffer(np.ascontiguousarray(codes))]
    )


def _bitmap(is_valid: Bools) -> pa.Buffer:
    return pa.py_buffer(np.packbits(is_valid, bitorder="little"))


def _decimals(unscaled: Ints, kind: pa.DataType, is_null: Bools) -> pa.Array:
    """Build decimals from 64-bit integers: 128 bits each, the sign in the high half."""
    halves = np.zeros((len(unscaled), 2), np.int64)
    rows = np.flatnonzero(~is_null)  # few, in most columns
    halves[rows, 0] = unscaled[rows]
    halves[rows, 1] = unscaled[rows] >> 63
    return pa.Array.from_buffers(kind, len(unscaled), [_bitmap(~is_null), pa.py_buffer(halves)])


_TWO_DIGITS = np.array([list(b"%02d" % i) for i in range(100)], np.uint8)
_THREE_DIGITS = np.array([list(b"%03d" % i) for i in range(1000)], np.uint8)

# -- ids ------------------------------------------------------------------------------------------

_DIGIT_PAIRS = np.frombuffer("".join(f"{i:02x}" for i in range(256)).encode(), np.uint16)


def hexadecimal(numbers: NDArray[np.uint64]) -> pa.Array:
    """Return each number as 16 hexadecimal digits, so that text order is the numbers' order."""
    digits = _DIGIT_PAIRS[numbers.astype(">u8").view(np.uint8)]
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * 16
    return pa.StringArray.from_buffers(
        len(numbers), pa.py_buffer(offsets), pa.py_buffer(digits.tobytes())
    )


def scramble(numbers: Ints, seed: int) -> NDArray[np.uint64]:
    """Map numbers to numbers that look random, one to one (the finalizer of SplitMix64)."""
    x = numbers.astype(np.uint64) + np.uint64(seed % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
