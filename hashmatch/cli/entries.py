"""``hashmatch entry …``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from hashmatch.cli import options, previews
from hashmatch.cli.options import (
    After,
    AsJson,
    CategoryName,
    Language,
    LegalBasis,
    Limit,
    Note,
    Server,
    Severity,
    Since,
    Source,
)
from hashmatch.cli.output import (
    Context,
    failed,
    listed,
    message_json,
    plain,
    print_details,
    print_json,
    stderr,
    stdout,
    table,
    upload_progress,
    waiting,
)
from hashmatch.client import Cursor
from hashmatch.errors import Conflict, UploadMismatch
from hashmatch.model.records import Entry
from hashmatch.model.verdicts import EntryState
from hashmatch.wire.records import entry_to_wire

__all__ = ["app"]

app = typer.Typer(help="Entries: what must not be published.", no_args_is_help=True)


@app.command("add")
def entry_add(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Videos and images, an entry of each.")],
    bank: Annotated[str, typer.Option(help="Id or name of the bank.")],
    reference: Annotated[
        str | None, typer.Option(help="What to call it, for one file.  [default: its name]")
    ] = None,
    label: Annotated[str, typer.Option(help="What it is.  [default: the bank's label]")] = "",
    source: Source = "",
    legal_basis: LegalBasis = "",
    category: CategoryName = None,
    severity: Severity = 0,
    note: Note = "",
    language: Language = "",
    expires: Annotated[
        str, typer.Option(help="Out of use from then on: RFC 3339, or 12h, 90d from now.")
    ] = "",
    pending: Annotated[
        bool, typer.Option("--pending", help="Wait for approval, to be previewed before.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one file.")] = 600.0,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Make entries of files. The files are hashed and not kept."""
    shared = options.of(context, server, as_json)
    if reference is not None and len(files) > 1:
        raise typer.BadParameter("--reference is for one file")
    provenance = options.provenance(source, legal_basis, category, severity, note, language)
    expire_time = options.future(expires) if expires else None
    added: list[Entry] = []
    failures = 0
    with options.connected(shared) as client:
        try:
            for file in files:
                try:
                    with upload_progress(file.name) as progress:
                        entry = client.add_entry(
                            bank,
                            file,
                            reference=reference or plain(file.name)[-256:],
                            label=label,
                            provenance=provenance,
                            expire_time=expire_time,
                            pending=pending,
                            timeout_seconds=timeout,
                            progress=progress,
                        )
                except (Conflict, UploadMismatch, OSError) as error:
                    # What is wrong with one file does not stop the others.
                    failed(error, shared, file=str(file))
                    failures += 1
                    continue
                if shared.json:
                    print_json({"file": str(file), "entry": message_json(entry_to_wire(entry))})
                added.append(entry)
        finally:
            if not shared.json and added:
                _print_entries(added, shared)
    if failures:
        raise typer.Exit(1)


@app.command("list")
def entry_list(
    context: typer.Context,
    bank: Annotated[str, typer.Option(help="Only of this bank, by id or name.")] = "",
    state: Annotated[
        str | None, typer.Option(help="Only pending, active, withdrawn or expired ones.")
    ] = None,
    since: Since = None,
    limit: Limit = 100,
    after: After = "",
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """List entries, newest first. Their hashes are not shown."""
    shared = options.of(context, server, as_json)
    wanted = None if state is None else options.named(EntryState, state)
    instant, cursor = options.since_instant(since), Cursor(after, limit)
    with options.connected(shared) as client:
        entries = client.list_entries(bank=bank, state=wanted, since=instant, cursor=cursor)
        _print_entries(listed(entries, "entries", cursor, shared), shared)


@app.command("show")
def entry_show(
    context: typer.Context,
    entry_id: Annotated[str, typer.Argument(metavar="ID")],
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Show one entry: where it stands, why it is there, and who put it there."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client:
        entry = client.get_entry(entry_id)
    _print_entries([entry], shared)
    if shared.json:
        return
    said = entry.provenance
    print_details(
        (
            (
                "made",
                f"{entry.create_time:%Y-%m-%d %H:%M:%S} UTC by {entry.proposed_by or 'nobody'}",
            ),
            ("approved by", entry.approved_by),
            (
                "quarantined",
                f"since {entry.quarantine_time:%Y-%m-%d %H:%M} UTC"
                if entry.quarantine_time
                else "",
            ),
            (
                "expires",
                f"{entry.expire_time:%Y-%m-%d %H:%M} UTC" if entry.expire_time else "never",
            ),
            ("source", said.source),
            ("legal basis", said.legal_basis),
            ("category", said.category.name.lower().replace("_", "-") if said.category else ""),
            ("severity", f"{said.severity} of 4" if said.severity else ""),
            ("note", " / ".join(said.note.splitlines())),
            ("language", said.language),
        )
    )


@app.command("approve")
def entry_approve(
    context: typer.Context,
    entry_id: Annotated[str, typer.Argument(metavar="ID")],
    why: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Bring an entry into use that waits: another's, or one's own in a bank of one person."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client:
        _print_entries([client.approve_entry(entry_id, why=why)], shared)


@app.command("preview")
def entry_preview(
    context: typer.Context,
    entry_id: Annotated[str, typer.Argument(metavar="ID")],
    screenings: previews.Screenings = 1000,
    benign: previews.Benign = True,
    timeout: previews.Timeout = 600.0,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Show what an entry would have matched, before it does: uploads of late, and harmless ones."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client, waiting("comparing"):
        preview = client.preview_entry(
            entry_id, screenings=screenings, benign=benign, timeout_seconds=timeout
        )
    previews.print_preview(preview, shared)


@app.command("withdraw")
def entry_withdraw(
    context: typer.Context,
    entry_id: Annotated[str, typer.Argument(metavar="ID")],
    why: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Take an entry out of use, at once and everywhere; decline one that waits."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client:
        _print_entries([client.withdraw_entry(entry_id, why=why)], shared)


@app.command("release")
def entry_release(
    context: typer.Context,
    entry_id: Annotated[str, typer.Argument(metavar="ID")],
    why: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """End an entry's quarantine: it is right, and blocks again."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client:
        _print_entries([client.release_entry(entry_id, why=why)], shared)


def _print_entries(entries: Iterable[Entry], context: Context) -> None:
    rows = table("ENTRY", "REFERENCE", "BANK", "STATE", "HASHES")
    partial: list[Text] = []
    for entry in entries:
        if context.json:
            print_json({"entry": message_json(entry_to_wire(entry))})
        hashes = " ".join(f"{each.kind.name.lower()}:{each.usable}" for each in entry.kinds)
        rows.add_row(
            entry.ref.entry_id,
            plain(entry.ref.reference),
            plain(entry.ref.bank_name),
            entry.state.name.lower(),
            hashes,
        )
        for reason in entry.reasons:
            line = Text("partial: ", style="bold yellow")
            line.append(f"{plain(entry.ref.reference)}: only a part of it is listed, ", "default")
            partial.append(line.append(f"{plain(reason.detail)} ({reason.code.name})", "default"))
    if context.json:
        return
    stdout.print(rows)
    for line in partial:
        stderr.print(line)
