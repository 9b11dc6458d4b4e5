"""Cases as reviewers see them: what is to be decided, and what was."""

from __future__ import annotations

import asyncio
import datetime

from hashmatch.model.callers import Caller
from hashmatch.model.cases import Case, CaseDecision, CaseState, CaseType
from hashmatch.model.commands import Request
from hashmatch.model.records import Page
from hashmatch.store.cases import CaseStore

__all__ = ["Cases"]


class Cases:
    """One per server."""

    def __init__(self, store: CaseStore) -> None:
        """``store`` is ready for use."""
        self._store = store

    async def get(self, case_id: str, *, caller: Caller) -> Case:
        """Raises `CaseNotFound`; `PermissionDenied` for one of another's banks."""
        return await asyncio.to_thread(self._store.get, case_id, caller.banks)

    async def list(
        self,
        before: int,
        limit: int,
        state: CaseState | None,
        case_type: CaseType | None,
        since: datetime.datetime | None,
        *,
        caller: Caller,
    ) -> Page[Case]:
        """Newest first; of the caller's own banks, unless it sees all."""
        since_ms = None if since is None else round(since.timestamp() * 1000)
        return await asyncio.to_thread(
            self._store.list, before, limit, state, case_type, since_ms, caller.banks
        )

    async def decide(
        self,
        request: Request,
        case_id: str,
        etag: str,
        decision: CaseDecision,
        why: str,
        *,
        caller: Caller,
    ) -> Case:
        """Raises `CaseNotFound`, `CaseDecided`, `EtagMismatch`, `InvalidField`, `PermissionDenied`,
        `RequestIdReused`.
        """
        return await asyncio.to_thread(
            self._store.decide, request, case_id, etag, decision, why, caller.banks
        )
