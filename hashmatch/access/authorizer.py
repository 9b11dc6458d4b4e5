"""Who may do what: credentials to callers, callers to permissions; denied unless allowed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Final

from hashmatch.access.oidc import Issuer
from hashmatch.errors import PermissionDenied, StoreUnavailable, Unauthenticated
from hashmatch.model.callers import (
    TOKEN_PREFIX,
    UNRESTRICTED,
    Caller,
    CallerState,
    KnownCaller,
    Role,
    hash_of_token,
)
from hashmatch.store.audit import Audit
from hashmatch.store.callers import CallerStore, secret_of_certificate
from hashmatch.telemetry import logs, metrics

__all__ = ["MAY", "Authorizer"]

_PIPELINE, _REVIEWER, _CURATOR = Role.PIPELINE, Role.REVIEWER, Role.CURATOR
_APPROVER, _AUDITOR, _ADMIN = Role.APPROVER, Role.AUDITOR, Role.ADMIN
_READERS: Final = frozenset({_REVIEWER, _CURATOR, _APPROVER, _AUDITOR, _ADMIN})

# Which roles may call what. A call that is not here is denied to all. README.md has it as a table.
MAY: Final[Mapping[str, frozenset[Role]]] = {
    "ScreeningService/ScreenUpload": frozenset({_PIPELINE}),
    "ScreeningService/ScreenImage": frozenset({_PIPELINE}),
    "ScreeningService/ScreenSignals": frozenset({_PIPELINE}),
    "ScreeningService/ConfirmScreening": frozenset({_PIPELINE}),
    "ScreeningService/GetScreening": frozenset({_PIPELINE, _REVIEWER, _AUDITOR}),
    "ScreeningService/ListScreenings": frozenset({_PIPELINE, _REVIEWER, _AUDITOR}),
    "BlocklistService/CreateBank": frozenset({_ADMIN}),
    "BlocklistService/UpdateBank": frozenset({_ADMIN}),
    "BlocklistService/ArchiveBank": frozenset({_ADMIN}),
    "BlocklistService/GetBank": _READERS,
    "BlocklistService/ListBanks": _READERS,
    "BlocklistService/CreateEntryFromMedia": frozenset({_CURATOR}),
    "BlocklistService/CreateEntryFromSignals": frozenset({_CURATOR}),
    "BlocklistService/ApproveEntry": frozenset({_CURATOR, _APPROVER}),
    "BlocklistService/WithdrawEntry": frozenset({_CURATOR, _APPROVER}),
    "BlocklistService/ReleaseEntry": frozenset({_APPROVER}),
    "BlocklistService/ImportEntries": frozenset({_CURATOR}),
    "BlocklistService/GetImport": frozenset({_CURATOR, _APPROVER, _AUDITOR}),
    "BlocklistService/ListImports": frozenset({_CURATOR, _APPROVER, _AUDITOR}),
    "BlocklistService/ApproveImport": frozenset({_CURATOR, _APPROVER}),
    "BlocklistService/WithdrawImport": frozenset({_CURATOR, _APPROVER}),
    "BlocklistService/GetEntry": frozenset({_REVIEWER, _CURATOR, _APPROVER, _AUDITOR}),
    "BlocklistService/ListEntries": frozenset({_CURATOR, _APPROVER, _AUDITOR}),
    "BlocklistService/WatchChanges": frozenset({_AUDITOR}),
    "BlocklistService/ExportEntries": frozenset({_CURATOR, _APPROVER, _AUDITOR, _ADMIN}),
    "BlocklistService/PreviewEntry": frozenset({_CURATOR, _APPROVER, _AUDITOR}),
    "BlocklistService/PreviewImport": frozenset({_CURATOR, _APPROVER, _AUDITOR}),
    "ReviewService/ListCases": frozenset({_REVIEWER, _CURATOR, _APPROVER, _AUDITOR}),
    "ReviewService/GetCase": frozenset({_REVIEWER, _CURATOR, _APPROVER, _AUDITOR}),
    "ReviewService/DecideCase": frozenset({_REVIEWER}),
    "AccessService/CreateCaller": frozenset({_ADMIN}),
    "AccessService/ListCallers": frozenset({_ADMIN, _AUDITOR}),
    "AccessService/RevokeCaller": frozenset({_ADMIN}),
    "AccessService/GetSelf": frozenset(Role),
    "AccessService/ListAuditRows": frozenset({_AUDITOR}),
}

_BEARER: Final = "bearer "
_LONGEST: Final = 16 * 1024

# Callers are read anew this often: so long a revoked one may still be heard by other servers.
_FRESH_SECONDS: Final = 1.0

# Denials that go into the audit trail in a second; how many more there were is told by the next.
_DENIALS_A_SECOND: Final = 10

_log = logs.get_logger(__name__)


class Authorizer:
    """One per server; for use within one event loop."""

    def __init__(
        self,
        store: CallerStore,
        audit: Audit,
        *,
        issuer: Issuer | None = None,
        open_to_all: bool = False,
    ) -> None:
        """``issuer`` vouches for callers that are not created here. ``open_to_all``: nobody is
        asked who he is.
        """
        self._store = store
        self._audit = audit
        self._issuer = issuer
        self._open = open_to_all
        self._known: dict[bytes, KnownCaller] = {}
        self._read_at = -float("inf")
        self._reading = asyncio.Lock()
        self._denials = _Denials()

    async def start(self) -> None:
        """Loads the issuer's keys, if there is one. Raises `ConfigInvalid`."""
        if self._issuer is not None and not self._open:
            await self._issuer.load()

    @property
    def is_open(self) -> bool:
        """True if authentication is off."""
        return self._open

    def forget(self) -> None:
        """Has callers read anew: one was created or revoked."""
        self._read_at = -float("inf")

    # At the door

    async def authenticated(self, authorization: str, names: Sequence[str]) -> Caller:
        """Who calls, by the header ``authorization`` or the common ``names`` of a certificate that
        was checked. Raises `Unauthenticated`, `StoreUnavailable`.
        """
        if self._open:
            return UNRESTRICTED
        if authorization:
            return await self._of_header(authorization)
        if len(names) != 1:
            raise Unauthenticated
        return await self._of_secret(secret_of_certificate(names[0]))

    def check(self, method: str, caller: Caller) -> None:
        """Raises `PermissionDenied` if the caller may not call ``method``
        ("ScreeningService/ScreenUpload").
        """
        if not caller.roles & MAY.get(method, frozenset()):
            raise PermissionDenied

    async def denied(self, method: str, caller: Caller, reason: str) -> None:
        """Writes into the audit trail that somebody was denied something."""
        actor = caller.caller_id
        metrics.DENIALS.labels(reason).inc()
        _log.warning("denied", method=method, caller=actor, reason=reason)
        more = self._denials.next()
        if more is None:
            return
        details = {"reason": reason, "not_written_before": more}
        # One that cannot be written is denied all the same.
        with contextlib.suppress(StoreUnavailable):
            await asyncio.to_thread(self._audit.note, "denied", method, details, actor)

    async def _of_header(self, authorization: str) -> Caller:
        scheme, token = authorization[: len(_BEARER)], authorization[len(_BEARER) :].strip()
        if scheme.lower() != _BEARER or not token or len(token) > _LONGEST:
            raise Unauthenticated
        if token.startswith(TOKEN_PREFIX):
            return await self._of_secret(hash_of_token(token))
        if self._issuer is None:
            raise Unauthenticated
        return await self._issuer.caller(token)

    async def _of_secret(self, secret: bytes) -> Caller:
        # Looked up by its hash: how long that takes says nothing of any other's token.
        known = (await self._by_secret()).get(secret)
        if known is None:
            # It may have been created a moment ago, by another server.
            known = (await self._by_secret(newer=True)).get(secret)
        if known is None or known.state is not CallerState.ACTIVE or _is_over(known):
            raise Unauthenticated
        return Caller(known.caller_id, known.name, known.roles, known.banks)

    async def _by_secret(self, *, newer: bool = False) -> dict[bytes, KnownCaller]:
        allowed = _FRESH_SECONDS / 4 if newer else _FRESH_SECONDS
        if time.monotonic() - self._read_at > allowed:
            async with self._reading:
                if time.monotonic() - self._read_at > allowed:
                    began = time.monotonic()
                    self._known = await asyncio.to_thread(self._store.by_secret)
                    self._read_at = began
        return self._known


class _Denials:
    """Keeps a flood of them from filling the audit trail."""

    def __init__(self) -> None:
        self._second = 0
        self._written = 0
        self._left_out = 0

    def next(self) -> int | None:
        """How many were left out before this one; None if it is left out too."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._written = second, 0
        if self._written == _DENIALS_A_SECOND:
            self._left_out += 1
            return None
        self._written += 1
        left_out, self._left_out = self._left_out, 0
        return left_out


def _is_over(known: KnownCaller) -> bool:
    """Expired since it was read."""
    return known.expire_time is not None and known.expire_time.timestamp() <= time.time()
