"""What of a file nothing here looks at."""

from __future__ import annotations

__all__ = ["Unseen"]


class Unseen(str):
    """What of a file nothing here looks at, in words."""

    __slots__ = ()
