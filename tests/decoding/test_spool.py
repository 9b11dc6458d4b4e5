"""Where uploads wait: every byte at its place, and all room given back however it ends."""

from __future__ import annotations

import asyncio
import os
import resource
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashmatch.decoding.spool import Spool, SpoolBudget
from hashmatch.errors import SpoolFull


def budget(folder: Path, memory: int = 100, disk: int = 1000) -> SpoolBudget:
    """Room for a few bytes."""
    return SpoolBudget(memory, disk, folder)


def content(spool: Spool) -> bytes:
    """All that a worker reads, by the descriptors it is given."""
    memory, disk = spool.open_readers()
    try:
        return os.pread(memory, spool.memory_size, 0) + os.pread(
            disk, spool.size - spool.memory_size, 0
        )
    finally:
        os.close(memory)
        os.close(disk)


def open_descriptors() -> int:
    """How many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


@given(
    chunks=st.lists(st.binary(max_size=60), max_size=12),
    memory=st.integers(0, 200),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_readers_see_the_right_bytes(tmp_path: Path, chunks: list[bytes], memory: int) -> None:
    """A media would be decoded with bytes left out where memory ends and disk begins."""

    async def appended() -> None:
        room = budget(tmp_path, memory)
        spool = Spool(room)
        total = b""
        for chunk in chunks:
            await spool.append(chunk)
            total += chunk
            assert spool.size == len(total)
            assert spool.memory_size <= memory
            assert content(spool) == total
            assert room.memory_bytes == memory - spool.memory_size
            assert room.disk_bytes == 1000 - (spool.size - spool.memory_size)
        spool.close()
        assert (room.memory_bytes, room.disk_bytes) == (memory, 1000)

    asyncio.run(appended())


async def test_memory_comes_first_and_disk_after(tmp_path: Path) -> None:
    """Every upload would wait for the disk, or fill the memory."""
    room = budget(tmp_path)
    spool = Spool(room)
    await spool.append(bytes(90))
    assert (spool.memory_size, room.memory_bytes, room.disk_bytes) == (90, 10, 1000)
    await spool.append(bytes(11))
    assert (spool.memory_size, room.memory_bytes, room.disk_bytes) == (90, 10, 989)
    # What would fit in memory again goes to disk too: it comes after what is there.
    await spool.append(bytes(5))
    assert (spool.memory_size, room.memory_bytes, room.disk_bytes) == (90, 10, 984)
    spool.close()


async def test_a_full_spool_refuses_and_loses_nothing(tmp_path: Path) -> None:
    """One upload too many would end the others, or its room be lost for good."""
    room = budget(tmp_path, memory=10, disk=20)
    first, second = Spool(room), Spool(room)
    await first.append(b"0123456789" * 2)
    with pytest.raises(SpoolFull) as caught:
        await second.append(bytes(11))
    assert caught.value.retry_after_ms > 0
    await second.append(b"fits")
    assert (content(first), content(second)) == (b"0123456789" * 2, b"fits")
    first.close()
    await second.append(b"now" * 5)
    second.close()
    assert (room.memory_bytes, room.disk_bytes) == (10, 20)


async def test_a_disk_that_cannot_be_written_refuses(tmp_path: Path) -> None:
    """A full disk would end as an internal error, and its room be lost for good."""
    room = budget(tmp_path, memory=0, disk=1 << 20)
    spool = Spool(room)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        await spool.append(bytes(4000))
        with pytest.raises(SpoolFull, match="cannot be written"):
            await spool.append(bytes(4000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert spool.size == 4000
    spool.close()
    assert room.disk_bytes == 1 << 20


async def test_a_folder_that_is_gone_refuses(tmp_path: Path) -> None:
    """A server whose data folder was removed would leak a descriptor with each upload."""
    before = open_descriptors()
    for _ in range(3):
        with pytest.raises(SpoolFull, match="no file can be made"):
            Spool(budget(tmp_path / "gone"))
    assert open_descriptors() == before


async def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    """Uploads would lie on the disk after a crash."""
    spool = Spool(budget(tmp_path, memory=0))
    await spool.append(b"secret")
    assert list(tmp_path.iterdir()) == []
    spool.close()


async def test_readers_cannot_write(tmp_path: Path) -> None:
    """A worker taken over by a media could change what is recorded of it."""
    spool = Spool(budget(tmp_path, memory=3))
    await spool.append(b"abc")
    await spool.append(b"def")
    readers = spool.open_readers()
    for reader in readers:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(reader, b"x")
        assert not os.get_inheritable(reader)
        assert stat.S_ISREG(os.fstat(reader).st_mode)
        os.close(reader)
    assert content(spool) == b"abcdef"
    spool.close()


async def test_readers_outlive_the_spool(tmp_path: Path) -> None:
    """A worker still at work when an upload ends would read another upload's bytes."""
    spool = Spool(budget(tmp_path, memory=3))
    await spool.append(b"abc")
    await spool.append(b"def")
    memory, disk = spool.open_readers()
    spool.close()
    assert (os.pread(memory, 9, 0), os.pread(disk, 9, 0)) == (b"abc", b"def")
    os.close(memory)
    os.close(disk)


async def test_waiting_ends_when_the_bytes_are_there(tmp_path: Path) -> None:
    """A worker would wait for ever, or be told of bytes that are not there yet."""
    spool = Spool(budget(tmp_path))
    waiting = asyncio.create_task(spool.wait_for(20))
    await spool.append(bytes(19))
    await asyncio.sleep(0)
    assert not waiting.done()
    await spool.append(bytes(1))
    await asyncio.wait_for(waiting, 60)
    await asyncio.wait_for(spool.wait_for(20), 60)
    spool.close()


async def test_waiting_ends_with_the_upload(tmp_path: Path) -> None:
    """A worker that asks for more than there is would wait for ever."""
    spool = Spool(budget(tmp_path))
    waiting = [asyncio.create_task(spool.wait_for(size)) for size in (1, 1000)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    await spool.end()
    await asyncio.wait_for(asyncio.gather(*waiting), 60)
    await asyncio.wait_for(spool.wait_for(10**9), 60)
    assert spool.ended
    spool.close()


async def test_an_upload_that_is_cancelled_gives_its_room_back(tmp_path: Path) -> None:
    """Each upload that a client gives up would make the spool smaller, until it takes none."""
    room = budget(tmp_path, memory=0, disk=1 << 30)
    before = open_descriptors()
    chunk = bytes(16 << 20)
    for _ in range(3):
        spool = Spool(room)
        appending = asyncio.create_task(spool.append(chunk))
        await asyncio.sleep(0.001)
        appending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await appending
        assert spool.size == 0
        spool.close()
    assert room.disk_bytes == 1 << 30
    assert open_descriptors() == before


async def test_no_write_comes_after_the_end(tmp_path: Path) -> None:
    """Bytes of an upload that was given up would be written into another one."""
    only_thread = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(only_thread)
    busy = asyncio.ensure_future(asyncio.to_thread(time.sleep, 0.1))
    spool = Spool(budget(tmp_path, memory=0))
    appending = asyncio.create_task(spool.append(b"not yours"))
    await asyncio.sleep(0.01)
    appending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await appending
    spool.close()
    # These get the descriptors that were the spool's.
    others = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in ("a", "b", "c")]
    await busy
    only_thread.shutdown()
    assert [os.fstat(other).st_size for other in others] == [0, 0, 0]
    for other in others:
        os.close(other)
