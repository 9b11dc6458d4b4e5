"""What a decoder that was taken over can do: nothing but end its own media."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
import structlog

from hashmatch.decoding import sandbox, worker_process
from hashmatch.decoding.channel import Done, Job
from hashmatch.decoding.sandbox import Sandbox, WorkerLimits
from hashmatch.decoding.spool import Spool, SpoolBudget
from hashmatch.decoding.worker_process import Worker
from hashmatch.engine.sampling import densities
from hashmatch.errors import ConfigInvalid, MediaError
from hashmatch.model.records import DecodeLimits
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind, VerdictReason
from hashmatch.telemetry import metrics
from tests.conftest import ROOT
from tests.support import MIB, clip

pytestmark = pytest.mark.asyncio(loop_scope="module")

JOB = Job((Kind.PDQ,), False, densities.UPLOAD, DecodeLimits(60_000, 1 << 20), seed=1)
ENVIRONMENT = {"NUMBA_CACHE_DIR": os.environ["NUMBA_CACHE_DIR"]}
# On a busy machine a second of the processor takes many.
LIMITS = WorkerLimits(wall_seconds=60, cpu_seconds=1, memory_bytes=256 * MIB)
HURRIED = replace(LIMITS, wall_seconds=2)
CLIP = clip([1, 2])

HOSTILE = (
    sys.executable,
    "-I",
    "-c",
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); import runpy; "
    "runpy.run_module('tests.hostile_worker', run_name='__main__')",
)


async def _nobody(_: list[Signals], __: Done) -> bool:
    return False


async def inspected(running: Sandbox, data: bytes, folder: Path) -> Done:
    """What becomes of a media; that of a worker that ended as a tally too."""
    spool = Spool(SpoolBudget(32 * MIB, 0, folder))
    try:
        await spool.append(data)
        await spool.end()
        async with asyncio.timeout(120):
            done = await running.inspect(spool, JOB, _nobody)
        assert done is not None
        return done
    finally:
        spool.close()


async def reason(running: Sandbox, code: str, folder: Path) -> VerdictReason:
    """Why the media that does ``code`` was not looked at as a whole."""
    try:
        done = await inspected(running, b"DO " + code.encode(), folder)
    except MediaError as error:
        return error.code
    assert not done.coverage.complete
    return done.reasons[0].code


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def taken_over() -> AsyncIterator[Sandbox]:
    """One slot."""
    real = worker_process._COMMAND
    worker_process._COMMAND = HOSTILE  # type: ignore[misc]
    try:
        async with sandbox.running(Sandbox(1, LIMITS, ENVIRONMENT)) as running:
            # Each deed ends a worker: seconds of a core for another template each time, which
            # `tests.decoding.test_sandbox` sees to.
            running._replace_template = lambda template: None  # type: ignore[method-assign]
            yield running
    finally:
        worker_process._COMMAND = real  # type: ignore[misc]


async def only_worker(running: Sandbox) -> Worker:
    """The worker of a sandbox that has one, once it is there."""
    async with asyncio.timeout(60):
        while not running._all:
            await asyncio.sleep(0.01)
    [worker] = running._all
    return worker


VIOLATION = VerdictReason.SANDBOX_VIOLATION
DEEDS = [
    ("crash", "ctypes.string_at(0)", VerdictReason.WORKER_DIED),
    ("abort", "os.abort()", VerdictReason.WORKER_DIED),
    ("exit", "os._exit(0)", VerdictReason.WORKER_DIED),
    ("loop", "while True: pass", VerdictReason.CPU_LIMIT),
    ("loop in C", "sum(iter(int, 1))", VerdictReason.CPU_LIMIT),
    ("memory", "a = []\nwhile True: a.append(bytearray(1 << 22))", VerdictReason.MEMORY_LIMIT),
    ("one large piece", "bytearray(1 << 40)", VerdictReason.MEMORY_LIMIT),
    ("fork", "os.fork()", VIOLATION),
    ("run a program", "os.posix_spawn('/bin/true', ['true'], {})", VIOLATION),
    ("exec", "os.execv('/bin/true', ['true'])", VIOLATION),
    ("open a file", "open('/etc/passwd')", VIOLATION),
    ("write a file", "open('/tmp/hashmatch-hostile', 'w')", VIOLATION),
    ("list a folder", "os.listdir('/')", VIOLATION),
    ("look at a file", "os.stat('/etc/passwd')", VIOLATION),
    ("delete a file", "os.unlink('/tmp/nothing')", VIOLATION),
    ("memory of another", "open('/proc/1/mem', 'rb')", VIOLATION),
    ("open a socket", "socket.socket()", VIOLATION),
    ("local socket", "socket.socketpair()", VIOLATION),
    ("kill the server", "os.kill(os.getppid(), 9)", VIOLATION),
    ("signal the server", "libc.kill(1, 9)", VIOLATION),
    ("trace the server", "libc.ptrace(16, 1, 0, 0)", VIOLATION),
    ("read the server", "libc.process_vm_readv(1, 0, 0, 0, 0, 0)", VIOLATION),
    ("more privileges", "os.setuid(0)", VIOLATION),
    ("higher limits", "libc.setrlimit(0, ctypes.create_string_buffer(16))", VIOLATION),
    ("executable memory", "libc.mmap(0, 4096, 7, 0x22, -1, 0)", VIOLATION),
    ("mount", "libc.mount(b'a', b'/', b'tmpfs', 0, 0)", VIOLATION),
    ("namespace", "libc.unshare(0x10000000)", VIOLATION),
    ("kernel ring", "libc.syscall(425, 1, 0)", VIOLATION),
    ("32-bit call", "libc.syscall(0x40000000 + 57)", VIOLATION),
]  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), [d[1:] for d in DEEDS], ids=[d[0] for d in DEEDS])
async def test_it_ends_one_media_and_the_next_is_right(
    taken_over: Sandbox, tmp_path: Path, code: str, expected: VerdictReason
) -> None:
    """A crafted file would have the blocklist, other uploads, or the network."""
    assert await reason(taken_over, code, tmp_path) is expected
    done = await inspected(taken_over, CLIP, tmp_path)
    assert done.coverage.complete
    assert done.coverage.frames_hashed >= 2
    assert not Path("/tmp/hashmatch-hostile").exists()


@pytest.mark.parametrize(
    "code",
    [
        "time.sleep(60)",
        "[threading.Thread(target=time.sleep, args=(60,)).start() for _ in range(9)]; "
        "time.sleep(60)",
    ],
    ids=["sleep", "threads"],
)
async def test_what_only_waits_is_given_up(
    taken_over: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """A crafted file would hold its worker for ever, at no cost of a processor."""
    monkeypatch.setattr(taken_over, "_limits", HURRIED)
    assert await reason(taken_over, code, tmp_path) is VerdictReason.DECODE_TIMEOUT
    assert taken_over.ready_workers <= 1


async def test_whatever_is_written_to_every_descriptor_reaches_nobody(
    taken_over: Sandbox, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A crafted file would forge the server's log, or another upload's bytes."""
    write = "for fd in range(1024):\n    try: os.write(fd, b'forged')\n    except OSError: pass\n"
    assert await reason(taken_over, write, tmp_path) is VerdictReason.WORKER_DIED
    assert "forged" not in "".join(capfd.readouterr())
    assert (await inspected(taken_over, CLIP, tmp_path)).coverage.complete


