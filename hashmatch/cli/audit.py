"""``hashmatch audit``: the trail of who changed what."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from hashmatch.cli import options
from hashmatch.cli.options import After, AsJson, Data, DatabaseUrl, Limit, Server, Since
from hashmatch.cli.output import (
    failed,
    listed,
    message_json,
    plain,
    print_json,
    stdout,
    table,
)
from hashmatch.client import Cursor
from hashmatch.errors import HashmatchError
from hashmatch.wire.callers import audit_row_to_wire

__all__ = ["app"]

app = typer.Typer(help="The audit trail.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """The audit trail: every change of the blocklist, in rows that cannot be changed unseen."""


@app.command("log")
def log(
    context: typer.Context,
    actor: Annotated[str, typer.Option(help="Only what this caller did, by id or name.")] = "",
    subject: Annotated[
        str, typer.Option(help="Only what was done to this id, or denied of this call.")
    ] = "",
    since: Since = None,
    limit: Limit = 100,
    after: After = "",
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Tell who did what, newest first."""
    shared = options.of(context, server, as_json)
    instant, cursor = options.since_instant(since), Cursor(after, limit)
    rows = table("WHEN (UTC)", "WHO", "WHAT", "OF")
    with options.connected(shared) as client:
        found = client.list_audit_rows(actor=actor, subject=subject, since=instant, cursor=cursor)
        for row in listed(found, "rows", cursor, shared):
            if shared.json:
                print_json({"row": message_json(audit_row_to_wire(row))})
                continue
            rows.add_row(
                f"{row.time:%m-%d %H:%M:%S}",
                plain(row.actor_name),
                row.action.replace("_", " "),
                plain(row.subject),
            )
    if not shared.json:
        stdout.print(rows)


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
        settings = options.server_part("config").load(data=data, database=database)
        report = options.server_part("admin").verify_audit(settings, before)
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
