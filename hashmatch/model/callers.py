"""Who calls, and what each role may do."""

from __future__ import annotations

import datetime
import enum
import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from hashmatch.model.verdicts import Activation

__all__ = [
    "SERVER",
    "TOKEN_PREFIX",
    "UNRESTRICTED",
    "Caller",
    "CallerState",
    "Credential",
    "KnownCaller",
    "Role",
    "hash_of_token",
    "new_token",
]

# A token begins so, that it can be told from others, and found where it was left by mistake.
TOKEN_PREFIX: Final = "hm_"  # noqa: S105 - what tokens have in common


def new_token() -> str:
    """256 random bits. Nobody but its owner keeps it."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def hash_of_token(token: str) -> bytes:
    """What is kept of a token: its SHA-256. It has 256 random bits, so one round is enough."""
    return hashlib.sha256(token.encode()).digest()


class Role(enum.IntEnum):
    """What a caller is there for. A caller may have several."""

    PIPELINE = 1
    REVIEWER = 2
    CURATOR = 3
    APPROVER = 4
    AUDITOR = 5
    ADMIN = 6


class Credential(enum.IntEnum):
    """How a caller that is known by name shows who it is."""

    TOKEN = 1
    CERTIFICATE = 2


class CallerState(enum.IntEnum):
    """Where a caller stands."""

    ACTIVE = 1
    REVOKED = 2
    EXPIRED = 3


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whose credentials were checked.

    ``caller_id`` names it for good: ``clr_…`` of one that was created here, ``oidc:`` and the
    subject of one that an issuer vouches for; empty where nobody is asked who he is. ``banks``:
    ids or names of those whose entries it may see and change; None for all.
    """

    caller_id: str
    name: str
    roles: frozenset[Role]
    banks: frozenset[str] | None = None

    @property
    def sees_evidence(self) -> bool:
        """True if it is told what uploads match, and how nearly, and sees those of others; false:
        verdicts of its own alone.
        """
        return bool(self.roles & {Role.REVIEWER, Role.AUDITOR})

    def may_touch(self, bank_id: str, bank_name: str) -> bool:
        """True if a bank is one of its own."""
        return self.banks is None or bool(self.banks & {bank_id, bank_name})

    def may_approve_own(self, activation: Activation, proposed_by: str) -> bool:
        """True if what waits is its own, in a bank where it could have done without waiting."""
        return activation is Activation.ONE_PERSON and proposed_by == self.caller_id


# The caller where authentication is off: it holds every role.
UNRESTRICTED: Final = Caller("", "", frozenset(Role))
# The server itself, as the author of changes that no caller asked for, such as an expiry.
SERVER: Final = Caller("", "", frozenset())


@dataclass(frozen=True, slots=True)
class KnownCaller:
    """A caller that was created here. What it shows is not told: of a token, only a hash is kept.

    ``banks``: ids; None for all. ``certificate``: the common name of its certificate, empty of one
    with a token. Times are UTC; ``expire_time`` None: never.
    """

    caller_id: str
    name: str
    roles: frozenset[Role]
    banks: frozenset[str] | None
    credential: Credential
    certificate: str
    state: CallerState
    create_time: datetime.datetime
    expire_time: datetime.datetime | None = None
    revoke_time: datetime.datetime | None = None
