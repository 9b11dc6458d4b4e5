"""``hashmatch audit …``: who changed, read, or was denied what."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from hashmatch.cli.command import command
from hashmatch.cli.options import Page, Store, opt, server_part
from hashmatch.cli.output import Output
from hashmatch.cli.views import AUDIT_ROW
from hashmatch.client import Client

__all__ = ["app"]

app = typer.Typer(
    help="The audit trail: rows that cannot be changed without a trace.", no_args_is_help=True
)

_SUBJECT: Final = (
    "What was done to this bank, entry or other id, or was denied of this call, as in "
    "BlocklistService/ListBanks."
)
_NOTED: Final = "The hash that an earlier run printed at its end."


def _hash(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text) or None
    except ValueError:
        raise typer.BadParameter("64 hexadecimal digits are needed") from None


@command(
    app, "log", examples=("audit log --since 24h", "audit log --actor ayu --json > rows.jsonl")
)
def log(
    out: Output,
    client: Client,
    page: Page,
    actor: Annotated[str, opt("What this caller did, by id or name.", "all callers")] = "",
    subject: Annotated[str, opt(_SUBJECT, "all", metavar="ID")] = "",
) -> None:
    """Show who did what, newest first."""
    rows = client.list_audit_rows(
        actor=actor, subject=subject, since=page.since, cursor=page.cursor
    )
    out.rows(AUDIT_ROW, rows, page.cursor)


@command(app, "verify")
def verify(
    out: Output,
    store: Store,
    noted: Annotated[bytes | None, opt(_NOTED, "none", parser=_hash, metavar="HASH")] = None,
) -> None:
    """Find rows that were changed, removed or moved.

    Reads the database itself, and may run beside servers. Keep the hash that is printed at the end
    where nobody who can write to the database can reach it: with --noted, the next run finds out
    whether the end of the trail was cut off and replaced. Exit code 1 if anything is wrong.
    """
    report = server_part("admin").verify_audit(store.settings(), noted)
    findings = [{"row": each.row, "problem": each.problem} for each in report.findings]
    out.write({"rows": report.rows, "hash": report.head, "findings": findings})
    for each in report.findings:
        out.code = 1
        out.say(("amiss ", "bold red"), f"row {each.row}: {each.problem}")
    out.say(*([] if findings else [("ok    ", "green")]), f"{report.rows} rows")
    out.say(report.head)
