"""Where the bytes of an upload come from on the client's side."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from grpc import aio

from hashmatch.wire.status import TAKEN_KEY

__all__ = ["MediaReader", "MediaSource", "Progress", "begin_upload"]

MediaSource = str | os.PathLike[str] | bytes | BinaryIO

# Called with (bytes sent, bytes in all or 0 if not known).
Progress = Callable[[int, int], None]

_CHUNK_BYTES: Final = 256 * 1024

# Longest time that chunks are held back for a server that has not said whether it takes the upload:
# a proxy may hold that back. A server says so within milliseconds.
_HELD_SECONDS: Final = 10.0

Request = TypeVar("Request")
Response = TypeVar("Response")


class MediaReader:
    """The bytes of an upload, read again from their beginning for a retry where the source can
    seek.
    """

    def __init__(self, source: MediaSource) -> None:
        """``source``: a path, the bytes, or a file opened for reading bytes.

        Raises ``OSError`` if a path cannot be opened.
        """
        self._owned = isinstance(source, str | bytes | os.PathLike)
        self._file: BinaryIO
        if isinstance(source, bytes):
            self._file = io.BytesIO(source)
        elif isinstance(source, str | os.PathLike):
            self._file = Path(source).open("rb")  # noqa: SIM115 - see close()
        else:
            self._file = source
        self.can_repeat = self._file.seekable()
        self.failure: Exception | None = None  # Why the bytes could not be read to their end.
        self._start = self._file.tell() if self.can_repeat else 0
        self.size = 0
        if self.can_repeat:
            self.size = self._file.seek(0, io.SEEK_END) - self._start

    async def chunks(self, progress: Progress | None) -> AsyncIterator[bytes]:
        """The bytes from the beginning, and no more than `size` where that is known. Reads in a
        thread, but for bytes in memory: the source may be slow, and the answer may come before its
        end.
        """
        try:
            if self.can_repeat:
                self._file.seek(self._start)
            sent = 0
            # Not read once more for the end of what has a known one: the server waits for it.
            while not self.can_repeat or sent < self.size:
                most = min(_CHUNK_BYTES, self.size - sent) if self.can_repeat else _CHUNK_BYTES
                if isinstance(self._file, io.BytesIO):
                    chunk = self._file.read(most)
                else:
                    chunk = await asyncio.to_thread(self._file.read, most)
                if not chunk:
                    break
                yield chunk
                sent += len(chunk)
                if progress is not None:
                    progress(sent, self.size)
        except Exception as error:
            self.failure = error
            raise

    def close(self) -> None:
        """Closes what was opened here."""
        if self._owned:
            self._file.close()


def begin_upload(
    method: aio.StreamUnaryMultiCallable[Request, Response],
    header: Request,
    of_chunk: Callable[[bytes], Request],
    reader: MediaReader,
    progress: Progress | None,
    timeout: float | None,
    *,
    held: bool,
) -> aio.StreamUnaryCall[Request, Response]:
    """Returns the call of a method that takes a header and then chunks, which ``of_chunk`` makes
    messages. ``timeout`` is in seconds; None: none.

    The header goes at once. Chunks go at once too unless they are ``held`` until the server has
    said that it takes the upload: to a refused upload gRPC cannot write, and then forgets why it
    was refused.
    """

    async def messages() -> AsyncIterator[Request]:
        yield header
        if not held or await _is_taken(call):
            async for chunk in reader.chunks(progress):
                yield of_chunk(chunk)

    call = method(messages(), timeout=timeout)
    return call


async def _is_taken(call: aio.StreamUnaryCall[Request, Response]) -> bool:
    metadata = asyncio.ensure_future(call.initial_metadata())
    await asyncio.wait([metadata], timeout=_HELD_SECONDS)
    if not metadata.done():
        return True
    if metadata.result().get(TAKEN_KEY) is not None:
        return True
    # It is refused, or answered already; until that has come, gRPC would forget it.
    ended = asyncio.ensure_future(call.code())
    await asyncio.wait([ended], timeout=_HELD_SECONDS)
    return not call.done()
