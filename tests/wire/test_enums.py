"""Enumerations on their way in and out."""

from __future__ import annotations

import enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.errors import InvalidField
from hashmatch.model import verdicts
from hashmatch.v1 import common_pb2
from hashmatch.wire.enums import from_wire, optional_from_wire, to_wire
from tests.support import PATIENT

ENUMS: list[type[enum.IntEnum]] = [getattr(verdicts, name) for name in verdicts.__all__]


@PATIENT
@given(st.sampled_from([member for cls in ENUMS for member in cls]))
def test_members_come_back_as_they_went(member: enum.IntEnum) -> None:
    """A BLOCK could arrive as something else."""
    assert from_wire(type(member), to_wire(member), "field") is member
    assert optional_from_wire(type(member), to_wire(member), "field") is member


@PATIENT
@given(st.sampled_from(ENUMS), st.integers(-(2**31), 2**31 - 1))
def test_numbers_that_mean_nothing_are_refused(cls: type[enum.IntEnum], number: int) -> None:
    """A request with a value of the future would be taken for some other value."""
    if number in set(cls):
        return
    with pytest.raises(InvalidField) as caught:
        from_wire(cls, number, "some.field")
    assert caught.value.metadata == {"field": "some.field"}
    for member in cls:
        assert member.name in str(caught.value)


def test_unspecified_is_no_value() -> None:
    """A bank made without an action would get one that nobody chose."""
    with pytest.raises(InvalidField, match=r"^action: is not given; one of REVIEW, BLOCK"):
        from_wire(verdicts.Action, common_pb2.ACTION_UNSPECIFIED, "action")


def test_unspecified_filters_nothing() -> None:
    """A list without a filter would be refused, or empty."""
    assert optional_from_wire(verdicts.Verdict, common_pb2.VERDICT_UNSPECIFIED, "verdict") is None


def test_a_filter_of_no_meaning_is_refused() -> None:
    """A list filtered by a wrong number would silently hold everything."""
    with pytest.raises(InvalidField, match="has no value 99"):
        optional_from_wire(verdicts.Verdict, 99, "verdict")
