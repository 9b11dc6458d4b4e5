"""``hashmatch caller …``: who may do what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.text import Text

from hashmatch.cli import options
from hashmatch.cli.options import After, AsJson, Data, DatabaseUrl, Limit, Server, Since
from hashmatch.cli.output import (
    Context,
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
from hashmatch.model.callers import KnownCaller, Role, new_token
from hashmatch.wire.callers import known_caller_to_wire, self_to_wire

__all__ = ["app"]

app = typer.Typer(help="Who may call the server, and do what.", no_args_is_help=True)


@app.command("create")
def create(
    context: typer.Context,
    name: str,
    role: Annotated[
        list[str],
        typer.Option(help="pipeline, reviewer, curator, approver, auditor or admin; repeatable."),
    ],
    bank: Annotated[
        list[str] | None,
        typer.Option(help="Only the entries of this bank, by id or name; repeatable."),
    ] = None,
    expires: Annotated[
        str, typer.Option(help="Refused from then on: RFC 3339, or 12h, 90d from now.")
    ] = "",
    certificate: Annotated[
        str, typer.Option(metavar="NAME", help="Known by a certificate of this common name.")
    ] = "",
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Make a caller known, and print its token: it is shown this once, and kept nowhere."""
    shared = options.of(context, server, as_json)
    roles = _roles(role)
    token = "" if certificate else new_token()
    with options.connected(shared) as client:
        made = client.create_caller(
            name,
            roles=roles,
            token=token,
            certificate=certificate,
            banks=bank or (),
            expire_time=options.future(expires) if expires else None,
        )
    _print_made(made, token, shared)


@app.command("list")
def list_(
    context: typer.Context,
    since: Since = None,
    limit: Limit = 100,
    after: After = "",
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """List callers, newest first."""
    shared = options.of(context, server, as_json)
    instant, cursor = options.since_instant(since), Cursor(after, limit)
    with options.connected(shared) as client:
        callers = client.list_callers(since=instant, cursor=cursor)
        _print(listed(callers, "callers", cursor, shared), shared)


@app.command("revoke")
def revoke(
    context: typer.Context,
    caller: Annotated[str, typer.Argument(metavar="NAME_OR_ID")],
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a caller from now on."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client:
        _print([client.revoke_caller(caller)], shared)


@app.command("self")
def self_(context: typer.Context, server: Server = None, as_json: AsJson = False) -> None:
    """Tell who the server takes you for."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client:
        caller = client.get_self()
    if shared.json:
        print_json({"caller": message_json(self_to_wire(caller))})
        return
    line = Text(plain(caller.name or "nobody in particular"), style="bold")
    line.append(f"  {_names(caller.roles)}", style="default")
    stdout.print(line.append(f"  {plain(caller.caller_id)}", style="dim"))


@app.command("recover")
def recover(
    context: typer.Context,
    name: str,
    data: Data = None,
    database: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make an admin where no admin's token is left. Writes to the database itself."""
    shared = options.of(context, None, as_json)
    token = new_token()
    try:
        settings = options.server_part("config").load(data=data, database=database)
        made = options.server_part("admin").recover_admin(settings, name, token)
    except HashmatchError as error:
        failed(error, shared)
        raise typer.Exit(1) from None
    _print_made(made, token, shared)


def _roles(names: list[str]) -> list[Role]:
    for name in names:
        if name.upper() not in Role.__members__:
            known = ", ".join(Role.__members__).lower()
            raise typer.BadParameter(f"{name!r} is no role; one of {known} is needed")
    return [Role[name.upper()] for name in dict.fromkeys(names)]


def _names(roles: frozenset[Role]) -> str:
    return " ".join(role.name.lower() for role in sorted(roles))


def _print_made(caller: KnownCaller, token: str, context: Context) -> None:
    if context.json:
        shown = {"token": token} if token else {}
        print_json({"caller": message_json(known_caller_to_wire(caller)), **shown})
        return
    _print([caller], context)
    if token:
        stdout.print("Its token, which is shown this once:")
        stdout.print(token, soft_wrap=True, style="bold")


def _print(callers: Iterable[KnownCaller], context: Context) -> None:
    rows = table("NAME", "ROLES", "BY", "STATE", "EXPIRES")
    for caller in callers:
        if context.json:
            print_json({"caller": message_json(known_caller_to_wire(caller))})
        limited_to = "" if caller.banks is None else f" ({len(caller.banks)} banks)"
        rows.add_row(
            plain(caller.name),
            _names(caller.roles) + limited_to,
            plain(caller.certificate) or "token",
            caller.state.name.lower(),
            "never" if caller.expire_time is None else f"{caller.expire_time:%Y-%m-%d}",
        )
    if not context.json:
        stdout.print(rows)
