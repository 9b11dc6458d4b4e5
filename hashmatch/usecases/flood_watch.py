"""Watches for entries that suddenly block far more than others, as a wrong one does."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from hashmatch.errors import StoreUnavailable
from hashmatch.model.records import Bank, Screening
from hashmatch.model.verdicts import Action
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.screenings import ScreeningStore
from hashmatch.telemetry import logs
from hashmatch.telemetry.background import Behind

__all__ = ["FloodWatch"]

_WINDOW_MS: Final = 3_600_000

# What others of its bank blocked is exceeded by this much before an entry is quarantined.
_FACTOR: Final = 10

# An entry is not counted more often than once in so many seconds, and so many are remembered.
_AGAIN_SECONDS: Final = 1.0
_REMEMBERED: Final = 10_000
_AT_ONCE: Final = 4

_log = logs.get_logger(__name__)


class FloodWatch:
    """One per server; all servers count in one store. For use within one event loop."""

    def __init__(
        self,
        screenings: ScreeningStore,
        blocklist: BlocklistStore,
        *,
        again_seconds: float = _AGAIN_SECONDS,
    ) -> None:
        """Both are of one database."""
        self._screenings = screenings
        self._blocklist = blocklist
        self._again_seconds = again_seconds
        self._counted: OrderedDict[str, float] = OrderedDict()
        self._counting = Behind()

    def begin(self, screening: Screening, banks: Iterable[Bank]) -> None:
        """Does `notice` while the upload is answered. Not for each, when there are many."""
        blocks = any(each.action is Action.BLOCK for each in screening.evidence)
        if blocks and len(self._counting) < _AT_ONCE:
            self._counting.begin(self.notice(screening, list(banks)))

    async def notice(self, screening: Screening, banks: Iterable[Bank]) -> None:
        """Counts what blocked a screening that was just stored, and quarantines entries that
        exceed their bank's `BankPolicy.flood_limit`. Never fails: the verdict stands.
        """
        limits = {bank.bank_id: bank.policy.flood_limit for bank in banks}
        for entry_id, bank_id in {
            each.entry.entry_id: each.entry.bank_id
            for each in screening.evidence
            if each.action is Action.BLOCK
        }.items():
            limit = limits.get(bank_id, 0)
            if limit and self._is_due(entry_id):
                try:
                    await asyncio.to_thread(self._count, entry_id, limit)
                except StoreUnavailable as error:
                    _log.warning("flood_not_counted", error=str(error))

    def _is_due(self, entry_id: str) -> bool:
        now = time.monotonic()
        if now - self._counted.get(entry_id, -float("inf")) < self._again_seconds:
            return False
        self._counted[entry_id] = now
        self._counted.move_to_end(entry_id)
        if len(self._counted) > _REMEMBERED:
            self._counted.popitem(last=False)
        return True

    def _count(self, entry_id: str, limit: int) -> None:
        since_ms = round(time.time() * 1000) - _WINDOW_MS
        flow = self._screenings.flow_of(entry_id, since_ms, limit)
        if flow.files < limit or flow.files < _FACTOR * flow.usual:
            return
        details = {"files": flow.files, "usual": flow.usual, "limit": limit}
        if self._blocklist.quarantine_entry(entry_id, details):
            _log.warning("entry_quarantined", entry_id=entry_id, **details)
