"""Options that commands share."""

from __future__ import annotations

import contextlib
import enum
import importlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from hashmatch.cli.output import Context, failed
from hashmatch.client import Client
from hashmatch.errors import HashmatchError, NotInstalled, Unreachable
from hashmatch.model.records import Provenance
from hashmatch.model.verdicts import Category

__all__ = [
    "After",
    "AsJson",
    "CategoryName",
    "Data",
    "DatabaseUrl",
    "Language",
    "LegalBasis",
    "Limit",
    "Note",
    "Server",
    "Severity",
    "Since",
    "Source",
    "connected",
    "future",
    "instant",
    "named",
    "no_server",
    "of",
    "provenance",
    "server_part",
    "since_instant",
]

E = TypeVar("E", bound=enum.Enum)

Server = Annotated[
    str | None,
    typer.Option(
        help="The server, HOST:PORT.  [env: HASHMATCH_SERVER; default: 127.0.0.1:50051]",
        show_default=False,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder of the server's database and spool.", show_default=False),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        help="postgresql://USER@HOST/NAME.  [default: SQLite in the folder]", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]

# Of lists, which are newest first.
Since = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Only those made from this instant on: RFC 3339, or 30m, 12h, 7d ago.",
    ),
]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]
After = Annotated[
    str,
    typer.Option(metavar="TOKEN", help="Continue from the token printed by the previous page."),
]

# Why entries are there, and where they came from.
Source = Annotated[str, typer.Option(help="Who knew of it first: an exchange, a report.")]
LegalBasis = Annotated[str, typer.Option(help="The law or rule that it is listed by.")]
CategoryName = Annotated[
    str | None, typer.Option(help="csam-a1, intimate-image, terrorist-content and so on.")
]
Severity = Annotated[int, typer.Option(min=0, max=4, help="1 (least) to 4; 0: not said.")]
Note = Annotated[str, typer.Option(help="For whoever decides on it later.")]
Language = Annotated[str, typer.Option(help="The note's language: id, en.")]


def of(context: typer.Context, server: str | None, as_json: bool) -> Context:
    """The options given ahead of the command, and those of the command itself."""
    shared = context.obj if isinstance(context.obj, Context) else Context()
    return shared.merged(server, as_json)


def no_server(server: str) -> Unreachable:
    """What to tell somebody who would wait in vain: a person can start it or name another."""
    return Unreachable(
        f"no server is ready at {server}; start it by 'hashmatch serve', or name it by --server "
        "or HASHMATCH_SERVER"
    )


def server_part(name: str) -> Any:
    """A module of hashmatch that a client does without. Raises `NotInstalled`."""
    try:
        return importlib.import_module(f"hashmatch.{name}")
    except ModuleNotFoundError as error:
        raise NotInstalled(
            f"this needs the server, which is not installed ({error.name} is missing); "
            "pip install 'hashmatch[server]'"
        ) from None


@contextlib.contextmanager
def connected(context: Context) -> Iterator[Client]:
    """A client; an error ends the command with exit code 1."""
    try:
        with Client(context.server, timeout_seconds=30.0) as client:
            if not client.is_ready():
                raise no_server(client.server)
            yield client
    except HashmatchError as error:
        failed(error, context)
        raise typer.Exit(1) from None


def instant(text: str) -> datetime:
    """An instant that is over: RFC 3339, or how long ago. Raises ``BadParameter``."""
    return _moment(text, -1, "30m, 12h or 7d")


def since_instant(text: str | None) -> datetime | None:
    """What `Since` says."""
    return None if text is None else instant(text)


def future(text: str) -> datetime:
    """An instant to come: RFC 3339, or how long from now. Raises ``BadParameter``."""
    return _moment(text, 1, "12h or 90d")


def _moment(text: str, sign: int, examples: str) -> datetime:
    units = {"m": "minutes", "h": "hours", "d": "days"}
    try:
        if text[-1:] in units:
            distance = timedelta(**{units[text[-1]]: float(text[:-1])})
            return datetime.now(UTC) + sign * distance
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"an RFC 3339 instant, or {examples} is needed") from None


def named(members: type[E], text: str) -> E:
    """A member of an enumeration by its name on the command line. Raises ``BadParameter``."""
    known = {each.name.lower().replace("_", "-"): each for each in members}
    found = known.get(text.lower().replace("_", "-"))
    if found is None:
        raise typer.BadParameter(f"one of {', '.join(known)} is needed")
    return found


def provenance(
    source: str,
    legal_basis: str,
    category: str | None,
    severity: int,
    note: str,
    language: str,
) -> Provenance:
    """What the options of these names say. Raises ``BadParameter``."""
    of_category = None if category is None else named(Category, category)
    return Provenance(source, legal_basis, of_category, severity, note, language)
