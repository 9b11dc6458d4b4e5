"""What parses bytes of others: each target is a function of bytes that raises on a fault alone.

A refusal that a caller is meant to see is no fault. What is taken is looked at: it must be possible
to store it, to tell it and to search it. A new parser (of a file with a list of hashes, say) is a
function here and a line in `TARGETS`.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import dataclasses
import datetime
import functools
import inspect
import json
import math
import random
import shutil
import struct
import tempfile
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp
from joserfc.jwk import ECKey, KeySet

from hashmatch.access.authorizer import Authorizer
from hashmatch.access.oidc import Issuer, IssuerSettings
from hashmatch.decoding import channel as worker_channel
from hashmatch.decoding.channel import BadMessage, Done
from hashmatch.engine.index import snapshot as files
from hashmatch.engine.index.live import Snapshot
from hashmatch.engine.index.segment import Segment as Rows
from hashmatch.errors import (
    BankNotFound,
    HashmatchError,
    Internal,
    InvalidField,
    RequestError,
    SnapshotUnusable,
    SpoolFull,
    Unauthenticated,
    Unavailable,
)
from hashmatch.lists.reader import Item, ListReader
from hashmatch.model.call import Call
from hashmatch.model.changes import Position
from hashmatch.model.exports import ExportQuery
from hashmatch.model.imports import ImportProblem
from hashmatch.model.records import (
    Bank,
    BlocklistChange,
    Checkpoint,
    Coverage,
    Entry,
    EntryRef,
    Evidence,
    KindCount,
    MediaInfo,
    Reason,
    Screening,
    Segment,
)
from hashmatch.model.signals import EntrySignals, Signals, view_code
from hashmatch.model.verdicts import (
    Action,
    BankState,
    ChangeType,
    EntryState,
    Kind,
    Part,
    Turn,
    Verdict,
    VerdictReason,
)
from hashmatch.model.views import VIEWS
from hashmatch.server.grpc import fields
from hashmatch.server.grpc.access_service import AccessService
from hashmatch.server.grpc.blocklist_service import BlocklistService
from hashmatch.server.grpc.review_service import ReviewService
from hashmatch.server.grpc.screening_service import ScreeningService
from hashmatch.store.audit import Audit
from hashmatch.store.callers import CallerStore
from hashmatch.store.database import Database
from hashmatch.usecases.blocklist import Blocklist
from hashmatch.usecases.callers import Callers
from hashmatch.usecases.cases import Cases
from hashmatch.usecases.exports import EntryPart
from hashmatch.usecases.imports import Imports
from hashmatch.usecases.previews import Previews
from hashmatch.usecases.screenings import Screenings
from hashmatch.v1 import access_service_pb2 as access_pb
from hashmatch.v1 import blocklist_service_pb2 as blocklist_pb
from hashmatch.v1 import common_pb2 as pb
from hashmatch.v1 import review_service_pb2 as review_pb
from hashmatch.v1 import screening_service_pb2 as screening_pb
from hashmatch.wire import records as wire
from hashmatch.wire.exports import exported_from_wire
from hashmatch.wire.signals import signals_from_wire, signals_to_wire
from hashmatch.wire.status import DETAILS_KEY, error_from_call, status_details

__all__ = [
    "TARGETS",
    "Target",
    "answers",
    "channel",
    "credentials",
    "lists",
    "mutated",
    "refusals",
    "requests",
    "snapshot",
    "tokens",
]


@dataclasses.dataclass(frozen=True)
class Target:
    """``run`` raises on a fault alone; ``seeds`` are inputs that it takes."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


# What gRPC carries beside an answer has little room: 8 KiB by default.
_ROOM_FOR_AN_ERROR: Final = 4096

_NOW: Final = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
_REF: Final = EntryRef("ent_1", "case 7", "swords", "bnk_1", "swords")
_COVERAGE: Final = Coverage(True, 1000, 9, 3, 1, 0, 500, 1)
_REASONS: Final = (Reason(VerdictReason.PERCEPTUAL_MATCH, "it is near"),)
_BANK: Final = Bank(
    "bnk_1",
    "swords",
    "a label",
    Action.BLOCK,
    {kind: 0 if kind.exact else 3 for kind in Kind},
    BankState.ACTIVE,
    7,
    _NOW,
    _NOW,
    active_entries=5,
)


def _some_signals(kind: Kind, count: int) -> Signals:
    """So many hashes that differ."""
    rng = np.random.default_rng(int(kind))
    return Signals(
        kind,
        rng.integers(0, 256, (count, kind.width), np.uint8),
        np.full(count, 100, np.uint8),
        np.arange(count) * 1000,
        np.full(count, view_code(Part.FULL), np.uint8),
    )


# Messages of a worker: the header, a zero byte, the payload.


