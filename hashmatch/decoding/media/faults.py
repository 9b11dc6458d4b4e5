"""Whose an exception is: a decoder's, which finds a file damaged, or a fault of hashmatch."""

from __future__ import annotations

import traceback
from typing import Final

__all__ = ["DAMAGED", "Damaged", "is_of_decoder", "raised_in"]

# PyAV (and FFmpeg below it) and Pillow raise much that they do not promise, for files that are
# crafted or only unusual.
_DECODERS: Final = frozenset({"av", "PIL"})

# What is wrong with a picture that is shown in part, under this key of its ``info``: the reason and
# its detail.
DAMAGED: Final = "hashmatch:damaged"


class Damaged(ValueError):
    """A file is not as its format asks for; what reads it here raises it as decoders would."""


def raised_in(error: Exception) -> str:
    """The module that raised it, and the line. Never what the error says: it may quote a file."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    return f"{frame.f_globals.get('__name__', 'what has no name')}, line {line}"


def is_of_decoder(error: Exception) -> bool:
    """True if a decoder raised it, or it is `Damaged`; all else is a fault of hashmatch."""
    return isinstance(error, Damaged) or raised_in(error).partition(".")[0] in _DECODERS
