"""What a pipeline imports: both clients against a real server, and against one that fails."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import io
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc import aio

from hashmatch import errors
from hashmatch.client import AsyncClient, Client
from hashmatch.decoding.sandbox import Sandbox
from hashmatch.engine.index.live import usable
from hashmatch.model.call import Call
from hashmatch.model.callers import UNRESTRICTED, CallerState, Role, new_token
from hashmatch.model.cases import Case, CaseDecision, CaseState
from hashmatch.model.commands import NewEntry
from hashmatch.model.imports import Import, ImportState
from hashmatch.model.previews import Preview
from hashmatch.model.records import Bank, BlocklistChange, Checkpoint, Entry, Screening
from hashmatch.model.verdicts import Action, BankState, EntryState, Kind, Verdict, VerdictReason
from hashmatch.store.audit import Audit
from hashmatch.store.bulk import NewEntries
from hashmatch.store.changes import History
from hashmatch.usecases import exports
from hashmatch.usecases.changes import Changes
from hashmatch.v1 import screening_service_pb2 as pb
from hashmatch.v1 import screening_service_pb2_grpc as pb_grpc
from hashmatch.wire.records import screening_to_wire
from hashmatch.wire.signals import signals_to_wire
from hashmatch.wire.status import DETAILS_KEY, TAKEN_KEY, code_of, status_details
from tests.client.docstrings import Documented
from tests.conftest import RunningServer
from tests.store.test_screenings import screening
from tests.support import (
    Parts,
    clip,
    image,
    new_id,
    new_request,
    reencoded,
    signals,
    workers,
)

on_one_loop = pytest.mark.asyncio(loop_scope="module")

CLIP = clip([1, 2, 3])
PUBLIC = [name for name, _ in inspect.getmembers(AsyncClient) if not name.startswith("_")]


class Either:
    """One of the two clients, called in one way."""

    def __init__(self, client: Client | AsyncClient) -> None:
        self.client = client
        self.raises_as_documented = False  # A fake server raises what it likes.

    async def __call__(self, name: str, *given: Any, **named: Any) -> Any:
        """Calls a method; lists come as lists."""
        method = getattr(self.client, name)
        try:
            return await self._answer(method, given, named)
        except errors.HashmatchError as error:
            if self.raises_as_documented and not Documented.of(method).has(error):
                raise AssertionError(f"{name} does not say that it raises {error!r}") from error
            raise

    async def _answer(self, method: Any, given: Any, named: Any) -> Any:
        if isinstance(self.client, Client):
            return await asyncio.to_thread(self._now, method, given, named)
        answer = method(*given, **named)
        if inspect.isasyncgen(answer):
            return [each async for each in answer]
        return await answer

    @staticmethod
    def _now(method: Any, given: Any, named: Any) -> Any:
        answer = method(*given, **named)
        return list(answer) if inspect.isgenerator(answer) else answer


@pytest_asyncio.fixture(params=[Client, AsyncClient], loop_scope="module")
async def connect(
    request: pytest.FixtureRequest,
) -> AsyncIterator[Callable[..., Either]]:
    """Makes a client of one sort."""
    made: list[Either] = []

    def connecting(address: str, **given: Any) -> Either:
        made.append(Either(request.param(address, **given)))
        return made[-1]

    yield connecting
    for each in made:
        await each("close")


@pytest_asyncio.fixture(loop_scope="module")
async def call(connect: Callable[..., Either], server: RunningServer) -> Either:
    """A client of the shared server."""
    made = connect(server.address, timeout_seconds=60)
    made.raises_as_documented = True
    return made


# Both clients alike


def test_both_clients_have_the_same_methods() -> None:
    """A pipeline that moves to asyncio would have to be written anew."""
    assert [n for n, _ in inspect.getmembers(Client) if not n.startswith("_")] == PUBLIC
    for name in ["__init__", *PUBLIC]:
        here, there = getattr(Client, name), getattr(AsyncClient, name)
        one, other = inspect.signature(here), inspect.signature(there)
        assert list(one.parameters.values()) == list(other.parameters.values()), name
        returns = str(other.return_annotation).replace("AsyncGenerator[", "Iterator[")
        assert str(one.return_annotation) == returns, name
        assert here.__doc__ == there.__doc__, name
        assert not inspect.iscoroutinefunction(here)
        listed = str(other.return_annotation).startswith("AsyncGenerator[")
        assert name == "__init__" or inspect.iscoroutinefunction(there) != listed


# Calls a method of either client, by name.
Do = Callable[..., Awaitable[Any]]


async def try_imports(do: Do, name: str, entry: Entry, screened: Screening) -> None:
    """A list comes and goes; and what it and an entry match is shown."""
    made: Import = await do("import_entries", name, bytes(range(32)).hex().encode(), kind=Kind.PDQ)
    assert made.created == 1
    assert await do("get_import", made.import_id) == made
    assert made in await do("list_imports")
    shown: Preview = await do("preview_entry", entry.ref.entry_id, screenings=2)
    assert [each.screening_id for each in shown.screening_samples] == [screened.screening_id]
    listed: Preview = await do("preview_import", made.import_id, screenings=1, benign=False)
    assert (listed.entries, listed.screenings.compared) == (1, 1)
    with pytest.raises(errors.EntryNotPending):
        await do("approve_import", made.import_id)
    assert (await do("withdraw_import", made.import_id)).state is ImportState.WITHDRAWN


async def try_review(do: Do, entry: Entry, screened: Screening) -> None:
    """What an entry held back that was withdrawn is decided."""
    with pytest.raises(errors.EntryNotQuarantined):
        await do("release_entry", entry.ref.entry_id)
    cases = await do("list_cases", state=CaseState.OPEN)
    (case,) = [each for each in cases if each.screening_id == screened.screening_id]
    assert await do("get_case", case.case_id) == case
    decided: Case = await do("decide_case", case.case_id, CaseDecision.OVERTURNED, why="a test")
    assert (decided.state, decided.decision) == (CaseState.DECIDED, CaseDecision.OVERTURNED)


@on_one_loop
async def test_every_method_does_what_it_says(call: Either) -> None:
    """A part of the client would not work at all."""
    used = {"close", "is_ready", "watch_changes"}  # The last has tests of its own.

    async def do(name: str, *given: Any, **named: Any) -> Any:
        used.add(name)
        return await call(name, *given, **named)

    name = f"bank-{new_id()}"
    bank: Bank = await do("create_bank", name, action=Action.REVIEW, label="of a test")
    assert (bank.name, bank.action, bank.label) == (name, Action.REVIEW, "of a test")
    assert bank.thresholds == {Kind.SHA256: 0, Kind.PDQ: 31, Kind.PDQ_PATCH: 40}
    assert await do("get_bank", name) == bank
    assert bank in await do("list_banks", state=BankState.ACTIVE)
    edited: Bank = await do(
        "update_bank", name, action=Action.BLOCK, thresholds={Kind.PDQ: 20}, etag=bank.etag
    )
    assert (edited.action, edited.thresholds, edited.label) == (
        Action.BLOCK,
        {Kind.PDQ: 20},
        "of a test",
    )
    entry: Entry = await do("add_entry", name, CLIP, reference="the clip", label="a label")
    assert (entry.ref.reference, entry.ref.label) == ("the clip", "a label")
    assert await do("get_entry", entry.ref.entry_id) == entry
    other: Entry = await do(
        "add_entry_from_signals", name, [signals_to_wire(signals(7))], reference="hashes"
    )
    assert await do("list_entries", bank=name, state=EntryState.ACTIVE) == [other, entry]
    exported = await do("export_entries", name, state=EntryState.ACTIVE, kinds=[Kind.PDQ])
    assert [each.entry for each in exported] == [entry, other]
    screened: Screening = await do("screen", CLIP)
    assert screened.verdict is Verdict.BLOCK
    assert screened.evidence[0].entry == entry.ref
    sent: Screening = await do(
        "screen_signals", [signals_to_wire(signals(7))], duration_ms=0, request_id=new_id()
    )
    assert (sent.verdict, sent.evidence[0].entry) == (Verdict.BLOCK, other.ref)
    assert await do("get_screening", screened.screening_id) == screened
    assert screened in await do(
        "list_screenings", verdict=Verdict.BLOCK, since=screened.create_time
    )
    await try_imports(do, name, entry, screened)
    with pytest.raises(errors.EntryNotPending):
        await do("approve_entry", entry.ref.entry_id, why="it is in use")
    withdrawn = await do("withdraw_entry", entry.ref.entry_id, why="a test")
    assert withdrawn.state is EntryState.WITHDRAWN
    await try_review(do, entry, screened)
    confirmed: Screening = await do("confirm", screened.screening_id)
    assert (confirmed.judgement, confirmed.evidence) == (2, ())
    assert (await do("archive_bank", name, etag=edited.etag)).state is BankState.ARCHIVED
    assert await call("is_ready") is True
    assert await do("get_self") == UNRESTRICTED
    token, who = new_token(), f"caller-{new_id()}"
    known = await do("create_caller", who, roles=[Role.AUDITOR], token=token, banks=[name])
    assert (known.name, known.banks) == (who, frozenset({bank.bank_id}))
    assert known in await do("list_callers")
    assert (await do("revoke_caller", who)).state is CallerState.REVOKED
    rows = await do("list_audit_rows", subject=known.caller_id, since=known.create_time)
    assert [row.action for row in rows] == ["caller_revoked", "caller_created"]
    assert used == set(PUBLIC)


@on_one_loop
async def test_errors_are_those_of_the_server(call: Either) -> None:
    """A pipeline could not tell a misspelled bank from a server that is down."""
    attempts: list[tuple[type[errors.HashmatchError], str, tuple[Any, ...], dict[str, Any]]] = [
        (errors.BankNotFound, "get_bank", ("nowhere",), {}),
        (errors.EntryNotFound, "get_entry", ("nothing",), {}),
        (errors.ScreeningNotFound, "confirm", ("nothing",), {}),
        (errors.InvalidField, "create_bank", ("a b",), {"action": Action.BLOCK}),
        (errors.InvalidField, "screen", (CLIP,), {"request_id": "a b"}),
        (errors.InvalidField, "get_bank", ("x" * 100_000,), {}),
        (errors.BankNotFound, "list_entries", (), {"bank": "nowhere"}),
    ]
    for expected, name, given, named in attempts:
        with pytest.raises(expected) as caught:
            await call(name, *given, **named)
        assert caught.value.reason == expected.reason


# Where the bytes come from


@on_one_loop
async def test_a_media_may_be_given_in_many_ways(call: Either, tmp_path: Path) -> None:
    """A pipeline would have to write a file first, or read one whole."""
    path = tmp_path / "clip"
    path.write_bytes(CLIP)
    with path.open("rb") as opened, tempfile.TemporaryFile() as behind:
        behind.write(b"before it" + CLIP)
        behind.seek(len(b"before it"))
        for media in (path, str(path), CLIP, io.BytesIO(CLIP), opened, behind, Pipe(CLIP)):
            screened = await call("screen", media)
            assert screened.media.size_bytes == len(CLIP)
            assert screened.media.format.endswith("mpeg4")
        # What the caller opened is the caller's to close.
        assert not opened.closed
        assert not behind.closed


@on_one_loop
async def test_a_media_that_cannot_be_read_is_an_oserror(call: Either, tmp_path: Path) -> None:
    """A missing file would look like a fault of the server."""
    for path, expected in (
        (tmp_path / "none", FileNotFoundError),
        (tmp_path, IsADirectoryError),
    ):
        with pytest.raises(expected):
            await call("screen", path)


class Pipe(io.RawIOBase):
    """A source that can be read once."""

    def __init__(self, data: bytes, fails: Exception | None = None) -> None:
        self.reads = 0
        self._data = io.BytesIO(data)
        self._fails = fails

    def seekable(self) -> bool:
        """It is not."""
        return False

    def read(self, size: int = -1) -> bytes:
        """The next bytes; then the error, if it has one."""
        self.reads += 1
        chunk = self._data.read(min(size, 1000))
        if not chunk and self._fails is not None:
            raise self._fails
        return chunk


@on_one_loop
async def test_a_source_that_fails_is_told_to_the_caller(call: Either) -> None:
    """A disk error half way through would look as if somebody had cancelled the upload."""
    with pytest.raises(OSError, match="the disk is gone"):
        await call("screen", Pipe(CLIP, OSError("the disk is gone")))
    with pytest.raises(ZeroDivisionError):
        await call("screen", CLIP, progress=lambda sent, total: sent // 0)
    # The client goes on working.
    assert (await call("screen", image(1))).coverage.complete


@on_one_loop
async def test_no_more_is_sent_than_was_announced(call: Either, tmp_path: Path) -> None:
    """A file that somebody still writes would be refused for its size, or read for ever."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(CLIP)

    def grow(sent: int, total: int) -> None:
        with path.open("ab") as file:
            file.write(b"x" * 1000)

    screening = await call("screen", str(path), progress=grow)
    assert screening.media.size_bytes == len(CLIP)


