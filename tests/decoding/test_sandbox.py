"""Workers as real processes: fed while bytes arrive, stopped, killed, replaced, never trusted."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from hashmatch.decoding import channel, sandbox, worker_process
from hashmatch.decoding.channel import Done, Job
from hashmatch.decoding.media.source import FileSource
from hashmatch.decoding.media.versions import look_version
from hashmatch.decoding.sandbox import Sandbox, WorkerLimits
from hashmatch.decoding.spool import Spool, SpoolBudget
from hashmatch.decoding.worker.inspect import inspect
from hashmatch.engine.sampling.frames import Density
from hashmatch.errors import Internal, MediaError
from hashmatch.model.records import DecodeLimits
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind, VerdictReason
from tests import items
from tests.support import box, decoding, descendants, picture, templates

pytestmark = pytest.mark.asyncio(loop_scope="module")

JOB = Job(
    kinds=(Kind.PDQ,),
    turns=True,
    density=Density(max_gap_ms=1000, change_bits=256, every_frame=True),
    limits=DecodeLimits(max_duration_ms=600_000, max_frame_pixels=1 << 20),
    seed=1,
)
# A busy machine may take its time; what hangs takes for ever.
PATIENCE_SECONDS = 60.0
SEEN = {b"NUMBA_CACHE_DIR", b"OPENBLAS_NUM_THREADS", b"LC_CTYPE"}
ENVIRONMENT = {"NUMBA_CACHE_DIR": os.environ["NUMBA_CACHE_DIR"]}


@lru_cache
def clip(seconds: int = 8) -> bytes:
    """Noise, a picture a second, in a container that is decoded as it arrives."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream: Any = output.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        rng = np.random.default_rng(0)
        for _ in range(seconds):
            picture = rng.integers(0, 256, (64, 96, 3), np.uint8)
            for _ in range(10):
                output.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        output.mux(stream.encode())
    return file.getvalue()


class Listener:
    """Keeps what a worker found, and says stop when there is enough."""

    def __init__(self, enough: int = 10**9) -> None:
        """``enough`` frames end the job."""
        self.signals: list[Signals] = []
        self.heard = asyncio.Event()
        self._enough = enough

    async def __call__(self, signals: list[Signals], so_far: Done) -> bool:
        """As `Sandbox.inspect` wants it."""
        assert so_far.coverage.frames_hashed > 0
        self.signals += signals
        self.heard.set()
        return len(self.times()) >= self._enough

    def times(self) -> list[int]:
        """When the frames are shown that were hashed."""
        return sorted({int(pts_ms) for each in self.signals for pts_ms in each.pts_ms})


@pytest.fixture
def spool(tmp_path: Path) -> Any:
    """A spool whose first 40,000 bytes are kept in memory."""
    made = Spool(SpoolBudget(40_000, 1 << 30, tmp_path))
    yield made
    made.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one() -> AsyncIterator[Sandbox]:
    """One worker."""
    async with sandbox.running(Sandbox(1, WorkerLimits(), ENVIRONMENT)) as running:
        yield running


async def fill(spool: Spool, data: bytes) -> Spool:
    """A whole upload."""
    for start in range(0, len(data), 9000):
        await spool.append(data[start : start + 9000])
    await spool.end()
    return spool


def children(state: str = "") -> set[int]:
    """Processes of the sandboxes, or those of them in one state."""
    return descendants(os.getpid(), state)


def workers() -> set[int]:
    """Processes that decode."""
    return decoding(os.getpid())


def descriptors() -> list[str]:
    """What this process has open, by kind and not by number."""
    opened = []
    for entry in os.scandir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # The folder itself, read meanwhile.
            opened.append(os.readlink(entry.path).split(":")[0])
    return sorted(opened)


async def until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Waits for something that another process does."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_worker_finds_what_there_is(one: Sandbox, spool: Spool, tmp_path: Path) -> None:
    """What is decoded in another process would not be what the file shows."""
    path = tmp_path / "clip.mkv"
    path.write_bytes(clip())
    expected: list[Signals] = []
    with path.open("rb") as file:
        told = inspect(FileSource(file), JOB, lambda signals, _: expected.extend(signals))
    listener = Listener()
    done = await one.inspect(await fill(spool, clip()), JOB, listener)
    # What looked is what looks here.
    assert done == replace(told, look_version=look_version())
    assert one.look_version == look_version()
    assert done.coverage.complete
    assert done.coverage.frames_decoded == 80
    (found,), (right,) = Signals.concatenate(listener.signals), Signals.concatenate(expected)
    assert found.columns() == right.columns()
    assert len(found) == 9 * 8


