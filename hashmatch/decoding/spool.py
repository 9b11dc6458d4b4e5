"""Where an upload's bytes wait: in anonymous memory first, on disk beyond that.

Neither has a name, so nothing is left behind however the server ends, and a worker can be given
both by their descriptors.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hashmatch.errors import SpoolFull

__all__ = ["Spool", "SpoolBudget"]


@dataclass(slots=True)
class SpoolBudget:
    """What all uploads together may take, in bytes. One per server."""

    memory_bytes: int
    disk_bytes: int
    folder: Path

    def take_memory(self, size: int) -> bool:
        """Takes ``size`` bytes of memory if there are as many left."""
        if size > self.memory_bytes:
            return False
        self.memory_bytes -= size
        return True

    def take_disk(self, size: int) -> None:
        """Takes ``size`` bytes of disk. Raises `SpoolFull` if there are not as many left."""
        if size > self.disk_bytes:
            raise SpoolFull("the spool is full; try again when other uploads have ended")
        self.disk_bytes -= size


class Spool:
    """The bytes of one upload: appended by one, read by others while they arrive."""

    def __init__(self, budget: SpoolBudget) -> None:
        """Takes nothing of ``budget`` until bytes arrive."""
        self._budget = budget
        self._memory = os.memfd_create("hashmatch-spool", os.MFD_CLOEXEC)
        self._disk = -1
        try:
            # Unlinked at once, see tempfile.
            with tempfile.TemporaryFile(dir=budget.folder) as file:
                self._disk = os.dup(file.fileno())
        except OSError as error:
            os.close(self._memory)
            raise SpoolFull(f"no file can be made in the spool ({error.strerror})") from error
        self.size = 0
        self.memory_size = 0
        self.ended = False
        self._grown = asyncio.Condition()

    async def append(self, chunk: bytes) -> None:
        """Adds bytes. Raises `SpoolFull` if there is no room for them."""
        if self.memory_size == self.size and self._budget.take_memory(len(chunk)):
            _write(self._memory, chunk, self.size)
            self.memory_size += len(chunk)
        else:
            self._budget.take_disk(len(chunk))
            offset = self.size - self.memory_size
            writing = asyncio.ensure_future(asyncio.to_thread(_write, self._disk, chunk, offset))
            try:
                await asyncio.shield(writing)
            except OSError as error:
                self._budget.disk_bytes += len(chunk)
                raise SpoolFull(f"the spool cannot be written ({error.strerror})") from error
            except asyncio.CancelledError:
                # The thread goes on; when `close` comes, it must not write to what is then another
                # upload's descriptor.
                await asyncio.wait({writing})
                self._budget.disk_bytes += len(chunk)
                raise
        self.size += len(chunk)
        async with self._grown:
            self._grown.notify_all()

    async def end(self) -> None:
        """Says that no more comes."""
        self.ended = True
        async with self._grown:
            self._grown.notify_all()

    async def wait_for(self, size: int) -> None:
        """Waits until there are ``size`` bytes, or all."""
        async with self._grown:
            await self._grown.wait_for(lambda: self.ended or self.size >= size)

    def open_readers(self) -> tuple[int, int]:
        """Read-only descriptors of the part in memory and the part on disk; the caller closes."""
        memory = os.open(f"/proc/self/fd/{self._memory}", os.O_RDONLY | os.O_CLOEXEC)
        return memory, os.open(f"/proc/self/fd/{self._disk}", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Gives the room back."""
        os.close(self._memory)
        os.close(self._disk)
        self._budget.memory_bytes += self.memory_size
        self._budget.disk_bytes += self.size - self.memory_size


def _write(descriptor: int, chunk: bytes, offset: int) -> None:
    view = memoryview(chunk)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
