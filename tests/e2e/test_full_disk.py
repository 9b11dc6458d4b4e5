"""A disk that is full while uploads come, and has room again."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hashmatch.client import Client
from hashmatch.errors import HashmatchError, SpoolFull, StoreUnavailable, Unreachable
from hashmatch.model.records import Entry, Screening
from hashmatch.model.verdicts import Action, Verdict
from hashmatch.store.audit import Audit
from hashmatch.store.database import Database
from hashmatch.wire.signals import signals_to_wire
from tests.conftest import RunningServer, serving
from tests.support import clip, image, new_id, reencoded, signals

_SIZE = 24 * 1024 * 1024
_LIBC = ctypes.CDLL(None, use_errno=True)

# Of uploads so much is kept in memory; the rest goes to disk.
_MEMORY = 128 * 1024


def mounted(folder: Path) -> bool:
    """Makes it a disk of its own, if this process may."""
    size = f"size={_SIZE}".encode()
    return bool(_LIBC.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, size) == 0)


def can_mount() -> bool:
    """A container often may not, whoever runs in it."""
    pid = os.fork()  # Where it leaves nothing behind.
    if not pid:
        private = _LIBC.unshare(0x00020000) == 0  # CLONE_NEWNS
        os._exit(0 if private and mounted(Path("/mnt")) else 1)
    return os.waitpid(pid, 0)[1] == 0


def ballast(data: Path) -> Callable[[], None]:
    """Leaves no byte of the disk; returns how to free it."""
    path = data / "ballast"
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert os.statvfs(data).f_bavail == 0
    return path.unlink


def limit(server: RunningServer) -> Callable[[], None]:
    """Lets no file of the server grow; returns how to end that."""
    before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    most = max(each.stat().st_size for each in server.data.iterdir())
    assert _MEMORY < most < 40 * _MEMORY
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (most, before[1]))
    return lambda: resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before) and None


@pytest.fixture(params=["limit", "disk"] if can_mount() else ["limit"])
def filling(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[RunningServer, Callable[[], Callable[[], None]]]]:
    """A server, and how its disk is filled: a small one, or by a limit that needs no privilege."""
    data = tmp_path / "data"
    data.mkdir()
    settings = {"workers": "1", "spool_memory_bytes": f"{_MEMORY}"}
    if request.param == "limit":
        with serving(data, **settings) as server:
            yield server, lambda: limit(server)
        return
    assert mounted(data)
    try:
        with serving(data, **settings) as server:
            yield server, lambda: ballast(data)
    finally:
        assert _LIBC.umount2(os.fsencode(data), 0) == 0


# The last is what a caller may see of a refusal while he still sends.
REFUSALS = (StoreUnavailable.reason, SpoolFull.reason, Unreachable.reason)


def media(number: int) -> tuple[bytes, Verdict]:
    """One that no other is like, and what becomes of it."""
    if number % 4 == 0:
        return reencoded(61) + number.to_bytes(8, "big"), Verdict.BLOCK
    if number % 4 == 1:
        return image(30_000 + number), Verdict.NO_MATCH
    if number % 4 == 2:
        return clip([number, number + 1]), Verdict.NO_MATCH
    return image(30_000 + number) + bytes(40 * _MEMORY), Verdict.NO_MATCH  # For the spool.


def test_a_full_disk_is_refused_cleanly_and_recovers(
    filling: tuple[RunningServer, Callable[[], Callable[[], None]]],
) -> None:
    """An upload would be published by a verdict that nobody can find, or never be screened."""
    server, fill = filling
    answered: dict[str, Screening] = {}
    entries: dict[str, Entry] = {}
    requests = [new_id() for _ in range(80)]

    def upload(number: int) -> str:
        data, expected = media(number)
        try:
            screening = client.screen(data, request_id=requests[number], timeout_seconds=0)
        except HashmatchError as error:
            return error.reason
        assert screening.verdict is expected
        assert screening.coverage.complete
        answered[requests[number]] = screening
        return "answered"

    def add(number: int) -> str:
        try:
            entries[requests[number]] = client.add_entry_from_signals(
                "bank", [signals_to_wire(signals(number))], request_id=requests[number]
            )
        except HashmatchError as error:
            return error.reason
        return "answered"

    with Client(server.address, timeout_seconds=1) as client:
        client.create_bank("bank", action=Action.BLOCK)
        client.add_entry("bank", image(61), timeout_seconds=60)
        assert [upload(number) for number in range(8)] == ["answered"] * 8
        for first in (8, 32):  # Twice: what the first time left must not be in the way.
            free = fill()
            outcomes = [upload(number) for number in range(first, first + 20)]
            changes = [add(number) for number in range(first + 20, first + 24)]
            # What was there of the log of the database may still take a little.
            assert set(outcomes) <= {"answered", *REFUSALS}
            assert set(changes) <= {"answered", StoreUnavailable.reason}
            assert set(outcomes[3::4]) <= {SpoolFull.reason, Unreachable.reason}
            assert StoreUnavailable.reason in outcomes
            assert client.is_ready()
            free()
            assert {upload(number) for number in range(first, first + 20)} == {"answered"}
            assert {add(number) for number in range(first + 20, first + 24)} == {"answered"}
        stored = {each.screening_id for each in client.list_screenings()}
        assert stored == {each.screening_id for each in answered.values()}
        listed = {each.ref.entry_id for each in client.list_entries(bank="bank")}
        assert len(listed) == 1 + len(entries)
        assert listed > {each.ref.entry_id for each in entries.values()}
    with sqlite3.connect(server.data / "hashmatch.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    database = Database(f"sqlite:///{server.data / 'hashmatch.db'}")
    assert Audit(database).verify().findings == ()
    database.close()
