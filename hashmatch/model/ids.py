"""Ids of what is stored: a prefix that says what it is, the time, and chance."""

from __future__ import annotations

import base64
import re
import secrets
import time
from typing import Final

import numpy as np

__all__ = ["BANK", "CALLER", "CASE", "ENTRY", "IMPORT", "SCREENING", "is_id", "new_id", "new_ids"]

BANK: Final = "bnk_"
CALLER: Final = "clr_"
CASE: Final = "cas_"
ENTRY: Final = "ent_"
IMPORT: Final = "imp_"
SCREENING: Final = "scr_"

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_CROCKFORD: Final = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _ALPHABET.encode())
_PATTERN: Final = re.compile(f"(bnk|cas|clr|ent|imp|scr)_[{_ALPHABET}]{{26}}")


def new_id(prefix: str) -> str:
    """An id that sorts by the millisecond it was made in: ULID (48 bits of time, 80 of chance) in
    Crockford's base 32, lower case.
    """
    # 128 bits and two zeros before them make 26 digits; the rest fills the last byte.
    value = (time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)) << 6
    digits = base64.b32encode(value.to_bytes(17, "big"))[:26]
    return prefix + digits.translate(_CROCKFORD).decode()


def new_ids(prefix: str, count: int) -> list[str]:
    """So many at once, in a tenth of the time."""
    values = np.empty((count, 16), np.uint8)
    values[:, :6] = np.frombuffer((time.time_ns() // 1_000_000).to_bytes(6, "big"), np.uint8)
    values[:, 6:] = np.frombuffer(secrets.token_bytes(10 * count), np.uint8).reshape(count, 10)
    bits = np.pad(np.unpackbits(values, axis=1), ((0, 0), (2, 0)))
    digits = bits.reshape(count, 26, 5) @ np.array([16, 8, 4, 2, 1], np.uint8)
    letters = np.frombuffer(_ALPHABET.encode(), np.uint8)[digits]
    return [prefix + text for text in letters.view("S26").ravel().astype("U26").tolist()]


def is_id(prefix: str, text: str) -> bool:
    """True if ``text`` has the form of such an id."""
    return text.startswith(prefix) and _PATTERN.fullmatch(text) is not None
