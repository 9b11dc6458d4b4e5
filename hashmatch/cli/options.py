"""Options that every command takes."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from hashmatch.cli.output import Context, failed
from hashmatch.client import Client
from hashmatch.errors import HashmatchError, NotInstalled, Unreachable

__all__ = [
    "AsJson",
    "Data",
    "DatabaseUrl",
    "Server",
    "connected",
    "future",
    "instant",
    "no_server",
    "of",
    "server_part",
]

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
    """An instant that is over: ISO 8601, or how long ago. Raises ``BadParameter``."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    try:
        if text[-1:] in units:
            return datetime.now().astimezone() - timedelta(**{units[text[-1]]: float(text[:-1])})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise typer.BadParameter("an ISO 8601 instant, or 30m, 12h or 7d is needed") from None


def future(text: str) -> datetime:
    """An instant to come: ISO 8601, or how long from now. Raises ``BadParameter``."""
    units = {"h": "hours", "d": "days"}
    try:
        if text[-1:] in units:
            return datetime.now(UTC) + timedelta(**{units[text[-1]]: float(text[:-1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter("an ISO 8601 instant, or 12h or 90d is needed") from None
