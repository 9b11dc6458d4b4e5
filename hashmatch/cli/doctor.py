"""``hashmatch doctor``: what is installed, reachable and loaded, and what to do about the rest."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import typer
from rich.text import Text

from hashmatch.cli import options
from hashmatch.cli.options import AsJson, Server
from hashmatch.cli.output import Context, plain, print_json, stdout
from hashmatch.client import Client
from hashmatch.errors import AccessDenied, HashmatchError
from hashmatch.model.callers import Role
from hashmatch.model.records import Bank
from hashmatch.model.verdicts import BankState

__all__ = ["doctor"]

# Modules of hashmatch[server], each with the package that brings it.
_SERVER_PARTS = {
    "alembic": "alembic",
    "av": "av",
    "grpc_health": "grpcio-health-checking",
    "grpc_reflection": "grpcio-reflection",
    "imagehash": "imagehash",
    "joserfc": "joserfc",
    "numba": "numba",
    "numpy": "numpy",
    "PIL": "pillow",
    "pydantic_settings": "pydantic-settings",
    "pyseccomp": "pyseccomp",
    "sqlalchemy": "sqlalchemy",
    "structlog": "structlog",
}


@dataclass(frozen=True, slots=True)
class _Check:
    """One thing that was looked at; ``hint`` says what to do if it is not ``ok``."""

    check: str
    ok: bool
    detail: str
    hint: str = ""


def doctor(context: typer.Context, server: Server = None, as_json: AsJson = False) -> None:
    """Check what is installed, reachable and loaded. Exit code 1 if something is amiss."""
    shared = options.of(context, server, as_json)
    all_ok = True
    for check in _checks(shared):
        all_ok = all_ok and check.ok
        if shared.json:
            print_json(asdict(check))
            continue
        line = Text("ok    " if check.ok else "amiss ", style="green" if check.ok else "bold red")
        line.append(f"{check.check}: {plain(check.detail)}", style="default")
        if check.hint:
            line.append(f"\n      -> {check.hint}", style="bold")
        stdout.print(line)
    if not all_ok:
        raise typer.Exit(1)


def _checks(context: Context) -> Iterator[_Check]:
    yield _Check("hashmatch", True, importlib.metadata.version("hashmatch"))
    yield _Check("python", True, f"{platform.python_version()} on {platform.machine()}")
    yield _installed()
    if importlib.util.find_spec("pyseccomp"):
        yield _sandbox()
    with Client(context.server, timeout_seconds=5.0) as client:
        banks: list[Bank] | None = None
        try:
            caller = client.get_self()
            if caller.roles - {Role.PIPELINE}:
                banks = list(client.list_banks())
        except AccessDenied:
            yield _Check("server", True, "answers")
            yield _Check(
                "access",
                False,
                "the server does not know you",
                "set HASHMATCH_TOKEN or HASHMATCH_TOKEN_FILE to your token; an admin makes one by "
                "'hashmatch caller create'",
            )
            return
        except HashmatchError as error:
            yield _Check(
                "server",
                False,
                str(error),
                "start it by 'hashmatch serve', or name it by --server or HASHMATCH_SERVER",
            )
            return
        yield _Check("server", True, "answers")
        roles = ", ".join(role.name.lower() for role in sorted(caller.roles))
        yield _Check("access", True, f"{caller.name or 'nobody is asked who he is'} ({roles})")
        yield _Check(
            "health",
            client.is_ready(),
            "ready" if client.is_ready() else "not ready: starting or stopping",
            "" if client.is_ready() else "wait, then look at the server's log",
        )
    if banks is not None:  # A pipeline may not see them.
        yield _blocklist(banks)


def _installed() -> _Check:
    missing = [
        package for module, package in _SERVER_PARTS.items() if not importlib.util.find_spec(module)
    ]
    if len(missing) == len(_SERVER_PARTS):
        return _Check("installed", True, "the client (hashmatch[server] would add the server)")
    if missing:
        return _Check(
            "installed",
            False,
            f"the server without {', '.join(missing)}",
            f"{sys.executable} -m pip install 'hashmatch[server]'",
        )
    versions = ", ".join(
        f"{package} {importlib.metadata.version(package)}" for package in ("av", "pillow", "numba")
    )
    return _Check("installed", True, f"client and server ({versions})")


def _sandbox() -> _Check:
    try:
        importlib.import_module("pyseccomp")
    except (OSError, RuntimeError):  # What it raises without the library.
        return _Check(
            "sandbox",
            False,
            "workers cannot be confined: libseccomp is missing",
            "install libseccomp2",
        )
    return _Check("sandbox", True, "workers can be confined")


def _blocklist(banks: list[Bank]) -> _Check:
    active = [bank for bank in banks if bank.state is BankState.ACTIVE]
    entries = sum(bank.active_entries for bank in active)
    if entries:
        return _Check("blocklist", True, f"{entries} active entries in {len(active)} active banks")
    return _Check(
        "blocklist",
        False,
        "no active entry, so every screening is INCONCLUSIVE",
        "hashmatch bank create NAME --action block; hashmatch entry add --bank NAME FILE",
    )
