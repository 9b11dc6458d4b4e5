"""The client's calls of AccessService."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, Collection

from hashmatch.client._connection import Calls, new_request_id
from hashmatch.client._paging import Cursor, created_since
from hashmatch.model.callers import Caller, KnownCaller, Role, hash_of_token
from hashmatch.model.records import AuditRow
from hashmatch.v1 import access_service_pb2 as pb
from hashmatch.wire.records import (
    audit_row_from_wire,
    caller_from_wire,
    known_caller_from_wire,
    timestamp,
)

__all__ = ["CallerCalls"]


class CallerCalls(Calls):
    """Creates and revokes callers, and reads the audit trail."""

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
        """Creates a caller that shows who it is by a token or a certificate; one of the two is
        needed.

        Args:
            name: Unique name, 1 to 64 letters, digits, ".", "-" and "_", of no caller before; may
                not begin with "clr_".
            roles: What the caller may do; at least one role.
            token: The token, made by `hashmatch.model.callers.new_token`; the server gets its hash
                alone. Ignored if ``certificate`` is given.
            certificate: The common name of the subject of the caller's certificate, up to 255
                characters.
            banks: Ids or names of the banks whose entries the caller may see and change, up to
                1,000. Empty: all.
            expire_time: When the caller is refused from, in the future and with a time zone. None:
                never.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID.

        Returns:
            The caller, `CallerState.ACTIVE`.

        Raises:
            CallerExists: Another caller has, or had, this name or these credentials.
            BankNotFound: A bank of ``banks`` does not exist.
            InvalidField: An argument is missing, malformed or out of range.
            RequestIdReused: ``request_id`` was used for another caller.
            AccessDenied: The credentials are invalid, or the caller lacks the role ADMIN.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
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
        response = await self._connection.unary(self._connection.access.CreateCaller, request)
        return known_caller_from_wire(response.caller)

    def list_callers(
        self, *, since: datetime.datetime | None = None, cursor: Cursor | None = None
    ) -> AsyncGenerator[KnownCaller]:
        """Lists callers, newest first, revoked ones too.

        Args:
            since: The earliest time of creation, with a time zone. None: no limit.
            cursor: Where the list begins and how many callers it has, moved along as the list is
                read. None: all.

        Yields:
            Callers; pages are asked for as they are read.

        Raises:
            InvalidField: The token of ``cursor`` is not of this list.
            AccessDenied: The credentials are invalid, or the caller has neither role AUDITOR nor
                ADMIN.
            Unavailable: The server could not be reached, or did not answer, until the deadline of a
                page.
        """
        callers = self._connection.items(
            self._connection.access.ListCallers,
            pb.ListCallersRequest(),
            lambda page: page.callers,
            known_caller_from_wire,
            cursor,
        )
        return created_since(callers, since, cursor)

    async def revoke_caller(self, caller: str, *, request_id: str | None = None) -> KnownCaller:
        """Refuses a caller from now on: this server at once, other servers within a second. A
        caller that is revoked already stays so.

        Args:
            caller: Id or name of the caller.
            request_id: Names the call; a repeat changes nothing. 1 to 64 letters, digits, "-" and
                "_"; None: a new UUID.

        Returns:
            The caller, `CallerState.REVOKED`.

        Raises:
            CallerNotFound: No caller has this id or name.
            InvalidField: An argument is malformed.
            AccessDenied: The credentials are invalid, or the caller lacks the role ADMIN.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        request = pb.RevokeCallerRequest(request_id=request_id or new_request_id(), caller=caller)
        response = await self._connection.unary(self._connection.access.RevokeCaller, request)
        return known_caller_from_wire(response.caller)

    async def get_self(self) -> Caller:
        """Gets the caller that the server takes this client for.

        Returns:
            The caller; ``caller_id`` is empty where authentication is off.

        Raises:
            AccessDenied: The credentials are invalid.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        response = await self._connection.unary(
            self._connection.access.GetSelf, pb.GetSelfRequest()
        )
        return caller_from_wire(response.caller)

    def list_audit_rows(
        self,
        *,
        actor: str = "",
        subject: str = "",
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> AsyncGenerator[AuditRow]:
        """Lists the audit trail, newest first.

        Args:
            actor: Id or name of the caller whose actions are listed. Empty: any.
            subject: Id of what was acted on, or the name of a call that was denied. Empty: any.
            since: The earliest time of a row, with a time zone. None: no limit.
            cursor: Where the list begins and how many rows it has, moved along as the list is read.
                None: all.

        Yields:
            Rows; pages are asked for as they are read.

        Raises:
            InvalidField: A text is too long, or the token of ``cursor`` is not of this list.
            AccessDenied: The credentials are invalid, or the caller lacks the role AUDITOR.
            Unavailable: The server could not be reached, or did not answer, until the deadline of a
                page.
        """
        request = pb.ListAuditRowsRequest(
            actor=actor,
            subject=subject,
            since=None if since is None else timestamp(since),
        )
        return self._connection.items(
            self._connection.access.ListAuditRows,
            request,
            lambda page: page.rows,
            audit_row_from_wire,
            cursor,
        )
