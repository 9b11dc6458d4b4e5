"""Records on their way out and back."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import importlib
import pkgutil
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from hashmatch import model
from hashmatch.errors import Internal
from hashmatch.model.callers import Caller, KnownCaller
from hashmatch.model.cases import Case
from hashmatch.model.exports import ExportedEntry
from hashmatch.model.imports import Import
from hashmatch.model.previews import Preview
from hashmatch.model.records import (
    AuditRow,
    Bank,
    BankPolicy,
    BlocklistChange,
    Checkpoint,
    Coverage,
    Entry,
    Provenance,
    Screening,
)
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Activation, ChangeType
from hashmatch.v1 import access_service_pb2 as access_pb
from hashmatch.v1 import blocklist_service_pb2 as blocklist_pb
from hashmatch.v1 import common_pb2 as pb
from hashmatch.v1 import review_service_pb2 as review_pb
from hashmatch.wire import records as wire
from tests.support import (
    BANKS,
    COVERAGE,
    ENTRIES,
    INSTANTS,
    PATIENT,
    screenings,
)

MODULES: Final = (pb, blocklist_pb, access_pb, review_pb)


def travelled(message: Any) -> Any:
    """The message as the other side reads it."""
    return type(message).FromString(message.SerializeToString())


@functools.cache
def anything(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a type; of a record, with all fields that it has."""
    container, arguments = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        return st.one_of([anything(each) for each in arguments])
    if container is tuple:
        return st.lists(anything(arguments[0]), max_size=2).map(tuple)
    if container is frozenset:
        return st.frozensets(anything(arguments[0]), max_size=3)
    if container is Mapping:
        return st.dictionaries(*map(anything, arguments), max_size=3)
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return st.builds(
            typing.cast(type, hint), **{name: anything(each) for name, each in hints.items()}
        )
    if issubclass(hint, enum.IntEnum):
        return st.sampled_from(hint)
    return {
        types.NoneType: st.none(),
        bool: st.booleans(),
        bytes: st.binary(max_size=4),
        datetime.datetime: INSTANTS,
        int: st.integers(0, 2**31 - 1),
        str: st.text(max_size=4),
    }[hint]


RECORDS: dict[type, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    AuditRow: (wire.audit_row_to_wire, wire.audit_row_from_wire),
    Bank: (wire.bank_to_wire, wire.bank_from_wire),
    BankPolicy: (wire.policy_to_wire, wire.policy_from_wire),
    Caller: (wire.self_to_wire, wire.caller_from_wire),
    Case: (wire.case_to_wire, wire.case_from_wire),
    Checkpoint: (wire.watched_to_wire, wire.watched_from_wire),
    Coverage: (wire.coverage_to_wire, wire.coverage_from_wire),
    Entry: (wire.entry_to_wire, wire.entry_from_wire),
    Import: (wire.import_to_wire, wire.import_from_wire),
    KnownCaller: (wire.known_caller_to_wire, wire.known_caller_from_wire),
    Preview: (wire.preview_to_wire, wire.preview_from_wire),
    Provenance: (wire.provenance_to_wire, wire.provenance_from_wire),
}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
@PATIENT
@given(st.data())
def test_a_record_comes_back_as_it_went(record: type, data: st.DataObject) -> None:
    """A field would be lost on the way, or change places with another."""
    sent = data.draw(anything(record))
    to_wire, from_wire = RECORDS[record]
    assert from_wire(travelled(to_wire(sent))) == sent


def test_every_record_that_has_a_message_comes_back() -> None:
    """A new record would be translated by code that no test has seen."""

    def parts(hint: Any) -> set[Any]:
        hints = typing.get_type_hints(hint) if dataclasses.is_dataclass(hint) else {}
        inner = [*typing.get_args(hint), *hints.values()]
        return {hint}.union(*map(parts, inner))

    tested = set().union(*map(parts, [*RECORDS, Screening, BlocklistChange]))
    by_hand = {Signals, ExportedEntry}  # See test_signals and test_exports.
    for module in pkgutil.iter_modules(model.__path__, "hashmatch.model."):
        for name, record in vars(importlib.import_module(module.name)).items():
            if dataclasses.is_dataclass(record):
                message = any(hasattr(each, name) for each in MODULES)
                assert not message or record in tested | by_hand, name


