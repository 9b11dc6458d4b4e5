"""What the client calls to decide cases."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, Callable
from typing import Any

from hashmatch.client._connection import new_request_id
from hashmatch.client._paging import Cursor
from hashmatch.model.cases import Case, CaseDecision, CaseState, CaseType
from hashmatch.model.records import Entry
from hashmatch.v1 import blocklist_service_pb2 as blocklist_pb
from hashmatch.v1 import review_service_pb2 as pb
from hashmatch.wire.cases import case_from_wire
from hashmatch.wire.records import entry_from_wire, timestamp

__all__ = ["ReviewCalls"]


class ReviewCalls:
    """A part of `hashmatch.client.AsyncClient`."""

    _blocklist: Any
    _review: Any
    _unary: Callable[..., Any]
    _items: Callable[..., AsyncGenerator[Any]]

    async def get_case(self, case_id: str) -> Case:
        """One case."""
        response = await self._unary(self._review.GetCase, pb.GetCaseRequest(case_id=case_id))
        return case_from_wire(response.case)

    def list_cases(
        self,
        *,
        state: CaseState | None = None,
        case_type: CaseType | None = None,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> AsyncGenerator[Case]:
        """Cases, newest first."""
        request = pb.ListCasesRequest(
            state=int(state or 0),  # type: ignore[arg-type]
            type=int(case_type or 0),  # type: ignore[arg-type]
            created_since=None if since is None else timestamp(since),
        )
        return self._items(self._review.ListCases, request, "cases", case_from_wire, cursor=cursor)

    async def decide_case(
        self,
        case_id: str,
        decision: CaseDecision,
        *,
        why: str = "",
        etag: str = "",
        request_id: str | None = None,
    ) -> Case:
        """Decides an open case of a screening; with its ``etag``, only if there is no new evidence
        since.
        """
        request = pb.DecideCaseRequest(
            request_id=request_id or new_request_id(),
            case_id=case_id,
            decision=int(decision),  # type: ignore[arg-type]
            why=why,
            etag=etag,
        )
        response = await self._unary(self._review.DecideCase, request)
        return case_from_wire(response.case)

    async def release_entry(
        self, entry_id: str, *, why: str = "", request_id: str | None = None
    ) -> Entry:
        """Ends an entry's quarantine: it blocks again."""
        request = blocklist_pb.ReleaseEntryRequest(
            request_id=request_id or new_request_id(), entry_id=entry_id, why=why
        )
        response = await self._unary(self._blocklist.ReleaseEntry, request)
        return entry_from_wire(response.entry)
