"""``hashmatch import …``: lists of hashes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from hashmatch.cli import previews
from hashmatch.cli.command import command, naming
from hashmatch.cli.options import Page, Why, arg, choice, opt
from hashmatch.cli.output import Output
from hashmatch.cli.views import IMPORT
from hashmatch.client import Client
from hashmatch.model.imports import Format, Import
from hashmatch.model.records import Provenance
from hashmatch.model.verdicts import Kind

__all__ = ["app"]

app = typer.Typer(help="Imports: lists of hashes that came from others.", no_args_is_help=True)

_SHOWN_PROBLEMS: Final = 20

_FILE: Final = (
    "A list: CSV with a header, JSON lines, one hash a line, text of vPDQ, JSON of ThreatExchange."
)
_KIND: Final = "Kind of the hashes where neither the list nor their length says it"
_PENDING: Final = "Its entries wait for approval, so that they can be previewed first."
_REQUEST: Final = "Id of your own: a run that failed continues if it is repeated with it."
_ALL: Final = f"Print every invalid line, not only the first {_SHOWN_PROBLEMS}."

ImportId = Annotated[str, arg("Id of the import.", "ID")]


@command(
    app,
    "add",
    examples=(
        "import add partner.csv --bank known-abuse --dry-run",
        'import add partner.csv --bank known-abuse --source "a partner"',
    ),
)
def add(
    out: Output,
    client: Client,
    file: Annotated[Path, arg(_FILE)],
    bank: Annotated[str, opt("Id or name of the bank.")],
    provenance: Provenance,
    form: Annotated[
        Format | None, choice(Format, "Form of the list", "detected", "--format")
    ] = None,
    kind: Annotated[Kind | None, choice(Kind, _KIND, "detected")] = None,
    dry_run: Annotated[bool, opt("Only check the list and count.", False, "--dry-run")] = False,
    pending: Annotated[bool, opt(_PENDING, False, "--pending")] = False,
    reference: Annotated[str, opt("Reference of lines that have none.", metavar="TEXT")] = "",
    label: Annotated[str, opt("Label of lines that have none.", metavar="TEXT")] = "",
    request_id: Annotated[str, opt(_REQUEST, metavar="ID")] = "",
    all_problems: Annotated[bool, opt(_ALL, False, "--all-problems")] = False,
    timeout: Annotated[float, opt("Seconds for the whole list.", min=0.1)] = 3600.0,
) -> None:
    """Add the hashes of a list to a bank. Invalid lines are reported and skipped.

    Hashes that the bank has already stay as they are, so a list may be imported again. Exit code 1
    if any line is invalid.
    """
    with naming(file), out.progress.task(file.name, in_bytes=True) as progress:
        made = client.import_entries(
            bank,
            file,
            format=form,
            kind=kind,
            dry_run=dry_run,
            pending=pending,
            reference=reference,
            label=label,
            provenance=provenance,
            request_id=request_id or None,
            timeout_seconds=timeout,
            progress=progress,
        )
    out.row(IMPORT, made)
    _print_problems(out, made, len(made.problems) if all_problems else _SHOWN_PROBLEMS, file.name)
    out.code = 1 if made.broken else 0


@command(app, "list")
def list_(out: Output, client: Client, page: Page) -> None:
    """List imports, newest first."""
    out.rows(IMPORT, client.list_imports(since=page.since, cursor=page.cursor), page.cursor)


@command(app, "show")
def show(out: Output, client: Client, import_id: ImportId) -> None:
    """Show one import and its invalid lines."""
    made = client.get_import(import_id)
    out.row(IMPORT, made)
    _print_problems(out, made, len(made.problems))


@command(app, "approve")
def approve(out: Output, client: Client, import_id: ImportId, why: Why = "") -> None:
    """Bring its pending entries into use. In a two-person bank another person has to do it."""
    out.row(IMPORT, client.approve_import(import_id, why=why))


@command(app, "preview")
def preview(
    out: Output,
    client: Client,
    import_id: ImportId,
    screenings: previews.Screenings = 1000,
    benign: previews.Benign = True,
    timeout: previews.Timeout = 600.0,
) -> None:
    """Show which recent uploads and harmless entries its entries would match."""
    made = client.preview_import(
        import_id, screenings=screenings, benign=benign, timeout_seconds=timeout
    )
    previews.print_preview(out, made)


@command(app, "withdraw")
def withdraw(out: Output, client: Client, import_id: ImportId, why: Why = "") -> None:
    """Take all its entries out of use on all servers at once."""
    out.row(IMPORT, client.withdraw_import(import_id, why=why))


def _print_problems(out: Output, made: Import, most: int, name: str = "") -> None:
    for each in made.problems[:most]:
        line = f"{name} line {each.line}: ".lstrip()
        out.say((line, "bold"), f"{each.problem} ({each.code.name})")
    if made.broken > most:
        out.note(
            f"{made.broken} lines are invalid; --all-problems or import show lists all",
            style="dim",
        )
