"""``hashmatch import …``: lists of hashes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

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
    print_json,
    stderr,
    stdout,
    table,
    upload_progress,
    waiting,
)
from hashmatch.client import Cursor
from hashmatch.model.imports import Format, Import
from hashmatch.model.verdicts import Kind
from hashmatch.wire.imports import import_to_wire

__all__ = ["app"]

app = typer.Typer(help="Import lists of hashes.", no_args_is_help=True)

_SHOWN_PROBLEMS: Final = 20

Why = Annotated[str, typer.Option(help="Why, for the audit trail.")]
ImportId = Annotated[str, typer.Argument(metavar="ID")]


@app.command("add")
def add(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV, JSON lines, hashes, vPDQ's text, JSON.")],
    bank: Annotated[str, typer.Option(help="Id or name of the bank.")],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="csv, jsonl, hashes, vpdq or threatexchange.  [default: found out]",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="pdq, phash, sha256 …, where the list does not say.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would come of it.")
    ] = False,
    pending: Annotated[
        bool, typer.Option("--pending", help="Wait for approval, to be previewed before.")
    ] = False,
    reference: Annotated[str, typer.Option(help="Of lines that have none.")] = "",
    label: Annotated[str, typer.Option(help="Of lines that have none.")] = "",
    source: Source = "",
    legal_basis: LegalBasis = "",
    category: CategoryName = None,
    severity: Severity = 0,
    note: Note = "",
    language: Language = "",
    request_id: Annotated[
        str, typer.Option(help="That of a run that broke off: goes on with it.")
    ] = "",
    all_problems: Annotated[
        bool, typer.Option("--all-problems", help="Tell every line that is broken.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for all of it.")] = 3600.0,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Make entries of a list. Invalid lines are reported and skipped.

    What the bank has already stays as it is, so a list may be imported again. Exit code 1 if any
    line is broken.
    """
    shared = options.of(context, server, as_json)
    provenance = options.provenance(source, legal_basis, category, severity, note, language)
    chosen = None if form is None else options.named(Format, form)
    of_kind = None if kind is None else options.named(Kind, kind)
    with options.connected(shared) as client:
        try:
            with upload_progress(file.name) as progress:
                made = client.import_entries(
                    bank,
                    file,
                    format=chosen,
                    kind=of_kind,
                    dry_run=dry_run,
                    pending=pending,
                    reference=reference,
                    label=label,
                    provenance=provenance,
                    request_id=request_id or None,
                    timeout_seconds=timeout,
                    progress=progress,
                )
        except OSError as error:
            failed(error, shared, file=str(file))
            raise typer.Exit(1) from None
    _print([made], shared)
    if not shared.json:
        _print_problems(file.name, made, len(made.problems) if all_problems else _SHOWN_PROBLEMS)
    if made.broken:
        raise typer.Exit(1)


@app.command("list")
def list_(
    context: typer.Context,
    since: Since = None,
    limit: Limit = 100,
    after: After = "",
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """List imports, newest first."""
    shared = options.of(context, server, as_json)
    instant, cursor = options.since_instant(since), Cursor(after, limit)
    with options.connected(shared) as client:
        imports = client.list_imports(since=instant, cursor=cursor)
        _print(listed(imports, "imports", cursor, shared), shared)


@app.command("show")
def show(
    context: typer.Context, import_id: ImportId, server: Server = None, as_json: AsJson = False
) -> None:
    """Show one import, and every line of it that was broken."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client:
        made = client.get_import(import_id)
    _print([made], shared)
    if not shared.json:
        _print_problems("", made, len(made.problems))


@app.command("approve")
def approve(
    context: typer.Context,
    import_id: ImportId,
    why: Why = "",
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Bring all its entries into use: another's, or one's own in a bank of one person."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client:
        _print([client.approve_import(import_id, why=why)], shared)


@app.command("preview")
def preview(
    context: typer.Context,
    import_id: ImportId,
    screenings: previews.Screenings = 1000,
    benign: previews.Benign = True,
    timeout: previews.Timeout = 600.0,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Show what its entries would have matched, before they do: uploads of late, harmless ones."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client, waiting("comparing"):
        found = client.preview_import(
            import_id, screenings=screenings, benign=benign, timeout_seconds=timeout
        )
    previews.print_preview(found, shared)


@app.command("withdraw")
def withdraw(
    context: typer.Context,
    import_id: ImportId,
    why: Why = "",
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Take all its entries out of use, at once and everywhere."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client:
        _print([client.withdraw_import(import_id, why=why)], shared)


def _print(imports: Iterable[Import], context: Context) -> None:
    rows = table("IMPORT", "BANK", "STATE", "ADDED", "DUPLICATE", "WITHDRAWN", "INVALID")
    rows.columns[2].no_wrap = True
    for made in imports:
        if context.json:
            print_json({"import": message_json(import_to_wire(made))})
        rows.add_row(
            made.import_id or "dry run",
            plain(made.bank_name),
            made.state.name.lower() if made.import_id else "",
            f"{made.created}",
            f"{made.known}",
            f"{made.withdrawn_before}",
            f"{made.broken}",
        )
    if not context.json:
        stdout.print(rows)


def _print_problems(name: str, made: Import, most: int) -> None:
    for each in made.problems[:most]:
        line = Text(f"{plain(name)} line {each.line}: ".lstrip(), style="bold")
        stdout.print(line.append(f"{plain(each.problem)} ({each.code.name})", style="default"))
    if made.broken > most:
        stderr.print(
            f"{made.broken} lines are invalid; --all-problems or import show lists all",
            style="dim",
        )