def channel(data: bytes) -> None:
    """What a worker says, which may have been taken over by a media."""
    if len(data) >= worker_channel.PREFIX.size:
        with contextlib.suppress(BadMessage):
            worker_channel.lengths(data[: worker_channel.PREFIX.size])
    encoded, _, payload = data.partition(b"\0")
    try:
        header = worker_channel.unframe(encoded)
    except BadMessage:
        return
    with contextlib.suppress(BadMessage):
        signals = worker_channel.parse_signals(header, payload)
        assert b"".join(b"".join(each.columns()) for each in signals) == payload
    try:
        done = worker_channel.parse_done(header)
    except BadMessage:
        return
    assert done.coverage.complete != bool(done.reasons)
    assert not done.coverage.by_caller
    assert (done.media.sha256, done.media.size_bytes) == (b"", 0)
    # What is believed is stored, told, and read as it was told.
    reasons = (*done.reasons, *_REASONS)
    told = Screening(
        "scr_1", Verdict.INCONCLUSIVE, reasons, (), done.media, done.coverage, 7, {}, _NOW, _NOW
    )
    assert wire.screening_from_wire(_travelled(wire.screening_to_wire(told))) == told


def _channel_seeds() -> list[bytes]:
    media = MediaInfo(format="mov/h264", width=640, height=360, duration_header_ms=1000)
    reasons = (Reason(VerdictReason.TRUNCATED, "it ends early"),)
    partly = Done(media, dataclasses.replace(_COVERAGE, complete=False), reasons)
    messages = [
        worker_channel.pack_done(Done(media, _COVERAGE, ())),
        worker_channel.pack_done(partly),
        worker_channel.pack_signals([], partly),
        worker_channel.pack_signals(
            [_some_signals(Kind.PDQ, 2), _some_signals(Kind.PHASH, 1)], partly
        ),
        worker_channel.frame({"type": "wait", "size": 65536}),
        worker_channel.frame({"type": "ready"}),
    ]
    seeds = []
    for message in messages:
        header, _ = worker_channel.PREFIX.unpack_from(message)
        after = message[worker_channel.PREFIX.size :]
        seeds.append(after[:header] + b"\0" + after[header:])
    return seeds


def _travelled(message: Any) -> Any:
    return type(message).FromString(message.SerializeToString())


# Requests: the name of a method, a line feed, the message. Of a stream, each message has two bytes
# before it that say how long it is.


class _Reached(Exception):
    """The request was taken, and what it says was handed on."""


class _Behind:
    """Stands where the use cases do, and looks at what the handlers hand on."""

    def __init__(self, use_cases: type) -> None:
        self._use_cases = use_cases

    def __getattr__(self, name: str) -> Callable[..., Any]:
        use_case = getattr(self._use_cases, name)
        signature = inspect.signature(use_case)
        if not inspect.iscoroutinefunction(use_case) and not inspect.isasyncgenfunction(use_case):
            return lambda: None

        async def reached(*given: Any, **named: Any) -> None:
            for said, each in signature.bind(self, *given, **named).arguments.items():
                if said not in _COMPARED_ALONE:
                    _assert_storable(each)
                if isinstance(each, AsyncIterator):
                    async for chunk in each:
                        assert chunk
            raise _Reached

        return reached


class _Feed:
    """Likewise, for those who watch."""

    async def watch(
        self, call: Call, after: Position
    ) -> AsyncGenerator[BlocklistChange | Checkpoint]:
        _assert_storable(after)
        assert not call.caller.roles  # Nobody was asked.
        if after:
            raise _Reached
        yield Checkpoint(0, _NOW, "")


class _Exports:
    """Likewise, for those who export."""

    async def read(
        self, call: Call, bank: str, asked: ExportQuery, resume_token: str
    ) -> AsyncGenerator[Sequence[EntryPart]]:
        for each in (bank, asked, resume_token):
            _assert_storable(each)
        assert not call.caller.roles  # Nobody was asked.
        if bank:
            raise _Reached
        yield ()


# Never looked for in the store.
_COMPARED_ALONE: Final = ("etag",)

_screenings: Final[Any] = _Behind(Screenings)
_blocklist: Final[Any] = _Behind(Blocklist)
_callers: Final[Any] = _Behind(Callers)
_imports: Final[Any] = _Behind(Imports)
_review: Final[Any] = _Behind(Cases)
_previews: Final[Any] = _Behind(Previews)
_feed: Final[Any] = _Feed()
_exports: Final[Any] = _Exports()
_SERVICES: Final = (
    (screening_pb, "ScreeningService", ScreeningService(_screenings)),
    (
        blocklist_pb,
        "BlocklistService",
        BlocklistService(_blocklist, _imports, _exports, _feed, _previews),
    ),
    (review_pb, "ReviewService", ReviewService(_review)),
    (access_pb, "AccessService", AccessService(_callers)),
)


class _Context:
    """What handlers use of gRPC's."""

    async def send_initial_metadata(self, metadata: object) -> None:
        pass


@dataclasses.dataclass(frozen=True)
class _Method:
    handler: Callable[..., Any]
    request: type[Message]
    answer: type[Message]
    takes_stream: bool
    gives_stream: bool