@on_one_loop
async def test_progress_is_told_from_the_first_byte_to_the_last(call: Either) -> None:
    """A bar would stop short of its end, or run past it."""
    data = image(1) + bytes(1_000_000)
    told: list[tuple[int, int]] = []
    await call("screen", data, progress=lambda sent, total: told.append((sent, total)))
    assert [sent for sent, _ in told] == sorted({sent for sent, _ in told})
    assert told[-1] == (len(data), len(data))
    assert len(told) >= 4
    told.clear()
    await call("screen", Pipe(CLIP), progress=lambda sent, total: told.append((sent, total)))
    assert told[-1] == (len(CLIP), 0)


# Servers that fail


class Flaky(pb_grpc.ScreeningServiceServicer):
    """A real gRPC server that fails as it is told, and notes what came."""

    def __init__(self) -> None:
        self.failures: list[errors.HashmatchError | grpc.StatusCode] = []
        self.hangs = False
        self.reads_nothing = False
        self.attempts: list[tuple[str, int, bytes]] = []
        self.times: list[float] = []

    async def ScreenUpload(self, request_iterator: Any, context: Any) -> pb.ScreenUploadResponse:
        """Reads the upload, then fails or answers."""
        self.times.append(time.monotonic())
        first = await anext(request_iterator)
        data = b""
        if not self.reads_nothing:
            await context.send_initial_metadata(((TAKEN_KEY, "1"),))
            data = b"".join([message.chunk async for message in request_iterator])
        self.attempts.append((first.header.request_id, first.header.size_bytes, data))
        await self._fail(context)
        return pb.ScreenUploadResponse(screening=screening_to_wire(screening()))

    async def ConfirmScreening(
        self, request: pb.ConfirmScreeningRequest, context: Any
    ) -> pb.ConfirmScreeningResponse:
        """Fails or answers."""
        self.times.append(time.monotonic())
        self.attempts.append((request.request_id, 0, b""))
        await self._fail(context)
        return pb.ConfirmScreeningResponse(screening=screening_to_wire(screening()))

    async def _fail(self, context: Any) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if not self.failures:
            return
        failure = self.failures.pop(0)
        if isinstance(failure, grpc.StatusCode):
            await context.abort(failure, "what a proxy says")
        assert isinstance(failure, errors.HashmatchError)
        details = (DETAILS_KEY, status_details(failure))
        await context.abort(code_of(failure), str(failure), trailing_metadata=(details,))


