"""Cases as reviewers see them: what is to be decided, and what was."""

from __future__ import annotations

import asyncio
import datetime

from hashmatch.model.call import Call
from hashmatch.model.cases import Case, CaseDecision, CaseState, CaseType
from hashmatch.model.records import Page
from hashmatch.store.cases import CaseStore

__all__ = ["Cases"]


class Cases:
    """One per server."""

    def __init__(self, store: CaseStore) -> None:
        """``store`` is ready for use."""
        self._store = store

    async def get(self, call: Call, case_id: str) -> Case:
        """Raises `CaseNotFound`; `PermissionDenied` for one of another's banks."""
        return await asyncio.to_thread(self._store.get, case_id, call.caller.banks)

    async def list(
        self,
        call: Call,
        before: int,
        limit: int,
        state: CaseState | None,
        case_type: CaseType | None,
        since: datetime.datetime | None,
    ) -> Page[Case]:
        """Newest first; of the caller's own banks, unless it sees all."""
        since_ms = None if since is None else round(since.timestamp() * 1000)
        return await asyncio.to_thread(
            self._store.list, before, limit, state, case_type, since_ms, call.caller.banks
        )

    async def decide(
        self, call: Call, case_id: str, etag: str, decision: CaseDecision, why: str
    ) -> Case:
        """Raises `CaseNotFound`, `CaseDecided`, `EtagMismatch`, `InvalidField`, `PermissionDenied`,
        `RequestIdReused`.
        """
        return await asyncio.to_thread(
            self._store.decide, call, case_id, etag, decision, why, call.caller.banks
        )