def _methods() -> Iterator[tuple[str, _Method]]:
    for module, name, service in _SERVICES:
        for method in module.DESCRIPTOR.services_by_name[name].methods:
            yield (
                method.name,
                _Method(
                    getattr(service, method.name),
                    getattr(module, method.input_type.name),
                    getattr(module, method.output_type.name),
                    method.client_streaming,
                    method.server_streaming,
                ),
            )


_METHODS: Final = {
    name: method
    for name, method in _methods()
    if name != "GetSelf"  # Is asked nothing, and hands nothing on.
}


def requests(data: bytes) -> None:
    """What anybody who reaches the port may send, up to where a handler hands it on."""
    name, _, encoded = data.partition(b"\n")
    method = _METHODS.get(name.decode("latin-1"))
    if method is None:
        return
    try:
        parts = [*_parts(encoded)] if method.takes_stream else [encoded]
        messages = [method.request.FromString(part) for part in parts]
    except DecodeError:
        return
    called = method.handler(_stream(messages) if method.takes_stream else messages[0], _Context())
    refused = None
    try:
        _loop().run_until_complete(anext(called) if method.gives_stream else called)
    except _Reached:
        return
    except RequestError as error:
        refused = status_details(error)
    assert refused is not None, "it was answered by nobody"
    assert len(refused) <= _ROOM_FOR_AN_ERROR


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """One for all: to make one takes longer than most of what it is for."""
    made = asyncio.new_event_loop()
    atexit.register(made.close)
    return made


def _parts(encoded: bytes) -> Iterator[bytes]:
    while len(encoded) >= 2:
        end = 2 + int.from_bytes(encoded[:2], "big")
        yield encoded[2:end]
        encoded = encoded[end:]


async def _stream(messages: Sequence[Message]) -> AsyncIterator[Message]:
    for message in messages:
        yield message


def _assert_storable(value: Any) -> None:
    """What handlers hand on ends up in the store, or is looked for there."""
    if isinstance(value, str):
        # PostgreSQL cannot take it, not even to say that there is no such name.
        assert "\0" not in value, "a zero character would reach the store"
    elif isinstance(value, int):
        assert -(2**63) <= value < 2**63, "more than the store can take"
    elif isinstance(value, datetime.datetime):
        assert abs(value.timestamp()) < 2**53 / 1000
    elif isinstance(value, Signals):
        (again,) = signals_from_wire([_travelled(signals_to_wire(value))])
        assert again.columns() == value.columns()
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            _assert_storable(getattr(value, field.name))
    elif isinstance(value, Mapping):
        _assert_storable([*value, *value.values()])
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        for each in value:
            _assert_storable(each)