@pytest_asyncio.fixture(loop_scope="module")
async def flaky() -> AsyncIterator[tuple[Flaky, str]]:
    """It and its address."""
    server, servicer = aio.server(), Flaky()  # type: ignore[abstract]
    pb_grpc.add_ScreeningServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield servicer, f"127.0.0.1:{port}"
    await server.stop(0)


FAILURES: list[errors.HashmatchError | grpc.StatusCode] = [
    errors.NotReady("starting"),
    errors.StoreUnavailable("full"),
    grpc.StatusCode.UNAVAILABLE,
]


def soon(error: errors.Unavailable) -> errors.Unavailable:
    """An error that is over in no time."""
    error.retry_after_ms = 10
    return error


@on_one_loop
async def test_a_retry_is_the_same_request(
    connect: Callable[..., Either], flaky: tuple[Flaky, str]
) -> None:
    """One media would be screened twice under two ids, or sent without its beginning."""
    servicer, address = flaky
    call = connect(address, timeout_seconds=20)
    behind = io.BytesIO(b"before it" + CLIP)
    for media, request_id in ((CLIP, None), (behind, "an-id")):
        behind.seek(len(b"before it"))
        servicer.attempts.clear()
        servicer.failures = [soon(errors.SpoolFull("full")), grpc.StatusCode.UNAVAILABLE]
        assert isinstance(await call("screen", media, request_id=request_id), Screening)
        assert len(servicer.attempts) == 3
        [(sent_id, size, data)] = set(servicer.attempts)
        assert data == CLIP
        assert size == len(CLIP)
        assert sent_id == request_id or (request_id is None and len(sent_id) == 36)
    servicer.attempts.clear()
    servicer.failures = [soon(errors.StoreUnavailable("full"))]
    await call("confirm", "scr_x")
    assert len(servicer.attempts) == 2
    assert len(set(servicer.attempts)) == 1


