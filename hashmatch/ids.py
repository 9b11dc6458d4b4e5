"""Ids of what is stored: a prefix that says what it is, the time, and chance."""

from __future__ import annotations

import base64
import re
import secrets
import time
from typing import Final

__all__ = ["BANK", "ENTRY", "SCREENING", "is_id", "new_id"]

BANK: Final = "bnk_"
ENTRY: Final = "ent_"
SCREENING: Final = "scr_"

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_CROCKFORD: Final = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _ALPHABET.encode())
_PATTERN: Final = re.compile(f"(bnk|ent|scr)_[{_ALPHABET}]{{26}}")


def new_id(prefix: str) -> str:
    """An id that sorts by the millisecond it was made in: ULID (48 bits of time, 80 of chance) in
    Crockford's base 32, lower case.
    """
    # 128 bits and two zeros before them make 26 digits; the rest fills the last byte.
    value = (time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)) << 6
    digits = base64.b32encode(value.to_bytes(17, "big"))[:26]
    return prefix + digits.translate(_CROCKFORD).decode()


def is_id(prefix: str, text: str) -> bool:
    """True if ``text`` has the form of such an id."""
    return text.startswith(prefix) and _PATTERN.fullmatch(text) is not None
