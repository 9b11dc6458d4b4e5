"""Somebody is told of a caller that tries what passes, and of no other."""

from __future__ import annotations

import pytest

from hashmatch import probing
from hashmatch.model.verdicts import Verdict
from hashmatch.probing import ProbingWatch


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
    watch = ProbingWatch()
    tried = [Verdict.BLOCK, Verdict.NO_MATCH] * 200
    assert told(watch, "a", tried) == 1
    assert told(watch, "a", tried) == 0


@pytest.mark.usefixtures("clock")
def test_a_pipeline_that_sends_much_has_some() -> None:
    """Every busy platform would be suspected."""
    watch = ProbingWatch()
    busy = ([Verdict.NO_MATCH] * 98 + [Verdict.BLOCK, Verdict.REVIEW]) * 100
    assert told(watch, "a", busy) == 0
    assert told(watch, "b", [Verdict.BLOCK] * 50) == 0
    assert told(watch, "b", [Verdict.REVIEW] * 10) == 1


def test_every_hour_begins_anew(clock: Clock) -> None:
    """What was told once would never be told again."""
    watch = ProbingWatch()
    assert told(watch, "a", [Verdict.BLOCK] * 60) == 1
    clock.now = 3601
    assert told(watch, "a", [Verdict.BLOCK] * 50) == 0
    assert told(watch, "a", [Verdict.BLOCK] * 10) == 1


@pytest.mark.usefixtures("clock")
def test_callers_without_end_take_bounded_memory() -> None:
    """An issuer has as many subjects as it likes."""
    watch = ProbingWatch()
    for number in range(20_000):
        watch.noticed(f"{number}", Verdict.NO_MATCH)
    assert len(watch._hours) == 10_000
