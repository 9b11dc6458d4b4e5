"""Somebody is told of a caller that tries what passes, and of no other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hashmatch.access import probing
from hashmatch.access.probing import ProbingWatch
from hashmatch.engine.index.live import Snapshot
from hashmatch.model.callers import UNRESTRICTED, Caller, Role
from hashmatch.model.signals import Signals, view_code
from hashmatch.model.verdicts import Effect, Kind, Part, Turn, Verdict
from tests.engine.index.test_live import bank
from tests.store.test_screenings import EVIDENCE, screening
from tests.support import flipped
from tests.support import signals as some_signals

ORIGINAL = some_signals(3)
PIPELINE = Caller("clr_a", "a", frozenset({Role.PIPELINE}))


def nobody(_: str) -> None:
    """Whom nobody is told of."""


class Clock:
    """Time that goes on when it is told to."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What the watch looks at."""
    made = Clock()
    monkeypatch.setattr(probing, "time", made)
    return made


def told(watch: ProbingWatch, caller: str, verdicts: list[Verdict]) -> int:
    """How often somebody was."""
    return sum(watch.noticed(caller, each) for each in verdicts)


@pytest.mark.usefixtures("clock")
def test_many_matches_are_told_once() -> None:
    """A row for each would bury the others."""
    watch = ProbingWatch(nobody)
    tried = [Verdict.BLOCK, Verdict.NO_MATCH] * 200
    assert told(watch, "a", tried) == 1
    assert told(watch, "a", tried) == 0


@pytest.mark.usefixtures("clock")
def test_a_pipeline_that_sends_much_has_some() -> None:
    """Every busy platform would be suspected."""
    watch = ProbingWatch(nobody)
    busy = ([Verdict.NO_MATCH] * 98 + [Verdict.BLOCK, Verdict.REVIEW]) * 100
    assert told(watch, "a", busy) == 0
    assert told(watch, "b", [Verdict.BLOCK] * 50) == 0
    assert told(watch, "b", [Verdict.REVIEW] * 10) == 1


def test_every_hour_begins_anew(clock: Clock) -> None:
    """What was told once would never be told again."""
    watch = ProbingWatch(nobody)
    assert told(watch, "a", [Verdict.BLOCK] * 60) == 1
    clock.now = 3601
    assert told(watch, "a", [Verdict.BLOCK] * 50) == 0
    assert told(watch, "a", [Verdict.BLOCK] * 10) == 1


@pytest.mark.usefixtures("clock")
def test_callers_without_end_take_bounded_memory() -> None:
    """An issuer has as many subjects as it likes."""
    watch = ProbingWatch(nobody)
    for number in range(20_000):
        watch.noticed(f"{number}", Verdict.NO_MATCH)
    assert len(watch._hours) == 10_000


def test_what_comes_near_has_a_budget_of_its_own(clock: Clock) -> None:
    """Who has found how to pass would not be noticed any more."""
    watch = ProbingWatch(nobody)
    assert sum(watch.came_near("a") for _ in range(10)) == 0
    assert sum(watch.came_near("a") for _ in range(40)) == 1
    told(watch, "b", [Verdict.NO_MATCH] * 2000)
    assert sum(watch.came_near("b") for _ in range(20)) == 0
    assert watch.came_near("b")
    clock.now = 3601
    assert sum(watch.came_near("a") for _ in range(11)) == 1


def upload(bits: int, turn: Turn = Turn.NONE) -> Signals:
    """A frame so many bits from the entry's."""
    near = flipped(ORIGINAL, bits)
    return replace(near, view=np.full(1, view_code(Part.FULL, turn), np.uint8))


@pytest.mark.parametrize(
    ("signals", "verdict", "weak", "near"),
    [
        (upload(40), Verdict.NO_MATCH, False, True),
        (upload(47), Verdict.NO_MATCH, False, True),
        (upload(48), Verdict.NO_MATCH, False, False),
        (upload(40), Verdict.INCONCLUSIVE, False, True),
        # One that matches is counted as such; the turns of a frame are no other picture.
        (upload(20), Verdict.BLOCK, False, False),
        (upload(40, Turn.FLIP_VERTICAL), Verdict.NO_MATCH, False, False),
        (upload(90), Verdict.NO_MATCH, True, True),
    ],
)
async def test_what_comes_near_is_looked_for_after_the_answer(
    signals: Signals, verdict: Verdict, weak: bool, near: bool
) -> None:
    """Somebody who has a copy pass by forty bits would not be noticed, or wait longer for it."""
    told: list[str] = []
    watch = ProbingWatch(told.append)
    snapshot = Snapshot().with_bank(1, 1, bank({Kind.PDQ: 31})).with_entry(2, 7, 1, [ORIGINAL])
    made = screening(verdict)
    if weak:
        made = replace(made, unacted=(replace(EVIDENCE, effect=Effect.WEAK),))
    for number in range(11):
        watch.look_nearby(
            Caller("clr_a", "a", frozenset({Role.PIPELINE})), made, [signals], snapshot
        )
        assert len(told) == 0 or number == 10
        await watch._looking.ended()
    assert told == ["clr_a"] * near
    watch.look_nearby(UNRESTRICTED, made, [signals], snapshot)
    assert not watch._looking
