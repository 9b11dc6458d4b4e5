"""Ids of what is stored: a prefix that says what it is, the time, and chance."""

from __future__ import annotations

import re
import secrets
import time
from typing import Final

__all__ = ["BANK", "ENTRY", "SCREENING", "is_id", "new_id"]

BANK: Final = "bnk_"
ENTRY: Final = "ent_"
SCREENING: Final = "scr_"

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PATTERN: Final = re.compile(f"(bnk|ent|scr)_[{_ALPHABET}]{{26}}")


def new_id(prefix: str) -> str:
    """An id that sorts by the millisecond it was made in: ULID (48 bits of time, 80 of chance) in
    Crockford's base 32, lower case.
    """
    value = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    return prefix + "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


def is_id(prefix: str, text: str) -> bool:
    """True if ``text`` has the form of such an id."""
    return text.startswith(prefix) and _PATTERN.fullmatch(text) is not None
