"""``hashmatch bank …``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final

import typer

from hashmatch.cli.command import command
from hashmatch.cli.options import Page, PolicyEdit, arg, choice, opt
from hashmatch.cli.output import Output
from hashmatch.cli.views import BANK, kinds
from hashmatch.client import Client
from hashmatch.model.records import DEFAULT_THRESHOLDS, BankPolicy
from hashmatch.model.verdicts import Action, Activation, Kind

__all__ = ["app"]

app = typer.Typer(help="Banks: collections of entries under one policy.", no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A kind of hash, and the most differing bits of a match; 0 of an exact kind."""

    kind: Kind
    bits: int


def _threshold(text: str) -> Threshold:
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
    return Threshold(kind, int(most) if most else DEFAULT_THRESHOLDS.get(kind, 0))


_ACTION: Final = (
    "What a match does. block: it is not published; review: a person decides; overrule: the "
    "entries are harmless, and what matches them matches no other bank. One of"
)
_KIND: Final = (
    "A kind of hash to match by, and the most bits of it that may differ: pdq:31, pdq_patch:40, "
    "phash:8, sha256, md5, sha1. Repeatable."
)
_ACTIVATION: Final = (
    "one-person: an entry takes effect when it is added; two-person: when another person has "
    "approved it. One of"
)

BankName = Annotated[str, arg("Id or name of the bank.", "BANK")]
Kinds = Annotated[
    list[Threshold] | None,
    opt(_KIND, kinds(DEFAULT_THRESHOLDS), "--kind", parser=_threshold, metavar="KIND[:BITS]"),
]
Persons = Annotated[Activation | None, choice(Activation, _ACTIVATION, "one-person")]


@command(
    app,
    "create",
    examples=(
        'bank create known-abuse --action block --label "child abuse"',
        "bank create on-trial --action block --shadow",
    ),
)
def bank_create(
    out: Output,
    client: Client,
    name: Annotated[str, arg("Name of the bank: up to 64 letters, digits, '.', '-', '_'.")],
    action: Annotated[Action, choice(Action, _ACTION, False)],
    edit: PolicyEdit,
    label: Annotated[str, opt("What its entries show.", metavar="TEXT")] = "",
    kind: Kinds = None,
    activation: Persons = None,
) -> None:
    """Create a bank."""
    bank = client.create_bank(
        name,
        action=action,
        label=label,
        thresholds=_thresholds(kind),
        activation=activation or Activation.ONE_PERSON,
        policy=replace(BankPolicy(), **edit),
    )
    out.row(BANK, bank)


@command(app, "list")
def bank_list(out: Output, client: Client, page: Page) -> None:
    """List banks, newest first."""
    out.rows(BANK, client.list_banks(since=page.since, cursor=page.cursor), page.cursor)


@command(app, "show")
def bank_show(out: Output, client: Client, bank: BankName) -> None:
    """Show one bank with its policy."""
    out.record(BANK, client.get_bank(bank))


@command(app, "update")
def bank_update(
    out: Output,
    client: Client,
    bank: BankName,
    edit: PolicyEdit,
    name: Annotated[str | None, opt("A new name.", "unchanged")] = None,
    label: Annotated[str | None, opt("A new label.", "unchanged", metavar="TEXT")] = None,
    action: Annotated[Action | None, choice(Action, _ACTION, "unchanged")] = None,
    kind: Kinds = None,
    activation: Persons = None,
) -> None:
    """Change a bank. What no option names stays as it is."""
    # A policy is changed as a whole: the etag tells if somebody else changed it since.
    before = client.get_bank(bank)
    policy = replace(before.policy, **edit)
    is_changed = policy != before.policy
    updated = client.update_bank(
        bank,
        policy=policy if is_changed else None,
        etag=before.etag if is_changed else "",
        name=name,
        label=label,
        action=action,
        thresholds=_thresholds(kind),
        activation=activation,
    )
    out.row(BANK, updated)


@command(app, "archive")
def bank_archive(out: Output, client: Client, bank: BankName) -> None:
    """Put a bank out of use for good: its entries match nothing any more."""
    out.row(BANK, client.archive_bank(bank))


def _thresholds(chosen: list[Threshold] | None) -> dict[Kind, int] | None:
    return {each.kind: each.bits for each in chosen or ()} or None
