"""What a caller may know of a screening, and when it is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from hashmatch.model.callers import Caller
from hashmatch.model.records import Coverage, MediaInfo, Reason, Screening
from hashmatch.model.verdicts import Verdict, VerdictReason

__all__ = ["Clock", "as_told"]

# Callers that see no evidence are answered a whole number of these after their last byte: that an
# upload comes near an entry costs some ms more than that it does not. Nearly all are answered
# after the first.
_TICK_SECONDS: Final = 0.1

# Reasons whose details tell of the blocklist, or may: flat frames may be held for coming near it.
_OF_BLOCKLIST: Final = frozenset(
    {
        VerdictReason.ALL_FRAMES_FLAT,
        VerdictReason.BLOCKLIST_EMPTY,
        VerdictReason.BLOCKLIST_STALE,
        VerdictReason.KIND_MISSING,
        VerdictReason.HASH_VERSION_CHANGED,
    }
)


def as_told(screening: Screening, caller: Caller) -> Screening:
    """As a caller may know it: whoever could see how near an upload comes to an entry, or which
    part of it, could change a copy until it passes, or find out what an entry shows.
    """
    if caller.sees_evidence:
        return screening
    reasons: tuple[Reason, ...] = screening.reasons
    if screening.verdict in (Verdict.BLOCK, Verdict.REVIEW):
        reasons = (Reason(VerdictReason.MATCH, "it matches what must not be published"),)
    elif screening.verdict is Verdict.INCONCLUSIVE:
        reasons = tuple(
            replace(each, detail="") if each.code in _OF_BLOCKLIST else each for each in reasons
        )
    complete = screening.verdict is Verdict.NO_MATCH
    return Screening(
        screening_id=screening.screening_id,
        verdict=screening.verdict,
        reasons=reasons,
        evidence=(),
        media=MediaInfo(),
        coverage=Coverage(complete=complete),
        blocklist_revision=0,
        hash_versions={},
        create_time=screening.create_time,
        judge_time=max(
            screening.create_time, screening.judge_time.replace(second=0, microsecond=0)
        ),
        judgement=screening.judgement,
        evidence_withheld=True,
        case_id=screening.case_id,
        decision=screening.decision,
    )


class Clock:
    """When a call had said all, and when it may be answered."""

    def __init__(self) -> None:
        self._heard = time.monotonic()

    async def watching(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks; the time of the last one is kept."""
        async for chunk in chunks:
            self._heard = time.monotonic()
            yield chunk
        self._heard = time.monotonic()

    async def tick(self) -> None:
        """Waits for a whole number of ticks since then."""
        spent = time.monotonic() - self._heard
        await asyncio.sleep(-spent % _TICK_SECONDS)
