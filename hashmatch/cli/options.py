"""Options that commands share, and how their texts become values."""

from __future__ import annotations

import enum
import importlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from hashmatch.client import Cursor
from hashmatch.errors import NotInstalled
from hashmatch.model.records import BankPolicy, Provenance
from hashmatch.model.verdicts import BankMode, Category

__all__ = [
    "SINCE", "AsJson", "Data", "DatabaseUrl", "Expires", "Page", "PolicyEdit", "Quiet", "Server",
    "Since", "Store", "Why", "arg", "choice", "opt", "policy_edit", "provenance", "server_part",
    "since",
]  # fmt: skip

E = TypeVar("E", bound=enum.Enum)

_DEFAULT: Final = BankPolicy()


def arg(text: str, metavar: str | None = None) -> Any:
    """An argument with its help."""
    return typer.Argument(help=text, metavar=metavar)


def opt(text: str, default: str | bool = True, *flags: str, **more: Any) -> Any:
    """An option with its help. ``default`` says in words what holds without it, where that is not
    the value itself.
    """
    return typer.Option(*flags, help=text, show_default=default, **more)


def choice(
    members: type[E], text: str, default: str | bool = True, *flags: str, **others: Any
) -> Any:
    """An option that names a member of an enumeration, in any case, with '-' or '_'. ``others`` are
    values by further names.
    """
    values = {each.name.lower().replace("_", "-"): each for each in members} | others

    def parse(given: str) -> Any:
        name = given.lower().replace("_", "-")
        if name not in values:
            raise typer.BadParameter(f"{given!r} is not known; choose one of {', '.join(values)}")
        return values[name]

    shown = f"{text}: {', '.join(values)}."
    return opt(shown, default, *flags, parser=parse, metavar="NAME")


def since(text: str) -> datetime:
    """An instant in the past: RFC 3339, or how long ago. Raises ``BadParameter``."""
    return _moment(text, -1, "30m, 12h or 7d")


def expires(text: str) -> datetime:
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


SINCE: Final = "From this instant on: RFC 3339 (2026-01-31T12:00:00Z), or 30m, 12h, 7d ago."
_SERVER: Final = "Address of the server, HOST:PORT. Without it, the variable HASHMATCH_SERVER."
_JSON: Final = "Print JSON: one object on each line, and no progress."
_DATA: Final = "Folder of the server's database and spool. Without it, the variable HASHMATCH_DATA."
_DATABASE: Final = (
    "Database of the server: postgresql://USER@HOST/NAME. Without it, the variable "
    "HASHMATCH_DATABASE."
)
_EXPIRES: Final = "It is valid until then: RFC 3339 (2027-01-31T12:00:00Z), or 12h, 90d from now."
_SHADOW: Final = "Shadow: matches are reported and change no verdict. Live: they do."
_BLOCK: Final = (
    "Lowest score of evidence for BLOCK; below it, REVIEW. At 14 one clean upload in a million is "
    "blocked."
)
_TRAFFIC: Final = "Percentage of uploads whose verdict the bank may change."
_REVIEW: Final = "Lowest score of evidence, 0 to 100, that changes a verdict."
_FLOOD: Final = (
    "Different files that one entry may block in an hour before it is quarantined, if others block "
    "far fewer; 0: no limit."
)
_CONFIRMED: Final = "A person has looked at it and found that it shows its category."

Server = Annotated[str | None, opt(_SERVER, "127.0.0.1:50051")]
AsJson = Annotated[bool, opt(_JSON, False, "--json")]
Quiet = Annotated[bool, opt("Show no progress while the command works.", False, "--quiet", "-q")]
Data = Annotated[Path | None, opt(_DATA, "hashmatch-data")]
DatabaseUrl = Annotated[str | None, opt(_DATABASE, "SQLite in the data folder")]
Since = Annotated[datetime | None, opt(SINCE, "all", parser=since, metavar="TIME")]
Expires = Annotated[datetime | None, opt(_EXPIRES, "for ever", parser=expires, metavar="TIME")]
Why = Annotated[str, opt("The reason, kept in the audit trail.", metavar="TEXT")]
Limit = Annotated[int, opt("The largest number of rows to print.", min=1)]
After = Annotated[str, opt("Continue after the page that ended with this token.", metavar="TOKEN")]


@dataclass(slots=True)
class Page:
    """Which part of a list to show, newest first."""

    since: Since = None
    limit: Limit = 100
    after: After = ""
    cursor: Cursor = field(init=False)

    def __post_init__(self) -> None:
        """Begins where ``after`` says."""
        self.cursor = Cursor(self.after, self.limit)


@dataclass(frozen=True, slots=True)
class Store:
    """The database of a server, for commands that read it themselves."""

    data: Data = None
    database: DatabaseUrl = None

    def settings(self) -> Any:
        """The settings of a server with this database. Raises `ConfigInvalid`, `NotInstalled`."""
        return server_part("config").load(data=self.data, database=self.database)


def provenance(
    source: Annotated[
        str, opt("Who reported it first: an exchange, a hotline.", metavar="TEXT")
    ] = "",
    legal_basis: Annotated[str, opt("The law or rule that prohibits it.", metavar="TEXT")] = "",
    category: Annotated[Category | None, choice(Category, "What it shows", "not stated")] = None,
    severity: Annotated[int, opt("1 (least severe) to 4 (most); 0: not stated.", min=0, max=4)] = 0,
    note: Annotated[str, opt("A note for reviewers of its matches.", metavar="TEXT")] = "",
    language: Annotated[str, opt("Language of the note (BCP 47): id, en.", metavar="TAG")] = "",
    confirmed: Annotated[bool, opt(_CONFIRMED, False, "--confirmed")] = False,
) -> Provenance:
    """Where an entry comes from and why it is listed."""
    return Provenance(source, legal_basis, category, severity, note, language, confirmed)


class PolicyEdit(dict[str, Any]):
    """The fields of a `BankPolicy` that options change."""


def _percentage(text: str, default: int) -> Any:
    return opt(text, f"{default}", min=0, max=100)


def policy_edit(
    shadow: Annotated[bool | None, opt(_SHADOW, "live", "--shadow/--live")] = None,
    traffic: Annotated[int | None, _percentage(_TRAFFIC, _DEFAULT.traffic_percent)] = None,
    block_score: Annotated[int | None, _percentage(_BLOCK, _DEFAULT.block_score)] = None,
    review_score: Annotated[int | None, _percentage(_REVIEW, _DEFAULT.review_score)] = None,
    flood_limit: Annotated[
        int | None, opt(_FLOOD, f"{_DEFAULT.flood_limit}", min=0, max=1_000_000)
    ] = None,
) -> PolicyEdit:
    """The changes of a bank's policy that the options ask for."""
    fields = {
        "mode": None if shadow is None else BankMode.SHADOW if shadow else BankMode.LIVE,
        "traffic_percent": traffic,
        "block_score": block_score,
        "review_score": review_score,
        "flood_limit": flood_limit,
    }
    return PolicyEdit({name: value for name, value in fields.items() if value is not None})


def server_part(name: str) -> Any:
    """A module of hashmatch that clients do without. Raises `NotInstalled`."""
    try:
        return importlib.import_module(f"hashmatch.{name}")
    except ModuleNotFoundError as error:
        raise NotInstalled(
            f"this needs the server, which is not installed ({error.name} is missing); "
            "pip install 'hashmatch[server]'"
        ) from None
