"""The client's calls of ReviewService."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator

from hashmatch.client._connection import Calls, new_request_id
from hashmatch.client._paging import Cursor
from hashmatch.model.cases import Case, CaseDecision, CaseState, CaseType
from hashmatch.v1 import review_service_pb2 as pb
from hashmatch.wire.records import case_from_wire, timestamp

__all__ = ["CaseCalls"]


class CaseCalls(Calls):
    """Reads and decides cases."""

    async def get_case(self, case_id: str) -> Case:
        """Gets a case.

        Args:
            case_id: Id of the case, "cas_" and 26 characters.

        Returns:
            The case; ``etag`` changes whenever it is opened or decided, and with new evidence.

        Raises:
            CaseNotFound: No case has this id.
            InvalidField: ``case_id`` is empty or not an id.
            AccessDenied: The credentials are invalid, or the caller has none of the roles REVIEWER,
                CURATOR, APPROVER, AUDITOR, or may not see the bank of the case.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        request = pb.GetCaseRequest(case_id=case_id)
        response = await self._connection.unary(self._connection.review.GetCase, request)
        return case_from_wire(response.case)

    def list_cases(
        self,
        *,
        state: CaseState | None = None,
        case_type: CaseType | None = None,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> AsyncGenerator[Case]:
        """Lists cases, newest first. A caller that is limited to some banks gets their cases alone.

        Args:
            state: The state that listed cases are in. None: any.
            case_type: The type of listed cases. None: any.
            since: The earliest time of creation, with a time zone. None: no limit.
            cursor: Where the list begins and how many cases it has, moved along as the list is
                read. None: all.

        Yields:
            Cases; pages are asked for as they are read.

        Raises:
            InvalidField: The token of ``cursor`` is not of this list.
            AccessDenied: The credentials are invalid, or the caller has none of the roles REVIEWER,
                CURATOR, APPROVER, AUDITOR.
            Unavailable: The server could not be reached, or did not answer, until the deadline of a
                page.
        """
        request = pb.ListCasesRequest(
            state=int(state or 0),  # type: ignore[arg-type]
            type=int(case_type or 0),  # type: ignore[arg-type]
            created_since=None if since is None else timestamp(since),
        )
        return self._connection.items(
            self._connection.review.ListCases,
            request,
            lambda page: page.cases,
            case_from_wire,
            cursor,
        )

    async def decide_case(
        self,
        case_id: str,
        decision: CaseDecision,
        *,
        why: str = "",
        etag: str = "",
        request_id: str | None = None,
    ) -> Case:
        """Decides an open case of a screening. The case of a quarantined entry is decided by
        `release_entry` or `withdraw_entry`.

        Args:
            case_id: Id of the case, "cas_" and 26 characters.
            decision: `CaseDecision.UPHELD`: the upload must not be published;
                `CaseDecision.OVERTURNED`: it may be.
            why: The reason, kept with the case; up to 2000 characters, line breaks allowed.
            etag: The ``etag`` of the case as it was read: the call fails if there is new evidence
                since. Empty: it is decided in any case.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID.

        Returns:
            The case, `CaseState.DECIDED`.

        Raises:
            CaseNotFound: No case has this id.
            CaseDecided: The case is decided already.
            EtagMismatch: There is new evidence since ``etag`` was read.
            InvalidField: The case is about an entry, or an argument is malformed.
            RequestIdReused: ``request_id`` was used for another call.
            AccessDenied: The credentials are invalid, or the caller lacks the role REVIEWER, or may
                not see the banks of the case.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        request = pb.DecideCaseRequest(
            request_id=request_id or new_request_id(),
            case_id=case_id,
            decision=int(decision),  # type: ignore[arg-type]
            why=why,
            etag=etag,
        )
        response = await self._connection.unary(self._connection.review.DecideCase, request)
        return case_from_wire(response.case)
