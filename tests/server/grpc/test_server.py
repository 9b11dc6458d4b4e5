"""The gRPC doors, knocked at from outside."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
import sqlalchemy as sa
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmatch.decoding.sandbox import Sandbox
from hashmatch.decoding.spool import SpoolBudget
from hashmatch.server.grpc.screening_service import MAX_IMAGE_BYTES
from hashmatch.server.grpc.server import Server
from hashmatch.v1 import blocklist_service_pb2 as blocklist_pb
from hashmatch.v1 import blocklist_service_pb2_grpc as blocklist_grpc
from hashmatch.v1 import common_pb2 as pb
from hashmatch.v1 import screening_service_pb2 as screening_pb
from hashmatch.v1 import screening_service_pb2_grpc as screening_grpc
from hashmatch.wire.signals import signals_to_wire
from tests.support import (
    PATIENT,
    Parts,
    clip,
    digests,
    image,
    new_id,
    signals,
    spool_budget,
    workers,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICES = ("hashmatch.v1.ScreeningService", "hashmatch.v1.BlocklistService")
LONG = "x" * 100_000
NO_ID = "ent_00000000000000000000000000"

CLIP = clip([1, 2, 3, 4])


class Door:
    """A server in this process, and its stubs."""

    def __init__(self, server: Server, parts: Parts, address: str) -> None:
        self.server = server
        self.parts = parts
        self.address = address
        self.channel = aio.insecure_channel(address)
        self.screening: Any = screening_grpc.ScreeningServiceStub(self.channel)
        self.blocklist: Any = blocklist_grpc.BlocklistServiceStub(self.channel)

    @classmethod
    async def opened(
        cls, folder: Path, sandbox: Sandbox, budget: SpoolBudget | None = None
    ) -> Door:
        """A server that serves."""
        parts = await Parts.make(folder, sandbox, budget=budget)
        server = parts.server()
        address = await server.start("127.0.0.1:0")
        await server.serve(ready=True)
        return cls(server, parts, address)

    async def close(self) -> None:
        """Stops it."""
        await self.channel.close()
        await self.server.stop(0)
        self.parts.database.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    """One worker, so that one that is not given back is missed at once."""
    async with workers(1) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> AsyncIterator[Door]:
    """A server for all tests that change little. It has a bank ``listed`` of one entry."""
    made = await Door.opened(tmp_path_factory.mktemp("door"), sandbox)
    await made.blocklist.CreateBank(
        blocklist_pb.CreateBankRequest(request_id=new_id(), name="listed", action=pb.ACTION_BLOCK)
    )
    await made.blocklist.CreateEntryFromSignals(
        blocklist_pb.CreateEntryFromSignalsRequest(
            request_id=new_id(), bank="listed", signals=[signals_to_wire(signals(99))]
        )
    )
    yield made
    await made.close()


def upload(*chunks: bytes, **header: Any) -> list[screening_pb.ScreenUploadRequest]:
    """The messages of an upload."""
    header = {"request_id": new_id(), **header}
    first = screening_pb.ScreenUploadRequest(header=screening_pb.ScreenUploadHeader(**header))
    return [first, *(screening_pb.ScreenUploadRequest(chunk=chunk) for chunk in chunks)]


class Refusal:
    """An error as a caller in any language sees it."""

    def __init__(self, error: aio.AioRpcError) -> None:
        self.code = error.code()
        self.message = error.details()
        trailing = dict(error.trailing_metadata() or ())
        self.status = status_pb2.Status.FromString(bytes(trailing["grpc-status-details-bin"]))
        self.info, self.retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        self.has_retry = False
        for detail in self.status.details:
            detail.Unpack(self.info)
            self.has_retry = detail.Unpack(self.retry) or self.has_retry

    @property
    def reason(self) -> str:
        """Its reason."""
        return str(self.info.reason)


async def refused(call: Any) -> Refusal:
    """The error of a call; that it fails at all is half of each test below."""
    with pytest.raises(aio.AioRpcError) as caught:
        async with asyncio.timeout(30):
            await call
    refusal = Refusal(caught.value)
    assert refusal.info.domain == "hashmatch"
    assert refusal.status.code == refusal.code.value[0]
    assert refusal.status.message == refusal.message
    assert refusal.has_retry == (
        refusal.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
    )
    return refusal


# What is wrong with a request

INVALID = grpc.StatusCode.INVALID_ARGUMENT
MISSING = grpc.StatusCode.NOT_FOUND
EXISTS = grpc.StatusCode.ALREADY_EXISTS
ABORTED = grpc.StatusCode.ABORTED
BEYOND = grpc.StatusCode.OUT_OF_RANGE
UNFIT = grpc.StatusCode.FAILED_PRECONDITION

SIGNALS = [signals_to_wire(signals(1))]


def _bank(**given: Any) -> blocklist_pb.CreateBankRequest:
    return blocklist_pb.CreateBankRequest(
        **{"request_id": new_id(), "name": "new", "action": pb.ACTION_BLOCK, **given}
    )


def _entry(**given: Any) -> blocklist_pb.CreateEntryFromSignalsRequest:
    return blocklist_pb.CreateEntryFromSignalsRequest(
        **{"request_id": new_id(), "bank": "listed", "signals": SIGNALS, **given}
    )


def _update(**given: Any) -> blocklist_pb.UpdateBankRequest:
    return blocklist_pb.UpdateBankRequest(**{"request_id": new_id(), "bank": "listed", **given})


def _kinds(*kinds: tuple[int, int]) -> list[blocklist_pb.KindThreshold]:
    return [
        blocklist_pb.KindThreshold(kind=kind, max_distance=most)  # type: ignore[arg-type]
        for kind, most in kinds
    ]


WRONG: list[tuple[str, Message, grpc.StatusCode, str, str]] = [
    ("CreateBank", _bank(name=""), INVALID, "INVALID_FIELD", "name"),
    ("CreateBank", _bank(name=LONG), INVALID, "INVALID_FIELD", "name"),
    ("CreateBank", _bank(label=LONG), INVALID, "INVALID_FIELD", "label"),
    ("CreateBank", _bank(label="\x1b[2J"), INVALID, "INVALID_FIELD", "label"),
    ("CreateBank", _bank(action=0), INVALID, "INVALID_FIELD", "action"),
    ("CreateBank", _bank(action=77), INVALID, "INVALID_FIELD", "action"),
    ("CreateBank", _bank(kinds=_kinds((1, 64))), INVALID, "INVALID_FIELD", "kinds"),
    ("CreateBank", _bank(kinds=_kinds((3, 1))), INVALID, "INVALID_FIELD", "kinds"),
    ("CreateBank", _bank(kinds=_kinds((1, 2**32 - 1))), INVALID, "INVALID_FIELD", "kinds"),
    ("CreateBank", _bank(kinds=_kinds((1, 1), (1, 2))), INVALID, "INVALID_FIELD", "kinds"),
    ("CreateBank", _bank(kinds=_kinds((0, 1))), INVALID, "INVALID_FIELD", "kinds.kind"),
    ("CreateBank", _bank(name="listed"), EXISTS, "BANK_EXISTS", ""),
    ("GetBank", blocklist_pb.GetBankRequest(), INVALID, "INVALID_FIELD", "bank"),
    ("GetBank", blocklist_pb.GetBankRequest(bank=LONG), INVALID, "INVALID_FIELD", "bank"),
    ("GetBank", blocklist_pb.GetBankRequest(bank="none"), MISSING, "BANK_NOT_FOUND", ""),
    ("GetBank", blocklist_pb.GetBankRequest(bank="a'\"b"), MISSING, "BANK_NOT_FOUND", ""),
    ("GetBank", blocklist_pb.GetBankRequest(bank="a\0b"), INVALID, "INVALID_FIELD", "bank"),
    (
        "ListBanks",
        blocklist_pb.ListBanksRequest(page_size=-1),
        INVALID,
        "INVALID_FIELD",
        "page_size",
    ),
    (
        "ListBanks",
        blocklist_pb.ListBanksRequest(page_size=1001),
        INVALID,
        "INVALID_FIELD",
        "page_size",
    ),
    (
        "ListBanks",
        blocklist_pb.ListBanksRequest(page_token="x"),
        INVALID,
        "INVALID_FIELD",
        "page_token",
    ),
    (
        "ListBanks",
        blocklist_pb.ListBanksRequest(page_token=LONG),
        INVALID,
        "INVALID_FIELD",
        "page_token",
    ),
    ("ListBanks", blocklist_pb.ListBanksRequest(state=9), INVALID, "INVALID_FIELD", "state"),  # type: ignore[arg-type]
    ("UpdateBank", _update(bank=""), INVALID, "INVALID_FIELD", "bank"),
    ("UpdateBank", _update(bank="none"), MISSING, "BANK_NOT_FOUND", ""),
    ("UpdateBank", _update(name=""), INVALID, "INVALID_FIELD", "name"),
    ("UpdateBank", _update(label=LONG), INVALID, "INVALID_FIELD", "label"),
    ("UpdateBank", _update(action=9), INVALID, "INVALID_FIELD", "action"),
    ("UpdateBank", _update(kinds=_kinds((2, 16))), INVALID, "INVALID_FIELD", "kinds"),
    ("UpdateBank", _update(etag="0"), ABORTED, "ETAG_MISMATCH", ""),
    ("UpdateBank", _update(etag=LONG), ABORTED, "ETAG_MISMATCH", ""),
    (
        "ArchiveBank",
        blocklist_pb.ArchiveBankRequest(request_id=new_id(), bank="none"),
        MISSING,
        "BANK_NOT_FOUND",
        "",
    ),
    (
        "ArchiveBank",
        blocklist_pb.ArchiveBankRequest(request_id=new_id(), bank="listed", etag="0"),
        ABORTED,
        "ETAG_MISMATCH",
        "",
    ),
    ("CreateEntryFromSignals", _entry(bank=""), INVALID, "INVALID_FIELD", "bank"),
    ("CreateEntryFromSignals", _entry(bank="none"), MISSING, "BANK_NOT_FOUND", ""),
    ("CreateEntryFromSignals", _entry(signals=[]), INVALID, "INVALID_FIELD", "signals"),
    (
        "CreateEntryFromSignals",
        _entry(signals=[pb.Signals(kind=pb.KIND_PDQ, digests=b"x")]),
        INVALID,
        "INVALID_FIELD",
        "signals[0].digests",
    ),
    ("CreateEntryFromSignals", _entry(reference=LONG), INVALID, "INVALID_FIELD", "reference"),
    ("CreateEntryFromSignals", _entry(reference="a\nb"), INVALID, "INVALID_FIELD", "reference"),
    ("CreateEntryFromSignals", _entry(label=LONG), INVALID, "INVALID_FIELD", "label"),
    (
        "CreateEntryFromSignals",
        _entry(signals=[signals_to_wire(signals(1, 1, signals(1).kind.PHASH))]),
        UNFIT,
        "MEDIA_UNUSABLE",
        "",
    ),
    ("GetEntry", blocklist_pb.GetEntryRequest(), INVALID, "INVALID_FIELD", "entry_id"),
    ("GetEntry", blocklist_pb.GetEntryRequest(entry_id=LONG), INVALID, "INVALID_FIELD", "entry_id"),
    ("GetEntry", blocklist_pb.GetEntryRequest(entry_id=NO_ID), MISSING, "ENTRY_NOT_FOUND", ""),
    ("ListEntries", blocklist_pb.ListEntriesRequest(bank="none"), MISSING, "BANK_NOT_FOUND", ""),
    ("ListEntries", blocklist_pb.ListEntriesRequest(bank=LONG), INVALID, "INVALID_FIELD", "bank"),
    ("ListEntries", blocklist_pb.ListEntriesRequest(state=9), INVALID, "INVALID_FIELD", "state"),  # type: ignore[arg-type]
    (
        "WithdrawEntry",
        blocklist_pb.WithdrawEntryRequest(request_id=new_id(), entry_id=NO_ID),
        MISSING,
        "ENTRY_NOT_FOUND",
        "",
    ),
    (
        "ScreenImage",
        screening_pb.ScreenImageRequest(request_id=new_id(), image=bytes(MAX_IMAGE_BYTES + 1)),
        INVALID,
        "INVALID_FIELD",
        "image",
    ),
    (
        "ScreenSignals",
        screening_pb.ScreenSignalsRequest(request_id=new_id()),
        INVALID,
        "INVALID_FIELD",
        "signals",
    ),
    (
        "ScreenSignals",
        screening_pb.ScreenSignalsRequest(request_id=new_id(), signals=SIGNALS, duration_ms=-1),
        INVALID,
        "INVALID_FIELD",
        "duration_ms",
    ),
    (
        "ScreenSignals",
        screening_pb.ScreenSignalsRequest(request_id=new_id(), signals=SIGNALS, duration_ms=2**62),
        INVALID,
        "INVALID_FIELD",
        "duration_ms",
    ),
    ("GetScreening", screening_pb.GetScreeningRequest(), INVALID, "INVALID_FIELD", "screening_id"),
    (
        "GetScreening",
        screening_pb.GetScreeningRequest(screening_id="scr_x"),
        MISSING,
        "SCREENING_NOT_FOUND",
        "",
    ),
    (
        "ConfirmScreening",
        screening_pb.ConfirmScreeningRequest(request_id=new_id(), screening_id="scr_x"),
        MISSING,
        "SCREENING_NOT_FOUND",
        "",
    ),
    (
        "ListScreenings",
        screening_pb.ListScreeningsRequest(verdict=9),  # type: ignore[arg-type]
        INVALID,
        "INVALID_FIELD",
        "verdict",
    ),
    (
        "ListScreenings",
        screening_pb.ListScreeningsRequest(created_since={"seconds": 2**62}),  # type: ignore[arg-type]
        INVALID,
        "INVALID_FIELD",
        "created_since",
    ),
    (
        "ListScreenings",
        screening_pb.ListScreeningsRequest(created_since={"nanos": -1}),  # type: ignore[arg-type]
        INVALID,
        "INVALID_FIELD",
        "created_since",
    ),
]


def method_of(door: Door, name: str) -> Any:
    """A method of either service."""
    return getattr(door.screening, name, None) or getattr(door.blocklist, name)


@pytest.mark.parametrize(
    ("method", "request_", "code", "reason", "field"),
    WRONG,
    ids=[f"{method}-{reason}-{field}" for method, _, _, reason, field in WRONG],
)
async def test_a_wrong_request_is_told_what_is_wrong(
    door: Door, method: str, request_: Message, code: grpc.StatusCode, reason: str, field: str
) -> None:
    """Whoever writes a client would have to guess, and a program could not react."""
    before = door.parts.blocklist_store.revision()
    refusal = await refused(method_of(door, method)(request_))
    assert (refusal.code, refusal.reason) == (code, reason)
    if field:
        assert dict(refusal.info.metadata) == {"field": field}
        assert refusal.message is not None
        assert refusal.message.startswith(f"{field}: ")
    assert len(refusal.message or "") < 500
    assert door.parts.blocklist_store.revision() == before


CHANGING: list[tuple[str, Callable[[str], Any]]] = [
    ("CreateBank", lambda id_: _bank(request_id=id_)),
    ("UpdateBank", lambda id_: _update(request_id=id_)),
    ("ArchiveBank", lambda id_: blocklist_pb.ArchiveBankRequest(request_id=id_, bank="listed")),
    ("CreateEntryFromSignals", lambda id_: _entry(request_id=id_)),
    (
        "CreateEntryFromMedia",
        lambda id_: [
            blocklist_pb.CreateEntryFromMediaRequest(
                header=blocklist_pb.CreateEntryFromMediaHeader(request_id=id_, bank="listed")
            )
        ],
    ),
    (
        "WithdrawEntry",
        lambda id_: blocklist_pb.WithdrawEntryRequest(request_id=id_, entry_id=NO_ID),
    ),
    ("ScreenUpload", lambda id_: upload(b"x", request_id=id_)),
    ("ScreenImage", lambda id_: screening_pb.ScreenImageRequest(request_id=id_, image=b"x")),
    (
        "ScreenSignals",
        lambda id_: screening_pb.ScreenSignalsRequest(request_id=id_, signals=SIGNALS),
    ),
    (
        "ConfirmScreening",
        lambda id_: screening_pb.ConfirmScreeningRequest(request_id=id_, screening_id="scr_x"),
    ),
]


@pytest.mark.parametrize(("method", "make"), CHANGING, ids=[name for name, _ in CHANGING])
async def test_a_bad_request_id_is_refused(
    door: Door, method: str, make: Callable[[str], Any]
) -> None:
    """A change could not be repeated safely, or an id of a megabyte would be stored."""
    for bad in ("", "a b", "x" * 65, "\u00e9", "a\n", LONG):
        refusal = await refused(method_of(door, method)(make(bad)))
        assert (refusal.code, refusal.reason) == (INVALID, "INVALID_FIELD")
        assert dict(refusal.info.metadata) == {"field": "request_id"}


async def test_a_request_id_used_for_another_request_is_refused(door: Door) -> None:
    """A pipeline that reuses an id would get the answer of another request."""
    used = new_id()
    await door.screening.ScreenImage(
        screening_pb.ScreenImageRequest(request_id=used, image=image(1))
    )
    attempts = [
        door.screening.ScreenImage(
            screening_pb.ScreenImageRequest(request_id=used, image=image(2))
        ),
        door.screening.ScreenUpload(upload(image(1), request_id=used)),
        door.screening.ScreenSignals(
            screening_pb.ScreenSignalsRequest(request_id=used, signals=SIGNALS)
        ),
    ]
    for attempt in attempts:
        refusal = await refused(attempt)
        assert (refusal.code, refusal.reason) == (INVALID, "REQUEST_ID_REUSED")


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [screening_pb.ScreenUploadRequest(chunk=b"x")],
        [screening_pb.ScreenUploadRequest()],
        [*upload(), *upload()],
        [*upload(b"x"), *upload(b"y")],
        [*upload(b"x"), screening_pb.ScreenUploadRequest()],
    ],
    ids=["nothing", "no header", "nothing said", "two headers", "two files", "an empty message"],
)
async def test_a_stream_is_a_header_and_chunks(
    door: Door, messages: list[screening_pb.ScreenUploadRequest]
) -> None:
    """Two files would get one verdict, or a file none."""
    refusal = await refused(door.screening.ScreenUpload(messages))
    assert (refusal.code, refusal.reason) == (INVALID, "STREAM_ORDER")


async def test_a_chunk_has_a_largest_size(door: Door) -> None:
    """Every upload could take as much memory as the largest message."""
    refusal = await refused(door.screening.ScreenUpload(upload(bytes(4 * 1024 * 1024 + 1))))
    assert (refusal.code, refusal.reason) == (INVALID, "INVALID_FIELD")
    answer = await door.screening.ScreenUpload(upload(bytes(4 * 1024 * 1024)))
    assert answer.screening.media.size_bytes == 4 * 1024 * 1024


@pytest.mark.parametrize("announced", [-1, 1, len(CLIP) + 1])
async def test_an_upload_of_another_size_is_refused(door: Door, announced: int) -> None:
    """A connection that broke off would be taken for the end of the file."""
    refusal = await refused(door.screening.ScreenUpload(upload(CLIP, size_bytes=announced)))
    expected = "INVALID_FIELD" if announced < 0 else "UPLOAD_MISMATCH"
    assert (refusal.code, refusal.reason) == (INVALID, expected)


async def test_an_entry_of_an_unusable_media_is_refused(door: Door) -> None:
    """A keeper would believe an item stopped that can never match."""
    header = blocklist_pb.CreateEntryFromMediaHeader(request_id=new_id(), bank="listed")
    messages = [
        blocklist_pb.CreateEntryFromMediaRequest(header=header),
        blocklist_pb.CreateEntryFromMediaRequest(chunk=b"no media\n" * 99),
    ]
    refusal = await refused(door.blocklist.CreateEntryFromMedia(messages))
    assert (refusal.code, refusal.reason) == (UNFIT, "MEDIA_UNUSABLE")
    assert dict(refusal.info.metadata) == {"media_reason": "UNSUPPORTED"}


async def test_an_archived_bank_takes_nothing(door: Door) -> None:
    """What is kept for the record could be changed."""
    await door.blocklist.CreateBank(_bank(name="archived"))
    await door.blocklist.ArchiveBank(
        blocklist_pb.ArchiveBankRequest(request_id=new_id(), bank="archived")
    )
    for attempt in (
        door.blocklist.UpdateBank(_update(bank="archived", label="x")),
        door.blocklist.CreateEntryFromSignals(_entry(bank="archived")),
    ):
        refusal = await refused(attempt)
        assert (refusal.code, refusal.reason) == (UNFIT, "BANK_ARCHIVED")


def _watch(**given: Any) -> blocklist_pb.WatchChangesRequest:
    return blocklist_pb.WatchChangesRequest(**given)


@pytest.mark.parametrize(
    ("request_", "code", "reason"),
    [
        (_watch(after_revision=-1), INVALID, "INVALID_FIELD"),
        (_watch(resume_token="x"), INVALID, "INVALID_FIELD"),
        (_watch(resume_token=LONG), INVALID, "INVALID_FIELD"),
        (_watch(after_revision=1, resume_token=f"{'0' * 32}.1.0"), INVALID, "INVALID_FIELD"),
        (_watch(resume_token=f"{'0' * 32}.1.0"), BEYOND, "REVISION_UNKNOWN"),
        (_watch(after_revision=2**63 - 1), BEYOND, "REVISION_UNKNOWN"),
    ],
)
async def test_a_watch_that_cannot_begin_is_refused(
    door: Door, request_: Message, code: grpc.StatusCode, reason: str
) -> None:
    """A reader would wait for ever, or take changes of another blocklist for those of its own."""
    refusal = await refused(door.blocklist.WatchChanges(request_).read())
    assert (refusal.code, refusal.reason) == (code, reason)


async def test_changes_are_told_without_hashes(door: Door) -> None:
    """Whoever may follow the blocklist could make media that just evade it."""
    call = door.blocklist.WatchChanges(blocklist_pb.WatchChangesRequest())
    told = []
    while not (response := await call.read()).HasField("checkpoint"):
        told.append(response)
    call.cancel()
    assert told[0].change.bank.name == "listed"
    assert told[1].change.entry.ref.bank_name == "listed"
    assert told[1].change.type == blocklist_pb.CHANGE_TYPE_ENTRY_CREATED
    [secret] = digests(99)
    assert all(secret.tobytes() not in response.SerializeToString() for response in told)
    assert response.checkpoint.revision >= told[-1].change.revision
    listed = await door.blocklist.ListEntries(blocklist_pb.ListEntriesRequest())
    assert listed.revision >= response.checkpoint.revision


async def test_readers_of_changes_do_not_hold_up_a_stop(small: Door) -> None:
    """Every update of the server would take as long as it may."""
    calls = [small.blocklist.WatchChanges(blocklist_pb.WatchChangesRequest()) for _ in range(20)]
    for call in calls:
        assert (await call.read()).HasField("checkpoint")
    async with asyncio.timeout(60):
        await small.server.stop(3600)
    for call in calls:
        assert await call.code() is grpc.StatusCode.UNAVAILABLE
        assert "stopping" in await call.details()


# Whatever comes


def any_value(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Values that a field can take."""
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return any_message(field.message_type)
    return {
        FieldDescriptor.TYPE_STRING: st.one_of(
            st.text(max_size=20), st.sampled_from(["listed", NO_ID, "1", "b" * 70])
        ),
        FieldDescriptor.TYPE_BYTES: st.binary(max_size=64),
        FieldDescriptor.TYPE_ENUM: st.integers(-2, 12),
        FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
        FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
        FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
        FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
        FieldDescriptor.TYPE_BOOL: st.booleans(),
    }[field.type]


