"""``hashmatch case …``."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from hashmatch.cli.command import command
from hashmatch.cli.options import Page, arg, choice, opt
from hashmatch.cli.output import Output
from hashmatch.cli.views import CASE
from hashmatch.client import Client
from hashmatch.model.cases import CaseDecision, CaseState, CaseType

__all__ = ["app"]

app = typer.Typer(help="Cases: decisions that wait for a person.", no_args_is_help=True)

_TYPE: Final = (
    "Why there is a case. review: an upload is held; reopened: an entry that it matches was "
    "withdrawn; flood: an entry blocks far more than others. One of"
)
_UPHOLD: Final = "Uphold: keep blocked. Overturn: allow publishing."
_WHY: Final = "The reason, kept in the case and the audit trail."
_ETAG: Final = "The etag that case show printed: refused if there is new evidence since."

CaseId = Annotated[str, arg("Id of the case.", "ID")]


def _check_decision(uphold: bool | None, **_: Any) -> None:
    if uphold is None:
        raise typer.BadParameter("Choose --uphold or --overturn")


@command(app, "list", examples=("case list", "case list --type reopened --since 7d"))
def list_(
    out: Output,
    client: Client,
    page: Page,
    state: Annotated[CaseState | None, choice(CaseState, "Cases in this state", all=None)] = "open",  # type: ignore[assignment]
    case_type: Annotated[CaseType | None, choice(CaseType, _TYPE, "all", "--type")] = None,
) -> None:
    """List cases, newest first."""
    cases = client.list_cases(
        state=state, case_type=case_type, since=page.since, cursor=page.cursor
    )
    out.rows(CASE, cases, page.cursor)


@command(app, "show")
def show(out: Output, client: Client, case_id: CaseId) -> None:
    """Show one case."""
    out.record(CASE, client.get_case(case_id))


@command(
    app,
    "decide",
    check=_check_decision,
    examples=('case decide cas_01JABC --overturn --why "a toy"',),
)
def decide(
    out: Output,
    client: Client,
    case_id: CaseId,
    uphold: Annotated[bool | None, opt(_UPHOLD, False, "--uphold/--overturn")] = None,
    why: Annotated[str, opt(_WHY, metavar="TEXT")] = "",
    etag: Annotated[str, opt(_ETAG)] = "",
) -> None:
    """Decide the case of a screening. For that of an entry: entry release, or entry withdraw."""
    decision = CaseDecision.UPHELD if uphold else CaseDecision.OVERTURNED
    out.row(CASE, client.decide_case(case_id, decision, why=why, etag=etag))
