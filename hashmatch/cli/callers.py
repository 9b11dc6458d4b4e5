"""``hashmatch caller …``: who may do what."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from hashmatch.cli.command import command
from hashmatch.cli.options import Expires, Page, Store, arg, choice, opt, server_part
from hashmatch.cli.output import Output
from hashmatch.cli.views import CALLER, SELF
from hashmatch.client import Client
from hashmatch.model.callers import KnownCaller, Role, new_token

__all__ = ["app"]

_BANK: Final = "It may see and change only entries of this bank, by id or name. Repeatable."
_CERTIFICATE: Final = "It shows a TLS certificate of this common name, in place of a token."

app = typer.Typer(
    help="Callers: people and programs that may use the server.", no_args_is_help=True
)


@command(
    app,
    "create",
    examples=(
        "caller create upload-pipeline --role pipeline",
        "caller create ayu --role curator --bank known-abuse --expires 90d",
    ),
)
def create(
    out: Output,
    client: Client,
    name: Annotated[str, arg("Up to 64 letters, digits, '.', '-', '_'.")],
    role: Annotated[list[Role], choice(Role, "What it may do. Repeatable. One of")],
    bank: Annotated[list[str] | None, opt(_BANK, "all banks", metavar="BANK")] = None,
    expires: Expires = None,
    certificate: Annotated[str, opt(_CERTIFICATE, metavar="NAME")] = "",
) -> None:
    """Register a caller and print its token, which is shown only this once."""
    token = "" if certificate else new_token()
    made = client.create_caller(
        name,
        roles=list(dict.fromkeys(role)),
        token=token,
        certificate=certificate,
        banks=bank or (),
        expire_time=expires,
    )
    _print_made(out, made, token)


@command(app, "list")
def list_(out: Output, client: Client, page: Page) -> None:
    """List callers, newest first."""
    out.rows(CALLER, client.list_callers(since=page.since, cursor=page.cursor), page.cursor)


@command(app, "revoke")
def revoke(
    out: Output, client: Client, caller: Annotated[str, arg("Name or id.", "NAME_OR_ID")]
) -> None:
    """Refuse a caller from now on."""
    out.row(CALLER, client.revoke_caller(caller))


@command(app, "self")
def self_(out: Output, client: Client) -> None:
    """Show which caller your token belongs to, and its roles."""
    out.record(SELF, client.get_self())


@command(app, "recover")
def recover(out: Output, store: Store, name: Annotated[str, arg("Name of the new admin.")]) -> None:
    """Register a new admin where every admin's token is lost.

    Writes to the database itself, and may run beside servers.
    """
    token = new_token()
    _print_made(out, server_part("admin").recover_admin(store.settings(), name, token), token)


def _print_made(out: Output, caller: KnownCaller, token: str) -> None:
    out.write({CALLER.name: CALLER.json(caller), **({"token": token} if token else {})})
    if not out.json:
        out.row(CALLER, caller)
    if token:
        out.say("Its token, which is shown this once:")
        out.say(token, wrap=False, style="bold")
