"""What callers ask to be changed."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from hashmatch.model.callers import Role
from hashmatch.model.records import BankPolicy, Coverage, Provenance, Reason
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Action, Activation, BankState, Kind

__all__ = ["BankEdit", "NewCaller", "NewEntry"]


@dataclass(frozen=True, slots=True)
class BankEdit:
    """What to change in a bank; None leaves it as it is."""

    name: str | None = None
    label: str | None = None
    action: Action | None = None
    thresholds: dict[Kind, int] | None = None
    state: BankState | None = None
    activation: Activation | None = None
    policy: BankPolicy | None = None


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be. ``coverage`` and why it is not complete are those of its media, if there was
    one.
    """

    reference: str
    label: str
    signals: Sequence[Signals]
    coverage: Coverage | None = None
    reasons: tuple[Reason, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    expire_time: datetime.datetime | None = None
    pending: bool = False  # Waits for approval, whatever the bank asks for.


@dataclass(frozen=True, slots=True)
class NewCaller:
    """A caller to be. ``banks``: ids or names; None for all. ``secret`` is a token's hash, and
    empty where there is a ``certificate``'s common name instead.
    """

    name: str
    roles: frozenset[Role]
    banks: Collection[str] | None = None
    secret: bytes = b""
    certificate: str = ""
    expire_time: datetime.datetime | None = None
