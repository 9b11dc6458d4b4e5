"""The server put together: how it starts, what it leaves behind, how it stops."""

from __future__ import annotations

import concurrent.futures
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hashmatch.app import running
from hashmatch.client import AsyncClient, Client
from hashmatch.config import Settings
from hashmatch.errors import ConfigInvalid, HashmatchError, StoreUnavailable
from hashmatch.model.verdicts import Action, Verdict
from tests.conftest import RunningServer, serving, serving_afresh
from tests.support import Parts, clip, decoding, descendants, image, spools_of, workers

SECRET = "a-token-of-the-server"
SEEN = {b"NUMBA_CACHE_DIR", b"OPENBLAS_NUM_THREADS", b"LC_CTYPE"}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of this file, started as users start it, with one worker and a secret in its
    environment.
    """
    os.environ["SOME_TOKEN"] = SECRET
    with serving_afresh(tmp_path_factory.mktemp("own") / "data", workers="1") as started:
        del os.environ["SOME_TOKEN"]
        yield started


def settings(folder: Path, **changed: object) -> Settings:
    """Settings of a small server."""
    return Settings(**{"data": folder, "listen": "127.0.0.1:0", "workers": 1, **changed})  # type: ignore[arg-type]


# Starting


def test_a_server_makes_its_folder(own: RunningServer) -> None:
    """A new server would have to be prepared by hand, or show uploads to other users."""
    assert (own.data / "hashmatch.db").is_file()
    assert (own.data / "spool").stat().st_mode & 0o077 == 0
    host, _, port = own.address.rpartition(":")
    assert host == "127.0.0.1"
    assert int(port) > 0


def test_the_server_loads_no_decoder(own: RunningServer) -> None:
    """A crafted file that takes over a decoder would have the blocklist before it."""
    with Client(own.address) as client:
        client.screen(clip([1]))
    mapped = Path(f"/proc/{own.pid}/maps").read_text()
    assert "libavcodec" not in mapped
    assert "_imaging" not in mapped
    [worker] = decoding(own.pid)
    assert "libavcodec" in Path(f"/proc/{worker}/maps").read_text()


def test_a_worker_sees_nothing_of_the_servers_environment(own: RunningServer) -> None:
    """A crafted file that takes over a decoder would have the server's tokens."""
    assert SECRET.encode() in Path(f"/proc/{own.pid}/environ").read_bytes()
    [worker] = decoding(own.pid)
    seen = Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")
    assert {each.partition(b"=")[0] for each in seen if each} <= SEEN


def test_a_worker_has_none_of_the_servers_files(own: RunningServer) -> None:
    """A crafted file that takes over a decoder would have the database before it."""
    [worker] = decoding(own.pid)
    folder = Path(f"/proc/{worker}/fd")
    opened = [os.readlink(folder / name) for name in os.listdir(folder)]
    assert not any("hashmatch.db" in each or "TCP" in each for each in opened)


async def test_an_address_that_is_taken_is_said_so(tmp_path: Path) -> None:
    """The second server on a port would start, and get no request; or leave its workers behind."""
    before = descendants(os.getpid())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigInvalid, match="cannot listen on") as caught:
            async with running(settings(tmp_path, listen=address)):
                pass
    assert caught.value.metadata == {"setting": "listen"}
    assert descendants(os.getpid()) <= before


async def test_a_certificate_that_is_none_is_said_so(tmp_path: Path) -> None:
    """An operator would look for another program on the port."""
    for name in ("certificate", "key"):
        (tmp_path / name).write_text("no PEM")
    files = {"tls_certificate": tmp_path / "certificate", "tls_key": tmp_path / "key"}
    with pytest.raises(ConfigInvalid, match="tls_certificate: cannot be used") as caught:
        async with running(settings(tmp_path / "data", **files)):
            pass
    assert caught.value.metadata == {"setting": "tls_certificate"}


async def test_an_address_that_is_none_is_said_so(tmp_path: Path) -> None:
    """Whoever mistyped an address would get a traceback."""
    async with workers(0) as none:
        parts = await Parts.make(tmp_path, none)
        with pytest.raises(ConfigInvalid):
            await parts.server().start("no-such-host.invalid:0")
        parts.database.close()


@pytest.mark.parametrize("what", ["a file", "below a file"])
async def test_a_folder_that_cannot_be_is_said_so(tmp_path: Path, what: str) -> None:
    """Likewise."""
    file = tmp_path / "file"
    file.write_bytes(b"")
    folder = file if what == "a file" else file / "folder"
    with pytest.raises(ConfigInvalid, match="cannot be made") as caught:
        async with running(settings(folder)):
            pass
    assert caught.value.metadata == {"setting": "data"}


