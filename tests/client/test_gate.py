"""What a client holds back from a server that is full."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from grpc import aio

from hashmatch import errors
from hashmatch.client import AsyncClient, Client, _media
from hashmatch.model.records import Screening
from hashmatch.v1 import screening_service_pb2 as pb
from hashmatch.v1 import screening_service_pb2_grpc as pb_grpc
from hashmatch.wire.records import screening_to_wire
from hashmatch.wire.status import DETAILS_KEY, TAKEN_KEY, code_of, status_details
from tests.conftest import RunningServer
from tests.store.test_screenings import screening
from tests.support import image, new_id

DELAY_MS = 400
LONG_MS = 60_000  # For what has to be so before it is over, on any machine.


class Small(pb_grpc.ScreeningServiceServicer):
    """A real gRPC server that has room for few, and refuses the others."""

    def __init__(self) -> None:
        self.room = 3
        self.held = asyncio.Event()
        self.held.set()  # Unless a test wants uploads to stay.
        self.seconds = 0.0  # That each takes.
        self.tells = True  # At once that it takes one.
        self.says_nothing = False
        self.delay_ms = DELAY_MS
        self.refuses_each: int | None = None  # Whatever its room is.
        self.seen = 0
        self.refused = 0

    async def ScreenUpload(self, request_iterator: Any, context: Any) -> pb.ScreenUploadResponse:
        """Takes it or not, when its header is there: as a server does."""
        await anext(request_iterator)
        self.seen += 1
        each = self.refuses_each
        if self.room == 0 or (each is not None and self.seen % each):
            self.refused += 1
            error = errors.Overloaded("full, says the server")
            error.retry_after_ms = self.delay_ms
            details = (DETAILS_KEY, status_details(error))
            await context.abort(code_of(error), str(error), trailing_metadata=(details,))
        self.room -= 1
        try:
            if not self.tells:
                await self.held.wait()
            if not self.says_nothing:
                await context.send_initial_metadata(((TAKEN_KEY, "1"),))
            async for _ in request_iterator:
                pass
            await asyncio.sleep(self.seconds)
            await self.held.wait()
        finally:
            self.room += 1
        return pb.ScreenUploadResponse(screening=screening_to_wire(screening()))


@pytest_asyncio.fixture
async def small() -> AsyncIterator[tuple[Small, str]]:
    """It and its address."""
    server, servicer = aio.server(), Small()  # type: ignore[abstract]
    pb_grpc.add_ScreeningServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield servicer, f"127.0.0.1:{port}"
    await server.stop(0)


async def outcome(client: AsyncClient, timeout_seconds: float = 0) -> str:
    """What becomes of an upload: a reason, or ``answered``."""
    try:
        await client.screen(b"media", timeout_seconds=timeout_seconds)
    except errors.HashmatchError as error:
        return error.reason
    return "answered"


async def until(condition: Any) -> None:
    """Waits for it."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def test_what_a_full_server_refuses_is_not_sent(small: tuple[Small, str]) -> None:
    """A flood would cost server and client more than all that they can answer."""
    servicer, address = small
    servicer.held.clear()
    servicer.delay_ms = LONG_MS
    async with AsyncClient(address) as client:
        uploads = [asyncio.create_task(client.screen(b"m", timeout_seconds=0)) for _ in range(500)]
        await until(lambda: sum(upload.done() for upload in uploads) == 497)
        servicer.held.set()
        done = await asyncio.gather(*uploads, return_exceptions=True)
    refused = [each for each in done if isinstance(each, errors.Overloaded)]
    assert len(refused) == 497
    assert sum(isinstance(each, Screening) for each in done) == 3
    assert servicer.seen < 40
    # As the server says it.
    assert {str(each) for each in refused} == {"full, says the server"}
    assert all(0 < each.retry_after_ms <= LONG_MS for each in refused)


async def test_it_opens_when_the_delay_is_over(small: tuple[Small, str]) -> None:
    """A server that was full once would get nothing any more."""
    servicer, address = small
    servicer.room = 0
    async with AsyncClient(address) as client:
        began = time.monotonic()
        assert Counter([await outcome(client) for _ in range(10)]) == {"OVERLOADED": 10}
        if time.monotonic() - began < DELAY_MS / 1000:
            assert servicer.seen < 10
        servicer.room = 3
        await asyncio.sleep(DELAY_MS / 1000 + 0.05)
        assert [await outcome(client) for _ in range(3)] == ["answered"] * 3


async def test_who_may_wait_is_answered_in_line(small: tuple[Small, str]) -> None:
    """A pipeline that waits as it is told would send everything again and again."""
    servicer, address = small
    servicer.seconds = 0.01
    async with AsyncClient(address) as client:
        outcomes = await asyncio.gather(*(outcome(client, 60) for _ in range(100)))
    assert outcomes == ["answered"] * 100
    assert servicer.seen == 100 + servicer.refused
    assert servicer.refused < 200


