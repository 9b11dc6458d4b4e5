"""Kinds of changes: what each does to the index, and what outside readers are told of it."""

from __future__ import annotations

import pytest

from hashmatch.model.changes import ChangeKind
from hashmatch.model.verdicts import ChangeType

BRINGS = {"entry_created", "entry_approved", "entries_created", "entries_approved"}
TAKES = {"entry_withdrawn", "entry_expired", "entries_withdrawn"}
QUARANTINES = {"entry_quarantined", "entry_released", "bank_archived"}


@pytest.mark.parametrize("kind", ChangeKind)
def test_what_a_change_does(kind: ChangeKind) -> None:
    """A server that follows would search an entry that was withdrawn, or miss one that came."""
    assert kind.value == kind.name.lower()
    assert kind.brings == (kind in BRINGS)
    assert kind.takes == (kind in TAKES)
    assert kind.affects_quarantine == (kind in TAKES | QUARANTINES)
    assert kind.is_of_many == kind.startswith("entries_")


def test_what_outside_readers_are_told() -> None:
    """A change would be told as another, or not at all."""
    told = {kind: kind.public_type for kind in ChangeKind}
    assert told.pop(ChangeKind.ENTRY_UNCHANGED) is None
    assert set(told.values()) == set(ChangeType)
    for kind, change_type in told.items():
        assert change_type is not None
        assert change_type.name == kind.name.replace("ENTRIES_", "ENTRY_")
