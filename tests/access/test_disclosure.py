"""What a caller may know of a screening, and when it is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given

from hashmatch.access.disclosure import Clock, as_told
from hashmatch.model.callers import UNRESTRICTED, Caller, Role
from hashmatch.model.records import Coverage, MediaInfo, Screening
from hashmatch.model.verdicts import Verdict, VerdictReason
from tests.support import screenings

PIPELINE = Caller("clr_a", "a", frozenset({Role.PIPELINE}))
REVIEWER = Caller("clr_b", "b", frozenset({Role.PIPELINE, Role.REVIEWER}))


@given(screenings())
def test_a_pipeline_is_told_the_verdict_and_the_class_of_its_reasons(made: Screening) -> None:
    """Whoever sees how near he came can change a copy until it passes."""
    told = as_told(made, PIPELINE)
    assert (told.evidence, told.unacted, told.media, told.evidence_withheld) == (
        (),
        (),
        MediaInfo(),
        True,
    )
    assert told.coverage == Coverage(complete=made.verdict is Verdict.NO_MATCH)
    assert (told.blocklist_revision, told.hash_versions, told.elapsed_ms) == (0, {}, 0.0)
    for name in ("screening_id", "verdict", "case_id", "decision", "create_time"):
        assert getattr(told, name) == getattr(made, name)
    # How long judging took is not told.
    minute = made.judge_time.replace(second=0, microsecond=0)
    assert told.judge_time == max(made.create_time, minute)
    if made.verdict in (Verdict.BLOCK, Verdict.REVIEW):
        assert [each.code for each in told.reasons] == [VerdictReason.MATCH]
    assert as_told(made, REVIEWER) == as_told(made, UNRESTRICTED) == made


@given(screenings())
def test_what_is_hidden_does_not_show(made: Screening) -> None:
    """Two uploads that differ only in what they match would be told apart."""
    if made.verdict is Verdict.NO_MATCH:
        other = replace(made, unacted=(), blocklist_revision=made.blocklist_revision + 1)
        assert as_told(made, PIPELINE) == as_told(other, PIPELINE)


@pytest.mark.parametrize("pieces", [0, 3])
async def test_answers_come_a_whole_number_of_ticks_after_the_last_byte(pieces: int) -> None:
    """How long a search took would tell whether something was near."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(pieces):
            await asyncio.sleep(0.03)
            sent.append(time.monotonic())  # The clock hears of it a little later.
            yield b"x"

    sent = [time.monotonic()]
    clock = Clock()
    assert [each async for each in clock.watching(chunks())] == [b"x"] * pieces
    await asyncio.sleep(0.01)
    await clock.tick()
    assert time.monotonic() - sent[-1] >= 0.099
