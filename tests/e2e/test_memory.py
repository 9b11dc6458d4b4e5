"""Uploads larger than memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashmatch.client import Client
from hashmatch.model.verdicts import Action, Verdict, VerdictReason
from tests.conftest import RunningServer, serving

MIB = 1024 * 1024
SPOOL_MIB = 32


@pytest.fixture(scope="module")
def small_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with 32 MiB for uploads in memory and a limit of 256 MiB."""
    with serving(
        tmp_path_factory.mktemp("small"),
        spool_memory_bytes=str(SPOOL_MIB * MIB),
        max_upload_bytes=str(256 * MIB),
    ) as running:
        yield running


def resident(pid: int) -> int:
    """Resident memory of a process in bytes, what it maps of the spool included."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


class Padded:
    """A healthy MP4 that is made large by a box of nothing behind it; read, never held."""

    def __init__(self, clip: bytes, padding: int) -> None:
        self._head = clip + padding.to_bytes(4, "big") + b"free"
        self._left = padding - 8
        self.sent = 0

    def seekable(self) -> bool:
        return False

    def read(self, size: int) -> bytes:
        if self._head:
            chunk, self._head = self._head[:size], self._head[size:]
        else:
            chunk = bytes(min(size, self._left))
            self._left -= len(chunk)
        self.sent += len(chunk)
        return chunk


def test_a_large_upload_spills_to_disk(small_server: RunningServer, media: Path) -> None:
    """Uploads of 200 MB would take the server's memory, and then all uploads with it."""
    clip = (media / "clips" / "pan_astronaut.mp4").read_bytes()
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, resident(small_server.pid))
            time.sleep(0.01)

    with Client(small_server.address, timeout_seconds=120) as client:
        client.create_bank("any", action=Action.BLOCK)
        client.add_entry("any", media / "clips" / "pan_coffee.mp4")
        client.screen(clip)
        before = resident(small_server.pid)
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            screening = client.screen(Padded(clip, 200 * MIB))  # type: ignore[arg-type]
        finally:
            done.set()
            watcher.join()
    assert screening.verdict is Verdict.NO_MATCH
    assert screening.media.size_bytes == len(clip) + 200 * MIB
    assert peak - before <= (64 + SPOOL_MIB) * MIB, f"{(peak - before) / MIB:.0f} MiB"


def test_an_upload_past_the_limit_is_refused_while_it_is_sent(
    small_server: RunningServer, media: Path
) -> None:
    """An uploader could fill the disk, and would learn of the limit only after sending it all."""
    upload = Padded((media / "clips" / "pan_astronaut.mp4").read_bytes(), 1024 * MIB)
    with Client(small_server.address, timeout_seconds=120) as client:
        screening = client.screen(upload)  # type: ignore[arg-type]
    assert screening.verdict is Verdict.INCONCLUSIVE
    assert screening.reasons[0].code is VerdictReason.SIZE_LIMIT
    assert upload.sent < 300 * MIB


def test_an_upload_announced_past_the_limit_is_refused_at_once(
    small_server: RunningServer,
) -> None:
    """A pipeline that knows the size would send gigabytes for nothing."""

    class Announced(Padded):
        def seekable(self) -> bool:
            return True

        def tell(self) -> int:
            return 0

        def seek(self, offset: int, whence: int = 0) -> int:
            return 1024 * MIB if whence == 2 else 0

    upload = Announced(b"", 1024 * MIB)
    with Client(small_server.address, timeout_seconds=120) as client:
        screening = client.screen(upload)  # type: ignore[arg-type]
    assert screening.reasons[0].code is VerdictReason.SIZE_LIMIT
    assert upload.sent < 64 * MIB
