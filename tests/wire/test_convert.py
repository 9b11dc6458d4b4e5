"""What drives the translation of records, on records of its own."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from hashmatch.errors import Internal
from hashmatch.model.verdicts import Action, Kind
from hashmatch.v1 import blocklist_service_pb2 as blocklist_pb
from hashmatch.v1 import common_pb2 as pb
from hashmatch.wire import convert
from hashmatch.wire.convert import translation

NOON = datetime.datetime(2025, 1, 1, 12, tzinfo=datetime.UTC)


@dataclasses.dataclass(frozen=True)
class Reference:
    """All fields of `pb.EntryRef`, of which one is derived."""

    entry_id: str
    reference: str
    label: str
    bank_id: str

    @property
    def bank_name(self) -> str:
        """Sent, and not read."""
        return f"bank {self.bank_id}"


class NotYet(enum.IntEnum):
    """Fewer values than `pb.Action`: those of an older client."""

    REVIEW = 1


@dataclasses.dataclass(frozen=True)
class Short:
    """Of `pb.TimeRange`, the end alone."""

    end_ms: int


@dataclasses.dataclass(frozen=True)
class Long:
    """More than `pb.TimeRange` has."""

    start_ms: int
    end_ms: int
    pause_ms: int


@pytest.fixture(autouse=True)
def no_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test translates is forgotten after it."""
    monkeypatch.setattr(convert, "_WAYS", dict(convert._WAYS))


def test_a_property_is_sent_and_not_read() -> None:
    """An etag would be missing in every answer, or a client would have to compute it."""
    to_wire, from_wire = translation(Reference, pb.EntryRef)
    message = to_wire(Reference("ent_1", "case 7", "swords", "bnk_1"))
    assert message.bank_name == "bank bnk_1"
    message.bank_name = "another"
    assert from_wire(message) == Reference("ent_1", "case 7", "swords", "bnk_1")


def test_a_field_of_the_message_is_not_forgotten() -> None:
    """A field that is in the proto and never filled says 'not known' of what is known."""
    with pytest.raises(TypeError, match=r"^Short has nothing for TimeRange\.start_ms$"):
        translation(Short, pb.TimeRange)
    _, from_wire = translation(Short, pb.TimeRange, unread={"start_ms"})
    assert from_wire(pb.TimeRange(start_ms=3, end_ms=7)) == Short(7)


def test_a_field_of_the_record_is_not_forgotten() -> None:
    """A field that is in the record and never sent is lost without a word."""
    with pytest.raises(TypeError, match=r"^TimeRange has no pause_ms for Long$"):
        translation(Long, pb.TimeRange)


@dataclasses.dataclass(frozen=True)
class Bad:
    """A record within that lacks a field."""

    ref: Short


def test_a_record_within_another_is_not_forgotten_either() -> None:
    """Only the outer record would be whole."""
    unread = {each.name for each in blocklist_pb.Entry.DESCRIPTOR.fields} - {"ref"}
    with pytest.raises(TypeError, match="EntryRef has no end_ms for Short"):
        translation(Bad, blocklist_pb.Entry, unread=unread)


@dataclasses.dataclass(frozen=True)
class Found:
    """A part of `pb.Evidence`."""

    action: NotYet
    score: int | None
    kind: Kind = Kind.PDQ
    distance: int = 9


def test_what_is_absent_is_as_the_record_has_it() -> None:
    """A client would refuse the answers of a server that is older than itself."""
    unread = {each.name for each in pb.Evidence.DESCRIPTOR.fields}
    unread -= {each.name for each in dataclasses.fields(Found)}
    to_wire, from_wire = translation(Found, pb.Evidence, unread=unread)
    review = pb.Evidence(action=pb.ACTION_REVIEW)
    # `distance` has no presence: an absent one cannot be told from 0.
    assert from_wire(review) == Found(NotYet.REVIEW, None, Kind.PDQ, 0)
    assert not to_wire(Found(NotYet.REVIEW, None)).HasField("score")
    assert to_wire(Found(NotYet.REVIEW, 0)).HasField("score")
    assert from_wire(to_wire(Found(NotYet.REVIEW, 0))).score == 0
    for number in (pb.ACTION_UNSPECIFIED, int(Action.BLOCK)):
        review.action = number  # type: ignore[assignment]
        with pytest.raises(Internal, match=f"a NotYet {number}, which this client does not know"):
            from_wire(review)


@dataclasses.dataclass(frozen=True)
class Checked:
    """A record that may refuse."""

    start_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        """Raises ``ValueError``."""
        if self.end_ms < self.start_ms:
            raise ValueError("an end before its start")


def test_a_record_that_cannot_be_is_the_servers_fault() -> None:
    """A pipeline that catches HashmatchError would crash."""
    _, from_wire = translation(Checked, pb.TimeRange)
    with pytest.raises(Internal, match=r"^the server sent an end before its start$"):
        from_wire(pb.TimeRange(start_ms=1))


@dataclasses.dataclass(frozen=True)
class Listed:
    """A part of `pb.Screening`: all sorts of fields that are converted."""

    elapsed_ms: float
    create_time: datetime.datetime
    judge_time: datetime.datetime | None
    hash_versions: Mapping[Kind, str]


def test_values_go_as_their_types_say() -> None:
    """Milliseconds would be read as seconds, or a zone be lost."""
    unread = {each.name for each in pb.Screening.DESCRIPTOR.fields} - {
        "elapsed", "create_time", "judge_time", "hash_versions"
    }  # fmt: skip
    to_wire, from_wire = translation(
        Listed,
        pb.Screening,
        names={"elapsed_ms": "elapsed"},
        unread=unread,
    )
    sent = Listed(1500.25, NOON, None, {Kind.SHA256: "2", Kind.PDQ: "1"})
    message = to_wire(sent)
    assert message.elapsed == Duration(seconds=1, nanos=500_250_000)
    assert message.create_time == Timestamp(seconds=round(NOON.timestamp()))
    assert not message.HasField("judge_time")
    versions: list[Any] = [(each.kind, each.version) for each in message.hash_versions]
    assert versions == [(Kind.PDQ, "1"), (Kind.SHA256, "2")]
    assert from_wire(message) == sent


def test_another_zone_is_the_same_instant() -> None:
    """A hash would be listed hours after it was."""
    zone = datetime.timezone(datetime.timedelta(hours=7))
    to_wire, from_wire = translation(When, blocklist_pb.Checkpoint)
    message = to_wire(When(1, NOON.astimezone(zone)))
    assert message.time == Timestamp(seconds=round(NOON.timestamp()))
    assert from_wire(message).time.tzinfo is datetime.UTC


@dataclasses.dataclass(frozen=True)
class When:
    """All of `blocklist_pb.Checkpoint`."""

    revision: int
    time: datetime.datetime
