"""Where the bytes of a media come from, possibly while they still arrive."""

from __future__ import annotations

import io
import os
from typing import BinaryIO, Protocol

__all__ = ["BytesSource", "FileSource", "SeekableReader", "Source", "StreamReader"]


class Source(Protocol):
    """Random access to bytes that may not all be here yet."""

    def read_at(self, offset: int, size: int, *, whole: bool = True) -> bytes:
        """Up to ``size`` bytes at ``offset``; waits until they are there, or with ``whole`` false
        until any is. Short otherwise only at the end.
        """

    def total(self) -> int:
        """Bytes in all; waits for the end."""


class FileSource:
    """A file that is complete."""

    def __init__(self, file: BinaryIO) -> None:
        """``file`` has a descriptor."""
        self._descriptor = file.fileno()

    def read_at(self, offset: int, size: int, *, whole: bool = True) -> bytes:  # noqa: ARG002
        """See `Source`."""
        return os.pread(self._descriptor, size, offset)

    def total(self) -> int:
        """See `Source`."""
        return os.fstat(self._descriptor).st_size


class BytesSource:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        """All of it."""
        self._data = data

    def read_at(self, offset: int, size: int, *, whole: bool = True) -> bytes:  # noqa: ARG002
        """See `Source`."""
        return self._data[offset : offset + size]

    def total(self) -> int:
        """See `Source`."""
        return len(self._data)


class StreamReader:
    """Reads a source from its start to its end; has no ``seek``, so that a demuxer cannot ask for
    what has not arrived yet.
    """

    def __init__(self, source: Source) -> None:
        """Begins at the first byte."""
        self._source = source
        self._offset = 0

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``; empty at the end."""
        chunk = self._source.read_at(self._offset, size, whole=False)
        self._offset += len(chunk)
        return chunk


class SeekableReader(io.RawIOBase):
    """A complete source as an ordinary file."""

    def __init__(self, source: Source) -> None:
        """Waits for the end of the source."""
        self._source = source
        self._size = source.total()
        self._offset = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills ``buffer`` as far as it can."""
        chunk = self._source.read_at(self._offset, len(buffer))
        buffer[: len(chunk)] = chunk
        self._offset += len(chunk)
        return len(chunk)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As ``io.IOBase.seek``. Raises ``ValueError`` for a place before the start."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"seek to {start + offset}, before the start")
        self._offset = start + offset
        return self._offset

    def tell(self) -> int:
        """The present place."""
        return self._offset
