"""The exception tree: one root, stable reasons, nothing secret in between."""

from __future__ import annotations

import re

import pytest

from hashmatch import errors
from hashmatch.errors import (
    NEVER_SENT,
    HashmatchError,
    Internal,
    InvalidField,
    MediaError,
    by_reason,
)
from hashmatch.model.verdicts import VerdictReason

CLASSES = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, HashmatchError)
]
LEAVES = [each for each in CLASSES if not each.__subclasses__()]
ON_THE_WIRE = [each for each in LEAVES if each not in NEVER_SENT]


def test_all_names_every_class() -> None:
    """A pipeline could not import an error that it has to catch."""
    assert {each.__name__ for each in CLASSES} | {"by_reason", "NEVER_SENT"} == set(errors.__all__)


@pytest.mark.parametrize("leaf", ON_THE_WIRE, ids=lambda leaf: leaf.__name__)
def test_reason_leads_back_to_its_class(leaf: type[HashmatchError]) -> None:
    """A client would raise another error than the one the server meant."""
    assert by_reason(leaf.reason) is leaf


def test_reasons_differ() -> None:
    """A program could not tell two errors apart by their reason."""
    reasons = [leaf.reason for leaf in ON_THE_WIRE]
    assert sorted(reasons) == sorted(set(reasons))
    assert all(re.fullmatch(r"[A-Z]+(_[A-Z]+)*", reason) for reason in reasons)


@pytest.mark.parametrize("reason", ["", "FROM_A_NEWER_SERVER", "MediaError", "internal"])
def test_unknown_reason_is_internal(reason: str) -> None:
    """An old client would crash on the reason of a newer server."""
    assert by_reason(reason) is Internal


def test_media_error_never_stands_for_internal() -> None:
    """A fault of the server would be rebuilt as a fault of the media, with other arguments."""
    assert by_reason("INTERNAL") is Internal


def test_docstring_draws_the_tree_as_it_is() -> None:
    """A reader of the module would look for a class or a reason that is not there."""
    drawn = {
        name: reason
        for name, reason in re.findall(r"── (\w+) +(\S.*)", errors.__doc__ or "")
        if name != "HashmatchError"
    }
    assert set(drawn) == {each.__name__ for each in CLASSES} - {"HashmatchError"}
    assert all(drawn[leaf.__name__] == leaf.reason for leaf in ON_THE_WIRE)


def test_metadata_travels_apart_from_the_message() -> None:
    """A client could not learn which resource or setting an error is about."""
    error = errors.BankExists("there is such a bank", name="swords")
    assert (str(error), error.metadata) == ("there is such a bank", {"name": "swords"})
    assert HashmatchError("no metadata").metadata == {}


def test_invalid_field_names_its_field_twice() -> None:
    """A person reads the message and a program the metadata; one of them would not know which."""
    error = InvalidField("bank.label", "it is empty; say what the bank holds")
    assert str(error) == "bank.label: it is empty; say what the bank holds"
    assert error.metadata == {"field": "bank.label"}


def test_media_error_carries_its_reason() -> None:
    """The verdict could not say why a media was not looked at in whole."""
    error = MediaError(VerdictReason.CORRUPT, "it cannot be read")
    assert (error.code, error.detail, str(error)) == (
        VerdictReason.CORRUPT,
        "it cannot be read",
        "it cannot be read",
    )


@pytest.mark.parametrize(
    "leaf", errors.Unavailable.__subclasses__(), ids=lambda leaf: leaf.__name__
)
def test_what_may_be_tried_again_says_when(leaf: type[errors.Unavailable]) -> None:
    """A client would try again at once, or never."""
    assert leaf("later").retry_after_ms > 0
