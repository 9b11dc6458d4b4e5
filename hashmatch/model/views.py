"""The byte that stands for a view: which part of a frame a hash was taken from, and its turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hashmatch.model.verdicts import Part, Turn

__all__ = ["FULL", "VIEWS", "part_of", "turn_of", "view_code", "view_name"]


def view_code(part: Part, turn: Turn = Turn.NONE) -> int:
    """The byte of a view: the part in the upper five bits, the turn in three."""
    return part << 3 | (turn - 1)


def part_of(view: int) -> Part:
    """The part of a view's byte. Raises ``ValueError`` if there is no such part."""
    return Part(view >> 3)


def turn_of(view: int) -> Turn:
    """The turn of a view's byte."""
    return Turn((view & 7) + 1)


def view_name(view: int) -> str:
    """As lists write it: ``content``, or ``full/rotate_90``."""
    part, turn = part_of(view).name.lower(), turn_of(view)
    return part if turn is Turn.NONE else f"{part}/{turn.name.lower()}"


# The bytes of all views, by their names.
VIEWS: Final[Mapping[str, int]] = {
    view_name(code): code for part in Part for turn in Turn if (code := view_code(part, turn))
}

# The whole frame, as it is displayed.
FULL: Final = view_code(Part.FULL)