async def test_a_damaged_database_keeps_the_server_from_starting(tmp_path: Path) -> None:
    """A server would start with an empty blocklist, or with half of one."""
    (tmp_path / "hashmatch.db").write_bytes(b"damaged" * 1000)
    with pytest.raises(StoreUnavailable):
        async with running(settings(tmp_path)):
            pass


# Several servers


def test_servers_share_one_blocklist(own: RunningServer) -> None:
    """An entry added on one server would pass on the others."""
    with (
        serving(own.data, workers="1") as other,
        Client(own.address) as one,
        Client(other.address) as two,
    ):
        bank = one.create_bank("shared", action=Action.BLOCK)
        entry = two.add_entry("shared", image(1), reference="the entry")
        screening = one.screen(image(1))
        assert screening.verdict is Verdict.BLOCK
        assert screening.evidence[0].entry == entry.ref
        assert two.get_screening(screening.screening_id) == screening
        two.archive_bank(bank.bank_id)
        confirmed = one.confirm(screening.screening_id)
        assert confirmed.evidence == ()


# Stopping


class Slow(io.RawIOBase):
    """A file that comes in two halves; the second once it may."""

    def __init__(self, data: bytes) -> None:
        self._halves = [data[: len(data) // 2], data[len(data) // 2 :]]
        self.began = threading.Event()
        self.may_end = threading.Event()

    def read(self, size: int = -1) -> bytes:
        """The next half."""
        if not self._halves:
            return b""
        if len(self._halves) == 1:
            self.began.set()
            self.may_end.wait()
        return self._halves.pop(0)


def until(condition: Callable[[], bool]) -> None:
    """Waits for something that a server does."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_uploads_under_way_end_when_a_server_stops(tmp_path: Path) -> None:
    """Every update of the server would break the uploads of the moment."""
    slow = Slow(image(1))
    with (
        serving(tmp_path / "data", workers="1", shutdown_seconds="60") as server,
        Client(server.address) as client,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        upload = pool.submit(client.screen, slow, timeout_seconds=60)  # type: ignore[arg-type]
        assert slow.began.wait(60)
        until(lambda: spools_of(server.pid) == 1)  # The server has heard of it.
        os.kill(server.pid, signal.SIGTERM)
        with Client(server.address) as late:
            until(lambda: not late.is_ready())
            # No new one is taken meanwhile.
            with pytest.raises(HashmatchError):
                late.screen(image(2), timeout_seconds=0.3)
        slow.may_end.set()
        assert upload.result(timeout=60).verdict is Verdict.INCONCLUSIVE  # The list is empty.


def test_a_server_does_not_wait_for_ever(tmp_path: Path) -> None:
    """An upload that hangs would keep a server from being updated."""
    slow = Slow(image(1))
    with (
        serving(tmp_path / "data", workers="1", shutdown_seconds="0.2") as server,
        Client(server.address) as client,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        decoders = descendants(server.pid)
        upload = pool.submit(client.screen, slow, timeout_seconds=5)  # type: ignore[arg-type]
        assert slow.began.wait(60)
        until(lambda: spools_of(server.pid) == 1)
        os.kill(server.pid, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{server.pid}").exists())
        assert not any(Path(f"/proc/{worker}").exists() for worker in decoders)
        slow.may_end.set()
        with pytest.raises(HashmatchError):
            upload.result(timeout=30)
    assert '"stopped"' in server.log.read_text()


async def test_a_server_in_the_process_stops_whole(tmp_path: Path) -> None:
    """A program that runs a server in its tests would pile up processes and open files."""

    def opened() -> list[str]:
        folder = Path("/proc/self/fd")
        links = [folder / name for name in os.listdir(folder)]
        return [os.readlink(link) for link in links if link.is_symlink()]

    before = descendants(os.getpid())
    async with running(settings(tmp_path)) as started, AsyncClient(started.address) as client:
        assert await client.is_ready()
        assert len(decoding(os.getpid()) - before) == 1
        assert any(str(tmp_path) in each for each in opened())
    assert descendants(os.getpid()) <= before
    assert not any(str(tmp_path) in each or "hashmatch-spool" in each for each in opened())


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A service manager would log a traceback and nobody would know what to do."""
    (tmp_path / "hashmatch.db").write_bytes(b"damaged" * 1000)
    command = [sys.executable, "-m", "hashmatch", "serve", "--listen", "127.0.0.1:0"]
    done = subprocess.run(
        [*command, "--data", str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "STORE_UNAVAILABLE" in done.stderr
    assert "Traceback" not in done.stderr