async def test_what_is_wrong_with_a_media_is_told(one: Sandbox, spool: Spool) -> None:
    """A file that cannot be decoded would end the worker instead of being INCONCLUSIVE."""
    done = await one.inspect(await fill(spool, b"no media" * 100), JOB, Listener())
    assert done is not None
    assert [reason.code for reason in done.reasons] == [VerdictReason.UNSUPPORTED]
    assert not done.coverage.complete


async def test_a_photograph_of_a_phone_is_seen(one: Sandbox, tmp_path: Path) -> None:
    """What its decoder loads late, or asks of the kernel, would end the worker."""
    coded = items.coded(Image.fromarray(picture(1, 64, 64)))
    alpha = items.coded(Image.fromarray(picture(2, 64, 64)), pixels="gray").with_(items.ALPHA)
    grid = items.grid(2, 2, 128, 128).with_(box(b"irot", b"\1"))
    still = items.image_file(
        [coded, alpha, grid], (b"auxl", 2, (1,)), (b"dimg", 3, (1, 1, 1, 1)), primary=3
    )
    for data in (still, items.short_file(coded), still[:-100]):
        made = Spool(SpoolBudget(40_000, 1 << 30, tmp_path))
        done = await one.inspect(await fill(made, data), JOB, Listener())
        made.close()
        assert done is not None
        wanted = [VerdictReason.TRUNCATED] if data == still[:-100] else []
        assert [reason.code for reason in done.reasons] == wanted
        assert done.coverage.frames_hashed == 1 or wanted


async def test_an_empty_upload_is_told(one: Sandbox, spool: Spool) -> None:
    """An upload without bytes would pass, or wait for ever."""
    done = await one.inspect(await fill(spool, b""), JOB, Listener())
    assert done is not None
    assert [reason.code for reason in done.reasons] == [VerdictReason.EMPTY]


async def test_signals_come_while_the_upload_grows(one: Sandbox, spool: Spool) -> None:
    """A prohibited upload would be received to its end before it is refused."""
    listener = Listener()
    job = asyncio.create_task(one.inspect(spool, JOB, listener))
    half = len(clip()) // 2
    for start in range(0, half, 5000):
        await spool.append(clip()[start : min(half, start + 5000)])
    await asyncio.wait_for(listener.heard.wait(), PATIENCE_SECONDS)
    assert not job.done()
    assert 0 in listener.times()
    await spool.append(clip()[half:])
    await spool.end()
    done = await asyncio.wait_for(job, PATIENCE_SECONDS)
    assert done is not None
    assert done.coverage.complete
    assert listener.times() == [*range(0, 8000, 1000), 7900]