@PATIENT
@given(screenings())
def test_a_screening_comes_back_as_it_went(screening: Screening) -> None:
    """A pipeline would act on a verdict, an evidence or a coverage that the server did not give."""
    message = travelled(wire.screening_to_wire(screening))
    assert wire.screening_from_wire(message) == screening


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


def test_what_an_older_server_does_not_send_is_as_the_record_has_it() -> None:
    """A client would refuse the answers of every server that is older than itself."""
    assert wire.policy_from_wire(blocklist_pb.BankPolicy()) == BankPolicy()
    assert wire.provenance_from_wire(blocklist_pb.Provenance()) == Provenance()


def test_a_bank_of_two_persons_is_never_taken_for_one_of_one() -> None:
    """Somebody would add what comes into use at once, and believe that another looks at it."""
    message = blocklist_pb.Bank(action=1, state=1)  # type: ignore[arg-type]
    with pytest.raises(Internal, match="Activation 0"):
        wire.bank_from_wire(message)
    message.activation = Activation.TWO_PERSON  # type: ignore[assignment]
    assert wire.bank_from_wire(message).activation is Activation.TWO_PERSON


def test_an_instant_that_is_none_is_an_error_of_ours() -> None:
    """A crafted answer would end a client with an exception that it does not know."""
    message = blocklist_pb.Entry(state=1)  # type: ignore[arg-type]
    message.create_time.nanos = -1
    with pytest.raises(Internal, match=r"^the server sent an invalid timestamp$"):
        wire.entry_from_wire(message)


def test_a_verdict_without_evidence_is_an_error_of_ours() -> None:
    """A BLOCK that nobody can check would be shown, or end the client."""
    reasons = [pb.Reason(code=1)]  # type: ignore[arg-type]
    message = pb.Screening(verdict=pb.VERDICT_BLOCK, reasons=reasons)
    with pytest.raises(Internal, match="the server sent a BLOCK verdict with 1 reasons and 0"):
        wire.screening_from_wire(message)


def test_a_caller_of_no_bank_is_not_one_of_all() -> None:
    """A caller that may touch nothing would be shown as one that may touch all, or the reverse."""
    none, all_banks = access_pb.Caller(), access_pb.Caller(all_banks=True)
    assert wire.caller_from_wire(none).banks == frozenset()
    assert wire.caller_from_wire(all_banks).banks is None


NO_REASON = pb.Screening(verdict=pb.VERDICT_BLOCK, reasons=[pb.Reason(code=99)])  # type: ignore[arg-type]

STRANGE_KIND = pb.Screening(verdict=pb.VERDICT_BLOCK)
STRANGE_KIND.evidence.add(action=1, kind=77)


@pytest.mark.parametrize(
    ("parse", "message"),
    [
        (wire.screening_from_wire, pb.Screening(reasons=[pb.Reason(code=1)])),  # type: ignore[arg-type]
        (wire.screening_from_wire, pb.Screening(verdict=99)),  # type: ignore[arg-type]
        (wire.screening_from_wire, NO_REASON),
        (wire.screening_from_wire, STRANGE_KIND),
        (wire.bank_from_wire, blocklist_pb.Bank(action=9)),  # type: ignore[arg-type]
        (wire.entry_from_wire, blocklist_pb.Entry(state=9)),  # type: ignore[arg-type]
    ],
)
def test_a_value_of_a_newer_server_is_an_error_of_ours(parse: Any, message: Message) -> None:
    """A pipeline that catches HashmatchError would crash the day the server is updated."""
    with pytest.raises(Internal, match="does not know"):
        parse(message)
