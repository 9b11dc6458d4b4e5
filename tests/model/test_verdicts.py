"""The enumerations: numbers that are stored and sent, and what hangs on a kind."""

from __future__ import annotations

import enum
import hashlib

import pytest

from hashmatch.model import verdicts
from hashmatch.model.verdicts import Kind, Part, Turn


@pytest.mark.parametrize("name", verdicts.__all__)
def test_zero_is_left_to_unspecified(name: str) -> None:
    """A field that was never set would be read as a real value."""
    words: type[enum.IntEnum] = getattr(verdicts, name)
    numbers = [int(each) for each in words]
    assert min(numbers) >= 1
    assert len(set(numbers)) == len(words.__members__), "two names of one number"


@pytest.mark.parametrize("kind", [Kind.SHA256, Kind.SHA1, Kind.MD5])
def test_width_of_an_exact_kind_is_its_algorithms(kind: Kind) -> None:
    """A digest of a file would be refused, or cut off."""
    assert kind.exact
    assert kind.width == hashlib.new(kind.name.lower(), usedforsecurity=False).digest_size
    assert kind.largest_threshold == 0


@pytest.mark.parametrize(("kind", "bits"), [(Kind.PDQ, 256), (Kind.PHASH, 64)])
def test_threshold_stays_below_a_quarter_of_the_bits(kind: Kind, bits: int) -> None:
    """A bank could be set to accuse uploads at random."""
    assert not kind.exact
    assert kind.width * 8 == bits
    assert kind.largest_threshold == bits // 4 - 1


def test_every_kind_has_all_properties() -> None:
    """A kind that was added would fail at the first upload only."""
    for kind in Kind:
        assert kind.width > 0
        assert 0 <= kind.largest_threshold < kind.width * 8


def test_views_fit_a_byte() -> None:
    """A part or turn that was added would overflow the byte that a view is stored in."""
    assert max(Part) <= 31
    assert [int(turn) for turn in Turn] == list(range(1, 9))
