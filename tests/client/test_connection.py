"""How a stream is resumed, from a server that breaks it off in every way that there is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from grpc import aio

from hashmatch import errors
from hashmatch.client import AsyncClient, _connection
from hashmatch.v1 import blocklist_service_pb2 as pb
from hashmatch.v1 import blocklist_service_pb2_grpc as pb_grpc
from hashmatch.wire.status import DETAILS_KEY, code_of, status_details

SILENT = "silent"  # For longer than a client waits.
END = "end"
GONE = errors.StoreUnavailable("for a moment")
GONE.retry_after_ms = 1

# How a stream breaks off.
Break = errors.HashmatchError | str


class Breaking(pb_grpc.BlocklistServiceServicer):
    """Sends the numbers from 1 to ``last``, the token of each being itself; breaks off before some
    of them, once each. Notes what each call asked for.
    """

    def __init__(self) -> None:
        self.last = 0
        self.breaks: dict[int, Break] = {}
        self.asked: list[tuple[int, str]] = []  # Revision and token.
        self.ended = asyncio.Event()

    async def WatchChanges(
        self, request: pb.WatchChangesRequest, context: Any
    ) -> AsyncGenerator[pb.WatchChangesResponse]:
        """Sends the numbers as checkpoints."""
        self.asked.append((request.after_revision, request.resume_token))
        async for number in self._numbers(request.after_revision, request.resume_token, context):
            checkpoint = pb.Checkpoint(revision=number)
            yield pb.WatchChangesResponse(checkpoint=checkpoint, resume_token=f"{number}")

    async def ExportEntries(
        self, request: pb.ExportEntriesRequest, context: Any
    ) -> AsyncGenerator[pb.ExportEntriesResponse]:
        """Sends the numbers as entries, two of them in one response."""
        self.asked.append((0, request.resume_token))
        entries = []
        async for number in self._numbers(0, request.resume_token, context):
            entry = pb.Entry(state=pb.ENTRY_STATE_ACTIVE, duration_ms=number)
            entries.append(pb.ExportedEntry(entry=entry, resume_token=f"{number}"))
            if number % 2 == 0:
                yield pb.ExportEntriesResponse(entries=entries)
                entries = []

    async def _numbers(self, after: int, token: str, context: Any) -> AsyncIterator[int]:
        try:
            for number in range(after + 1 + int(token or 0), self.last + 1):
                broken = self.breaks.pop(number, None)
                if isinstance(broken, errors.HashmatchError):
                    details = (DETAILS_KEY, status_details(broken))
                    await context.abort(code_of(broken), str(broken), trailing_metadata=(details,))
                elif broken == END:
                    return
                elif broken == SILENT:
                    await asyncio.Event().wait()
                yield number
        finally:
            self.ended.set()


@pytest_asyncio.fixture
async def breaking() -> AsyncIterator[tuple[Breaking, AsyncClient]]:
    """The servicer, and a client of its server."""
    server, servicer = aio.server(), Breaking()  # type: ignore[abstract]
    pb_grpc.add_BlocklistServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with AsyncClient(f"127.0.0.1:{port}", timeout_seconds=120) as client:
        yield servicer, client
    await server.stop(0)


def wait_no_longer(monkeypatch: pytest.MonkeyPatch, broken: Break) -> None:
    """Has a client wait for less than a silent server does. A busy server may be asked anew."""
    monkeypatch.setattr(_connection, "_SILENCE_SECONDS", 0.5 if broken == SILENT else 120.0)


@pytest.mark.parametrize("broken", [END, SILENT, GONE], ids=str)
async def test_a_feed_goes_on_however_it_ends(
    breaking: tuple[Breaking, AsyncClient], monkeypatch: pytest.MonkeyPatch, broken: Break
) -> None:
    """A copy of the blocklist would stay as it was at that moment, or take changes twice."""
    wait_no_longer(monkeypatch, broken)
    servicer, client = breaking
    # Before the first response, and after some.
    servicer.last, servicer.breaks = 8, {5: broken, 7: broken}
    feed = client.watch_changes(4)
    revisions = [(await anext(feed)).revision for _ in range(4)]
    await feed.aclose()
    assert revisions == [5, 6, 7, 8]
    assert not servicer.breaks
    assert servicer.asked[:2] == [(4, ""), (4, "")]
    assert (0, "6") in servicer.asked
    assert broken == SILENT or len(servicer.asked) == 3


@pytest.mark.parametrize("broken", [SILENT, GONE], ids=str)
async def test_an_export_goes_on_until_its_end(
    breaking: tuple[Breaking, AsyncClient], monkeypatch: pytest.MonkeyPatch, broken: Break
) -> None:
    """Half a list would look like all of it, or an entry come twice."""
    wait_no_longer(monkeypatch, broken)
    servicer, client = breaking
    servicer.last, servicer.breaks = 6, {1: broken, 5: broken}
    parts = [part.resume_token async for part in client.export_entries("a-bank")]
    assert parts == ["1", "2", "3", "4", "5", "6"]
    assert not servicer.breaks
    assert servicer.asked[:2] == [(0, ""), (0, "")]
    assert (0, "4") in servicer.asked
    assert broken == SILENT or len(servicer.asked) == 3


async def test_an_export_may_be_empty(breaking: tuple[Breaking, AsyncClient]) -> None:
    """A bank without entries would be asked for until the deadline."""
    servicer, client = breaking
    assert [part async for part in client.export_entries("a-bank")] == []
    assert len(servicer.asked) == 1


@pytest.mark.parametrize("at", [2, 3])
async def test_what_a_retry_does_not_help_ends_a_feed(
    breaking: tuple[Breaking, AsyncClient], at: int
) -> None:
    """A copy of the blocklist would wait for ever for changes that nobody keeps."""
    servicer, client = breaking
    servicer.last, servicer.breaks = 3, {at: errors.ChangesCompacted(1, 9)}
    with pytest.raises(errors.ChangesCompacted):
        async for _ in client.watch_changes(1):
            pass
    assert len(servicer.asked) == 1


async def test_a_feed_that_is_closed_ends_its_call(
    breaking: tuple[Breaking, AsyncClient],
) -> None:
    """A server would send changes to nobody until the client goes."""
    servicer, client = breaking
    servicer.last, servicer.breaks = 2, {2: SILENT}
    feed = client.watch_changes()
    await anext(feed)
    await feed.aclose()
    async with asyncio.timeout(60):
        await servicer.ended.wait()


async def test_a_feed_that_is_cancelled_ends_its_call(
    breaking: tuple[Breaking, AsyncClient],
) -> None:
    """So would one that was cancelled before its first response."""
    servicer, client = breaking
    servicer.last, servicer.breaks = 1, {1: SILENT}
    waiting = asyncio.ensure_future(anext(client.watch_changes()))
    async with asyncio.timeout(60):
        while not servicer.asked:
            await asyncio.sleep(0.005)
        waiting.cancel()
        await servicer.ended.wait()
    with pytest.raises(asyncio.CancelledError):
        await waiting