@on_one_loop
async def test_two_calls_are_two_requests(
    connect: Callable[..., Either], flaky: tuple[Flaky, str]
) -> None:
    """The second media would get the verdict of the first."""
    servicer, address = flaky
    call = connect(address)
    await asyncio.gather(*(call("screen", CLIP) for _ in range(5)))
    assert len({request_id for request_id, _, _ in servicer.attempts}) == 5


@on_one_loop
async def test_a_server_is_given_the_time_it_asks_for(
    connect: Callable[..., Either], flaky: tuple[Flaky, str]
) -> None:
    """A full server would be hammered by all pipelines at once."""
    servicer, address = flaky
    full = errors.SpoolFull("full")
    full.retry_after_ms = 600
    servicer.failures = [full]
    await connect(address, timeout_seconds=20)("confirm", "scr_x")
    first, second = servicer.times
    assert 0.6 <= second - first < 10


@on_one_loop
@pytest.mark.parametrize(
    "failure",
    [
        errors.UploadMismatch("another size"),
        errors.Internal("a fault"),
        errors.BankArchived("archived"),
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.PERMISSION_DENIED,
    ],
    ids=str,
)
async def test_what_a_retry_does_not_help_is_not_tried_again(
    connect: Callable[..., Either],
    flaky: tuple[Flaky, str],
    failure: errors.HashmatchError | grpc.StatusCode,
) -> None:
    """A pipeline would wait two minutes to learn of a typing error."""
    servicer, address = flaky
    servicer.failures = [failure] * 3
    expected = type(failure) if isinstance(failure, errors.HashmatchError) else errors.Internal
    with pytest.raises(expected):
        await connect(address, timeout_seconds=20)("screen", CLIP)
    assert len(servicer.attempts) == 1


