"""Ids: their form, their order, and that two never meet."""

from __future__ import annotations

import functools
import secrets
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmatch.model import ids

PREFIXES = (ids.BANK, ids.ENTRY, ids.SCREENING)
# Crockford's: no letter that is taken for another.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def value_of(text: str) -> int:
    """The number that an id writes."""
    value = 0
    for letter in text[4:]:
        value = value * 32 + ALPHABET.index(letter)
    return value


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_id_is_one_of_its_own_sort_only(prefix: str) -> None:
    """The id of a bank would be looked up among the entries, and its error would mislead."""
    made = ids.new_id(prefix)
    assert [ids.is_id(each, made) for each in PREFIXES] == [each == prefix for each in PREFIXES]
    assert len(made) == 30


def test_an_id_holds_the_millisecond_it_was_made_in() -> None:
    """Lists ordered by id would not be in the order of time."""
    before = time.time_ns() // 1_000_000
    stamp = value_of(ids.new_id(ids.BANK)) >> 80
    assert before <= stamp <= time.time_ns() // 1_000_000


@pytest.mark.parametrize("count", [0, 1, 2, 5000])
def test_many_at_once_are_like_those_made_alone(count: int) -> None:
    """Entries of an imported list could not be looked up, or two of them be taken for one."""
    before = time.time_ns() // 1_000_000
    made = ids.new_ids(ids.ENTRY, count)
    assert len(set(made)) == count
    assert all(ids.is_id(ids.ENTRY, each) for each in made)
    stamps = {value_of(each) >> 80 for each in made}
    assert all(before <= stamp <= time.time_ns() // 1_000_000 for stamp in stamps)
    if count == 5000:  # All bits of chance are used.
        chance = [value_of(each) & (1 << 80) - 1 for each in made]
        assert functools.reduce(int.__or__, chance) == (1 << 80) - 1
        assert functools.reduce(int.__and__, chance) == 0


def test_one_of_many_is_written_as_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise."""
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_123_456_789)
    monkeypatch.setattr(secrets, "token_bytes", lambda count: bytes(range(1, count + 1)))
    monkeypatch.setattr(secrets, "randbits", lambda _: int.from_bytes(bytes(range(1, 11)), "big"))
    assert ids.new_ids(ids.BANK, 1) == [ids.new_id(ids.BANK)]


def test_ids_of_later_milliseconds_sort_later() -> None:
    """A page of screenings would show older ones before newer ones."""
    made = []
    for _ in range(5):
        made.append(ids.new_id(ids.SCREENING))
        time.sleep(0.002)
    assert made == sorted(made)


def test_ids_of_one_millisecond_differ() -> None:
    """Two uploads of one moment would overwrite each other's screening."""
    made = [ids.new_id(ids.SCREENING) for _ in range(5000)]
    assert len(set(made)) == 5000
    # All 80 bits of chance are used: each is set in some ids and not in others.
    chance = [value_of(each) & (1 << 80) - 1 for each in made]
    always, ever = (1 << 80) - 1, 0
    for bits in chance:
        always, ever = always & bits, ever | bits
    assert (always, ever) == (0, (1 << 80) - 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bnk_",
        "bnk_" + "0" * 25,
        "bnk_" + "0" * 27,
        "bnk_" + "0" * 25 + "u",
        "bnk_" + "0" * 25 + "A",
        "bnk_" + "0" * 26 + "\n",
        " bnk_" + "0" * 26,
        "xxx_" + "0" * 26,
        "bnk_" + "0" * 25 + "٣",  # A digit, but none of ours.
    ],
)
def test_what_is_almost_an_id_is_none(text: str) -> None:
    """A mistyped id would reach the store instead of being refused with its field's name."""
    assert not ids.is_id(ids.BANK, text)
    assert not ids.is_id(text[:4], text)


@given(st.text())
@settings(deadline=None)
def test_no_text_makes_the_check_fail(text: str) -> None:
    """A strange id in a request would end as an internal error."""
    assert not ids.is_id(ids.ENTRY, text)