def any_message(descriptor: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Messages with any of their fields set to anything."""
    return st.fixed_dictionaries(
        {},
        optional={
            field.name: (
                st.lists(any_value(field), max_size=3) if field.is_repeated else any_value(field)
            )
            for field in descriptor.fields
            if field.name != "request_id"
        },
    )


UNARY = [
    (name, method.input_type)
    for module in (screening_pb, blocklist_pb)
    for service in module.DESCRIPTOR.services_by_name.values()
    for name, method in service.methods_by_name.items()
    if not method.client_streaming
]
STREAMED = {"WatchChanges", "ExportEntries"}
REQUESTS = {
    name: getattr(screening_pb, kind.name, None) or getattr(blocklist_pb, kind.name)
    for name, kind in UNARY
}


@settings(PATIENT, max_examples=150)
@given(
    st.sampled_from(UNARY).flatmap(lambda pair: st.tuples(st.just(pair[0]), any_message(pair[1])))
)
async def test_whatever_is_asked_is_answered_or_refused(
    door: Door, asked: tuple[str, dict[str, Any]]
) -> None:
    """A crafted request would be a fault of the server."""
    name, given_fields = asked
    request = REQUESTS[name](**given_fields)
    if "request_id" in request.DESCRIPTOR.fields_by_name:
        request.request_id = new_id()
    if getattr(request, "bank", "") == "listed" and name in ("ArchiveBank", "UpdateBank"):
        request.bank = "unlisted"
    try:
        answer = method_of(door, name)(request)
        await (answer.read() if name in STREAMED else answer)
    except aio.AioRpcError as error:
        refusal = Refusal(error)
        assert refusal.reason in ("INVALID_FIELD", "MEDIA_UNUSABLE", "REVISION_UNKNOWN") or (
            refusal.reason.endswith(("_NOT_FOUND", "_EXISTS"))
        )


# What is wrong with the server


@pytest_asyncio.fixture(loop_scope="module")
async def small(tmp_path: Path, sandbox: Sandbox) -> AsyncIterator[Door]:
    """A server of one test, with nearly no room for uploads."""
    made = await Door.opened(tmp_path, sandbox, SpoolBudget(100, 100, tmp_path))
    yield made
    await made.close()


async def test_a_full_server_says_when_to_come_back(small: Door) -> None:
    """A pipeline would give up, or hammer a server that is full already."""
    refusal = await refused(small.screening.ScreenUpload(upload(CLIP)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "SPOOL_FULL")
    assert refusal.retry.retry_delay.ToMilliseconds() > 0
    assert small.parts.budget == SpoolBudget(100, 100, small.parts.budget.folder)


async def test_a_store_that_cannot_be_used_is_said_so(small: Door) -> None:
    """A pipeline would take a full disk for a verdict."""
    with small.parts.database.write() as connection:
        connection.execute(sa.text("ALTER TABLE judgements RENAME TO gone"))
    request = screening_pb.ScreenImageRequest(request_id=new_id(), image=b"x")
    refusal = await refused(small.screening.ScreenImage(request))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
    assert refusal.retry.retry_delay.ToMilliseconds() > 0


async def test_a_fault_says_nothing_of_what_it_met(
    small: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hashes and references of the blocklist would be told to whoever provokes a fault."""
    await small.blocklist.CreateBank(_bank(name="a-bank"))
    with small.parts.database.write() as connection:
        connection.execute(sa.text("UPDATE banks SET thresholds = '5ec2e7'"))
    refusal = await refused(small.blocklist.GetBank(blocklist_pb.GetBankRequest(bank="a-bank")))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert refusal.message == "a fault of the server; its log says more"
    assert dict(refusal.info.metadata) == {}
    assert "handler_failed" in capsys.readouterr().out


# Answers


async def test_an_answer_is_repeated_word_for_word(door: Door) -> None:
    """A retry after a lost answer would be told something else."""
    for method, request in (
        (door.screening.ScreenUpload, upload(CLIP)),
        (
            door.screening.ScreenImage,
            screening_pb.ScreenImageRequest(request_id=new_id(), image=image(1)),
        ),
        (
            door.screening.ScreenSignals,
            screening_pb.ScreenSignalsRequest(request_id=new_id(), signals=SIGNALS),
        ),
        (door.blocklist.CreateBank, _bank(name="repeated")),
        (door.blocklist.CreateEntryFromSignals, _entry()),
        (door.blocklist.UpdateBank, _update(label="repeated")),
    ):
        assert await method(request) == await method(request)


async def test_an_image_of_just_the_limit_is_taken(door: Door) -> None:
    """The limit would not be what the proto says."""
    request = screening_pb.ScreenImageRequest(request_id=new_id(), image=bytes(MAX_IMAGE_BYTES))
    answer = await door.screening.ScreenImage(request)
    assert answer.screening.media.size_bytes == MAX_IMAGE_BYTES
    assert answer.screening.verdict == pb.VERDICT_INCONCLUSIVE


async def test_an_answer_may_come_before_the_last_chunk(door: Door) -> None:
    """A pipeline would send hours of a video that is known by its first seconds."""
    long = clip(range(20), fps=8, quality=1)
    header = blocklist_pb.CreateEntryFromMediaHeader(request_id=new_id(), bank="listed")
    made = await door.blocklist.CreateEntryFromMedia(
        [
            blocklist_pb.CreateEntryFromMediaRequest(header=header),
            blocklist_pb.CreateEntryFromMediaRequest(chunk=long),
        ]
    )
    sent = 0

    async def slow() -> AsyncIterator[screening_pb.ScreenUploadRequest]:
        nonlocal sent
        for message in upload(*(long[at : at + 4096] for at in range(0, len(long), 4096))):
            yield message
            sent += 1
            await asyncio.sleep(0.03)
        await asyncio.Event().wait()

    async with asyncio.timeout(60):
        answer = await door.screening.ScreenUpload(slow())
    assert answer.screening.verdict == pb.VERDICT_BLOCK
    assert sent <= len(long) // 4096
    await door.blocklist.WithdrawEntry(
        blocklist_pb.WithdrawEntryRequest(request_id=new_id(), entry_id=made.entry.ref.entry_id)
    )


# Lists


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def full(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> AsyncIterator[Door]:
    """A server with five banks, five entries and five screenings."""
    made = await Door.opened(tmp_path_factory.mktemp("full"), sandbox)
    for number in range(5):
        await made.blocklist.CreateBank(_bank(name=f"bank-{number}"))
        await made.blocklist.CreateEntryFromSignals(
            _entry(
                bank="bank-0",
                reference=f"entry-{number}",
                signals=[signals_to_wire(signals(number))],
            )
        )
        await made.screening.ScreenSignals(
            screening_pb.ScreenSignalsRequest(
                request_id=new_id(), signals=[signals_to_wire(signals(number + 3))]
            )
        )
    yield made
    await made.close()


def _names(answer: Any) -> Iterator[str]:
    for each in getattr(answer, "banks", ()):
        yield each.name
    for each in getattr(answer, "entries", ()):
        yield each.ref.reference
    for each in getattr(answer, "screenings", ()):
        yield each.screening_id


@pytest.mark.parametrize("page_size", [*range(1, 8), 1000, 0])
@pytest.mark.parametrize(
    ("method", "request_", "expected"),
    [
        ("ListBanks", blocklist_pb.ListBanksRequest(), 5),
        ("ListBanks", blocklist_pb.ListBanksRequest(state=blocklist_pb.BANK_STATE_ARCHIVED), 0),
        ("ListEntries", blocklist_pb.ListEntriesRequest(), 5),
        ("ListEntries", blocklist_pb.ListEntriesRequest(bank="bank-1"), 0),
        (
            "ListEntries",
            blocklist_pb.ListEntriesRequest(bank="bank-0", state=blocklist_pb.ENTRY_STATE_ACTIVE),
            5,
        ),
        ("ListScreenings", screening_pb.ListScreeningsRequest(), 5),
        ("ListScreenings", screening_pb.ListScreeningsRequest(verdict=pb.VERDICT_NO_MATCH), None),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_lists_are_whole_in_pages_of_any_size(
    full: Door, method: str, request_: Any, expected: int | None, page_size: int
) -> None:
    """What lies at the edge of a page would be listed twice, or not at all."""
    request = type(request_)()
    request.CopyFrom(request_)
    request.page_size = 1000
    whole = list(_names(await method_of(full, method)(request)))
    request.page_size = page_size
    names: list[str] = []
    for _ in range(10):
        answer = await method_of(full, method)(request)
        page = list(_names(answer))
        assert len(page) <= (page_size or 100)
        names += page
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert names == whole
    assert len(set(names)) == len(names)
    if expected is not None:
        assert len(names) == expected


async def test_screenings_since_an_instant(full: Door) -> None:
    """A report of today would hold what was screened yesterday."""
    every = (await full.screening.ListScreenings(screening_pb.ListScreeningsRequest())).screenings
    for place, each in enumerate(every):
        request = screening_pb.ListScreeningsRequest(created_since=each.create_time)
        listed = (await full.screening.ListScreenings(request)).screenings
        assert list(listed)[: place + 1] == list(every)[: place + 1]
        assert all(
            other.create_time.ToMilliseconds() >= each.create_time.ToMilliseconds()
            for other in listed
        )


# Health and reflection


async def health(stub: Any, service: str) -> str:
    """What a load balancer is told."""
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


async def test_requests_are_welcome_once_the_server_serves(
    tmp_path: Path, sandbox: Sandbox, spools: Callable[[], int]
) -> None:
    """A load balancer would send uploads to a server that is starting or stopping."""
    parts = await Parts.make(tmp_path, sandbox)
    server = parts.server()
    address = await server.start("127.0.0.1:0")
    async with aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", *SERVICES):
            assert await health(stub, service) == "NOT_SERVING"
        await server.serve(ready=True)
        for service in ("", *SERVICES):
            assert await health(stub, service) == "SERVING"
        with pytest.raises(aio.AioRpcError) as caught:
            await health(stub, "hashmatch.v1.NoService")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        # While it stops, uploads under way go on and nobody new is sent.
        screening: Any = screening_grpc.ScreeningServiceStub(channel)
        may_end = asyncio.Event()

        async def slow() -> AsyncIterator[screening_pb.ScreenUploadRequest]:
            first, second = upload(b"x")
            yield first
            await may_end.wait()
            yield second

        under_way = asyncio.ensure_future(screening.ScreenUpload(slow()))
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICES[0]))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        await until(lambda: spools() == 1)  # It is heard of.
        stopping = asyncio.create_task(server.stop(60))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        may_end.set()
        assert (await under_way).screening.verdict == pb.VERDICT_INCONCLUSIVE
        watch.cancel()
        await stopping
    parts.database.close()


async def test_reflection_lists_all_services(door: Door) -> None:
    """Nobody could look at the server with a generic tool."""
    stub = reflection_pb2_grpc.ServerReflectionStub(door.channel)
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        *(
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=service)
            for service in SERVICES
        ),
    ]
    answers = [each async for each in stub.ServerReflectionInfo(iter(asked))]
    listed = {each.name for each in answers[0].list_services_response.service}
    assert {*SERVICES, "grpc.health.v1.Health"} <= listed
    for answer in answers[1:]:
        assert answer.file_descriptor_response.file_descriptor_proto


