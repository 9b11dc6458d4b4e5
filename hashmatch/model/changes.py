"""How far a reader of the change log has come."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

__all__ = ["Position"]

_TOKEN: Final = re.compile(r"([0-9a-f]{32})\.([0-9]{1,18})\.([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Position:
    """How far a reader has come: all of ``revision`` was read; or, of the entries that were created
    by it, those up to number ``entry``. ``store_id`` is empty where the reader did not say.
    """

    revision: int = 0
    entry: int = 0
    store_id: str = ""

    @classmethod
    def from_token(cls, token: str) -> Self:
        """From `token`. Raises ``ValueError``."""
        found = _TOKEN.fullmatch(token)
        if found is None:
            raise ValueError("is not one that this server gave")
        return cls(int(found[2]), int(found[3]), found[1])

    @property
    def token(self) -> str:
        """As readers keep it."""
        return f"{self.store_id}.{self.revision}.{self.entry}"