@on_one_loop
async def test_a_source_that_was_consumed_is_not_sent_again(
    connect: Callable[..., Either], flaky: tuple[Flaky, str]
) -> None:
    """The server would get the rest of a media, and screen that."""
    servicer, address = flaky
    call = connect(address, timeout_seconds=20)
    servicer.failures = [soon(errors.SpoolFull("full"))] * 2
    with pytest.raises(errors.SpoolFull):
        await call("screen", Pipe(CLIP))
    [(_, size, data)] = servicer.attempts
    assert (size, data) == (0, CLIP)
    servicer.failures.clear()
    await call("screen", Pipe(CLIP))
    assert servicer.attempts[1][2] == CLIP


@on_one_loop
async def test_a_call_has_a_deadline(
    connect: Callable[..., Either], flaky: tuple[Flaky, str]
) -> None:
    """A pipeline would hang for ever on a server that does."""
    servicer, address = flaky
    servicer.hangs = True
    call = connect(address, timeout_seconds=0.3)
    for name, given, named in (
        ("screen", CLIP, {}),
        ("confirm", "scr_x", {}),
        ("screen", CLIP, {"timeout_seconds": 0.6}),
    ):
        began = time.monotonic()
        with pytest.raises(errors.DeadlineExceeded):
            await call(name, given, **named)
        assert 0.25 <= time.monotonic() - began < 60


@on_one_loop
async def test_retries_end_with_the_deadline(
    connect: Callable[..., Either], flaky: tuple[Flaky, str]
) -> None:
    """A pipeline would wait far longer than it was told to."""
    servicer, address = flaky
    servicer.failures = [grpc.StatusCode.UNAVAILABLE] * 1000
    # On a busy machine the deadline may come while it is tried once more, or at first.
    with pytest.raises((errors.Unreachable, errors.DeadlineExceeded)):
        await connect(address, timeout_seconds=1.0)("screen", CLIP)
    assert len(servicer.attempts) <= 10


