"""``hashmatch entry …``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from hashmatch.cli import previews
from hashmatch.cli.command import command
from hashmatch.cli.options import Expires, Page, Why, arg, choice, opt
from hashmatch.cli.output import Output, plain
from hashmatch.cli.views import ENTRY
from hashmatch.client import Client
from hashmatch.errors import Conflict, UploadMismatch
from hashmatch.model.records import Entry, Provenance
from hashmatch.model.verdicts import EntryState

__all__ = ["app"]

app = typer.Typer(
    help="Entries: videos, images and hashes that must not be published.", no_args_is_help=True
)

_REFERENCE: Final = "Your own name for the entry, where there is one file."
_PENDING: Final = "It waits for approval, so that it can be previewed first."

EntryId = Annotated[str, arg("Id of the entry.", "ID")]


def _check_reference(files: list[Path], reference: str | None, **_: Any) -> None:
    if reference is not None and len(files) > 1:
        raise typer.BadParameter("--reference is for one file")


@command(
    app,
    "add",
    check=_check_reference,
    examples=(
        "entry add --bank known-abuse clip.mp4 photo.jpg",
        'entry add --bank known-abuse --reference "case 7" --pending clip.mp4',
    ),
)
def entry_add(
    out: Output,
    client: Client,
    files: Annotated[list[Path], arg("Videos and images; each makes one entry.")],
    bank: Annotated[str, opt("Id or name of the bank.")],
    provenance: Provenance,
    reference: Annotated[str | None, opt(_REFERENCE, "the file's name", metavar="TEXT")] = None,
    label: Annotated[str, opt("What it shows.", "the bank's label", metavar="TEXT")] = "",
    expires: Expires = None,
    pending: Annotated[bool, opt(_PENDING, False, "--pending")] = False,
    timeout: Annotated[float, opt("Seconds for each file.", min=0.1)] = 600.0,
) -> None:
    """Add files to a bank. They are hashed and not kept."""
    added: list[Entry] = []
    try:
        for file in files:
            try:
                with out.progress.task(file.name, in_bytes=True) as progress:
                    entry = client.add_entry(
                        bank,
                        file,
                        reference=reference or plain(file.name)[-256:],
                        label=label,
                        provenance=provenance,
                        expire_time=expires,
                        pending=pending,
                        timeout_seconds=timeout,
                        progress=progress,
                    )
            except (Conflict, UploadMismatch, OSError) as error:
                # What is wrong with one file does not stop the others.
                out.failed(error, file=str(file))
            else:
                out.write({"file": str(file), "entry": ENTRY.json(entry)})
                added.append(entry)
    finally:
        if added and not out.json:
            out.rows(ENTRY, added)


@command(app, "list", examples=("entry list --bank known-abuse --state pending",))
def entry_list(
    out: Output,
    client: Client,
    page: Page,
    bank: Annotated[str, opt("Entries of this bank, by id or name.", "all banks")] = "",
    state: Annotated[EntryState | None, choice(EntryState, "Entries in this state", "all")] = None,
) -> None:
    """List entries, newest first. Their hashes are not shown."""
    entries = client.list_entries(bank=bank, state=state, since=page.since, cursor=page.cursor)
    out.rows(ENTRY, entries, page.cursor)


@command(app, "show")
def entry_show(out: Output, client: Client, entry_id: EntryId) -> None:
    """Show one entry: its state, why it is listed, and who added it."""
    out.record(ENTRY, client.get_entry(entry_id))


@command(app, "approve")
def entry_approve(out: Output, client: Client, entry_id: EntryId, why: Why = "") -> None:
    """Bring a pending entry into use. In a two-person bank another person has to do it."""
    out.row(ENTRY, client.approve_entry(entry_id, why=why))


@command(app, "preview", examples=("entry preview ent_01JABC --screenings 5000",))
def entry_preview(
    out: Output,
    client: Client,
    entry_id: EntryId,
    screenings: previews.Screenings = 1000,
    benign: previews.Benign = True,
    timeout: previews.Timeout = 600.0,
) -> None:
    """Show which recent uploads and harmless entries an entry would match."""
    preview = client.preview_entry(
        entry_id, screenings=screenings, benign=benign, timeout_seconds=timeout
    )
    previews.print_preview(out, preview)


@command(app, "withdraw")
def entry_withdraw(out: Output, client: Client, entry_id: EntryId, why: Why = "") -> None:
    """Take an entry out of use on all servers at once, or decline a pending one."""
    out.row(ENTRY, client.withdraw_entry(entry_id, why=why))


@command(app, "release")
def entry_release(out: Output, client: Client, entry_id: EntryId, why: Why = "") -> None:
    """End the quarantine of an entry that is right: it blocks again."""
    out.row(ENTRY, client.release_entry(entry_id, why=why))
