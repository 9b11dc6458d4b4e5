"""``hashmatch entry export``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import typer

from hashmatch.cli import options
from hashmatch.cli.list_files import ListFile, ListFolder, Saved
from hashmatch.cli.options import AsJson, Server, Since
from hashmatch.cli.output import Context, counting, failed, plain, stderr
from hashmatch.client import AsyncClient
from hashmatch.errors import HashmatchError
from hashmatch.lists.writer import ListWriter, Tally
from hashmatch.model.exports import ExportedEntry
from hashmatch.model.imports import Format
from hashmatch.model.records import Bank
from hashmatch.model.verdicts import EntryState, Kind

__all__ = ["export"]

# What was written is made safe this often.
_KEEP_SECONDS: Final = 1.0

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


def export(
    context: typer.Context,
    bank: Annotated[str, typer.Argument(help="Id or name of the bank.")],
    form: Annotated[
        str, typer.Option("--format", help="csv, jsonl, hashes, vpdq or threatexchange.")
    ],
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Only hashes of this kind: pdq, sha256 and so on; repeatable."),
    ] = None,
    state: Annotated[
        str, typer.Option(help="Only active, pending, withdrawn or expired ones; or all.")
    ] = "active",
    since: Since = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file; of vpdq a new folder, with a file for each entry.  "
            "[default: standard output]",
            show_default=False,
        ),
    ] = None,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Write the entries of a bank with their hashes, as a list for others.

    What the format has no place for is told in the end. The file is there once it is whole; the
    same command goes on with one that was ended, by way of FILE.part and FILE.part.json.
    """
    shared = options.of(context, server, as_json)
    chosen = options.named(Format, form)
    wanted = None if state == "all" else options.named(EntryState, state)
    kinds = frozenset(options.named(Kind, each) for each in kind or ())
    instant = options.since_instant(since)
    if chosen is Format.VPDQ and output is None:
        raise typer.BadParameter("--format vpdq needs --output: it is a file for each entry")
    given = _Given(bank, chosen, kinds, wanted, since, instant, output)
    try:
        tally = asyncio.run(_export(shared, given))
    except (HashmatchError, OSError) as error:
        # What went to standard output is not followed by what is no part of it.
        shared = Context(shared.server, shared.json and output is not None)
        about = {"file": str(output)} if output and isinstance(error, OSError) else {}
        failed(error, shared, **about)
        raise typer.Exit(1) from None
    _tell(tally, output, shared)


@dataclass(frozen=True, slots=True)
class _Given:
    """What to export, how and where to."""

    bank: str
    form: Format
    kinds: frozenset[Kind]
    state: EntryState | None
    since: str | None
    instant: datetime | None
    output: Path | None


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


async def _export(context: Context, given: _Given) -> Tally:
    async with AsyncClient(context.server, timeout_seconds=30.0) as client:
        if not await client.is_ready():
            raise options.no_server(client.server)
        bank = await client.get_bank(given.bank)
        kinds = given.kinds
        if given.form is Format.HASHES and not kinds and len(bank.thresholds) == 1:
            kinds = frozenset(bank.thresholds)
        writer = ListWriter(given.form, kinds)
        with contextlib.closing(_opened(given, bank)) as output:
            token, since = "", given.instant
            if (saved := output.saved) is not None:
                writer = ListWriter(given.form, kinds, Tally(**saved.tally))
                token = saved.resume_token
                since = datetime.fromisoformat(saved.since) if saved.since else None
                stderr.print(f"going on after {writer.tally.entries} entries", style="dim")
            elif begin := writer.begin():
                output.write(begin, "")
            told = client.export_entries(
                bank.bank_id,
                state=given.state,
                kinds=writer.kinds if writer.kinds < frozenset(Kind) else (),
                since=since,
                resume_token=token,
            )
            of_all = given.state is EntryState.ACTIVE and since is None
            with counting("entries", bank.active_entries if of_all else 0) as count:
                await _write(told, writer, output, count)
            if end := writer.end():
                output.write(end, "")
            output.finish()
    return writer.tally


async def _write(
    told: AsyncIterator[ExportedEntry],
    writer: ListWriter,
    output: _Output,
    count: Callable[[int], None],
) -> None:
    kept = time.monotonic()
    async for part in told:
        name = f"{part.entry.ref.entry_id}.txt"
        output.write(writer.add(part), name, more=part.continues)
        if part.continues:
            continue
        count(writer.tally.entries)
        if time.monotonic() - kept > _KEEP_SECONDS:
            output.keep(part.resume_token, writer.tally.as_json())
            kept = time.monotonic()


def _opened(given: _Given, bank: Bank) -> _Output:
    if given.output is None:
        return _Stdout()
    asked = {
        "bank": bank.bank_id,
        "format": given.form.name,
        "kinds": [kind.name for kind in sorted(given.kinds)],
        "state": given.state.name if given.state else "",
        "since": given.since,
    }
    instant = given.instant.isoformat() if given.instant else None
    form = ListFolder if given.form is Format.VPDQ else ListFile
    return form(given.output, asked, instant)


def _tell(tally: Tally, output: Path | None, context: Context) -> None:
    if context.json:
        told = {"export": {"output": str(output or ""), **tally.as_json()}}
        # Standard output is the list itself, or free to tell of it.
        typer.echo(json.dumps(told), err=output is None)
        return
    where = "" if output is None else f" to {plain(str(output))}"
    stderr.print(f"{tally.entries} entries with {tally.hashes} hashes{where}", soft_wrap=True)
    for names, counts, what in (
        (_LEFT_OUT, tally.left_out, "skipped"),
        (_NOT_KEPT, tally.not_kept, "not kept"),
    ):
        for name, number in counts.items():
            stderr.print(f"{what}: {number} {names[name]}", style="yellow")
