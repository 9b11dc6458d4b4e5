"""Exported entries on their way from the server to the client."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.errors import Internal
from hashmatch.model.exports import Hash
from hashmatch.model.records import Entry
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind
from hashmatch.usecases.exports import EntryPart
from hashmatch.v1 import blocklist_service_pb2 as pb
from hashmatch.v1 import common_pb2
from hashmatch.wire.exports import exported_from_wire, exported_to_wire
from hashmatch.wire.signals import signals_from_wire
from tests.support import ENTRIES, PATIENT, any_signals, same_signals


@PATIENT
@given(ENTRIES, any_signals(), st.booleans())
def test_hashes_come_as_they_went(entry: Entry, signals: Signals, continues: bool) -> None:
    """A partner would get another hash, or one of another second."""
    [message] = exported_to_wire([EntryPart(entry, [signals], continues, "on")]).entries
    assert same_signals(signals_from_wire(message.signals), [signals])
    read = exported_from_wire(pb.ExportedEntry.FromString(message.SerializeToString()))
    assert (read.entry, read.continues, read.resume_token) == (entry, continues, "on")
    columns: list[Any] = [
        [each.tobytes() for each in signals.digests],
        signals.quality.tolist(),
        signals.pts_ms.tolist(),
        signals.view.tolist(),
    ]
    expected = [Hash(signals.kind, *each) for each in zip(*columns, strict=True)]
    assert list(read.hashes) == expected


@PATIENT
@given(ENTRIES)
def test_columns_that_say_nothing_are_left_out(entry: Entry) -> None:
    """Of a million hashes of images each would take three times the room."""
    of_file = Signals.of_file(Kind.MD5, bytes(16))
    [message] = exported_to_wire([EntryPart(entry, [of_file], False, "")]).entries
    assert {field.name for field, _ in message.signals[0].ListFields()} == {"kind", "digests"}


@pytest.mark.parametrize(
    "crafted",
    [
        common_pb2.Signals(kind=common_pb2.KIND_PDQ, digests=bytes(33)),
        common_pb2.Signals(kind=common_pb2.KIND_PDQ, digests=bytes(64), quality=b"d"),
        common_pb2.Signals(kind=common_pb2.KIND_PDQ, digests=bytes(32), pts_ms=[1, 2]),
        common_pb2.Signals(kind=common_pb2.KIND_PDQ, digests=bytes(32), views=[common_pb2.View()]),
        common_pb2.Signals(digests=bytes(32)),
    ],
)
def test_what_does_not_fit_together_is_the_servers_fault(crafted: common_pb2.Signals) -> None:
    """Something would be exported that nobody listed."""
    message = pb.ExportedEntry(signals=[crafted])
    message.entry.ref.entry_id = "ent_1"
    with pytest.raises(Internal):
        exported_from_wire(message)