async def test_enough_ends_early_and_the_worker_stays(
    one: Sandbox, spool: Spool, tmp_path: Path
) -> None:
    """A refused upload would be decoded to its end, or cost a new process each time."""
    before = workers()
    for _ in range(3):
        again = Spool(SpoolBudget(1 << 20, 0, tmp_path))
        await again.append(clip()[: len(clip()) // 2])  # The rest never comes.
        assert (
            await asyncio.wait_for(one.inspect(again, JOB, Listener(enough=1)), PATIENCE_SECONDS)
            is None
        )
        again.close()
    listener = Listener()
    done = await one.inspect(await fill(spool, clip()), JOB, listener)
    assert done is not None
    assert done.coverage.complete
    assert len(listener.times()) == 9
    assert workers() == before


async def test_a_cancelled_job_leaves_a_working_worker(
    one: Sandbox, spool: Spool, tmp_path: Path
) -> None:
    """A client that hangs up would cost a worker, or have its upload finished for nobody."""
    before = workers()
    for pause in (0.0, 0.001, 0.05, 0.2):
        given_up = Spool(SpoolBudget(1 << 20, 0, tmp_path))
        await given_up.append(clip()[: len(clip()) // 2])
        job = asyncio.create_task(one.inspect(given_up, JOB, Listener()))
        await asyncio.sleep(pause)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        given_up.close()
    listener = Listener()
    done = await one.inspect(await fill(spool, clip()), JOB, listener)
    assert done is not None
    assert done.coverage.complete
    assert len(listener.times()) == 9
    assert workers() == before


async def test_an_error_of_the_listener_passes_through(
    one: Sandbox, spool: Spool, tmp_path: Path
) -> None:
    """A fault of the search would be told as a fault of the media, and the upload be judged."""
    before = workers()

    async def failing(signals: list[Signals], so_far: Done) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await one.inspect(await fill(spool, clip()), JOB, failing)
    again = Spool(SpoolBudget(1 << 20, 0, tmp_path))
    assert await one.inspect(await fill(again, clip()), JOB, Listener()) is not None
    again.close()
    assert workers() == before


async def test_a_killed_worker_is_replaced(one: Sandbox, spool: Spool, tmp_path: Path) -> None:
    """One crash of a decoder would hold up every upload after it."""
    listener = Listener()
    job = asyncio.create_task(one.inspect(spool, JOB, listener))
    await spool.append(clip()[: len(clip()) // 2])
    await asyncio.wait_for(listener.heard.wait(), PATIENCE_SECONDS)
    (killed,) = workers()
    os.kill(killed, signal.SIGKILL)  # While it waits for more, which does not come.
    with pytest.raises(MediaError) as caught:
        await asyncio.wait_for(job, PATIENCE_SECONDS)
    assert caught.value.code is VerdictReason.WORKER_DIED
    again = Spool(SpoolBudget(1 << 20, 0, tmp_path))
    done = await asyncio.wait_for(
        one.inspect(await fill(again, clip()), JOB, Listener()), PATIENCE_SECONDS
    )
    again.close()
    assert done is not None
    assert done.coverage.complete
    assert killed not in workers()
    assert one.ready_workers == 1
    await until(lambda: not children("Z"))


async def test_a_worker_killed_between_jobs_costs_no_upload(one: Sandbox, spool: Spool) -> None:
    """An upload would be INCONCLUSIVE for a death that it had nothing to do with."""
    await until(lambda: len(workers()) == 1)
    (killed,) = workers()
    os.kill(killed, signal.SIGKILL)
    await until(lambda: killed not in children())
    done = await asyncio.wait_for(
        one.inspect(await fill(spool, clip()), JOB, Listener()), PATIENCE_SECONDS
    )
    assert done is not None
    assert done.coverage.complete


def forked_from() -> set[int]:
    """Processes that workers are forked from."""
    return templates(os.getpid())


async def test_what_a_crash_shows_of_memory_does_not_help_with_the_next_worker(
    spool: Spool, tmp_path: Path
) -> None:
    """All workers of a template lie alike in memory: an attacker could try until it is known."""
    others = forked_from()
    async with sandbox.running(Sandbox(2, WorkerLimits(), ENVIRONMENT)) as running:
        (first,) = forked_from() - others
        listener = Listener()
        job = asyncio.create_task(running.inspect(spool, JOB, listener))
        await spool.append(clip()[: len(clip()) // 2])
        await asyncio.wait_for(listener.heard.wait(), PATIENCE_SECONDS)
        before = {each.pid for each in running._all}
        (retired,) = {each.template for each in running._all}
        (busy,) = before - {each.pid for each in running._idle._free}
        os.kill(busy, signal.SIGSEGV)
        with pytest.raises(MediaError):
            await asyncio.wait_for(job, PATIENCE_SECONDS)
        await until(lambda: len(forked_from() - others - {first}) == 1)
        await until(lambda: retired.retired)
        # The worker that was idle all the time sees no other media, and then the template ends.
        for _ in range(2):
            again = Spool(SpoolBudget(1 << 20, 0, tmp_path))
            await asyncio.wait_for(
                running.inspect(await fill(again, clip(1)), JOB, Listener()), PATIENCE_SECONDS
            )
            again.close()
        await until(lambda: first not in forked_from())
        await until(lambda: not before & {each.pid for each in running._all})


async def test_a_template_that_was_killed_costs_no_upload(spool: Spool, tmp_path: Path) -> None:
    """A lack of memory may end any process: no worker could be replaced after it."""
    others = forked_from()
    async with sandbox.running(Sandbox(1, WorkerLimits(), ENVIRONMENT)) as running:
        (killed,) = forked_from() - others
        os.kill(killed, signal.SIGKILL)
        await until(lambda: killed not in children())
        assert await running.inspect(await fill(spool, clip(1)), JOB, Listener()) is not None
        (worker,) = running._all
        os.kill(worker.pid, signal.SIGKILL)
        again = Spool(SpoolBudget(1 << 20, 0, tmp_path))
        await until(lambda: worker.has_ended)
        done = await asyncio.wait_for(
            running.inspect(await fill(again, clip(1)), JOB, Listener()), PATIENCE_SECONDS
        )
        again.close()
        assert done is not None
        assert done.coverage.complete


async def test_what_forks_has_one_thread(one: Sandbox) -> None:
    """A worker has none of the others, and would wait for ever for what they hold."""
    for pid in forked_from():
        assert len(os.listdir(f"/proc/{pid}/task")) == 1


async def test_nothing_leaks(one: Sandbox, tmp_path: Path) -> None:
    """A server would run out of descriptors after some thousand uploads."""

    async def some_jobs() -> None:
        for enough in (1, 10**9):
            own = Spool(SpoolBudget(30_000, 1 << 20, tmp_path))
            await one.inspect(await fill(own, clip()), JOB, Listener(enough))
            own.close()

    await some_jobs()
    await until(lambda: len(workers()) == 1)
    (pid,) = workers()
    ours, theirs = descriptors(), os.listdir(f"/proc/{pid}/fd")
    for _ in range(5):
        await some_jobs()
    assert workers() == {pid}
    assert descriptors() == ours
    assert sorted(os.listdir(f"/proc/{pid}/fd")) == sorted(theirs)


async def test_a_worker_sees_nothing_of_the_environment(one: Sandbox) -> None:
    """A decoder that is taken over could read the secrets of the server."""
    await until(lambda: len(workers()) == 1)
    (pid,) = workers()
    seen = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert {each.partition(b"=")[0] for each in seen if each} <= SEEN
    # Standard streams, the channel, and what the interpreter needs; no file of the server's.
    opened = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
    assert sum(each.startswith("socket:") for each in opened) == 1
    assert not any("memfd" in each for each in opened)


async def test_a_worker_ends_with_its_parent() -> None:
    """Workers would go on after a server that was killed."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [*worker_process._COMMAND, str(theirs.fileno()), f"{1 << 30}"],
            pass_fds=[theirs.fileno()],
            env=ENVIRONMENT,
        )
    with ours:
        prefix = ours.recv(channel.PREFIX.size, socket.MSG_WAITALL)
        header = channel.unframe(ours.recv(channel.lengths(prefix)[0]))
        assert header == {"type": "ready", "look_version": look_version()}
    assert process.wait(20) == 0


async def test_a_hanging_worker_is_given_up(
    one: Sandbox, spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crafted file that a decoder never finishes would hold its worker for ever."""
    # Enough for a clip of a tenth of a second on a busy machine.
    monkeypatch.setattr(one, "_limits", WorkerLimits(wall_seconds=2))
    # Time spent waiting for bytes does not count.
    slow = Spool(SpoolBudget(1 << 20, 0, tmp_path))
    job = asyncio.create_task(one.inspect(slow, JOB, Listener()))
    for start in range(0, len(clip()), len(clip()) // 3):
        await asyncio.sleep(0.8)
        await slow.append(clip()[start : start + len(clip()) // 3])
    await slow.end()
    assert await job is not None
    slow.close()
    listener = Listener()
    job = asyncio.create_task(one.inspect(spool, JOB, listener))
    await spool.append(clip()[: len(clip()) // 2])
    await asyncio.wait_for(listener.heard.wait(), PATIENCE_SECONDS)
    (hanging,) = workers()
    os.kill(hanging, signal.SIGSTOP)
    await spool.append(clip()[len(clip()) // 2 :])
    with pytest.raises(MediaError, match=r"longer than 2 s") as caught:
        await asyncio.wait_for(job, PATIENCE_SECONDS)
    assert caught.value.code is VerdictReason.DECODE_TIMEOUT
    again = Spool(SpoolBudget(1 << 20, 0, tmp_path))
    done = await asyncio.wait_for(
        one.inspect(await fill(again, clip()), JOB, Listener()), PATIENCE_SECONDS
    )
    again.close()
    assert done is not None
    assert hanging not in children()


async def test_closing_ends_what_is_at_work(spool: Spool) -> None:
    """A server that stops would wait for its uploads until it is killed, and leave processes."""
    before, ours = children(), descriptors()
    running = Sandbox(1, WorkerLimits(), ENVIRONMENT)
    await running.start()
    assert running.ready_workers == 1
    listener = Listener()
    job = asyncio.create_task(running.inspect(spool, JOB, listener))
    await spool.append(clip()[: len(clip()) // 2])
    await asyncio.wait_for(listener.heard.wait(), PATIENCE_SECONDS)
    await running.close()
    with pytest.raises(MediaError) as caught:
        await asyncio.wait_for(job, PATIENCE_SECONDS)
    assert caught.value.code is VerdictReason.WORKER_DIED
    del job, caught
    await until(lambda: children() == before)
    await until(lambda: descriptors() == ours)


# What a worker that was taken over might do. Run instead of the real template: it says FIRST, and
# each worker that it forks has `link`, the channel, and `say`, and does THEN when it has got a job.
HOSTILE = """#!{python} -IS
import json, os, socket, struct, sys, time

link = socket.socket(fileno=int(sys.argv[-2]))

def say(header, payload=b""):
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    link.sendall(struct.pack(">II", len(encoded), len(payload)) + encoded + payload)

MEDIA = dict(format="", width=0, height=0, duration_header_ms=0)
COUNTS = dict.fromkeys(
    ["duration_content_ms", "frames_decoded", "frames_hashed", "frames_flat", "frames_failed",
     "largest_gap_ms", "streams", "longest_unseen_ms", "seen_permille", "miss_per_million"], 1)
TALLY = dict(media=MEDIA, coverage=dict(COUNTS, complete=True), reasons=[])

exec(os.environ["FIRST"])
control = link
while True:
    message, passed, _, _ = socket.recv_fds(control, 65536, 1)
    if not message:
        sys.exit()
    asked = json.loads(message[8:])
    if asked["type"] == "fork":
        pid = os.fork()
        if not pid:
            link = socket.socket(fileno=passed[0])
            control.close()
            say({{"type": "ready"}})
            link.recv(65536)
            exec(os.environ["THEN"])
            os._exit(0)
        os.close(passed[0])
        say({{"type": "forked", "pid": pid}})
    else:
        code = os.waitstatus_to_exitcode(os.waitpid(asked["pid"], 0)[1])
        say({{"type": "reaped", "code": code}})
"""
READY = 'say({"type": "ready"})'


@pytest_asyncio.fixture(loop_scope="module")
async def hostile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Sandbox]]:
    """Makes sandboxes whose workers do as they are told here."""
    program = tmp_path / "python"
    program.write_text(HOSTILE.format(python=sys.executable))
    program.chmod(0o700)
    command = (str(program), *worker_process._COMMAND[1:])
    monkeypatch.setattr(worker_process, "_COMMAND", command)
    made = []

    def make(then: str, first: str = READY, seconds: float = 5) -> Sandbox:
        made.append(Sandbox(1, WorkerLimits(wall_seconds=seconds), {"FIRST": first, "THEN": then}))
        return made[-1]

    yield make
    for each in made:
        await each.close()


@pytest.mark.parametrize(
    "then",
    [
        "sys.exit()",
        "os.kill(os.getpid(), 11)",
        READY,
        "link.sendall(b'GET / HTTP/1.0')",
        "link.sendall(b'\\xff' * 100)",
        "say(b'[' * 60000)",
        "say(b'{}')",
        "say({'type': 'job'})",
        "say({'type': 'wait'})",
        "say({'type': 'wait', 'size': '1'})",
        "say({'type': 'done'})",
        "say({'type': 'done', **TALLY, 'coverage': {}})",
        "say({'type': 'signals', 'parts': [], **TALLY}, b'more')",
        "say({'type': 'signals', 'parts': [[1, 32, 1, 8, 1]], **TALLY}, b'\\xff' * 42)",
        "say({'type': 'signals', 'parts': [[9, 0, 0, 0, 0]], **TALLY})",
        "say({'type': 'signals', 'parts': [], 'media': {}})",
        "link.sendall(struct.pack('>II', 100, 0)); sys.exit()",
    ],
)
async def test_a_worker_that_talks_nonsense_ends_one_media(
    hostile: Callable[..., Sandbox], spool: Spool, then: str
) -> None:
    """A decoder that is taken over could end the server, or have an upload pass."""
    running = hostile(then)
    await running.start()
    for _ in range(2):  # The second one is a worker that replaced the first.
        with pytest.raises(MediaError) as caught:
            await asyncio.wait_for(running.inspect(spool, JOB, Listener()), PATIENCE_SECONDS)
        assert caught.value.code is VerdictReason.WORKER_DIED
        await until(lambda: running.ready_workers == 1)


async def test_a_worker_cannot_say_afterwards_what_looked(
    hostile: Callable[..., Sandbox], spool: Spool
) -> None:
    """What a worker that was taken over has seen would be used again for the same bytes."""
    first = 'say({"type": "ready", "look_version": "of before"})'
    late = 'say({"type": "done", "look_version": "x", **TALLY}); '
    running = hostile(late + 'say({"type": "ready", "look_version": "x"}); time.sleep(60)', first)
    assert running.look_version == ""
    await running.start()
    assert running.look_version == "of before"
    done = await asyncio.wait_for(running.inspect(spool, JOB, Listener()), 5)
    assert done is not None
    assert done.look_version == running.look_version == "of before"


@pytest.mark.parametrize("text", ['"x" * 201', "7", "None", '"\\n"'])
async def test_a_version_that_is_none_is_refused(
    hostile: Callable[..., Sandbox], text: str
) -> None:
    """A terminal would be steered, or the database filled, by what a worker calls its version."""
    with pytest.raises(Internal):
        await hostile("", f'say({{"type": "ready", "look_version": {text}}})').start()


async def test_a_worker_is_replaced_before_its_template_is(
    hostile: Callable[..., Sandbox], spool: Spool, tmp_path: Path
) -> None:
    """Whoever sends files that end decoders would stop all uploads for seconds with each."""
    begun = str(tmp_path / "begun")
    once = f"time.sleep(600) if os.path.exists({begun!r}) else open({begun!r}, 'w')\n{READY}"
    running = hostile("sys.exit()", once)
    await running.start()
    for _ in range(4):
        with pytest.raises(MediaError) as caught:
            await asyncio.wait_for(running.inspect(spool, JOB, Listener()), PATIENCE_SECONDS)
        assert caught.value.code is VerdictReason.WORKER_DIED


async def test_a_server_may_have_many_files_open(
    hostile: Callable[..., Sandbox], spool: Spool
) -> None:
    """With a thousand uploads under way none would find a worker."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, limits[1]), limits[1]))
    many = [os.dup(0) for _ in range(1100)]
    try:
        running = hostile("say({'type': 'done', **TALLY}); say({'type': 'ready'}); link.recv(9)")
        await running.start()
        assert await asyncio.wait_for(running.inspect(spool, JOB, Listener()), PATIENCE_SECONDS)
        await running.close()
    finally:
        for each in many:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_a_worker_that_never_gets_ready_again_holds_nobody_up(
    hostile: Callable[..., Sandbox], spool: Spool
) -> None:
    """An upload would wait for ever for a worker that has told all it had to."""
    others = workers()
    running = hostile("say({'type': 'done', **TALLY}); time.sleep(600)")
    await running.start()
    (first,) = workers() - others
    done = await asyncio.wait_for(running.inspect(spool, JOB, Listener()), PATIENCE_SECONDS)
    assert done is not None
    assert done.coverage.complete
    await until(lambda: first not in children())
    await until(lambda: running.ready_workers == 1)


async def test_a_worker_that_asks_for_bytes_for_ever_is_given_up(
    hostile: Callable[..., Sandbox], spool: Spool
) -> None:
    """A decoder that is taken over could keep the server answering."""
    running = hostile(
        "while True: time.sleep(0.01); say({'type': 'wait', 'size': 0}); link.recv(999)",
        seconds=0.5,
    )
    await running.start()
    with pytest.raises(MediaError) as caught:
        await asyncio.wait_for(running.inspect(spool, JOB, Listener()), PATIENCE_SECONDS)
    assert caught.value.code is VerdictReason.DECODE_TIMEOUT


@pytest.mark.parametrize("first", ["sys.exit()", "say({'type': 'wait', 'size': 0})", "say(b'x')"])
async def test_a_worker_that_does_not_start_is_told(
    hostile: Callable[..., Sandbox], first: str
) -> None:
    """A server without workers would say that it is ready, and every upload wait."""
    before = descriptors()
    running = hostile("pass", first=first)
    with pytest.raises(Internal, match="does not start"):
        await running.start()
    assert running.ready_workers == 0
    await until(lambda: not children("Z"))
    await until(lambda: descriptors() == before)


async def test_a_worker_is_replaced_once_there_is_room(
    hostile: Callable[..., Sandbox], spool: Spool
) -> None:
    """A moment without free descriptors would cost a worker for good, and at last all of them."""
    running = hostile("sys.exit()")
    await running.start()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    job = asyncio.create_task(running.inspect(spool, JOB, Listener()))
    await asyncio.sleep(0)
    # No new descriptor from now on: each free number is beyond what is allowed.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        await asyncio.wait({job})
        await asyncio.sleep(0.5)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert isinstance(job.exception(), MediaError)
    assert running.ready_workers == 0
    await until(lambda: running.ready_workers == 1)
