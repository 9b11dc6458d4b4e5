"""What the client calls of AccessService."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, Callable, Collection
from typing import Any

from hashmatch.client._connection import new_request_id
from hashmatch.client._paging import Cursor
from hashmatch.model.callers import Caller, KnownCaller, Role, hash_of_token
from hashmatch.model.records import AuditRow
from hashmatch.v1 import access_service_pb2 as pb
from hashmatch.wire.callers import (
    audit_row_from_wire,
    caller_from_wire,
    known_caller_from_wire,
)
from hashmatch.wire.records import timestamp

__all__ = ["AccessCalls"]


class AccessCalls:
    """A part of `hashmatch.client.AsyncClient`."""

    _access: Any
    _unary: Callable[..., Any]
    _items: Callable[..., AsyncGenerator[Any]]

    async def create_caller(
        self,
        name: str,
        *,
        roles: Collection[Role],
        token: str = "",
        certificate: str = "",
        banks: Collection[str] = (),
        expire_time: datetime.datetime | None = None,
        request_id: str | None = None,
    ) -> KnownCaller:
        """Makes a caller known, by a token (see `hashmatch.model.callers.new_token`; the server is
        told its hash alone) or by the common name of a ``certificate``. ``banks``: those whose
        entries it may see and change; empty: all.
        """
        request = pb.CreateCallerRequest(
            request_id=request_id or new_request_id(),
            name=name,
            roles=[int(role) for role in roles],  # type: ignore[misc]
            banks=banks,
            expire_time=None if expire_time is None else timestamp(expire_time),
        )
        if certificate:
            request.certificate = certificate
        elif token:
            request.token_sha256 = hash_of_token(token)
        response = await self._unary(self._access.CreateCaller, request)
        return known_caller_from_wire(response.caller)

    def list_callers(
        self, *, since: datetime.datetime | None = None, cursor: Cursor | None = None
    ) -> AsyncGenerator[KnownCaller]:
        """Callers, newest first, also those that were revoked."""
        return self._items(
            self._access.ListCallers,
            pb.ListCallersRequest(),
            "callers",
            known_caller_from_wire,
            cursor=cursor,
            since=since,
        )

    async def revoke_caller(self, caller: str, *, request_id: str | None = None) -> KnownCaller:
        """Refuses a caller, by id or name, from now on."""
        request = pb.RevokeCallerRequest(request_id=request_id or new_request_id(), caller=caller)
        response = await self._unary(self._access.RevokeCaller, request)
        return known_caller_from_wire(response.caller)

    async def get_self(self) -> Caller:
        """Who the server takes this client for."""
        response = await self._unary(self._access.GetSelf, pb.GetSelfRequest())
        return caller_from_wire(response.caller)

    def list_audit_rows(
        self,
        *,
        actor: str = "",
        subject: str = "",
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> AsyncGenerator[AuditRow]:
        """The audit trail, newest first: of one actor, by id or name, and of one subject, if they
        are given.
        """
        request = pb.ListAuditRowsRequest(actor=actor, subject=subject)
        if since is not None:
            request.since.CopyFrom(timestamp(since))
        return self._items(
            self._access.ListAuditRows, request, "rows", audit_row_from_wire, cursor=cursor
        )
