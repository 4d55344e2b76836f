"""Repairs of text that PostgreSQL would refuse: NUL, bytes that are no UTF-8, lone surrogates.

Text is repaired after it is parsed, because a legal `\\\\u0000` in JSON looks like a NUL from
outside. Every repair has a code of the contract's rules.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contract.rules import (
    INVALID_UTF8_REPLACED,
    LONE_SURROGATE_REPLACED,
    NUL_REMOVED,
)

REPLACEMENT = "\ufffd"
_ESCAPED = r"\\u(0000|[dD][89a-fA-F])"
_SURROGATE = re.compile("[\ud800-\udfff]")


def cleaned_line(line: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return a line without NUL and as valid UTF-8, with the codes of what was repaired."""
    repairs = []
    if b"\0" in line:
        line = line.replace(b"\0", b"")
        repairs.append(NUL_REMOVED)
    try:
        line.decode()
    except UnicodeDecodeError:
        line = line.decode(errors="replace").encode()
        repairs.append(INVALID_UTF8_REPLACED)
    return line, tuple(repairs)


def is_clean(data: bytes) -> bool:
    """Return whether no line of the data needs `cleaned_line`."""
    return b"\0" not in data and (data.isascii() or _is_utf8(data))


def cleaned_value(value: Any, repairs: set[str]) -> Any:
    """Return a parsed JSON value with its texts repaired; add the codes to `repairs`."""
    if isinstance(value, bytes):
        if not _is_utf8(value):
            repairs.add(INVALID_UTF8_REPLACED)
        value = value.decode(errors="replace")
    if isinstance(value, str):
        return _cleaned_text(value, repairs)
    if isinstance(value, list):
        return [cleaned_value(v, repairs) for v in value]
    if isinstance(value, dict):
        return {
            _cleaned_text(name, repairs): cleaned_value(v, repairs) for name, v in value.items()
        }
    return value


def _cleaned_text(text: str, repairs: set[str]) -> str:
    if "\0" in text:
        text = text.replace("\0", "")
        repairs.add(NUL_REMOVED)
    if text.isascii() or not _SURROGATE.search(text):
        return text
    repairs.add(LONE_SURROGATE_REPLACED)
    return _SURROGATE.sub(REPLACEMENT, text)


def cleaned_array(values: pa.Array) -> tuple[pa.Array, dict[str, pa.Array]]:
    """Return a text column of a Parquet file repaired, with a mask of rows by repair's code.

    Writers do not all check that text is UTF-8, and PostgreSQL takes neither that nor NUL.
    """
    masks = {}
    try:
        values = values.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        raw = values.cast(pa.binary()).to_pylist()
        texts = [None if v is None else v.decode(errors="replace") for v in raw]
        masks[INVALID_UTF8_REPLACED] = pa.array(
            [v is not None and not _is_utf8(v) for v in raw], pa.bool_()
        )
        values = pa.array(texts, pa.string())
    if _may_hold_nul(values):
        has_nul = pc.fill_null(pc.match_substring(values, "\0"), False)
        if pc.any(has_nul).as_py():
            values = pc.replace_substring(values, "\0", "")
            masks[NUL_REMOVED] = has_nul
    return values, masks


def _may_hold_nul(values: pa.Array) -> bool:
    """Return whether a NUL is among the bytes of the texts: far quicker than to ask each text."""
    data = values.buffers()[2]
    return data is not None and b"\0" in data.to_pybytes()


def cleaned_json(values: pa.Array) -> tuple[pa.Array, dict[str, pa.Array]]:
    """Return a column of JSON as text with what its escapes hide repaired; masks as above."""
    hides = pc.fill_null(pc.match_substring_regex(values, _ESCAPED), False)
    rows = pc.indices_nonzero(hides).to_pylist()
    if not rows:
        return values, {}
    texts, masks = values.to_pylist(), dict[str, list[bool]]()
    for row in rows:
        if not texts[row].lstrip().startswith(("{", "[")):
            continue
        repairs: set[str] = set()
        with suppress(ValueError, RecursionError):
            value = cleaned_value(json.loads(texts[row]), repairs)
            if repairs:
                texts[row] = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for code in repairs:
            masks.setdefault(code, [False] * len(texts))[row] = True
    return pa.array(texts, pa.string()), {c: pa.array(mask) for c, mask in masks.items()}


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
