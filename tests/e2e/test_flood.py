"""Many more uploads at once than can be dealt with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc import aio

from hashmatch.client import AsyncClient, Client
from hashmatch.errors import HashmatchError
from hashmatch.model.verdicts import Action, Verdict
from hashmatch.server.grpc.server import OPTIONS
from tests.conftest import RunningServer, serving
from tests.support import TORTURE, clip, image, reencoded

# Twice as many uploads as a server has room for, and four times as many as a caller may have.
UPLOADS = 2000 if TORTURE else 600


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Two workers, and an entry."""
    with serving(
        tmp_path_factory.mktemp("flood"), workers="2", max_uploads=str(UPLOADS // 2)
    ) as running:
        with Client(running.address) as client:
            client.create_bank("bank", action=Action.BLOCK)
            client.add_entry("bank", image(61))
        yield running


def media(number: int) -> tuple[bytes, Verdict]:
    """One that no other is like, and what becomes of it."""
    if number % 3 == 0:
        return reencoded(61) + bytes([number % 256, number // 256]), Verdict.BLOCK
    if number % 3 == 1:
        return image(10_000 + number, 64, 64), Verdict.NO_MATCH
    return clip([1, 2]) + number.to_bytes(8, "big"), Verdict.NO_MATCH


def refusals(server: RunningServer) -> int:
    """Uploads that the server has refused, as its log says."""
    return server.log.read_text().count('"reason": "OVERLOADED"')


# The second is a caller that holds nothing back.
@pytest.mark.parametrize("max_beginning", [16, UPLOADS])
async def test_each_is_answered_right_or_refused(server: RunningServer, max_beginning: int) -> None:
    """A flood would lose uploads, pass some that it never looked at, or end the server."""
    outcomes: list[str] = []
    made = [media(number) for number in range(UPLOADS)]

    async def upload(client: AsyncClient, data: bytes, expected: Verdict) -> None:
        try:
            screening = await client.screen(data, timeout_seconds=0)
        except HashmatchError as error:
            outcomes.append(error.reason)
        else:
            right = screening.verdict in (expected, Verdict.INCONCLUSIVE)
            outcomes.append("answered" if right else f"wrong: {screening.verdict.name}")

    async with AsyncClient(server.address, max_beginning=max_beginning) as client:
        before = {each.screening_id async for each in client.list_screenings()}
        refused_before = refusals(server)
        await asyncio.gather(*(upload(client, *each) for each in made))
        assert len(outcomes) == UPLOADS
        assert set(outcomes) <= {"answered", "OVERLOADED"}
        assert "answered" in outcomes
        assert "OVERLOADED" in outcomes
        answered = {each.screening_id async for each in client.list_screenings()} - before
        assert len(answered) == outcomes.count("answered")
        refused = refusals(server) - refused_before
        if max_beginning < UPLOADS:  # The client knows by itself what comes of the others.
            assert refused < UPLOADS / 10
        else:
            assert refused == UPLOADS - len(answered)
        # It is as before.
        for data, expected in made[:3]:
            assert (await client.screen(data, timeout_seconds=60)).verdict is expected
        stored = {each.screening_id async for each in client.list_screenings()}
        assert len(stored - before - answered) == 3


async def test_who_is_refused_gets_his_turn(server: RunningServer) -> None:
    """A client that does as it is told would be refused for ever."""
    async with AsyncClient(server.address, timeout_seconds=120) as client:
        many = [client.screen(image(20_000 + n, 64, 64)) for n in range(60)]
        verdicts = [screening.verdict for screening in await asyncio.gather(*many)]
    assert verdicts == [Verdict.NO_MATCH] * 60


async def waits_for_long() -> None:
    """A call is cancelled by gRPC after 30 seconds without a handler: an outage, it seems."""

    async def answer(request: bytes, _context: object) -> bytes:
        time.sleep(32 if request == b"blocks" else 0)
        return request

    handler = grpc.method_handlers_generic_handler(
        "test", {"Call": grpc.unary_unary_rpc_method_handler(answer)}
    )
    server = aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    def calls() -> list[bytes]:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call: Any = channel.unary_unary("/test/Call")
            blocking = call.future(b"blocks")
            time.sleep(1)
            waiting = [call.future(b"waits", timeout=60) for _ in range(20)]
            return [each.result() for each in [blocking, *waiting]]

    assert await asyncio.to_thread(calls) == [b"blocks"] + 20 * [b"waits"]
    await server.stop(None)


if TORTURE:  # It takes 32 seconds of nothing but waiting.
    test_a_call_that_waits_for_long_is_not_cancelled = waits_for_long