def _request_seeds() -> list[bytes]:
    kinds = [blocklist_pb.KindThreshold(kind=pb.KIND_PDQ, max_distance=31)]
    signals = [signals_to_wire(_some_signals(kind, 1)) for kind in (Kind.PDQ, Kind.SHA256)]
    signals.append(pb.Signals(kind=pb.KIND_PHASH, digests=bytes(16)))
    changed: dict[str, Any] = {"request_id": "an-id", "bank": "swords"}
    described: dict[str, Any] = {
        "reference": "case 7",
        "label": "a label",
        "provenance": blocklist_pb.Provenance(
            source="a report",
            legal_basis="a law",
            category=blocklist_pb.CATEGORY_CSAM,
            severity=3,
            note="two\nlines",
            language="id",
        ),
        "expire_time": Timestamp(seconds=4_000_000_000),
    }
    messages: list[tuple[str, list[Message]]] = [
        (
            "ScreenUpload",
            [
                screening_pb.ScreenUploadRequest(
                    header=screening_pb.ScreenUploadHeader(request_id="an-id", size_bytes=3)
                ),
                screening_pb.ScreenUploadRequest(chunk=b"abc"),
                screening_pb.ScreenUploadRequest(chunk=b""),
            ],
        ),
        ("ScreenImage", [screening_pb.ScreenImageRequest(request_id="an-id", image=b"abc")]),
        (
            "ScreenSignals",
            [
                screening_pb.ScreenSignalsRequest(
                    request_id="an-id", signals=signals, duration_ms=1000
                )
            ],
        ),
        ("GetScreening", [screening_pb.GetScreeningRequest(screening_id="scr_1")]),
        (
            "ListScreenings",
            [
                screening_pb.ListScreeningsRequest(
                    page_size=20,
                    page_token="77",
                    verdict=pb.VERDICT_BLOCK,
                    created_since=Timestamp(seconds=1_700_000_000, nanos=5_000_000),
                )
            ],
        ),
        (
            "ConfirmScreening",
            [screening_pb.ConfirmScreeningRequest(request_id="an-id", screening_id="scr_1")],
        ),
        (
            "ImportEntries",
            [
                blocklist_pb.ImportEntriesRequest(
                    header=blocklist_pb.ImportEntriesHeader(
                        request_id="an-id",
                        bank="swords",
                        format=blocklist_pb.FORMAT_CSV,
                        kind=pb.KIND_PDQ,
                        reference="case 7",
                        label="a label",
                        provenance=blocklist_pb.Provenance(source="a partner"),
                    )
                ),
                blocklist_pb.ImportEntriesRequest(chunk=b"hash"),
            ],
        ),
        ("GetImport", [blocklist_pb.GetImportRequest(import_id="imp_1")]),
        ("ListImports", [blocklist_pb.ListImportsRequest(page_size=20, page_token="77")]),
        (
            "ApproveImport",
            [blocklist_pb.ApproveImportRequest(request_id="an-id", import_id="imp_1", why="a")],
        ),
        (
            "WithdrawImport",
            [blocklist_pb.WithdrawImportRequest(request_id="an-id", import_id="imp_1", why="a")],
        ),
        (
            "PreviewEntry",
            [blocklist_pb.PreviewEntryRequest(entry_id="ent_1", screenings=500, benign=False)],
        ),
        ("PreviewImport", [blocklist_pb.PreviewImportRequest(import_id="imp_1", screenings=0)]),
        (
            "ApproveEntry",
            [blocklist_pb.ApproveEntryRequest(request_id="an-id", entry_id="ent_1", why="seen")],
        ),
        (
            "CreateCaller",
            [
                access_pb.CreateCallerRequest(
                    request_id="an-id",
                    name="ayu",
                    roles=[access_pb.ROLE_CURATOR],
                    banks=["swords"],
                    token_sha256=bytes(32),
                    expire_time=Timestamp(seconds=4_000_000_000),
                )
            ],
        ),
        (
            "CreateCaller",
            [
                access_pb.CreateCallerRequest(
                    request_id="an-id",
                    name="machine",
                    roles=[access_pb.ROLE_PIPELINE],
                    certificate="pipeline-1",
                )
            ],
        ),
        ("ListCallers", [access_pb.ListCallersRequest(page_size=20, page_token="77")]),
        ("RevokeCaller", [access_pb.RevokeCallerRequest(request_id="an-id", caller="ayu")]),
        (
            "ListAuditRows",
            [
                access_pb.ListAuditRowsRequest(
                    page_size=20,
                    page_token="77",
                    actor="ayu",
                    subject="bnk_1",
                    since=Timestamp(seconds=1_700_000_000),
                )
            ],
        ),
        (
            "CreateBank",
            [
                blocklist_pb.CreateBankRequest(
                    request_id="an-id",
                    name="swords",
                    label="a label",
                    action=pb.ACTION_BLOCK,
                    kinds=kinds,
                )
            ],
        ),
        ("GetBank", [blocklist_pb.GetBankRequest(bank="swords")]),
        (
            "ListBanks",
            [
                blocklist_pb.ListBanksRequest(
                    page_size=20, page_token="77", state=blocklist_pb.BANK_STATE_ACTIVE
                )
            ],
        ),
        (
            "UpdateBank",
            [
                blocklist_pb.UpdateBankRequest(
                    **changed,
                    etag="7",
                    name="axes",
                    label="a label",
                    action=pb.ACTION_REVIEW,
                    kinds=kinds,
                )
            ],
        ),
        ("ArchiveBank", [blocklist_pb.ArchiveBankRequest(**changed, etag="7")]),
        (
            "CreateEntryFromMedia",
            [
                blocklist_pb.CreateEntryFromMediaRequest(
                    header=blocklist_pb.CreateEntryFromMediaHeader(
                        **changed, **described, size_bytes=3
                    )
                ),
                blocklist_pb.CreateEntryFromMediaRequest(chunk=b"abc"),
            ],
        ),
        (
            "CreateEntryFromSignals",
            [blocklist_pb.CreateEntryFromSignalsRequest(**changed, **described, signals=signals)],
        ),
        ("GetEntry", [blocklist_pb.GetEntryRequest(entry_id="ent_1")]),
        (
            "ListEntries",
            [
                blocklist_pb.ListEntriesRequest(
                    page_size=20,
                    page_token="77",
                    bank="swords",
                    state=blocklist_pb.ENTRY_STATE_ACTIVE,
                )
            ],
        ),
        (
            "WithdrawEntry",
            [blocklist_pb.WithdrawEntryRequest(request_id="an-id", entry_id="ent_1")],
        ),
        ("WatchChanges", [blocklist_pb.WatchChangesRequest(after_revision=7)]),
        ("WatchChanges", [blocklist_pb.WatchChangesRequest(resume_token=f"{'0f' * 16}.7.3")]),
        (
            "ExportEntries",
            [
                blocklist_pb.ExportEntriesRequest(
                    bank="swords",
                    state=blocklist_pb.ENTRY_STATE_ACTIVE,
                    kinds=[pb.KIND_PDQ],
                    created_since=Timestamp(seconds=1_700_000_000),
                    resume_token=f"ent_{'0' * 26}.7",
                )
            ],
        ),
    ]
    # Methods that came later begin with an empty request.
    named = {name for name, _ in messages}
    messages += [
        (name, [method.request()]) for name, method in _METHODS.items() if name not in named
    ]
    return [_request(name, parts) for name, parts in messages]