@on_one_loop
async def test_without_a_deadline_a_call_is_tried_once(
    connect: Callable[..., Either], flaky: tuple[Flaky, str]
) -> None:
    """A caller who retries by himself would retry a retry."""
    servicer, address = flaky
    servicer.failures = [grpc.StatusCode.UNAVAILABLE] * 2
    with pytest.raises(errors.Unreachable):
        await connect(address, timeout_seconds=0)("screen", CLIP)
    assert len(servicer.attempts) == 1


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@on_one_loop
async def test_nobody_answers(connect: Callable[..., Either]) -> None:
    """A pipeline could not tell that the server is down."""
    call = connect(f"127.0.0.1:{free_port()}", timeout_seconds=0.5)
    with pytest.raises((errors.Unreachable, errors.DeadlineExceeded)):
        await call("screen", CLIP)
    assert await call("is_ready") is False


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    """One worker."""
    async with workers(1) as started:
        yield started


@on_one_loop
async def test_a_server_that_comes_late_is_waited_for(
    connect: Callable[..., Either], sandbox: Sandbox, tmp_path: Path
) -> None:
    """Every update of the server would fail the uploads of that moment."""
    parts = await Parts.make(tmp_path, sandbox)
    address = f"127.0.0.1:{free_port()}"
    call = connect(address, timeout_seconds=30)
    upload = asyncio.create_task(call("screen", CLIP, request_id="an-id"))
    await asyncio.sleep(0.5)
    server = parts.server()
    await server.start(address)
    screened = await upload
    [stored] = (await parts.screenings.list(Call(UNRESTRICTED), 0, 10, None, None)).items
    assert stored.screening_id == screened.screening_id
    await server.stop(0)
    parts.database.close()


@on_one_loop
async def test_a_server_that_dies_half_way_is_waited_for(
    connect: Callable[..., Either], sandbox: Sandbox, tmp_path: Path
) -> None:
    """Likewise, for what was half sent; and nothing would be stored twice."""
    parts = await Parts.make(tmp_path, sandbox)
    server = parts.server()
    address = await server.start("127.0.0.1:0")
    half_sent, may_go_on = threading.Event(), threading.Event()

    def progress(sent: int, total: int) -> None:
        if sent >= total // 2 and not half_sent.is_set():
            half_sent.set()
            if threading.current_thread() is not threading.main_thread():
                may_go_on.wait(60)  # The server is gone when the next piece is sent.

    data = image(1) + bytes(3_000_000)
    call = connect(address, timeout_seconds=30)
    upload = asyncio.create_task(call("screen", data, progress=progress))
    while not half_sent.is_set():
        await asyncio.sleep(0.001)
    await server.stop(0)
    may_go_on.set()
    assert not upload.done()
    server = parts.server()
    await server.start(address)
    screened = await upload
    [stored] = (await parts.screenings.list(Call(UNRESTRICTED), 0, 10, None, None)).items
    assert stored.screening_id == screened.screening_id
    assert stored.media.size_bytes == len(data)
    await server.stop(0)
    parts.database.close()


def watched(call: Either, **given: Any) -> AsyncGenerator[BlocklistChange | Checkpoint]:
    """`watch_changes` of either client."""
    client = call.client
    if isinstance(client, Client):
        return threaded(client.watch_changes(**given))
    return client.watch_changes(**given)


async def threaded(told: Any) -> AsyncGenerator[Any]:
    """A generator that blocks, without blocking."""
    end = object()
    try:
        while (each := await asyncio.to_thread(next, told, end)) is not end:
            yield each
    finally:
        await asyncio.to_thread(told.close)


