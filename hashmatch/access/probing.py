"""Notices a caller who tries what passes: who changes a copy step by step until it is let through.

Whoever does that gets one match after the other, and then comes near an entry without matching it.
A pipeline gets some too: how many are expected grows with what it sends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from hashmatch.engine.index.live import Snapshot
from hashmatch.errors import StoreUnavailable
from hashmatch.model.callers import Caller
from hashmatch.model.records import Screening
from hashmatch.model.signals import Signals, has_turn
from hashmatch.model.verdicts import Effect, Kind, Turn, Verdict
from hashmatch.telemetry import logs, metrics
from hashmatch.telemetry.background import Behind

__all__ = ["ProbingWatch"]

_HOUR_SECONDS: Final = 3600.0

# Matches that a caller may have in an hour before somebody is told: fifty, and one in fifty of what
# it sends.
_MATCHES: Final = 50
_PART: Final = 1 / 50

# Likewise, of uploads that come near an entry and do not match: ten, and one in two hundred. Of
# unrelated uploads four in a million do, against ten million hashes (`hashmatch calibrate`).
_NEAR: Final = 10
_NEAR_PART: Final = 1 / 200

# How much farther than its threshold an entry is near: at 47 bits of PDQ, for the usual 31, nearly
# none of unrelated uploads has any.
_NEAR_BITS: Final = 16
_LOOKED_AT_ONCE: Final = 4

# Callers that are watched at once; then those are forgotten who were heard of longest ago.
_MOST_CALLERS: Final = 10_000

_log = logs.get_logger(__name__)


@dataclass(slots=True)
class _Hour:
    began: float
    asked: int = 0
    matched: int = 0
    near: int = 0
    told: bool = False


class ProbingWatch:
    """One per server; for use within one event loop."""

    def __init__(self, note: Callable[[str], None]) -> None:
        """``note`` writes into the audit trail that a caller should be looked at. It blocks."""
        self._note = note
        self._hours: dict[str, _Hour] = {}
        self._looking = Behind()

    def answered(self, caller: Caller, verdict: Verdict) -> None:
        """Counts an answer. Whom to tell is told while the caller is answered."""
        if self.noticed(caller.caller_id, verdict):
            self._looking.begin(self._tell(caller.caller_id))

    async def _tell(self, caller_id: str) -> None:
        try:
            await asyncio.to_thread(self._note, caller_id)
        except StoreUnavailable as error:
            _log.warning("probing_not_noted", error=str(error))
            if caller_id in self._hours:
                self._hours[caller_id].told = False  # The next one tries again.

    def look_nearby(
        self,
        caller: Caller,
        screening: Screening,
        signals: Sequence[Signals],
        snapshot: Snapshot,
    ) -> None:
        """Looks whether an upload that did not match came near, while its caller is answered: so
        that the answer takes no longer for it. Not of each, when there are many, nor of those of
        callers who see evidence.
        """
        matched = screening.verdict in (Verdict.BLOCK, Verdict.REVIEW)
        if caller.sees_evidence or matched or len(self._looking) >= _LOOKED_AT_ONCE:
            return
        weak = any(each.effect is Effect.WEAK for each in screening.unacted)
        self._looking.begin(self._look(caller.caller_id, weak, signals, snapshot))

    async def _look(
        self, caller_id: str, weak: bool, signals: Sequence[Signals], snapshot: Snapshot
    ) -> None:
        as_displayed = [
            each.select(has_turn(each.view, Turn.NONE)) for each in signals if each.kind is Kind.PDQ
        ]
        near = weak or await asyncio.to_thread(
            lambda: any(snapshot.comes_near(each, _NEAR_BITS) for each in as_displayed)
        )
        if near and self.came_near(caller_id):
            await self._tell(caller_id)

    def noticed(self, caller_id: str, verdict: Verdict) -> bool:
        """Counts an answer; true if somebody should be told now, once in a caller's hour."""
        hour = self._hour(caller_id)
        hour.asked += 1
        hour.matched += verdict in (Verdict.BLOCK, Verdict.REVIEW)
        return self._is_to_tell(caller_id, hour)

    def came_near(self, caller_id: str) -> bool:
        """Counts an upload that came near an entry and did not match; else as `noticed`."""
        hour = self._hour(caller_id)
        hour.near += 1
        return self._is_to_tell(caller_id, hour)

    def _hour(self, caller_id: str) -> _Hour:
        now = time.monotonic()
        hour = self._hours.pop(caller_id, None)
        if hour is None or now - hour.began > _HOUR_SECONDS:
            hour = _Hour(now)
        self._hours[caller_id] = hour  # The newest is the last.
        if len(self._hours) > _MOST_CALLERS:
            del self._hours[next(iter(self._hours))]
        return hour

    def _is_to_tell(self, caller_id: str, hour: _Hour) -> bool:
        matches = hour.matched > _MATCHES + _PART * hour.asked
        nears = hour.near > _NEAR + _NEAR_PART * hour.asked
        if hour.told or not (matches or nears):
            return False
        hour.told = True
        metrics.PROBING.inc()
        _log.warning(
            "probing_suspected",
            caller=caller_id,
            matched=hour.matched,
            near=hour.near,
            of=hour.asked,
        )
        return True