def _request(name: str, messages: Sequence[Message]) -> bytes:
    encoded = [message.SerializeToString() for message in messages]
    if _METHODS[name].takes_stream:
        encoded = [len(part).to_bytes(2, "big") + part for part in encoded]
    return name.encode() + b"\n" + b"".join(encoded)


# Answers: the name of a method, a line feed, the message.

_READ: Final[Mapping[str, Callable[[Any], object]]] = {
    "Screening": wire.screening_from_wire,
    "Bank": wire.bank_from_wire,
    "Entry": wire.entry_from_wire,
    "WatchChangesResponse": wire.watched_from_wire,
    "ExportedEntry": exported_from_wire,
}


def answers(data: bytes) -> None:
    """What a server sends to a client, who is promised no other errors than our own."""
    name, _, encoded = data.partition(b"\n")
    method = _METHODS.get(name.decode("latin-1"))
    if method is None:
        return
    try:
        answer = method.answer.FromString(encoded)
    except DecodeError:
        return
    for message in _to_read(answer):
        with contextlib.suppress(Internal):
            _READ[message.DESCRIPTOR.name](message)


def _to_read(answer: Message) -> Iterator[Message]:
    if answer.DESCRIPTOR.name in _READ:
        yield answer
        return
    for field in answer.DESCRIPTOR.fields:
        if field.message_type is not None and field.message_type.name in _READ:
            value = getattr(answer, field.name)
            yield from value if field.is_repeated else [value]


def _answer_seeds() -> list[bytes]:
    evidence = Evidence(
        _REF,
        Action.BLOCK,
        Kind.PDQ,
        Part.FULL,
        Turn.ROTATE_90,
        5,
        31,
        3,
        (Segment(0, 1000, 2000, 3000, 3),),
    )
    blocked = Screening(
        "scr_1",
        Verdict.BLOCK,
        _REASONS,
        (evidence,),
        MediaInfo(3, bytes(32), "mov/h264", 640, 360, 1000),
        _COVERAGE,
        7,
        {Kind.PDQ: "1"},
        _NOW,
        _NOW,
        2,
        12.5,
    )
    clean = dataclasses.replace(blocked, verdict=Verdict.NO_MATCH, evidence=())
    entry = Entry(
        _REF,
        EntryState.ACTIVE,
        (KindCount(Kind.PDQ, 9, 8),),
        1000,
        7,
        _NOW,
        _NOW,
        _COVERAGE,
        _REASONS,
    )
    screened = [wire.screening_to_wire(each) for each in (blocked, clean)]
    bank, told = wire.bank_to_wire(_BANK), wire.entry_to_wire(entry)
    changes: list[BlocklistChange | Checkpoint] = [
        BlocklistChange(7, ChangeType.BANK_UPDATED, _NOW, _BANK, None, "a token"),
        BlocklistChange(8, ChangeType.ENTRY_CREATED, _NOW, None, entry, "a token"),
        Checkpoint(8, _NOW, "a token"),
    ]
    messages: list[tuple[str, Message]] = [
        *[("GetScreening", screening_pb.GetScreeningResponse(screening=each)) for each in screened],
        ("ListScreenings", screening_pb.ListScreeningsResponse(screenings=screened)),
        ("GetBank", blocklist_pb.GetBankResponse(bank=bank)),
        ("ListBanks", blocklist_pb.ListBanksResponse(banks=[bank], next_page_token="7")),
        ("GetEntry", blocklist_pb.GetEntryResponse(entry=told)),
        ("ListEntries", blocklist_pb.ListEntriesResponse(entries=[told], revision=7)),
        *[("WatchChanges", wire.watched_to_wire(each)) for each in changes],
        (
            "ExportEntries",
            blocklist_pb.ExportEntriesResponse(
                entries=[
                    blocklist_pb.ExportedEntry(
                        entry=told,
                        signals=[
                            pb.Signals(
                                kind=pb.KIND_MD5,
                                digests=bytes(range(16)),
                                views=[pb.View(part=pb.PART_FULL, turn=pb.TURN_NONE)],
                            )
                        ],
                        resume_token="a token",
                    )
                ]
            ),
        ),
    ]
    return [name.encode() + b"\n" + message.SerializeToString() for name, message in messages]


# Refusals: a byte for the status, then its details.


class _Call(grpc.RpcError):
    """A call that failed."""

    def __init__(self, code: grpc.StatusCode, details: bytes) -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "it failed"

    def trailing_metadata(self) -> Any:
        return ((DETAILS_KEY, self._details),)


def refusals(data: bytes) -> None:
    """How a server, or what stands between, tells a client that a call failed."""
    codes = [*grpc.StatusCode]
    code = codes[data[0] % len(codes)] if data else grpc.StatusCode.UNKNOWN
    error = error_from_call(_Call(code, data[1:]))
    assert isinstance(error, HashmatchError)
    assert isinstance(error.reason, str)
    if isinstance(error, Unavailable):
        assert math.isfinite(error.retry_after_ms / 1000)