@on_one_loop
async def test_changes_are_watched_over_restarts_of_the_server(
    connect: Callable[..., Either], sandbox: Sandbox, tmp_path: Path
) -> None:
    """After each update a copy of the blocklist would have lost a change, or taken one twice."""
    parts = await Parts.make(tmp_path, sandbox)
    bank = await parts.bank()
    server = parts.server()
    address = await server.start("127.0.0.1:0")
    heard: list[str] = []
    tokens = []
    call = connect(address, timeout_seconds=30)
    async with contextlib.aclosing(watched(call, after_revision=1)) as told:
        for number in range(30):
            if number % 10 == 5:  # The server is replaced.
                stopping = asyncio.create_task(server.stop(5))
                await parts.blocklist.create_entry(
                    new_request(),
                    bank.bank_id,
                    NewEntry(f"between {number}", "", [signals(number + 100)]),
                )
                await stopping
                feed = Changes(History(parts.database), parts.replica, Audit(parts.database))
                server = dataclasses.replace(parts, changes=feed).server()
                await server.start(address)
            await parts.blocklist.create_entry(
                new_request(),
                bank.bank_id,
                NewEntry(f"{number}", "", [signals(number)]),
            )
            while not heard or heard[-1] != f"{number}":
                change = await anext(told)
                tokens.append(change.resume_token)
                if isinstance(change, BlocklistChange):
                    assert change.entry is not None
                    heard.append(change.entry.ref.reference)
    expected = [
        name
        for number in range(30)
        for name in ([f"between {number}"] if number % 10 == 5 else []) + [f"{number}"]
    ]
    assert heard == expected
    # Another process goes on where this one was.
    async with contextlib.aclosing(watched(call, resume_token=tokens[-1])) as told:
        assert isinstance(await anext(told), Checkpoint)
    await server.stop(0)
    parts.database.close()


ENTRIES = 2000  # Some MB with their hashes: more than what is on its way at any time.


@on_one_loop
async def test_an_export_goes_on_when_the_server_is_replaced(
    connect: Callable[..., Either],
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half a list would look like all of it, or have entries twice."""
    monkeypatch.setattr(exports, "_ENTRIES", 3)
    monkeypatch.setattr(exports, "_HASHES", 40)
    parts = await Parts.make(tmp_path, sandbox)
    bank = await parts.bank()
    some = NewEntries.joined((f"{number}", "", [signals(number, 25)]) for number in range(ENTRIES))
    parts.blocklist_store.create_entries(new_request(), bank.bank_id, [some], usable)
    server = parts.server()
    address = await server.start("127.0.0.1:0")
    call = connect(address, timeout_seconds=30)
    told = call.client.export_entries(bank.name)
    if isinstance(told, Iterator):
        told = threaded(told)
    heard: list[str] = []
    digests: list[bytes] = []
    async for part in told:
        if not heard or heard[-1] != part.entry.ref.reference:
            heard.append(part.entry.ref.reference)
        digests += [each.digest for each in part.hashes]
        if len(digests) in (25 * 100, 25 * ENTRIES // 2):
            await server.stop(0)  # In the middle of what it tells.
            server = parts.server()
            await server.start(address)
    assert heard == [f"{number}" for number in range(ENTRIES)]
    assert b"".join(digests) == b"".join(
        signals(number, 25).digests.tobytes() for number in range(ENTRIES)
    )
    await server.stop(0)
    parts.database.close()


@on_one_loop
async def test_a_feed_that_falls_silent_is_asked_again(
    connect: Callable[..., Either],
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection that died without a word would leave a copy of the blocklist stale for ever."""
    monkeypatch.setattr("hashmatch.client._connection._SILENCE_SECONDS", 0.3)
    parts = await Parts.make(tmp_path, sandbox)
    await parts.bank()
    server = parts.server()
    call = connect(await server.start("127.0.0.1:0"), timeout_seconds=30)
    async with contextlib.aclosing(watched(call)) as told:
        heard = [await anext(told) for _ in range(4)]
    assert isinstance(heard[0], BlocklistChange)
    times = [each.time for each in heard if isinstance(each, Checkpoint)]
    assert len(times) == 3
    assert (times[-1] - times[0]).total_seconds() < 3  # The server itself waits two each time.
    await server.stop(0)
    parts.database.close()


@on_one_loop
async def test_a_feed_that_cannot_go_on_says_so(
    connect: Callable[..., Either], sandbox: Sandbox, tmp_path: Path
) -> None:
    """A copy of the blocklist would wait for ever for what nobody has."""
    parts = await Parts.make(tmp_path, sandbox)
    for _ in range(3):
        await parts.bank()
    History(parts.database).compact(2**50)
    server = parts.server()
    call = connect(await server.start("127.0.0.1:0"), timeout_seconds=30)
    cases: list[tuple[dict[str, Any], type[errors.HashmatchError], dict[str, str]]] = [
        ({"after_revision": 1}, errors.ChangesCompacted, {"oldest_revision": "2"}),
        ({"after_revision": 4}, errors.RevisionUnknown, {"newest_revision": "3"}),
        ({"resume_token": "x"}, errors.InvalidField, {"field": "resume_token"}),
    ]
    for given, expected, metadata in cases:
        with pytest.raises(expected) as caught:
            async with contextlib.aclosing(watched(call, **given)) as told:
                await anext(told)
        assert caught.value.metadata == metadata
    await server.stop(0)
    parts.database.close()


@on_one_loop
async def test_a_list_may_be_large(sandbox: Sandbox, tmp_path: Path) -> None:
    """After a flood of near-duplicates nobody could list the screenings any more."""
    parts = await Parts.make(tmp_path, sandbox)
    server = parts.server()
    address = await server.start("127.0.0.1:0")
    bank = await parts.bank()
    reference = "\N{CJK UNIFIED IDEOGRAPH-4E00}" * 256
    some = NewEntries.joined((reference, "", [signals(1)]) for _ in range(100))
    parts.blocklist_store.create_entries(new_request(), bank.bank_id, [some], usable)
    await parts.replica.current()
    for _ in range(60):
        await parts.screenings.screen_signals(
            Call(UNRESTRICTED, new_id(), "fingerprint"), [signals(1)], 0
        )
    async with AsyncClient(address, timeout_seconds=30) as client:
        listed = [each async for each in client.list_screenings()]
    assert len(listed) == 60
    assert sum(screening_to_wire(each).ByteSize() for each in listed) > 4 * 1024 * 1024
    await server.stop(0)
    parts.database.close()


# The client itself


def test_errors_travel_between_processes() -> None:
    """A pipeline that screens in a pool of processes would break down at the first error."""
    media_error = errors.MediaError(VerdictReason.EMPTY, "no bytes")
    for error in (errors.SpoolFull("full"), media_error, errors.InvalidField("bank", "is empty")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))
        assert again.metadata == error.metadata


