"""The frame of every command: `command` adds the options that all share, opens a client, shows how
long it takes, and turns errors into exit codes. A command is its arguments, one call, and what is
shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_type_hints

import typer

from hashmatch.cli import options
from hashmatch.cli.output import Output
from hashmatch.client import AsyncClient, Client
from hashmatch.errors import HashmatchError, Unreachable
from hashmatch.model.records import Provenance

__all__ = ["Connection", "ExitCode", "Shared", "check_ready", "command", "naming"]

# Seconds for one call, but for calls that have an option of their own.
_CALL_SECONDS: Final = 30.0


class ExitCode(enum.IntEnum):
    """How a command ends. The last three: ``screen --exit-code``, by the worst of its files."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REVIEW = 10
    INCONCLUSIVE = 11
    BLOCK = 12


@dataclass(frozen=True, slots=True)
class Shared:
    """The options that were given ahead of the command."""

    server: str | None = None
    json: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Connection:
    """The server that the options name; None: that of the environment."""

    server: options.Server = None


@dataclass(frozen=True, slots=True)
class _Shown:
    """How the output is to be."""

    json: options.AsJson = False
    quiet: options.Quiet = False


# What a command may ask for by the type of a parameter, and what has the options that make it.
_GROUPS: Final[dict[Any, Callable[..., Any]]] = {
    AsyncClient: Connection,
    Client: Connection,
    Connection: Connection,
    Output: _Shown,
    Provenance: options.provenance,
    options.Page: options.Page,
    options.PolicyEdit: options.policy_edit,
    options.Store: options.Store,
}


def command(
    app: typer.Typer,
    name: str,
    *,
    check: Callable[..., None] | None = None,
    examples: tuple[str, ...] = (),
    has_progress: bool = True,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a function the command ``name`` of ``app``.

    The types of its parameters say what it needs besides its own arguments and options: `Output`,
    `Client` (connected to a server that is ready) or `AsyncClient`, `options.Page` (``--since``,
    ``--limit``, ``--after``), `options.Store` (``--data``, ``--database``), and so on. ``check``
    gets its own arguments before a client is opened, and raises ``BadParameter`` for those that
    exclude each other. An error of hashmatch, or of a file that it names, is printed and ends the
    command with `ExitCode.FAILED`; else its exit code is that of its `Output`. A command that runs
    until it is stopped has no progress.
    """

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        kinds = get_type_hints(function, include_extras=True)
        own, groups = [], {}
        for parameter in inspect.signature(function).parameters.values():
            kind = kinds[parameter.name]
            if kind in _GROUPS:
                groups[parameter.name] = kind
            else:
                own.append(_keyword(parameter, kind))
        opened = [each for each, kind in groups.items() if kind in (AsyncClient, Client)]
        # Options of all commands come last.
        makers = sorted(
            dict.fromkeys([*(_GROUPS[kind] for kind in groups.values()), _Shown]),
            key=lambda maker: maker in (Connection, _Shown),
        )
        grouped = {maker: _parameters(maker) for maker in makers}

        def framed(context: typer.Context, **given: Any) -> None:
            made = {
                maker: maker(**{each.name: given.pop(each.name) for each in parameters})
                for maker, parameters in grouped.items()
            }
            if check is not None:
                check(**given)
            shared = context.find_object(Shared) or Shared()
            shown = made[_Shown]
            quiet = shown.quiet or shared.quiet or not has_progress
            out = Output(shown.json or shared.json, quiet)
            server = made[Connection].server or shared.server if Connection in made else None
            ready = {Output: out, Connection: Connection(server)}
            needed = {part: ready.get(kind) or made[_GROUPS[kind]] for part, kind in groups.items()}
            path = context.command_path.removeprefix(context.find_root().command_path).strip()
            with _ending(out), out.progress.running(path):
                if inspect.iscoroutinefunction(function):
                    asyncio.run(_run_async(function, server, opened, needed | given))
                elif opened:
                    with Client(server, timeout_seconds=_CALL_SECONDS) as client:
                        if not client.is_ready():
                            raise _not_ready(client.server)
                        function(**needed | given | dict.fromkeys(opened, client))
                else:
                    function(**needed, **given)
            if out.code:
                raise typer.Exit(out.code)

        _describe(framed, function, [*own, *(each for some in grouped.values() for each in some)])
        shown = "\n".join(["Examples:", *(f"  $ hashmatch {each}" for each in examples)])
        app.command(name, epilog=shown if examples else None)(framed)
        return function

    return add


async def check_ready(client: AsyncClient) -> None:
    """Raises `Unreachable` at once: somebody would wait in vain, and can start a server."""
    if not await client.is_ready():
        raise _not_ready(client.server)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of the file system in this block are of ``path``, and end the command."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None


@contextlib.contextmanager
def _ending(out: Output) -> Iterator[None]:
    try:
        yield
    except HashmatchError as error:
        out.failed(error)
    except OSError as error:
        if error.filename is None:  # Of stdout: `hashmatch.streams` tells it.
            raise
        out.failed(error, file=str(error.filename))


async def _run_async(function: Any, server: str | None, opened: list[str], given: Any) -> None:
    async with AsyncClient(server, timeout_seconds=_CALL_SECONDS) as client:
        await function(**given | dict.fromkeys(opened, client))


def _not_ready(server: str) -> Unreachable:
    return Unreachable(
        f"no server is ready at {server}; start it by 'hashmatch serve', or name it by --server "
        "or HASHMATCH_SERVER"
    )


def _parameters(maker: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = get_type_hints(maker, include_extras=True)
    return [
        _keyword(parameter, kinds[parameter.name])
        for parameter in inspect.signature(maker).parameters.values()
    ]


def _keyword(parameter: inspect.Parameter, kind: Any) -> inspect.Parameter:
    return parameter.replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY)


def _describe(framed: Any, function: Any, parameters: list[inspect.Parameter]) -> None:
    """Says of ``framed`` what typer reads: parameters, and the docstring as the help."""
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    every = [context, *parameters]
    framed.__signature__ = inspect.Signature(every)
    framed.__annotations__ = {each.name: each.annotation for each in every}
    framed.__doc__ = function.__doc__
    framed.__name__ = function.__name__
