"""``hashmatch audit``: the trail of who changed what."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import typer
from rich.text import Text

from hashmatch.cli import options
from hashmatch.cli.options import AsJson, Data, DatabaseUrl
from hashmatch.cli.output import failed, print_json, stdout
from hashmatch.errors import HashmatchError

__all__ = ["app"]

app = typer.Typer(help="The audit trail.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """The audit trail: every change of the blocklist, in rows that cannot be changed unseen."""


@app.command("verify")
def verify(
    context: typer.Context,
    data: Data = None,
    database: DatabaseUrl = None,
    noted: Annotated[
        str, typer.Option(metavar="HASH", help="A hash that an earlier run ended with.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Find any row that was changed, removed or put elsewhere, and say where.

    Reads the database itself, and may run beside servers. Note the hash that it ends with where
    nobody who can write to the database can reach: with --noted, the next run finds out whether the
    end of the trail was cut off and made anew. Exit code 1 if anything is wrong.
    """
    shared = options.of(context, None, as_json)
    try:
        before = bytes.fromhex(noted) or None
    except ValueError:
        raise typer.BadParameter("--noted: 64 hexadecimal digits are needed") from None
    try:
        report = _report({"data": data, "database": database}, before)
    except HashmatchError as error:
        failed(error, shared)
        raise typer.Exit(1) from None
    if shared.json:
        findings = [{"row": each.row, "problem": each.problem} for each in report.findings]
        print_json({"rows": report.rows, "hash": report.head, "findings": findings})
    else:
        for each in report.findings:
            line = Text("amiss ", style="bold red")
            stdout.print(line.append(f"row {each.row}: {each.problem}", style="default"))
        sound = Text("ok    ", style="green").append(f"{report.rows} rows", style="default")
        stdout.print(f"{report.rows} rows" if report.findings else sound)
        stdout.print(report.head)
    if report.findings:
        raise typer.Exit(1)


def _report(given: dict[str, Any], noted: bytes | None) -> Any:
    settings = options.server_part("config").load(**given)
    store, audit = options.server_part("store.database"), options.server_part("store.audit")
    with contextlib.closing(store.Database(settings.database_url)) as database:
        database.check()
        return audit.Audit(database).verify(noted)
