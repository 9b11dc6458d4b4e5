"""``hashmatch bank …``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

import typer

from hashmatch.cli import options
from hashmatch.cli.options import After, AsJson, Limit, Server, Since
from hashmatch.cli.output import (
    Context,
    listed,
    message_json,
    plain,
    print_details,
    print_json,
    stdout,
    table,
)
from hashmatch.client import Cursor
from hashmatch.model.records import DEFAULT_THRESHOLDS, Bank, BankPolicy
from hashmatch.model.verdicts import Action, Activation, BankMode, Kind
from hashmatch.wire.records import bank_to_wire

__all__ = ["app"]

app = typer.Typer(help="Banks: collections of entries under one policy.", no_args_is_help=True)

BankName = Annotated[str, typer.Argument(metavar="BANK", help="Id or name of the bank.")]
ActionName = Annotated[
    str,
    typer.Option(
        help="What happens to a match: block or review. overrule makes a negative bank: what is "
        "as near to it is no match of any other."
    ),
]
KindNames = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        help="A kind of hash to use, with the most differing bits: pdq:31, pdq_patch:40, "
        "phash:8, sha256, md5, sha1. Repeatable.  [default: sha256, pdq:31, pdq_patch:40]",
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

Shadow = Annotated[
    bool | None,
    typer.Option(
        "--shadow/--live",
        help="What it finds is told and has no consequences, or has.  [default: live]",
        show_default=False,
    ),
]
Traffic = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=100,
        help="Of so many uploads in a hundred what it finds has consequences.  [default: 100]",
        show_default=False,
    ),
]
BlockScore = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=100,
        help="Evidence that scores less leads to REVIEW.  [default: 14, one clean upload of a "
        "million]",
        show_default=False,
    ),
]
ReviewScore = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=100,
        help="Evidence that scores less has no consequences.  [default: 0]",
        show_default=False,
    ),
]

FloodLimit = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=1_000_000,
        help="An entry that blocks so many different files in an hour waits for a person; 0: "
        "never.  [default: 1000]",
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
    shadow: Shadow = None,
    traffic: Traffic = None,
    block_score: BlockScore = None,
    review_score: ReviewScore = None,
    flood_limit: FloodLimit = None,
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
            policy=_policy(BankPolicy(), shadow, traffic, block_score, review_score, flood_limit),
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


@app.command("show")
def bank_show(
    context: typer.Context, bank: BankName, server: Server = None, as_json: AsJson = False
) -> None:
    """Show one bank, with all that decides what it does."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client:
        shown = client.get_bank(bank)
    if shared.json:
        print_json({"bank": message_json(bank_to_wire(shown))})
        return
    policy = shown.policy
    print_details(
        (
            ("bank", shown.name),
            ("id", shown.bank_id),
            ("label", shown.label),
            ("action", shown.action.name.lower()),
            ("kinds", _kinds(shown)),
            ("entries", f"{shown.active_entries} active"),
            ("state", shown.state.name.lower()),
            ("activation", shown.activation.name.lower().replace("_", "-")),
            ("mode", policy.mode.name.lower()),
            ("traffic", f"{policy.traffic_percent} %"),
            ("block score", f"{policy.block_score}"),
            ("review score", f"{policy.review_score}"),
            ("flood limit", f"{policy.flood_limit}" if policy.flood_limit else "none"),
            ("created", f"{shown.create_time:%Y-%m-%d %H:%M:%S} UTC"),
            ("updated", f"{shown.update_time:%Y-%m-%d %H:%M:%S} UTC"),
            ("etag", shown.etag),
        )
    )


@app.command("update")
def bank_update(
    context: typer.Context,
    bank: BankName,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    label: Annotated[str | None, typer.Option(help="A new label.")] = None,
    action: Annotated[str | None, typer.Option(help="block, review or overrule.")] = None,
    kind: KindNames = None,
    activation: ActivationName = None,
    shadow: Shadow = None,
    traffic: Traffic = None,
    block_score: BlockScore = None,
    review_score: ReviewScore = None,
    flood_limit: FloodLimit = None,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Change a bank."""
    shared = options.of(context, server, as_json)
    chosen = None if action is None else _action(action)
    thresholds, persons = _thresholds(kind), _activation(activation)
    with options.connected(shared) as client:
        # A policy is changed as a whole: the etag tells if somebody else did meanwhile.
        before = client.get_bank(bank)
        policy = _policy(before.policy, shadow, traffic, block_score, review_score, flood_limit)
        updated = client.update_bank(
            bank,
            policy=None if policy == before.policy else policy,
            etag="" if policy == before.policy else before.etag,
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
        raise typer.BadParameter(f"{name!r} is no action; block, review or overrule is needed")
    return Action[name.upper()]


def _activation(name: str | None) -> Activation | None:
    if name is None:
        return None
    if name not in _ACTIVATIONS:
        raise typer.BadParameter(f"one of {', '.join(_ACTIVATIONS)} is needed")
    return _ACTIVATIONS[name]


def _policy(
    before: BankPolicy,
    shadow: bool | None,
    traffic: int | None,
    block_score: int | None,
    review_score: int | None,
    flood_limit: int | None,
) -> BankPolicy:
    chosen = {
        "mode": None if shadow is None else (BankMode.SHADOW if shadow else BankMode.LIVE),
        "traffic_percent": traffic,
        "block_score": block_score,
        "review_score": review_score,
        "flood_limit": flood_limit,
    }
    return replace(before, **{name: each for name, each in chosen.items() if each is not None})  # type: ignore[arg-type]


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


def _kinds(bank: Bank) -> str:
    return " ".join(
        kind.name.lower() if kind.exact else f"{kind.name.lower()}:{most}"
        for kind, most in bank.thresholds.items()
    )


def _doing(policy: BankPolicy) -> str:
    if policy.mode is BankMode.SHADOW:
        return ", shadow"
    return "" if policy.traffic_percent == 100 else f", {policy.traffic_percent} %"


def _print_banks(banks: Iterable[Bank], context: Context) -> None:
    # Without its id: a bank's name will do wherever its id does, and leaves room for the rest.
    rows = table("NAME", "ACTION", "KINDS", "ENTRIES", "STATE", "LABEL")
    for bank in banks:
        if context.json:
            print_json({"bank": message_json(bank_to_wire(bank))})
        rows.add_row(
            plain(bank.name),
            bank.action.name.lower(),
            _kinds(bank),
            str(bank.active_entries),
            bank.state.name.lower() + _PERSONS[bank.activation] + _doing(bank.policy),
            plain(bank.label),
        )
    if not context.json:
        stdout.print(rows)
