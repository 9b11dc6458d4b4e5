"""Notices a caller who tries what passes: who changes a copy step by step until it is let through.

Whoever does that gets one match after the other. A pipeline gets some too: how many are expected
grows with what it sends.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from hashmatch import metrics, telemetry
from hashmatch.model.verdicts import Verdict

__all__ = ["ProbingWatch"]

_HOUR_SECONDS: Final = 3600.0

# Matches that a caller may have in an hour before somebody is told: fifty, and one in fifty of what
# it sends.
_MATCHES: Final = 50
_PART: Final = 1 / 50

# Callers that are watched at once; then those are forgotten who were heard of longest ago.
_MOST_CALLERS: Final = 10_000

_log = telemetry.get_logger(__name__)


@dataclass(slots=True)
class _Hour:
    began: float
    asked: int = 0
    matched: int = 0
    told: bool = False


class ProbingWatch:
    """One per server; for use within one event loop."""

    def __init__(self) -> None:
        """Nobody was heard of yet."""
        self._hours: dict[str, _Hour] = {}

    def noticed(self, caller_id: str, verdict: Verdict) -> bool:
        """Counts an answer; true if somebody should be told now, once in a caller's hour."""
        now = time.monotonic()
        hour = self._hours.pop(caller_id, None)
        if hour is None or now - hour.began > _HOUR_SECONDS:
            hour = _Hour(now)
        self._hours[caller_id] = hour  # The newest is the last.
        if len(self._hours) > _MOST_CALLERS:
            del self._hours[next(iter(self._hours))]
        hour.asked += 1
        hour.matched += verdict in (Verdict.BLOCK, Verdict.REVIEW)
        if hour.told or hour.matched <= _MATCHES + _PART * hour.asked:
            return False
        hour.told = True
        metrics.PROBING.inc()
        _log.warning("probing_suspected", caller=caller_id, matched=hour.matched, of=hour.asked)
        return True