async def test_a_fault_is_told_to_the_operator_and_blames_nobody(
    taken_over: Sandbox, tmp_path: Path
) -> None:
    """An upload would be called corrupt, and its sender try again for ever, by a fault of ours."""
    before = metrics.WORKER_FAULTS._value.get()
    with structlog.testing.capture_logs() as told:
        done = await inspected(taken_over, b"DO raise KeyError('secret.mp4')", tmp_path)
    assert [each.code for each in done.reasons] == [VerdictReason.WORKER_FAULT]
    assert not done.coverage.complete
    assert metrics.WORKER_FAULTS._value.get() == before + 1
    (error,) = (each for each in told if each["event"] == "worker_fault")
    assert error["log_level"] == "error"
    assert error["where"].startswith("KeyError in ")
    assert "secret" not in f"{told} {done}"
    assert (await inspected(taken_over, CLIP, tmp_path)).coverage.complete


async def test_there_is_nothing_to_be_found(taken_over: Sandbox, tmp_path: Path) -> None:
    """Likewise, of what a worker has at hand: its environment, and what is open."""
    look = (
        "held = []\n"
        "for fd in range(1024):\n"
        "    try: held.append(os.fstat(fd).st_mode)\n"
        "    except OSError: pass\n"
        "assert not os.environ, 'environment'\n"
        # Standard streams, the channel, and the two parts of the spool.
        "assert len(held) == 6, str(held)\n"
        "raise MemoryError"
    )
    assert await reason(taken_over, look, tmp_path) is VerdictReason.MEMORY_LIMIT


