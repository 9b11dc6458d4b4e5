"""Where the bytes of a media come from, possibly while they still arrive."""

from __future__ import annotations

import io
import os
from typing import BinaryIO, Protocol

from hashmatch.decoding.media.faults import Damaged

__all__ = [
    "BytesSource",
    "FileSource",
    "JoinedSource",
    "PartSource",
    "PatchedSource",
    "SeekableReader",
    "Source",
    "StreamReader",
]


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
        # A place in a file has 63 bits; those that are written in one may have more.
        return b"" if offset >> 63 else os.pread(self._descriptor, size, offset)

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


class PartSource:
    """What lies between two places of another source."""

    def __init__(self, source: Source, start: int, end: int | None = None) -> None:
        """To the end of ``source`` if there is no ``end``. Waits for the end of the source."""
        self._source, self._start = source, start
        self._size = max(0, (source.total() if end is None else min(end, source.total())) - start)

    def read_at(self, offset: int, size: int, *, whole: bool = True) -> bytes:
        """See `Source`."""
        most = max(0, min(size, self._size - offset))
        return self._source.read_at(self._start + offset, most, whole=whole) if most else b""

    def total(self) -> int:
        """See `Source`."""
        return self._size


class JoinedSource:
    """Several sources, one behind the other."""

    def __init__(self, *parts: Source) -> None:
        """All of them are complete."""
        self._parts = parts

    def read_at(self, offset: int, size: int, *, whole: bool = True) -> bytes:  # noqa: ARG002
        """See `Source`."""
        data, start = b"", 0
        for part in self._parts:
            end = start + part.total()
            at = offset + len(data)
            if len(data) < size and start <= at < end:
                data += part.read_at(at - start, min(size - len(data), end - at))
            start = end
        return data

    def total(self) -> int:
        """See `Source`."""
        return sum(part.total() for part in self._parts)


class PatchedSource:
    """Another source, some bytes of which are replaced: a file as it would be if another of its
    pictures was the first.
    """

    def __init__(self, source: Source, patches: dict[int, bytes]) -> None:
        """``patches`` has what is put in the place of as many bytes, by their offset."""
        self._source, self._patches = source, patches

    def read_at(self, offset: int, size: int, *, whole: bool = True) -> bytes:
        """See `Source`."""
        data = self._source.read_at(offset, size, whole=whole)
        for at, patch in self._patches.items():
            start, end = max(at, offset), min(at + len(patch), offset + len(data))
            if start < end:
                put = patch[start - at : end - at]
                data = data[: start - offset] + put + data[end - offset :]
        return data

    def total(self) -> int:
        """See `Source`."""
        return self._source.total()


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
            raise Damaged(f"seek to {start + offset}, before the start")
        self._offset = start + offset
        return self._offset

    def tell(self) -> int:
        """The present place."""
        return self._offset
