"""``hashmatch doctor``: what is installed, reachable and loaded, and what to do about the rest."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

from hashmatch.cli.command import Connection
from hashmatch.cli.output import Output
from hashmatch.client import Client
from hashmatch.errors import AccessDenied, HashmatchError
from hashmatch.model.callers import Role
from hashmatch.model.records import Bank
from hashmatch.model.verdicts import BankState

__all__ = ["doctor"]

# Modules of hashmatch[server], each with the package that brings it where that is called otherwise.
_SERVER_PARTS = {
    each: each for each in ("alembic", "av", "imagehash", "joserfc", "numba", "numpy", "pyseccomp")
} | {
    "grpc_health": "grpcio-health-checking",
    "grpc_reflection": "grpcio-reflection",
    "PIL": "pillow",
    "pydantic_settings": "pydantic-settings",
    "sqlalchemy": "sqlalchemy",
    "structlog": "structlog",
}

_NO_ACCESS: Final = (
    "set HASHMATCH_TOKEN or HASHMATCH_TOKEN_FILE to your token; an admin makes one by 'hashmatch "
    "caller create'"
)
_NO_SERVER: Final = "start it by 'hashmatch serve', or name it by --server or HASHMATCH_SERVER"
_NOT_READY: Final = "wait, then look at the server's log"
_NO_ENTRY: Final = "hashmatch bank create NAME --action block; hashmatch entry add --bank NAME FILE"
_NOT_CONFINED: Final = "workers cannot be confined: libseccomp is missing"


@dataclass(frozen=True, slots=True)
class _Check:
    """One thing that was looked at; ``hint`` says what to do if it is not ``ok``."""

    check: str
    ok: bool
    detail: str
    hint: str = ""


def doctor(out: Output, connection: Connection) -> None:
    """Check what is installed, whether the server can be reached, and what it has loaded.

    Exit code 1 if anything is wrong; each such line says what to do.
    """
    for check in _checks(connection):
        out.write(asdict(check))
        mark = ("ok    ", "green") if check.ok else ("amiss ", "bold red")
        out.say(mark, f"{check.check}: {check.detail}")
        if check.hint:
            out.say(f"      -> {check.hint}", style="bold")
        if not check.ok:
            out.code = 1


def _checks(connection: Connection) -> Iterator[_Check]:
    yield _Check("hashmatch", True, importlib.metadata.version("hashmatch"))
    yield _Check("python", True, f"{platform.python_version()} on {platform.machine()}")
    yield _installed()
    if importlib.util.find_spec("pyseccomp"):
        yield _sandbox()
    with Client(connection.server, timeout_seconds=5.0) as client:
        banks: list[Bank] | None = None
        try:
            caller = client.get_self()
            if caller.roles - {Role.PIPELINE}:
                banks = list(client.list_banks())
        except AccessDenied:
            yield _Check("server", True, "answers")
            yield _Check("access", False, "the server does not know you", _NO_ACCESS)
            return
        except HashmatchError as error:
            yield _Check("server", False, str(error), _NO_SERVER)
            return
        yield _Check("server", True, "answers")
        held = ", ".join(role.name.lower() for role in sorted(caller.roles))
        yield _Check("access", True, f"{caller.name or 'authentication is off'} ({held})")
        if client.is_ready():
            yield _Check("health", True, "ready")
        else:
            yield _Check("health", False, "not ready: starting or stopping", _NOT_READY)
    if banks is not None:  # A pipeline may not see them.
        yield _blocklist(banks)


def _installed() -> _Check:
    missing = [
        package for module, package in _SERVER_PARTS.items() if not importlib.util.find_spec(module)
    ]
    if len(missing) == len(_SERVER_PARTS):
        return _Check("installed", True, "the client (hashmatch[server] would add the server)")
    if missing:
        hint = f"{sys.executable} -m pip install 'hashmatch[server]'"
        return _Check("installed", False, f"the server without {', '.join(missing)}", hint)
    versions = ", ".join(
        f"{package} {importlib.metadata.version(package)}" for package in ("av", "pillow", "numba")
    )
    return _Check("installed", True, f"client and server ({versions})")


def _sandbox() -> _Check:
    try:
        importlib.import_module("pyseccomp")
    except (OSError, RuntimeError):  # What it raises without the library.
        return _Check("sandbox", False, _NOT_CONFINED, "install libseccomp2")
    return _Check("sandbox", True, "workers can be confined")


def _blocklist(banks: list[Bank]) -> _Check:
    active = [bank for bank in banks if bank.state is BankState.ACTIVE]
    entries = sum(bank.active_entries for bank in active)
    if entries:
        return _Check("blocklist", True, f"{entries} active entries in {len(active)} active banks")
    return _Check(
        "blocklist", False, "no active entry, so every screening is INCONCLUSIVE", _NO_ENTRY
    )
