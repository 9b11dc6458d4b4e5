"""Every command without a server: their paths, what to call them with, and a client that answers
with records whose every text is hostile.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import types
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import typer

from hashmatch import cli
from hashmatch.client import AsyncClient, Client
from hashmatch.model.exports import Hash
from hashmatch.model.verdicts import Kind, Verdict
from tests.commands import Done, invoked

# Markup, an emoji's name, a link, an escape sequence, the direction of text.
HOSTILE = "[/x] [conceal]y [link=http://a.test]z[/link] :skull: \x1b[2J\u202eq"
SHOWN = HOSTILE.replace("\x1b", "\N{REPLACEMENT CHARACTER}").replace(
    "\u202e", "\N{REPLACEMENT CHARACTER}"
)


def run(*arguments: str | Path, stdin: bytes | None = None, columns: int = 80) -> Done:
    """Runs a command in this process, in a terminal of so many ``columns``."""
    return invoked(arguments, {}, stdin=stdin, columns=columns)


def walked(*, leaves: bool) -> list[str]:
    """The paths of all commands, or of those alone that have none below them."""
    found: list[str] = []

    def walk(command: Any, path: list[str]) -> None:
        below = getattr(command, "commands", {})
        if not (leaves and below):
            found.append(" ".join(path))
        for name, each in below.items():
            walk(each, [*path, name])

    walk(typer.main.get_command(cli.app), [])
    return found


# By path; FILE is one that is there.
ASKING: Mapping[str, list[str]] = {
    "screen": ["FILE"],
    "audit log": ["--actor", HOSTILE],
    "caller create": ["ayu", "--role", "curator", "--role", "reviewer"],
    "caller list": [],
    "caller revoke": ["ayu"],
    "caller self": [],
    "case list": [],
    "case show": ["cas_1"],
    "case decide": ["cas_1", "--uphold"],
    "changes": [],
    "doctor": [],
    "screening show": ["scr_1"],
    "screening confirm": ["scr_1"],
    "screening list": [],
    "bank create": ["a-bank", "--action", "block"],
    "bank list": [],
    "bank show": ["a-bank"],
    "bank update": ["a-bank", "--label", HOSTILE],
    "bank archive": ["a-bank"],
    "entry add": ["--bank", "a-bank", "FILE"],
    "entry export": ["a-bank", "--format", "jsonl", "-o", "FILE.list"],
    "entry list": [],
    "entry show": ["ent_1"],
    "entry approve": ["ent_1"],
    "entry preview": ["ent_1"],
    "entry withdraw": ["ent_1"],
    "entry release": ["ent_1"],
    "import add": ["--bank", "a-bank", "FILE"],
    "import list": [],
    "import show": ["imp_1"],
    "import approve": ["imp_1"],
    "import preview": ["imp_1"],
    "import withdraw": ["imp_1"],
}
# Commands that ask no server, as they fail: on a file or a setting that cannot be.
LOCAL: Mapping[str, list[str]] = {
    "serve": ["--listen", HOSTILE],
    "audit verify": ["--data", HOSTILE],
    "caller recover": ["ayu", "--data", HOSTILE],
    "hash": [HOSTILE],
    "storyboard": [HOSTILE, "-o", "FILE.png"],
    "calibrate": [HOSTILE],
    "screening repeat": ["scr_1", "FILE", "--data", HOSTILE],
}


_NOT_MADE = {"continues", "evidence_withheld"}


def made(kind: Any) -> Any:
    """A value of a type, all of whose texts are `HOSTILE`."""
    origin, arguments = get_origin(kind), get_args(kind)
    plain: dict[Any, Any] = {
        str: HOSTILE, int: 7, float: 7.0, bool: True, bytes: b"\x07",
        datetime.datetime: datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC),
        Verdict: Verdict.BLOCK,
    }  # fmt: skip
    if kind in plain:
        return plain[kind]
    if origin in (Union, types.UnionType):
        return made(next(each for each in arguments if each is not type(None)))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {made(arguments[0]): made(arguments[1])}
    if origin is frozenset:
        return frozenset({made(arguments[0])})
    if isinstance(origin, type) and issubclass(origin, Collection):
        return (made(arguments[0]),)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return next(iter(kind))
    if kind is Hash:
        return Hash(Kind.PDQ, bytes(32))
    hints = get_type_hints(kind)
    values = {each.name: made(hints[each.name]) for each in dataclasses.fields(kind)}
    # What says that there is more to come, or that the rest is not told.
    return kind(**values | dict.fromkeys(_NOT_MADE & set(values), False))


class FakeClient:
    """A `Client` whose every answer is `made`; of lists one record of each type."""

    real: type = Client
    ready = True
    server = "a server"

    def __init__(self, *_: Any, **__: Any) -> None:
        """As of a client."""

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def is_ready(self) -> bool:
        """Whether the server is."""
        return self.ready

    def __getattr__(self, name: str) -> Any:
        kind = get_type_hints(getattr(self.real, name))["return"]
        return lambda *_, **__: self.answer(kind)

    def answer(self, kind: Any) -> Any:
        """What a method returns."""
        return self.each(kind) if get_origin(kind) else made(kind)

    def each(self, kind: Any) -> Iterator[Any]:
        """What a list has."""
        inner = get_args(kind)[0]
        for one in get_args(inner) if isinstance(inner, types.UnionType) else [inner]:
            yield made(one)


class FakeAsyncClient(FakeClient):
    """Likewise an `AsyncClient`."""

    real = AsyncClient

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def is_ready(self) -> bool:  # type: ignore[override]
        """Whether the server is."""
        return self.ready

    def answer(self, kind: Any) -> Any:
        """What a method returns: a coroutine, or what is iterated over."""
        return self._iterated(kind) if get_origin(kind) else self._awaited(kind)

    async def _awaited(self, kind: Any) -> Any:
        return made(kind)

    async def _iterated(self, kind: Any) -> Any:
        for one in self.each(kind):
            yield one
