"""Records on their way out and back."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.errors import Internal
from hashmatch.model.records import (
    Bank,
    BlocklistChange,
    Checkpoint,
    Coverage,
    Entry,
    Evidence,
    MediaInfo,
    Reason,
    Screening,
)
from hashmatch.model.verdicts import ChangeType
from hashmatch.v1 import blocklist_service_pb2 as blocklist_pb
from hashmatch.v1 import common_pb2 as pb
from hashmatch.wire import records as wire
from tests.support import (
    BANKS,
    COVERAGE,
    ENTRIES,
    EVIDENCE,
    INSTANTS,
    MEDIA_INFO,
    PATIENT,
    REASONS,
    REFS,
    screenings,
)


def travelled(message: Any) -> Any:
    """The message as the other side reads it."""
    return type(message).FromString(message.SerializeToString())


@PATIENT
@given(screenings())
def test_a_screening_comes_back_as_it_went(screening: Screening) -> None:
    """A pipeline would act on a verdict, an evidence or a coverage that the server did not give."""
    message = travelled(wire.screening_to_wire(screening))
    assert wire.screening_from_wire(message) == screening


@PATIENT
@given(BANKS)
def test_a_bank_comes_back_as_it_went(bank: Bank) -> None:
    """A keeper would see another threshold than the one that is in use."""
    assert wire.bank_from_wire(travelled(wire.bank_to_wire(bank))) == bank


@PATIENT
@given(BANKS)
def test_a_banks_etag_travels(bank: Bank) -> None:
    """An edit with the etag that was read would be refused."""
    message = wire.bank_to_wire(bank)
    assert message.etag == bank.etag == wire.bank_from_wire(message).etag


@PATIENT
@given(
    told=st.one_of(
        st.builds(
            BlocklistChange,
            revision=st.integers(1, 2**60),
            type=st.sampled_from(ChangeType),
            time=INSTANTS,
            bank=st.none() | BANKS,
            entry=st.none(),
            resume_token=st.text(max_size=20),
        ),
        st.builds(
            BlocklistChange,
            revision=st.integers(1, 2**60),
            type=st.sampled_from(ChangeType),
            time=INSTANTS,
            bank=st.none(),
            entry=ENTRIES,
            resume_token=st.text(max_size=20),
        ),
        st.builds(
            Checkpoint,
            revision=st.integers(0, 2**60),
            time=INSTANTS,
            resume_token=st.text(max_size=20),
        ),
    )
)
def test_what_is_watched_comes_back_as_it_went(told: BlocklistChange | Checkpoint) -> None:
    """A copy of the blocklist would differ from it."""
    assert wire.watched_from_wire(travelled(wire.watched_to_wire(told))) == told


@PATIENT
@given(ENTRIES)
def test_an_entry_comes_back_as_it_went(entry: Entry) -> None:
    """A keeper would see another entry than the one that is stored."""
    assert wire.entry_from_wire(travelled(wire.entry_to_wire(entry))) == entry


@PATIENT
@given(EVIDENCE)
def test_evidence_comes_back_as_it_went(evidence: Evidence) -> None:
    """A reviewer would be shown the wrong seconds."""
    assert wire.evidence_from_wire(travelled(wire.evidence_to_wire(evidence))) == evidence


@PATIENT
@given(COVERAGE)
def test_coverage_comes_back_as_it_went(coverage: Coverage) -> None:
    """Two counts could change places unnoticed."""
    assert wire.coverage_from_wire(travelled(wire.coverage_to_wire(coverage))) == coverage


def test_coverage_of_an_older_server_promises_nothing() -> None:
    """Numbers that are not there would read as zero: as if every frame had been looked at."""
    old = pb.Coverage(complete=True, duration_content_ms=1000, frames_decoded=25)
    read = wire.coverage_from_wire(travelled(old))
    assert read == Coverage(complete=True, duration_content_ms=1000, frames_decoded=25)
    assert wire.coverage_to_wire(read) == old


@PATIENT
@given(MEDIA_INFO)
def test_media_comes_back_as_it_went(media: MediaInfo) -> None:
    """Width and height could change places unnoticed."""
    assert wire.media_from_wire(travelled(wire.media_to_wire(media))) == media


@PATIENT
@given(REASONS)
def test_a_reason_comes_back_as_it_went(reason: Reason) -> None:
    """The reason shown would not be the reason given."""
    assert wire.reason_from_wire(travelled(wire.reason_to_wire(reason))) == reason


@PATIENT
@given(REFS)
def test_an_entrys_name_comes_back_as_it_went(ref: Any) -> None:
    """A takedown request would name the wrong entry or bank."""
    assert wire.ref_from_wire(travelled(wire.ref_to_wire(ref))) == ref


@PATIENT
@given(screenings())
def test_no_field_of_a_screening_is_forgotten(screening: Screening) -> None:
    """A field that is in the proto and never filled says 'not known' of what is known."""
    message = wire.screening_to_wire(screening)
    filled = {field.name for field, _ in message.ListFields()}
    always = {"verdict", "reasons", "media", "coverage", "create_time", "judge_time", "judgement"}
    assert always <= filled
    assert ("evidence" in filled) == bool(screening.evidence)
    assert ("hash_versions" in filled) == bool(screening.hash_versions)


@PATIENT
@given(
    st.datetimes(
        datetime.datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
        datetime.datetime(9999, 12, 30),  # noqa: DTZ001
        timezones=st.timezones(),
        allow_imaginary=False,
    )
)
def test_an_instant_of_any_zone_is_the_same_instant(instant: datetime.datetime) -> None:
    """Screenings 'since noon' would begin hours off for a caller elsewhere."""
    assert wire.timestamp(instant).ToDatetime(datetime.UTC) == instant.astimezone(datetime.UTC)


NO_REASON = pb.Screening(verdict=pb.VERDICT_BLOCK, reasons=[pb.Reason(code=99)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parse", "message"),
    [
        (wire.screening_from_wire, pb.Screening(reasons=[pb.Reason(code=1)])),  # type: ignore[arg-type]
        (wire.screening_from_wire, pb.Screening(verdict=99)),  # type: ignore[arg-type]
        (wire.screening_from_wire, NO_REASON),
        (wire.evidence_from_wire, pb.Evidence(action=1, kind=77)),  # type: ignore[arg-type]
        (wire.bank_from_wire, blocklist_pb.Bank(action=9)),  # type: ignore[arg-type]
        (wire.entry_from_wire, blocklist_pb.Entry(state=9)),  # type: ignore[arg-type]
    ],
)
def test_a_value_of_a_newer_server_is_an_error_of_ours(parse: Any, message: Message) -> None:
    """A pipeline that catches HashmatchError would crash the day the server is updated."""
    with pytest.raises(Internal, match="does not know"):
        parse(message)
