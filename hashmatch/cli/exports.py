"""``hashmatch entry export``."""

from __future__ import annotations

import contextlib
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from hashmatch.cli import options
from hashmatch.cli.command import check_ready, naming
from hashmatch.cli.list_files import ListFile, ListFolder, Saved
from hashmatch.cli.options import SINCE, arg, choice, opt
from hashmatch.cli.output import Output, stderr
from hashmatch.client import AsyncClient
from hashmatch.lists.writer import ListWriter, Tally
from hashmatch.model.imports import Format
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
    form: Annotated[Format, choice(Format, "Form of the list", False, "--format")],
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
    out.is_beside = output is None
    await check_ready(client)
    with contextlib.nullcontext() if output is None else naming(output):
        tally = await _export(out, client, bank, form, frozenset(kind or ()), state, since, output)
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


class _Stdout:
    """Nothing of it can be taken back, so that no run goes on with it."""

    saved: Saved | None = None

    def write(self, text: str, name: str, *, more: bool = False) -> None:  # noqa: ARG002
        sys.stdout.buffer.write(text.encode())

    def keep(self, *_: object) -> None:
        sys.stdout.buffer.flush()

    finish = close = keep


async def _export(
    out: Output,
    client: AsyncClient,
    bank_name: str,
    form: Format,
    wanted: frozenset[Kind],
    state: EntryState | None,
    since: str | None,
    path: Path | None,
) -> Tally:
    bank = await client.get_bank(bank_name)
    asked = {
        "bank": bank.bank_id,
        "format": form.name,
        "kinds": [kind.name for kind in sorted(wanted)],
        "state": state.name if state else "",
        "since": since,  # As it was typed: what 7d ago was is kept with the file.
    }
    instant = None if since is None else options.since(since)
    # A bank of one kind has no other that a list of bare hashes could be of.
    of_one = form is Format.HASHES and not wanted and len(bank.thresholds) == 1
    writer = ListWriter(form, frozenset(bank.thresholds) if of_one else wanted)
    with contextlib.closing(_opened(path, form, asked, instant)) as output:
        token = ""
        if (saved := output.saved) is not None:
            writer.tally, token = Tally(**saved.tally), saved.resume_token
            instant = datetime.fromisoformat(saved.since) if saved.since else None
            stderr.print(f"going on after {writer.tally.entries} entries", style="dim")
        elif begin := writer.begin():
            output.write(begin, "")
        kinds = writer.kinds if writer.kinds < frozenset(Kind) else ()
        parts = client.export_entries(
            bank.bank_id, state=state, kinds=kinds, since=instant, resume_token=token
        )
        of_all = state is EntryState.ACTIVE and instant is None
        kept = time.monotonic()
        with out.progress.task("entries", bank.active_entries if of_all else 0) as update:
            async for part in parts:
                name = f"{part.entry.ref.entry_id}.txt"
                output.write(writer.add(part), name, more=part.continues)
                if part.continues:
                    continue
                update(writer.tally.entries, None)
                if time.monotonic() - kept > _KEEP_SECONDS:
                    output.keep(part.resume_token, writer.tally.as_json())
                    kept = time.monotonic()
        if end := writer.end():
            output.write(end, "")
        output.finish()
    return writer.tally


def _opened(
    path: Path | None, form: Format, asked: dict[str, Any], since: datetime | None
) -> ListFile | ListFolder | _Stdout:
    if path is None:
        return _Stdout()
    opened = ListFolder if form is Format.VPDQ else ListFile
    return opened(path, asked, since.isoformat() if since else None)