def test_the_server_is_named_by_a_variable(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every program would need an option of its own for it."""
    monkeypatch.setenv("HASHMATCH_SERVER", server.address)
    with Client() as client:
        assert client.is_ready()
    with Client(f"127.0.0.1:{free_port()}") as client:
        assert not client.is_ready()


def test_several_threads_may_use_one_client(client: Client) -> None:
    """A pipeline with threads would get each other's verdicts."""
    found: dict[int, Screening] = {}

    def screen(seed: int) -> None:
        found[seed] = client.screen(reencoded(seed))

    threads = [threading.Thread(target=screen, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, screened in found.items():
        assert screened.media == client.screen(reencoded(seed)).media


def test_a_list_is_read_as_far_as_it_is_asked_for(client: Client, server: RunningServer) -> None:
    """Looking at the newest screening would read all of them."""
    for _ in range(3):
        client.screen_signals([signals_to_wire(signals(1))], duration_ms=0)
    newest: Iterator[Screening] = client.list_screenings()
    assert next(newest).screening_id > next(newest).screening_id


def test_closing_twice_is_once(server: RunningServer) -> None:
    """A pipeline that shuts down on an error would hide it behind another."""
    client = Client(server.address)
    before = threading.active_count()
    client.close()
    client.close()
    assert threading.active_count() < before


def test_a_client_that_is_configured_wrongly_leaves_no_thread() -> None:
    """A pipeline that tries again and again would run out of threads."""
    before = threading.active_count()
    with pytest.raises(errors.ConfigInvalid):
        Client("127.0.0.1:1", max_beginning=0)
    assert threading.active_count() <= before


@on_one_loop
async def test_closing_twice_is_once_with_asyncio(server: RunningServer) -> None:
    """Likewise."""
    async with AsyncClient(server.address) as client:
        assert await client.is_ready()
        await client.close()


def test_the_client_needs_nothing_of_the_server() -> None:
    """A pipeline would have to install decoders and a database to ask for a verdict."""
    code = """
import sys
import hashmatch.client
heavy = {"numpy", "av", "PIL", "sqlalchemy", "pydantic", "structlog", "numba", "alembic"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout.strip() == "[]"
