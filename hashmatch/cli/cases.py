"""``hashmatch case …``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from hashmatch.cli import options
from hashmatch.cli.options import After, AsJson, Limit, Server, Since
from hashmatch.cli.output import (
    Context,
    listed,
    message_json,
    print_details,
    print_json,
    stdout,
    table,
)
from hashmatch.client import Cursor
from hashmatch.model.cases import Case, CaseDecision, CaseState, CaseType
from hashmatch.wire.cases import case_to_wire

__all__ = ["app"]

app = typer.Typer(help="Cases: what a person has to decide.", no_args_is_help=True)

CaseId = Annotated[str, typer.Argument(metavar="ID", help="Id of the case.")]

_ABOUT = {
    CaseType.REVIEW: "held for review",
    CaseType.REOPENED: "A matching entry was withdrawn",
    CaseType.FLOOD: "blocks far more than others",
}


@app.command("list")
def list_(
    context: typer.Context,
    state: Annotated[str, typer.Option(help="open, decided or all.")] = "open",
    case_type: Annotated[
        str | None, typer.Option("--type", help="Only review, reopened or flood.")
    ] = None,
    since: Since = None,
    limit: Limit = 100,
    after: After = "",
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """List cases, newest first; those that are open, unless told otherwise."""
    shared = options.of(context, server, as_json)
    wanted = None if state == "all" else options.named(CaseState, state)
    of_type = None if case_type is None else options.named(CaseType, case_type)
    instant, cursor = options.since_instant(since), Cursor(after, limit)
    with options.connected(shared) as client:
        cases = client.list_cases(state=wanted, case_type=of_type, since=instant, cursor=cursor)
        _print(listed(cases, "cases", cursor, shared), shared)


@app.command("show")
def show(
    context: typer.Context, case_id: CaseId, server: Server = None, as_json: AsJson = False
) -> None:
    """Show one case."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client:
        case = client.get_case(case_id)
    if shared.json:
        print_json({"case": message_json(case_to_wire(case))})
        return
    print_details(
        (
            ("case", case.case_id),
            ("about", case.screening_id or case.entry_id),
            ("why", _ABOUT[case.type]),
            ("state", _standing(case)),
            ("opened", f"{case.open_time:%Y-%m-%d %H:%M:%S} UTC"),
            ("decided", f"{case.decide_time:%Y-%m-%d %H:%M:%S} UTC" if case.decide_time else ""),
            ("by", case.decided_by),
            ("said", case.why),
            ("etag", case.etag),
        )
    )


@app.command("decide")
def decide(
    context: typer.Context,
    case_id: CaseId,
    uphold: Annotated[
        bool | None,
        typer.Option(
            "--uphold/--overturn",
            help="Uphold: keep blocked. Overturn: allow publishing.",
            show_default=False,
        ),
    ] = None,
    why: Annotated[str, typer.Option(help="Kept with the case and in the audit trail.")] = "",
    etag: Annotated[
        str,
        typer.Option(
            help="The etag that case show printed; refused if there is new evidence since."
        ),
    ] = "",
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Decide the case of a screening. That of an entry: entry release, or entry withdraw."""
    shared = options.of(context, server, as_json)
    if uphold is None:
        raise typer.BadParameter("Choose --uphold or --overturn")
    decision = CaseDecision.UPHELD if uphold else CaseDecision.OVERTURNED
    with options.connected(shared) as client:
        _print([client.decide_case(case_id, decision, why=why, etag=etag)], shared)


def _standing(case: Case) -> str:
    return "open" if case.decision is None else case.decision.name.lower()


def _print(cases: Iterable[Case], context: Context) -> None:
    rows = table("CASE", "STATE", "ABOUT", "OPENED (UTC)")
    for case in cases:
        if context.json:
            print_json({"case": message_json(case_to_wire(case))})
        rows.add_row(
            case.case_id, _standing(case), _ABOUT[case.type], f"{case.open_time:%m-%d %H:%M}"
        )
    if not context.json:
        stdout.print(rows)