async def test_one_begins_when_another_has_ended(small: tuple[Small, str]) -> None:
    """Workers would be idle until the delay is over, which may be long."""
    servicer, address = small
    servicer.held.clear()
    servicer.delay_ms = LONG_MS
    async with AsyncClient(address) as client:
        first = [asyncio.create_task(outcome(client)) for _ in range(20)]
        await until(lambda: sum(each.done() for each in first) == 17)
        seen = servicer.seen
        patient = [asyncio.create_task(outcome(client, 120)) for _ in range(3)]
        await asyncio.sleep(0.02)
        servicer.held.set()
        assert await asyncio.gather(*patient) == ["answered"] * 3
        assert Counter(await asyncio.gather(*first)) == {"OVERLOADED": 17, "answered": 3}
        assert servicer.seen <= seen + 6


async def test_one_full_server_of_several_does_not_close_it(small: tuple[Small, str]) -> None:
    """What another server has room for would be refused."""
    servicer, address = small
    servicer.room, servicer.refuses_each = 1000, 3
    async with AsyncClient(address, max_beginning=1) as client:
        outcomes = [await outcome(client) for _ in range(30)]
    assert servicer.seen == 30
    assert Counter(outcomes) == {"OVERLOADED": 20, "answered": 10}


async def test_who_gives_up_leaves_the_line(small: tuple[Small, str]) -> None:
    """A place would be lost with each, until nothing is sent any more."""
    servicer, address = small
    servicer.held.clear()
    servicer.tells = False
    async with AsyncClient(address, max_beginning=1) as client:
        first = asyncio.create_task(outcome(client))
        await until(lambda: servicer.seen == 1)
        others = [asyncio.create_task(outcome(client)) for _ in range(5)]
        assert await outcome(client, 0.1) == "DEADLINE"
        assert servicer.seen == 1
        for each in (first, *others[:4]):
            each.cancel()
        servicer.held.set()
        assert await others[4] == "answered"
        for each in (first, *others[:4]):
            with contextlib.suppress(asyncio.CancelledError):
                await each
        assert await outcome(client) == "answered"
        await until(lambda: servicer.room == 3)  # What was cancelled ended there too.


async def test_so_many_begin_at_once(small: tuple[Small, str]) -> None:
    """A caller could not say how much may be sent in vain, or it would not be kept to."""
    servicer, address = small
    servicer.room, servicer.tells = 1000, False
    servicer.held.clear()
    async with AsyncClient(address, max_beginning=7) as client:
        uploads = [asyncio.create_task(outcome(client)) for _ in range(50)]
        await until(lambda: servicer.seen == 7)
        await asyncio.sleep(0.1)
        assert servicer.seen == 7
        servicer.held.set()
        assert await asyncio.gather(*uploads) == ["answered"] * 50
    for cls in (Client, AsyncClient):
        with pytest.raises(errors.ConfigInvalid, match="max_beginning: 0"):
            cls(address, max_beginning=0)


async def test_slow_uploads_are_not_in_the_way(server: RunningServer) -> None:
    """Sixteen people on a slow line would keep all others waiting."""
    more = asyncio.Event()
    data = image(1)

    async def messages() -> AsyncIterator[pb.ScreenUploadRequest]:
        header = pb.ScreenUploadHeader(request_id=new_id(), size_bytes=len(data))
        yield pb.ScreenUploadRequest(header=header)
        await more.wait()
        yield pb.ScreenUploadRequest(chunk=data)

    async with aio.insecure_channel(server.address) as channel:
        stub: Any = pb_grpc.ScreeningServiceStub(channel)
        call = stub.ScreenUpload(messages())
        async with asyncio.timeout(30):
            assert TAKEN_KEY in await call.initial_metadata()
        more.set()
        assert (await call).screening.coverage.complete


async def test_nothing_is_sent_to_a_server_that_may_refuse(small: tuple[Small, str]) -> None:
    """GRPC forgets why an upload was refused if it could not be sent any more."""
    servicer, address = small
    servicer.room = 0
    sent: list[int] = []
    async with AsyncClient(address) as client:
        with pytest.raises(errors.Overloaded):
            await client.screen(
                bytes(10**6), timeout_seconds=0, progress=lambda so_far, _: sent.append(so_far)
            )
        assert sent == []
        servicer.room, servicer.tells = 1, False
        servicer.held.clear()
        task = asyncio.create_task(
            client.screen(bytes(10**6), progress=lambda so_far, _: sent.append(so_far))
        )
        await until(lambda: servicer.seen == 2)
        await asyncio.sleep(0.1)
        assert sent == []
        servicer.held.set()
        await task
    assert sent[-1] == 10**6


async def test_a_server_that_says_nothing_gets_the_upload_all_the_same(
    small: tuple[Small, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a proxy that holds such words back every upload would wait until its deadline."""
    monkeypatch.setattr(_media, "_HELD_SECONDS", 0.2)
    servicer, address = small
    servicer.says_nothing = True
    async with AsyncClient(address) as client:
        assert await outcome(client, 60) == "answered"
