"""Streams of a header and chunks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.errors import InvalidField, StreamOrder, UploadTooSlow
from hashmatch.server.grpc import uploads
from hashmatch.server.grpc.uploads import MAX_CHUNK_BYTES, open_upload
from hashmatch.v1 import blocklist_service_pb2 as blocklist_pb
from hashmatch.v1 import screening_service_pb2 as pb
from tests.support import PATIENT

HEADER = pb.ScreenUploadRequest(header=pb.ScreenUploadHeader(request_id="id", size_bytes=3))


async def stream(messages: Sequence[pb.ScreenUploadRequest]) -> AsyncIterator[object]:
    """Messages as they come."""
    for message in messages:
        yield message


async def test_a_header_that_never_comes_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Streams that say nothing would stay open until the server has room for no other."""
    monkeypatch.setattr(uploads, "_HEADER_SECONDS", 0.05)

    async def silence() -> AsyncIterator[object]:
        await asyncio.sleep(60)
        yield HEADER

    with pytest.raises(UploadTooSlow):
        await open_upload(silence())


def chunk(data: bytes) -> pb.ScreenUploadRequest:
    """A piece of a file."""
    return pb.ScreenUploadRequest(chunk=data)


async def received(*messages: pb.ScreenUploadRequest) -> bytes:
    """All chunks of an upload."""
    _, chunks = await open_upload(stream(messages))
    return b"".join([each async for each in chunks])


@PATIENT
@given(st.lists(st.binary(max_size=8), max_size=8))
async def test_chunks_are_the_file(data: list[bytes]) -> None:
    """A file would be hashed that nobody sent."""
    header, chunks = await open_upload(stream([HEADER, *map(chunk, data)]))
    assert header == HEADER.header
    got = [each async for each in chunks]
    assert b"".join(got) == b"".join(data)
    assert all(got)


async def test_uploads_of_entries_are_read_alike() -> None:
    """An entry could not be made of a media."""
    message = blocklist_pb.CreateEntryFromMediaRequest(
        header=blocklist_pb.CreateEntryFromMediaHeader(bank="b")
    )

    async def one() -> AsyncIterator[object]:
        yield message

    header, chunks = await open_upload(one())
    assert header.bank == "b"
    assert [each async for each in chunks] == []


@pytest.mark.parametrize("messages", [[], [chunk(b"x")], [pb.ScreenUploadRequest()], [chunk(b"")]])
async def test_an_upload_begins_with_its_header(messages: list[pb.ScreenUploadRequest]) -> None:
    """A screening without a request_id could not be repeated."""
    with pytest.raises(StreamOrder, match="first message"):
        await received(*messages)


@pytest.mark.parametrize("second", [HEADER, pb.ScreenUploadRequest()])
@pytest.mark.parametrize("before", [[], [chunk(b"abc")]])
async def test_an_upload_has_one_header(
    second: pb.ScreenUploadRequest, before: list[pb.ScreenUploadRequest]
) -> None:
    """Two files sent as one would get one verdict."""
    with pytest.raises(StreamOrder, match="chunks only"):
        await received(HEADER, *before, second, chunk(b"x"))


async def test_chunks_have_a_largest_size() -> None:
    """Every upload under way could take as much memory as a message may have."""
    assert len(await received(HEADER, chunk(bytes(MAX_CHUNK_BYTES)))) == MAX_CHUNK_BYTES
    with pytest.raises(InvalidField, match="at most 4194304") as caught:
        await received(HEADER, chunk(bytes(MAX_CHUNK_BYTES + 1)))
    assert caught.value.metadata == {"field": "chunk"}


async def test_nothing_is_read_ahead() -> None:
    """A media would pile up in memory while the decoder is busy."""
    taken = 0

    async def counted() -> AsyncIterator[object]:
        nonlocal taken
        for message in (HEADER, chunk(b"a"), chunk(b"b")):
            taken += 1
            yield message

    _, chunks = await open_upload(counted())
    assert taken == 1
    assert await anext(chunks) == b"a"
    assert taken == 2
