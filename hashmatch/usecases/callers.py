"""Callers that are created here, and the audit trail."""

from __future__ import annotations

import asyncio

from hashmatch.access.authorizer import Authorizer
from hashmatch.model.call import Call
from hashmatch.model.callers import KnownCaller, Role, hash_of_token, new_token
from hashmatch.model.commands import NewCaller
from hashmatch.model.records import AuditRow, Page
from hashmatch.store.audit import Audit
from hashmatch.store.callers import CallerStore

__all__ = ["Callers"]


class Callers:
    """One per server; for use within one event loop."""

    def __init__(self, store: CallerStore, audit: Audit, authorizer: Authorizer) -> None:
        """``authorizer`` learns at once who was created or revoked."""
        self._store = store
        self._audit = audit
        self._authorizer = authorizer

    async def create_first(self) -> str:
        """The first admin's token, where there is no caller yet; else empty, as where
        authentication is off. Raises `StoreUnavailable`.
        """
        if self._authorizer.is_open:
            return ""
        token = new_token()
        first = NewCaller("first-admin", frozenset({Role.ADMIN}), secret=hash_of_token(token))
        made = await asyncio.to_thread(self._store.create_first, first)
        return token if made else ""

    async def create(self, call: Call, new: NewCaller) -> KnownCaller:
        """Raises `CallerExists`, `BankNotFound`, `RequestIdReused`."""
        made = await asyncio.to_thread(self._store.create, call, new)
        self._authorizer.forget()
        return made

    async def revoke(self, call: Call, caller: str) -> KnownCaller:
        """By id or name; it is refused from now on. Raises `CallerNotFound`."""
        revoked = await asyncio.to_thread(self._store.revoke, call, caller)
        self._authorizer.forget()
        return revoked

    async def list(self, before: int, limit: int) -> Page[KnownCaller]:
        """Newest first."""
        return await asyncio.to_thread(self._store.list, before, limit)

    async def list_audit_rows(
        self, before: int, limit: int, actor: str, subject: str, since_ms: int | None
    ) -> Page[AuditRow]:
        """Newest first; of one actor, of one subject, since an instant, if these are given."""
        return await asyncio.to_thread(self._audit.list, before, limit, actor, subject, since_ms)
