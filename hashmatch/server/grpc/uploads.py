"""Streams of a header and chunks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from hashmatch.errors import InvalidField, StreamOrder, UploadTooSlow
from hashmatch.wire.status import TAKEN_KEY

__all__ = ["MAX_CHUNK_BYTES", "open_upload", "told_when_taken"]

MAX_CHUNK_BYTES: Final = 4 * 1024 * 1024
_HEADER_SECONDS: Final = 30.0


async def open_upload(messages: AsyncIterator[Any]) -> tuple[Any, AsyncIterator[bytes]]:
    """The header of an upload, and its chunks as they come.

    ``messages`` have a oneof ``part`` of ``header`` and ``chunk``. Raises `UploadTooSlow`, and
    `StreamOrder`, also later from the chunks.
    """
    try:
        async with asyncio.timeout(_HEADER_SECONDS):
            message = await anext(messages, None)
    except TimeoutError as error:
        raise UploadTooSlow("an upload was begun, and no header came") from error
    if message is not None and message.WhichOneof("part") == "header":
        return message.header, _chunks(messages)
    raise StreamOrder("the first message of an upload must be its header")


async def told_when_taken(chunks: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    """The same. Nobody asks for them before the upload has a place: so the caller is told then."""
    await context.send_initial_metadata(((TAKEN_KEY, "1"),))
    async for chunk in chunks:
        yield chunk


async def _chunks(messages: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for message in messages:
        if message.WhichOneof("part") != "chunk":
            raise StreamOrder("after the header an upload has chunks only")
        if len(message.chunk) > MAX_CHUNK_BYTES:
            raise InvalidField(
                "chunk", f"{len(message.chunk)} bytes; at most {MAX_CHUNK_BYTES} are allowed"
            )
        if message.chunk:
            yield message.chunk