def _refusal_seeds() -> list[bytes]:
    errors = (InvalidField("bank", "is not given"), SpoolFull("no room"), BankNotFound("none"))
    return [bytes([place]) + status_details(error) for place, error in enumerate(errors)]


# Tokens, as text in UTF-8.


def tokens(data: bytes) -> None:
    """What a reader gives back to go on where it was."""
    token = data.decode(errors="replace")
    with contextlib.suppress(InvalidField):
        _assert_storable(fields.page_token(token))
    with contextlib.suppress(InvalidField):
        position = fields.position(0, token)
        _assert_storable(position)
        assert not token or Position.from_token(position.token) == position


def _token_seeds() -> list[bytes]:
    return [b"1", b"170000000000000000", *(Position(*at).token.encode() for at in _POSITIONS)]


_POSITIONS: Final = ((7, 3, "0f" * 16), (0, 0, "ab" * 16), (10**18 - 1, 10**18 - 1, "9" * 32))


# Files of the index: one as it is; or a header in JSON, a line feed, and changes of six bytes each
# (which column of a sound file, where in it, which value), to which the checksums are made anew.

_STORE: Final = "a store"
_CHANGE: Final = struct.Struct(">BIB")
_PREAMBLE: Final = struct.Struct("<8sII")
_REST: Final = struct.Struct("<QQQI")
_PAGE: Final = 4096

# Beyond so many rows these are looked up in tables, at the banks' threshold.
_ROWS: Final = 500


def snapshot(data: bytes) -> None:
    """An index file that is damaged, or that somebody else wrote."""
    sealed = not data.startswith(b"hashmtch")
    with tempfile.NamedTemporaryFile() as file:
        file.write(_sealed(data) if sealed else data.ljust(_PAGE, b"\0"))
        file.flush()
        try:
            loaded = files.load(Path(file.name), _STORE)
        except SnapshotUnusable:
            return
    _search(loaded)


def _search(loaded: Snapshot) -> None:
    """As a server does that has started from the file."""
    numbers = [loaded.revision, *loaded.entries, *loaded.entries.values()]
    for table in loaded.tables.values():
        numbers += [table.withdrawn_rows, *table.usage, *table.usage.values()]
        for segment in table.segments:
            _assert_within(segment)
            segment.counts(table.withdrawn)
            assert len(segment.rows(table.withdrawn)) <= len(segment)
    assert all(type(number) is int for number in numbers), "a number that is none"
    followed = loaded.with_bank(loaded.revision + 1, 1, _BANK)
    assert followed.active_entries == loaded.entries.get(1, 0)
    assert followed.kinds_to_search <= set(Kind)
    assert followed.nbytes >= 0
    for kind in Kind:
        found = followed.search(_some_signals(kind, 2))
        assert (found.distance <= _BANK.thresholds[kind]).all()


def _assert_within(segment: Rows) -> None:
    """Compiled code checks no bounds: it would read what lies beyond, or never end."""
    if segment.bands is None:
        return
    columns = segment.bands.columns()
    count = len(segment.bands)
    # Compiled code takes it that numbers lie where the processor wants them.
    assert all(column.flags.aligned for column in columns.values()), "a column is not aligned"
    assert columns["starts"].max(initial=0) <= count, "a search would never end"
    parts = columns["rows"].astype(np.uint32)
    rows = parts[..., 0] | parts[..., 1] << 8 | parts[..., 2] << 16
    assert rows.max(initial=0) < max(count, 1), "a search would read beyond the digests"


@functools.cache
def _sound() -> tuple[bytes, dict[str, Any]]:
    """All of a sound file before its header, and the header."""
    made = Snapshot(revision=7).with_entries(7, 1, 3)
    for kind, count in ((Kind.PHASH, _ROWS), (Kind.PDQ, 3)):
        signals = _some_signals(kind, count)
        entry = np.minimum(np.arange(count), 2) + 1
        rows = EntrySignals(
            kind,
            signals.digests,
            signals.quality,
            signals.pts_ms,
            entry,
            np.ones(count, np.int64),
        )
        made = made.with_signals([rows])
    table = made.tables[Kind.PHASH]
    table = dataclasses.replace(table, segments=tuple(each.with_bands() for each in table.segments))
    made = dataclasses.replace(made, tables={**made.tables, Kind.PHASH: table})
    whole = _saved(made.without_entry(8, 2, 1))
    at, length, _, _ = _REST.unpack_from(whole, _PREAMBLE.size)
    return whole[:at], json.loads(whole[at : at + length])


def _saved(made: Snapshot) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        assert files.save(path, _STORE, made)
        return path.read_bytes()


