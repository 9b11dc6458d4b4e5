"""Enumerations have the same names and numbers on both sides (a test compares them)."""

from __future__ import annotations

import enum
from typing import Any, TypeVar

from hashmatch.errors import Internal, InvalidField

__all__ = ["from_wire", "known", "optional_from_wire", "to_wire"]

E = TypeVar("E", bound=enum.IntEnum)


def to_wire(value: enum.IntEnum) -> Any:
    """A member as the number that a message takes."""
    return int(value)


def from_wire(cls: type[E], value: int, field: str) -> E:
    """A number of a message as a member. Raises `InvalidField` if it is none or unspecified."""
    try:
        return cls(value)
    except ValueError:
        names = ", ".join(member.name for member in cls)
        problem = "is not given" if value == 0 else f"has no value {value}"
        raise InvalidField(field, f"{problem}; one of {names} is needed") from None


def optional_from_wire(cls: type[E], value: int, field: str) -> E | None:
    """As `from_wire`; None if unspecified."""
    return None if value == 0 else from_wire(cls, value, field)


def known(cls: type[E], value: int) -> E:
    """A number that a server sent as a member. Raises `Internal` if it is none: the server is
    newer than this client, which must not guess what it means.
    """
    try:
        return cls(value)
    except ValueError:
        raise Internal(
            f"the server sent a {cls.__name__} {value}, which this client does not know; update it"
        ) from None
