"""``hashmatch entry export``."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import typer

from hashmatch.cli import options
from hashmatch.cli.command import check_ready, naming
from hashmatch.cli.list_files import ListFile, ListFolder, Saved
from hashmatch.cli.options import SINCE, arg, choice, opt
from hashmatch.cli.output import Output, stderr
from hashmatch.cli.progress import Update
from hashmatch.client import AsyncClient
from hashmatch.lists.writer import ListWriter, Tally
from hashmatch.model.exports import ExportedEntry
from hashmatch.model.imports import Format
from hashmatch.model.records import Bank
from hashmatch.model.verdicts import EntryState, Kind

__all__ = ["check", "export"]

# What was written is made safe this often.
_KEEP_SECONDS: Final = 1.0

_OUTPUT: Final = "File to write; of vpdq a new folder, with a file for each entry."
_LEFT_OUT: Final = {
    "flat": "hashes that are too flat to match",
    "kinds": "hashes of kinds that the format has no place for",
    "entries": "entries with no hashes of this kind",
}
_NOT_KEPT: Final = {
    "entries": "entries have several hashes: each will be an entry of its own",
    "times": "hashes have times",
    "views": "hashes are of parts or turns of frames",
    "qualities": "hashes have qualities below 100",
    "names": "entries have references or labels",
    "states": "entries are not in use",
}


def _check_since(text: str | None) -> str | None:
    if text is not None:
        options.since(text)
    return text


def check(form: Format, output: Path | None, **_: Any) -> None:
    """Raises ``BadParameter`` where a format of many files would go to standard output."""
    if form is Format.VPDQ and output is None:
        raise typer.BadParameter("--format vpdq needs --output: it is a file for each entry")


async def export(
    out: Output,
    client: AsyncClient,
    bank: Annotated[str, arg("Id or name of the bank.")],
    form: Annotated[Format, choice(Format, "How the list is written", False, "--format")],
    kind: Annotated[
        list[Kind] | None, choice(Kind, "Hashes of this kind. Repeatable", "all")
    ] = None,
    state: Annotated[
        EntryState | None, choice(EntryState, "Entries in this state", all=None)
    ] = "active",  # type: ignore[assignment]
    since: Annotated[str | None, opt(SINCE, "all", callback=_check_since, metavar="TIME")] = None,
    output: Annotated[
        Path | None, opt(_OUTPUT, "standard output", "--output", "-o", metavar="PATH")
    ] = None,
) -> None:
    """Write the entries of a bank with their hashes, as a list for others.

    What the format has no place for is reported at the end. The file appears once it is whole. If
    the command was interrupted, the same command continues it, from FILE.part and FILE.part.json.
    """
    await check_ready(client)
    out.is_beside = output is None
    given = _Given(bank, form, frozenset(kind or ()), state, since, output)
    tally = await _export(out, client, given)
    # Standard output is the list itself, or free for what is said of it.
    out.write({"export": {"output": str(output or ""), **tally.as_json()}})
    where = "" if output is None else f" to {output}"
    out.note(f"{tally.entries} entries with {tally.hashes} hashes{where}", wrap=False)
    for names, counts, what in (
        (_LEFT_OUT, tally.left_out, "skipped"),
        (_NOT_KEPT, tally.not_kept, "not kept"),
    ):
        for name, number in counts.items():
            out.note(f"{what}: {number} {names[name]}", style="yellow")


@dataclass(frozen=True, slots=True)
class _Given:
    """What to export, how and where to. ``since`` is as it was typed: "7d ago" of the run that
    continues is not that of the run that began.
    """

    bank: str
    form: Format
    kinds: frozenset[Kind]
    state: EntryState | None
    since: str | None
    output: Path | None

    @property
    def instant(self) -> datetime | None:
        """The instant of ``since``."""
        return None if self.since is None else options.since(self.since)


class _Output(Protocol):
    """Where a list goes."""

    saved: Saved | None

    def write(self, text: str, name: str, *, more: bool = False) -> None: ...
    def keep(self, resume_token: str, tally: Mapping[str, Any]) -> None: ...
    def finish(self) -> None: ...
    def close(self) -> None: ...


class _Stdout:
    """Nothing of it can be taken back, so that no run goes on with it."""

    saved: Saved | None = None

    def write(self, text: str, name: str, *, more: bool = False) -> None:  # noqa: ARG002
        sys.stdout.buffer.write(text.encode())

    def keep(self, *_: object) -> None:
        sys.stdout.buffer.flush()

    def finish(self) -> None:
        sys.stdout.buffer.flush()

    def close(self) -> None:
        pass


async def _export(out: Output, client: AsyncClient, given: _Given) -> Tally:
    bank = await client.get_bank(given.bank)
    kinds, since = given.kinds, given.instant
    if given.form is Format.HASHES and not kinds and len(bank.thresholds) == 1:
        kinds = frozenset(bank.thresholds)
    writer = ListWriter(given.form, kinds)
    with contextlib.closing(_opened(given, bank, since)) as output:
        token = ""
        if (saved := output.saved) is not None:
            writer = ListWriter(given.form, kinds, Tally(**saved.tally))
            token = saved.resume_token
            since = datetime.fromisoformat(saved.since) if saved.since else None
            stderr.print(f"going on after {writer.tally.entries} entries", style="dim")
        elif begin := writer.begin():
            output.write(begin, "")
        parts = client.export_entries(
            bank.bank_id,
            state=given.state,
            kinds=writer.kinds if writer.kinds < frozenset(Kind) else (),
            since=since,
            resume_token=token,
        )
        of_all = given.state is EntryState.ACTIVE and since is None
        with out.progress.task("entries", bank.active_entries if of_all else 0) as update:
            await _write(parts, writer, output, update)
        if end := writer.end():
            output.write(end, "")
        output.finish()
    return writer.tally


async def _write(
    parts: AsyncIterator[ExportedEntry],
    writer: ListWriter,
    output: _Output,
    update: Update,
) -> None:
    kept = time.monotonic()
    async for part in parts:
        name = f"{part.entry.ref.entry_id}.txt"
        output.write(writer.add(part), name, more=part.continues)
        if part.continues:
            continue
        update(writer.tally.entries, None)
        if time.monotonic() - kept > _KEEP_SECONDS:
            output.keep(part.resume_token, writer.tally.as_json())
            kept = time.monotonic()


def _opened(given: _Given, bank: Bank, since: datetime | None) -> _Output:
    if given.output is None:
        return _Stdout()
    asked = {
        "bank": bank.bank_id,
        "format": given.form.name,
        "kinds": [kind.name for kind in sorted(given.kinds)],
        "state": given.state.name if given.state else "",
        "since": given.since,
    }
    form = ListFolder if given.form is Format.VPDQ else ListFile
    with naming(given.output):
        return form(given.output, asked, since.isoformat() if since else None)