def _sealed(data: bytes) -> bytes:
    encoded, _, changes = data.partition(b"\n")
    whole, header = _sound()
    body = bytearray(whole)
    for number, offset, value in _CHANGE.iter_unpack(changes[: len(changes) // 6 * 6]):
        column = header["columns"][number % len(header["columns"])]
        if size := _size_of(column):
            body[column["at"] + offset % size] = value
    with contextlib.suppress(KeyError, RecursionError, TypeError, ValueError):
        changed = json.loads(encoded)
        for column in changed["columns"]:
            # One that says nothing of its size gets no checksum, and has to be refused without.
            with contextlib.suppress(ArithmeticError, LookupError, TypeError, ValueError):
                part = body[column["at"] : column["at"] + _size_of(column)]
                column["crc32"] = zlib.crc32(part)
        encoded = json.dumps(changed).encode()
    rest = _REST.pack(len(body), len(encoded), len(body) + len(encoded), zlib.crc32(encoded))
    body[: _PREAMBLE.size + _REST.size] = (
        _PREAMBLE.pack(b"hashmtch", files.FORMAT, zlib.crc32(rest)) + rest
    )
    return bytes(body + encoded)


def _size_of(column: Mapping[str, Any]) -> int:
    # As a file has it: "<u4" has four bytes.
    size: int = int(column["dtype"][2:] or 8) * math.prod(column["shape"])
    return size


def _snapshot_seeds() -> list[bytes]:
    _, header = _sound()
    for column in header["columns"]:
        column["crc32"] = 0  # Made anew; shorter so.
    encoded = json.dumps(header).encode()
    return [
        _saved(Snapshot(revision=7)),
        encoded,
        # The last byte of a digest becomes another.
        encoded + b"\n" + _CHANGE.pack(_number_of(header, "words"), 7, 1),
        encoded + b"\n" + _CHANGE.pack(header["tables"][1]["segments"][0]["digests"], 31, 1),
    ]


def _number_of(header: Mapping[str, Any], name: str) -> int:
    number: int = header["tables"][0]["segments"][0][name]
    return number


# Lists of hashes: how many bytes come at once, then the list.


def lists(data: bytes) -> None:
    """What a curator imports: all of it becomes items or problems, and both can be stored."""
    step, data = data[:1], data[1:]
    at_once = (step[0] if step else 0) or len(data) or 1
    reader = ListReader(frozenset({Kind.PDQ, Kind.MD5}))
    found: list[Item | ImportProblem] = []
    try:
        for start in range(0, len(data), at_once):
            found += reader.feed(data[start : start + at_once])
        found += reader.finish()
    except InvalidField:
        return
    for each in found:
        assert each.line >= 1
        if isinstance(each, ImportProblem):
            _assert_storable(each)
            continue
        _assert_storable([each.reference, each.label, each.line])
        assert each.hashes
        for made in each.hashes:
            assert made.kind in (Kind.PDQ, Kind.MD5)
            assert len(made.digest) == made.kind.width
            assert 50 <= made.quality <= 100
            assert abs(made.pts_ms) <= 100 * 24 * 3600 * 1000
            assert made.view in VIEWS.values()


def _list_seeds() -> list[bytes]:
    pdq, md5 = bytes(range(32)).hex(), bytes(range(16)).hex()
    return [
        f"\0hash,kind,id,label,quality\n{pdq},pdq,case 7,a,90\n{md5},md5,,,\n".encode(),
        f'\0pdq,md5\n"{pdq}",{md5}\n'.encode(),
        b"\x07" + json.dumps({"hash": pdq, "type": "HASH_PDQ", "tags": ["a"]}).encode() + b"\n",
        f"\0# a list\n{md5}\n{md5.upper()}\n".encode(),
        f"\0000,100,{pdq},0.0\n30,99,{pdq},1.001\n".encode(),
        b"\0[" + json.dumps({"indicator": {"indicator": md5, "type": "HASH_MD5"}}).encode() + b"]",
        f"\0entry_id,pdq,pts_ms,frame_view\ne1,{pdq},0,full\ne1,{pdq},900,inset\n".encode(),
        b"\0" + json.dumps({"entry_id": "e", "md5": md5, "frame_view": "full"}).encode() + b"\n",
    ]


# Credentials: the header "authorization" as it comes.


def credentials(data: bytes) -> None:
    """What anybody who reaches the port may say of himself: it is nobody."""
    with contextlib.suppress(Unauthenticated):
        _loop().run_until_complete(_access_of_nobody().authenticated(data.decode("latin-1"), ()))
        raise AssertionError("somebody was let in")


@functools.cache
def _access_of_nobody() -> Authorizer:
    folder = Path(tempfile.mkdtemp(prefix="hashmatch-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    keys = folder / "keys.json"
    public = KeySet([ECKey.generate_key("P-256", {"kid": "k"})]).as_dict(private=False)
    keys.write_text(json.dumps(public))
    database = Database(f"sqlite:///{folder / 'hashmatch.db'}")
    database.migrate()
    issuer = Issuer(IssuerSettings("https://issuer.test", "hashmatch", str(keys)))
    access = Authorizer(CallerStore(database), Audit(database), issuer=issuer)
    _loop().run_until_complete(access.start())
    return access


def _credential_seeds() -> list[bytes]:
    header = b"eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ"  # {"alg":"ES256","kid":"k"}
    none = b"eyJhbGciOiJub25lIn0"  # {"alg":"none"}
    claims = b"eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0In0"
    return [
        b"Bearer hm_" + b"A" * 43,
        b"Bearer " + b".".join([header, claims, b"A" * 86]),
        b"Bearer " + b".".join([none, claims, b""]),
        b"bearer " + b".".join([header, b"", b"", b"", b""]),  # As of an encrypted one.
        b"Basic YTpi",
    ]


TARGETS: Final[Mapping[str, Target]] = {
    "answers": Target(answers, _answer_seeds),
    "channel": Target(channel, _channel_seeds),
    "credentials": Target(credentials, _credential_seeds),
    "lists": Target(lists, _list_seeds),
    "refusals": Target(refusals, _refusal_seeds),
    "requests": Target(requests, _request_seeds),
    "snapshot": Target(snapshot, _snapshot_seeds),
    "tokens": Target(tokens, _token_seeds),
}


# Inputs like others. What is JSON or a message stays so, or nearly all would be refused for that
# alone.

_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, -1, 0, 1, 0.5, 31, 100, 2**31, 2**32, 2**62, 2**63, -(2**63), 10**400),
    *(float("inf"), float("nan"), "", "a", "\0", "\x1b", "\ud800", "x" * 201, [], {}, [0], [[]]),
    *("<u8", ">i8", "|u1", "<i2", "<f8", "|O", "|V0", "(1", "PDQ", "PHASH", "SHA256"),
)
_NUMBERS: Final = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32, 2**62, 2**63, 2**64 - 1)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """With one value of its JSON or its message changed, or with other bytes."""
    if rng.random() < 0.2:
        return _other_bytes(data, rng)
    for mark in (b"\0", b"\n"):
        text, found, rest = data.partition(mark)
        with contextlib.suppress(RecursionError, ValueError):
            value = json.loads(text)
            if rng.random() < 0.3:
                return text + (found or mark) + _other_bytes(rest, rng)
            _change(value, rng)
            return json.dumps(value).encode() + found + rest
    name, found, _ = data.partition(b"\n")
    before = len(name) + 1 if found and name.isalpha() else 1
    with contextlib.suppress(IndexError, ValueError):
        return data[:before] + _other_message(data[before:], rng)
    return _other_bytes(data, rng)


def _other_message(data: bytes, rng: random.Random) -> bytes:
    """Any message, whatever its fields are. Raises ``IndexError``, ``ValueError`` if it is none."""
    parts = list(_fields(data))
    place = rng.randrange(len(parts))
    number, value = parts[place]
    match rng.randrange(6):
        case 0:
            del parts[place]
        case 1:
            parts.insert(place, parts[place])
        case 2:
            parts.append((rng.randrange(1, 13), rng.choice((b"", rng.choice(_NUMBERS)))))
        case _ if isinstance(value, int):
            parts[place] = number, rng.choice((*_NUMBERS, value + 1, value ^ (1 << 63)))
        case _:
            changed = None
            with contextlib.suppress(IndexError, ValueError):
                changed = _other_message(value, rng)
            parts[place] = number, _other_bytes(value, rng) if changed is None else changed
    return b"".join(_field(*part) for part in parts)


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The numbers of a message's fields, each with an integer or bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        value, at = _varint(data, at)
        if key & 7 == 0:
            yield key >> 3, value
        elif key & 7 == 2 and at + value <= len(data):
            yield key >> 3, data[at : at + value]
            at += value
        else:
            raise ValueError("of a sort that our messages do not have")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _as_varint(number << 3) + _as_varint(value)
    return _as_varint(number << 3 | 2) + _as_varint(len(value)) + value


def _as_varint(value: int) -> bytes:
    made, value = bytearray(), value & (2**64 - 1)
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(made + bytes([value]))


def _change(value: Any, rng: random.Random) -> None:
    places = list(_places(value))
    if not places:
        return
    holder, key = rng.choice(places)
    other, its_key = rng.choice(places)
    number = holder[key]
    match rng.randrange(5):
        case 0:
            del holder[key]
        case 1:
            holder[key] = json.loads(json.dumps(other[its_key]))
        case 2 if isinstance(holder, list):
            holder.insert(key, json.loads(json.dumps(number)))
        case 3 if isinstance(number, int):
            holder[key] = number + rng.choice((-1, 1, -number, number, 7, 4096))
        case _:
            holder[key] = rng.choice(_VALUES)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _other_bytes(data: bytes, rng: random.Random) -> bytes:
    begin, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    some = data[begin:end]
    match rng.randrange(5):
        case 0:
            some = b""
        case 1:
            some += some[: rng.randrange(32)]
        case 2:
            end = begin
            some = rng.randbytes(rng.randrange(1, 9))
        case 3:
            number = rng.choice(_NUMBERS)
            end = begin
            some = number.to_bytes(rng.choice((9, 16)), rng.choice(("little", "big")))
            some = some[: rng.randrange(1, 9)]
        case _:
            some = bytes(byte ^ (1 << rng.randrange(8)) for byte in some[:4]) + some[4:]
    return data[:begin] + some + data[end:]
