"""``hashmatch bank …``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from hashmatch.cli import options
from hashmatch.cli.options import After, AsJson, Limit, Server, Since
from hashmatch.cli.output import Context, listed, message_json, plain, print_json, stdout, table
from hashmatch.client import Cursor
from hashmatch.model.records import DEFAULT_THRESHOLDS, Bank
from hashmatch.model.verdicts import Action, Activation, Kind
from hashmatch.wire.records import bank_to_wire

__all__ = ["app"]

app = typer.Typer(help="Banks: collections of entries under one policy.", no_args_is_help=True)

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
ActivationName = Annotated[
    str | None,
    typer.Option(
        help="one-person, or two-person: entries wait until another person approves them.  "
        "[default: one-person]",
        show_default=False,
    ),
]

_PERSONS = {Activation.ONE_PERSON: "", Activation.TWO_PERSON: ", two-person"}
_ACTIVATIONS = {each.name.lower().replace("_", "-"): each for each in Activation}


@app.command("create")
def bank_create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A name for it: letters, digits, '.', '-', '_'.")],
    action: ActionName,
    label: Annotated[str, typer.Option(help="What its entries are.")] = "",
    kind: KindNames = None,
    activation: ActivationName = None,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Make a bank."""
    shared = options.of(context, server, as_json)
    chosen, thresholds, persons = _action(action), _thresholds(kind), _activation(activation)
    with options.connected(shared) as client:
        bank = client.create_bank(
            name,
            action=chosen,
            label=label,
            thresholds=thresholds,
            activation=persons or Activation.ONE_PERSON,
        )
    _print_banks([bank], shared)


@app.command("list")
def bank_list(
    context: typer.Context,
    since: Since = None,
    limit: Limit = 100,
    after: After = "",
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """List banks, newest first."""
    shared = options.of(context, server, as_json)
    instant, cursor = options.since_instant(since), Cursor(after, limit)
    with options.connected(shared) as client:
        banks = client.list_banks(since=instant, cursor=cursor)
        _print_banks(listed(banks, "banks", cursor, shared), shared)


@app.command("update")
def bank_update(
    context: typer.Context,
    bank: BankName,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    label: Annotated[str | None, typer.Option(help="A new label.")] = None,
    action: Annotated[str | None, typer.Option(help="block or review.")] = None,
    kind: KindNames = None,
    activation: ActivationName = None,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Change a bank."""
    shared = options.of(context, server, as_json)
    chosen = None if action is None else _action(action)
    thresholds, persons = _thresholds(kind), _activation(activation)
    with options.connected(shared) as client:
        updated = client.update_bank(
            bank,
            name=name,
            label=label,
            action=chosen,
            thresholds=thresholds,
            activation=persons,
        )
    _print_banks([updated], shared)


@app.command("archive")
def bank_archive(
    context: typer.Context, bank: BankName, server: Server = None, as_json: AsJson = False
) -> None:
    """Put a bank out of use: its entries match nothing any more."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client:
        _print_banks([client.archive_bank(bank)], shared)


def _action(name: str) -> Action:
    if name.upper() not in Action.__members__:
        raise typer.BadParameter(f"{name!r} is no action; block or review is needed")
    return Action[name.upper()]


def _activation(name: str | None) -> Activation | None:
    if name is None:
        return None
    if name not in _ACTIVATIONS:
        raise typer.BadParameter(f"one of {', '.join(_ACTIVATIONS)} is needed")
    return _ACTIVATIONS[name]


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


def _print_banks(banks: Iterable[Bank], context: Context) -> None:
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
            bank.state.name.lower() + _PERSONS[bank.activation],
            plain(bank.label),
        )
    if not context.json:
        stdout.print(rows)
