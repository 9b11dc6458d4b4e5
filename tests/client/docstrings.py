"""Reads docstrings that have the sections Args, Returns, Yields and Raises."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from typing import Any, Self

from hashmatch import errors

_ITEM = re.compile(r"    (\w+): (.*)")


@dataclass
class Documented:
    """A docstring by its sections: texts of arguments and errors by name, in order."""

    summary: str
    arguments: dict[str, str] = field(default_factory=dict)
    returns: str = ""
    yields: str = ""
    raises: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, documented: Any) -> Self:
        """The docstring of a function. Raises ``AssertionError`` if it has another form."""
        head, *sections = re.split(
            r"\n\n(?=(?:Args|Returns|Yields|Raises):\n)", inspect.getdoc(documented) or ""
        )
        made = cls(head)
        for section in sections:
            title, _, text = section.partition(":\n")
            assert all(not line or line.startswith("    ") for line in text.splitlines()), title
            if title in ("Returns", "Yields"):
                setattr(made, title.lower(), " ".join(text.split()))
            else:
                items = made.arguments if title == "Args" else made.raises
                items |= cls._items(text)
        return made

    @staticmethod
    def _items(text: str) -> dict[str, str]:
        items: dict[str, str] = {}
        name = ""
        for line in text.splitlines():
            if begun := _ITEM.fullmatch(line):
                name = begun[1]
                assert name not in items, name
                items[name] = begun[2]
            else:
                assert line.startswith("        "), line
                items[name] += f" {line.strip()}"
        return items

    def has(self, error: errors.HashmatchError) -> bool:
        """True if the error, or a class that it is of, is among those that are raised."""
        named = {each.__name__ for each in type(error).__mro__}
        return bool(named & (self.raises.keys() | {"Internal"}))
