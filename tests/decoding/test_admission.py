"""Who gets a place."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.decoding.admission import CALLER, Admission, AdmissionLimits, Ticket
from hashmatch.errors import Overloaded
from tests.support import PATIENT

LIMITS = AdmissionLimits(max_uploads=40, max_waiting=12, workers=2)


class Callers:
    """Uploads of several callers that come and go."""

    def __init__(self, limits: AdmissionLimits = LIMITS) -> None:
        self.admission = Admission(limits)
        self.held: list[tuple[str, Ticket, contextlib.AbstractContextManager[Ticket]]] = []

    def check_room(self, caller: str) -> bool:
        """True if he would find a place."""

        def check() -> bool:
            CALLER.set(caller)
            with contextlib.suppress(Overloaded):
                self.admission.check_room()
                return True
            return False

        return contextvars.copy_context().run(check)

    def come(self, caller: str, *, started: bool = False) -> None:
        """Raises `Overloaded`."""
        place = self.admission.admitted()

        def enter() -> Ticket:
            CALLER.set(caller)
            return place.__enter__()

        ticket = contextvars.copy_context().run(enter)
        if started:
            ticket.started()
        self.held.append((caller, ticket, place))

    def as_many_as_fit(self, caller: str, *, started: bool = False) -> int:
        """How many."""
        for count in range(1000):
            fits = self.check_room(caller)
            try:
                self.come(caller, started=started)
            except Overloaded:
                assert not fits
                return count
            assert fits
        raise AssertionError("a thousand fit")

    def go(self, place: int) -> None:
        """One ends."""
        self.held.pop(place)[2].__exit__(None, None, None)


@pytest.fixture
def callers() -> Iterator[Callers]:
    """Nobody yet."""
    made = Callers()
    yield made
    while made.held:
        made.go(0)
    assert (made.admission.uploads, made.admission.waiting) == (0, 0)


def test_one_caller_leaves_room_for_others(callers: Callers) -> None:
    """One caller's flood would keep all others out."""
    assert callers.as_many_as_fit("flood") == 6
    assert callers.as_many_as_fit("second") == 3
    assert [callers.as_many_as_fit(f"newcomer {n}") for n in range(4)] == [1, 1, 1, 0]
    assert callers.admission.waiting == 12


def test_uploads_that_have_a_worker_count_less(callers: Callers) -> None:
    """Slow lines that nobody waits for would keep others out."""
    assert callers.as_many_as_fit("flood", started=True) == 20
    assert callers.admission.waiting == 0
    assert callers.as_many_as_fit("second", started=True) == 10
    assert [callers.as_many_as_fit(f"{n}", started=True) for n in range(11)] == [1] * 10 + [0]
    assert callers.admission.uploads == 40


def test_places_are_given_back(callers: Callers) -> None:
    """After some refusals nobody would be taken any more."""
    for _ in range(50):
        assert callers.as_many_as_fit("a") == 6
        while callers.held:
            callers.go(0)


def test_there_is_one_place_in_any_case() -> None:
    """A small server would refuse everything."""
    small = Callers(AdmissionLimits(2, 1, 1))
    assert small.as_many_as_fit("a") == 1


def test_a_refusal_says_when_to_come_back(callers: Callers) -> None:
    """Callers would all come back at once, and be refused again."""
    callers.as_many_as_fit("a")
    with pytest.raises(Overloaded) as caught:
        callers.come("a")
    assert 200 <= caught.value.retry_after_ms <= 10_000
    assert caught.value.reason == "OVERLOADED"


@PATIENT
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("come"), st.sampled_from("abc"), st.booleans()),
            st.tuples(st.just("go"), st.integers(0, 99), st.booleans()),
        ),
        max_size=120,
    )
)
def test_a_newcomer_always_finds_a_place(steps: list[tuple[str, object, bool]]) -> None:
    """Whoever comes late would never be served, as long as others keep sending."""
    callers = Callers()
    for what, who, started in steps:
        if what == "come":
            with contextlib.suppress(Overloaded):
                callers.come(str(who), started=started)
        elif callers.held:
            callers.go(int(str(who)) % len(callers.held))
        assert callers.admission.uploads == len(callers.held) <= 40
        assert 0 <= callers.admission.waiting <= 12
    callers.come("newcomer")