# Callers who go away


async def until(true: Callable[[], bool]) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ["cancels", "hangs up", "runs out of time"])
async def test_a_caller_who_goes_away_leaves_nothing(
    door: Door, how: str, spools: Callable[[], int]
) -> None:
    """Every upload that breaks off would take its room and its worker with it."""
    messages = upload(*(CLIP[at : at + 1000] for at in range(0, len(CLIP) // 2, 1000)))

    async def half() -> AsyncIterator[screening_pb.ScreenUploadRequest]:
        for message in messages:
            yield message
        await asyncio.Event().wait()

    for _ in range(1 if how == "runs out of time" else 2):
        async with aio.insecure_channel(door.address) as channel:
            stub: Any = screening_grpc.ScreeningServiceStub(channel)
            call = stub.ScreenUpload(half(), timeout=1.5 if how == "runs out of time" else None)
            if how != "runs out of time":  # Which it may before it is heard of.
                await until(lambda: spools() == 1)
            if how == "cancels":
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
            elif how == "runs out of time":
                with pytest.raises(aio.AioRpcError):
                    await call
        await until(lambda: spools() == 0)
        assert door.parts.budget == spool_budget(door.parts.budget.folder)
    async with asyncio.timeout(60):
        # By the same id, of which no answer was stored.
        answer = await door.screening.ScreenUpload(
            upload(CLIP, request_id=messages[0].header.request_id)
        )
    assert answer.screening.coverage.complete


async def test_many_callers_at_once(door: Door) -> None:
    """Uploads that come together would get each other's verdicts."""

    def of(seed: int) -> Iterable[screening_pb.ScreenUploadRequest]:
        return upload(image(seed), size_bytes=len(image(seed)))

    answers = await asyncio.gather(
        *(door.screening.ScreenUpload(of(seed)) for seed in range(100, 116))
    )
    again = await asyncio.gather(
        *(door.screening.ScreenUpload(of(seed)) for seed in range(100, 116))
    )
    for answer, other in zip(answers, again, strict=True):
        assert answer.screening.media == other.screening.media
    assert len({answer.screening.media.sha256 for answer in answers}) == 16
    ids = [answer.screening.screening_id for answer in itertools.chain(answers, again)]
    assert len(set(ids)) == 32
