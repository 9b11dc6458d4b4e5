"""``hashmatch bank …`` and ``hashmatch entry …``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from hashmatch.cli import options
from hashmatch.cli.options import AsJson, Server
from hashmatch.cli.output import (
    Context,
    failed,
    limited,
    message_json,
    plain,
    print_json,
    stderr,
    stdout,
    table,
    upload_progress,
)
from hashmatch.errors import Conflict, UploadMismatch
from hashmatch.model.records import DEFAULT_THRESHOLDS, Bank, Entry
from hashmatch.model.verdicts import Action, EntryState, Kind
from hashmatch.wire.records import bank_to_wire, entry_to_wire

__all__ = ["bank_app", "entry_app"]

bank_app = typer.Typer(help="Banks: collections of entries under one policy.", no_args_is_help=True)
entry_app = typer.Typer(help="Entries: what must not be published.", no_args_is_help=True)

BankName = Annotated[str, typer.Argument(metavar="BANK", help="Id or name of the bank.")]
ActionName = Annotated[str, typer.Option(help="What happens to a match: block or review.")]
KindNames = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        help="A kind of hash to use, with the most differing bits: pdq:31, pdq_patch:40, "
        "phash:8, sha256, md5, sha1. Several times for several.  [default: sha256 and pdq:31]",
        show_default=False,
    ),
]


@bank_app.command("create")
def bank_create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A name for it: letters, digits, '.', '-', '_'.")],
    action: ActionName,
    label: Annotated[str, typer.Option(help="What its entries are.")] = "",
    kind: KindNames = None,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Make a bank."""
    shared = options.of(context, server, as_json)
    chosen, thresholds = _action(action), _thresholds(kind)
    with options.connected(shared) as client:
        bank = client.create_bank(name, action=chosen, label=label, thresholds=thresholds)
    _print_banks([bank], shared)


@bank_app.command("list")
def bank_list(context: typer.Context, server: Server = None, as_json: AsJson = False) -> None:
    """List all banks, newest first."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client:
        _print_banks(list(client.list_banks()), shared)


@bank_app.command("update")
def bank_update(
    context: typer.Context,
    bank: BankName,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    label: Annotated[str | None, typer.Option(help="A new label.")] = None,
    action: Annotated[str | None, typer.Option(help="block or review.")] = None,
    kind: KindNames = None,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Change a bank."""
    shared = options.of(context, server, as_json)
    chosen = None if action is None else _action(action)
    thresholds = _thresholds(kind)
    with options.connected(shared) as client:
        updated = client.update_bank(
            bank, name=name, label=label, action=chosen, thresholds=thresholds
        )
    _print_banks([updated], shared)


@bank_app.command("archive")
def bank_archive(
    context: typer.Context, bank: BankName, server: Server = None, as_json: AsJson = False
) -> None:
    """Put a bank out of use: its entries match nothing any more."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client:
        _print_banks([client.archive_bank(bank)], shared)


@entry_app.command("add")
def entry_add(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Videos and images, an entry of each.")],
    bank: Annotated[str, typer.Option(help="Id or name of the bank.")],
    reference: Annotated[
        str | None, typer.Option(help="What to call it, for one file.  [default: its name]")
    ] = None,
    label: Annotated[str, typer.Option(help="What it is.  [default: the bank's label]")] = "",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one file.")] = 600.0,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Make entries of files. The files are hashed and not kept."""
    shared = options.of(context, server, as_json)
    if reference is not None and len(files) > 1:
        raise typer.BadParameter("--reference is for one file")
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


@entry_app.command("list")
def entry_list(
    context: typer.Context,
    bank: Annotated[str, typer.Option(help="Only of this bank, by id or name.")] = "",
    state: Annotated[
        str | None, typer.Option(help="Only pending, active, withdrawn or expired ones.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1000,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """List entries, newest first. Their hashes are not shown."""
    shared = options.of(context, server, as_json)
    if state is not None and state.upper() not in EntryState.__members__:
        raise typer.BadParameter(f"one of {', '.join(EntryState.__members__).lower()} is needed")
    wanted = None if state is None else EntryState[state.upper()]
    with options.connected(shared) as client:
        entries = client.list_entries(bank=bank, state=wanted)
        _print_entries(list(limited(entries, limit)), shared)


@entry_app.command("withdraw")
def entry_withdraw(
    context: typer.Context,
    entry_id: Annotated[str, typer.Argument(metavar="ID")],
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Take an entry out of use, at once and everywhere."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client:
        _print_entries([client.withdraw_entry(entry_id)], shared)


def _action(name: str) -> Action:
    if name.upper() not in Action.__members__:
        raise typer.BadParameter(f"{name!r} is no action; block or review is needed")
    return Action[name.upper()]


def _thresholds(kinds: list[str] | None) -> dict[Kind, int] | None:
    chosen: dict[Kind, int] = {}
    for text in kinds or ():
        name, _, most = text.partition(":")
        if name.upper() not in Kind.__members__ or (most and not most.isdecimal()):
            raise typer.BadParameter(f"{text!r} is no kind; pdq:31, phash:8 or sha256 would be")
        kind = Kind[name.upper()]
        if not most and not kind.exact and kind not in DEFAULT_THRESHOLDS:
            raise typer.BadParameter(f"{text!r} needs the most differing bits, as in {text}:8")
        if most and (len(most) > 3 or int(most) > kind.largest_threshold):
            raise typer.BadParameter(
                f"{name} matches by at most {kind.largest_threshold} differing bits"
            )
        chosen[kind] = int(most) if most else DEFAULT_THRESHOLDS.get(kind, 0)
    return chosen or None


def _print_banks(banks: list[Bank], context: Context) -> None:
    # Without its id: a bank's name will do wherever its id does, and leaves room for the rest.
    rows = table("NAME", "ACTION", "KINDS", "ENTRIES", "STATE", "LABEL")
    for bank in banks:
        if context.json:
            print_json({"bank": message_json(bank_to_wire(bank))})
        kinds = " ".join(
            kind.name.lower() if kind.exact else f"{kind.name.lower()}:{most}"
            for kind, most in bank.thresholds.items()
        )
        rows.add_row(
            plain(bank.name),
            bank.action.name.lower(),
            kinds,
            str(bank.active_entries),
            bank.state.name.lower(),
            plain(bank.label),
        )
    if not context.json:
        stdout.print(rows)


def _print_entries(entries: list[Entry], context: Context) -> None:
    rows = table("ENTRY", "REFERENCE", "BANK", "STATE", "HASHES")
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
    if context.json:
        return
    stdout.print(rows)
    for entry in entries:
        for reason in entry.reasons:
            line = Text("partial: ", style="bold yellow")
            line.append(f"{plain(entry.ref.reference)}: only a part of it is listed, ", "default")
            stderr.print(line.append(f"{plain(reason.detail)} ({reason.code.name})", "default"))