async def test_a_canary_that_listens_hears_nothing(taken_over: Sandbox, tmp_path: Path) -> None:
    """A crafted file would tell others who looks at it."""
    heard = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.settimeout(3)

        def listen() -> None:
            try:
                canary.accept()
                heard.set()
            except TimeoutError:
                pass

        thread = threading.Thread(target=listen)
        thread.start()
        port = canary.getsockname()[1]
        code = f"socket.socket().connect(('127.0.0.1', {port}))"
        assert await reason(taken_over, code, tmp_path) is VIOLATION
        thread.join()
    assert not heard.is_set()


async def test_a_worker_that_is_worn_is_replaced(
    taken_over: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a library leaks, or a media left behind, would add up until the machine is full."""
    monkeypatch.setattr(worker_process, "_MEDIA_A_WORKER", 3)
    monkeypatch.setattr(worker_process, "_GROWTH_BYTES", 64 * MIB)
    await reason(taken_over, "os._exit(0)", tmp_path)  # The next worker has seen no media.
    pids = []
    for _ in range(7):
        assert (await inspected(taken_over, CLIP, tmp_path)).coverage.complete
        pids.append((await only_worker(taken_over)).pid)
    assert len(set(pids)) == 3
    before = (await only_worker(taken_over)).pid
    grow = "import builtins; builtins.kept = bytearray(os.urandom(1 << 20)) * 100"
    await reason(taken_over, grow, tmp_path)
    await inspected(taken_over, CLIP, tmp_path)
    assert (await only_worker(taken_over)).pid != before


async def test_where_nothing_can_be_confined_no_server_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An operator would believe that decoders are confined, on a platform where they are not."""
    without = (
        sys.executable,
        "-I",
        "-c",
        "import sys; sys.modules['pyseccomp'] = None; import runpy; "
        "runpy.run_module('hashmatch.decoding.worker', run_name='__main__')",
    )
    monkeypatch.setattr(worker_process, "_COMMAND", without)
    running = Sandbox(1, LIMITS, ENVIRONMENT)
    with pytest.raises(ConfigInvalid, match="--unsafe-no-sandbox") as caught:
        await running.start()
    assert caught.value.metadata == {"setting": "unsafe_no_sandbox"}
    await running.close()
    async with sandbox.running(Sandbox(1, LIMITS, ENVIRONMENT, confined=False)) as unconfined:
        assert (await inspected(unconfined, CLIP, tmp_path)).coverage.complete


def processor_seconds(pid: int) -> float:
    """What a process has used so far."""
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


async def test_what_is_not_wanted_is_not_decoded_any_further(
    taken_over: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller who gave up would keep a core busy for minutes."""
    # Limits that would not end it within this test.
    endless = replace(LIMITS, wall_seconds=3600, cpu_seconds=3600)
    monkeypatch.setattr(taken_over, "_limits", endless)
    spool = Spool(SpoolBudget(32 * MIB, 0, tmp_path))
    await spool.append(b"DO while True: pass")
    await spool.end()
    worker = await only_worker(taken_over)
    before = processor_seconds(worker.pid)
    task = asyncio.create_task(taken_over.inspect(spool, JOB, _nobody))
    async with asyncio.timeout(60):
        while processor_seconds(worker.pid) < before + 0.2:
            await asyncio.sleep(0.01)
        task.cancel()
        await worker._ended.wait()  # A tenth of a second where nothing else is at work.
    spool.close()
    assert (await inspected(taken_over, CLIP, tmp_path)).coverage.complete
