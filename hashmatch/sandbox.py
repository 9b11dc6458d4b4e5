"""The parent's side of the workers: starts them ahead, feeds one media to each, replaces them.

A worker that dies, hangs or talks nonsense ends one media as `MediaError`, never the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hashmatch import channel, metrics, telemetry
from hashmatch.admission import Ticket
from hashmatch.channel import BadMessage, Done, Job, Message
from hashmatch.errors import ConfigInvalid, Internal, MediaError
from hashmatch.fair_queue import FairQueue
from hashmatch.model.signals import MAX_SIGNALS, Signals
from hashmatch.model.verdicts import VerdictReason
from hashmatch.spool import Spool

__all__ = ["OnSignals", "Sandbox", "Stalled", "WorkerLimits", "running"]

# A worker that does not stop this long after it was told to is killed.
_CANCEL_SECONDS: Final = 0.1

# How long it may take to put a media away that it has finished.
_READY_SECONDS: Final = 2.0

# A worker is replaced after so many media, or once it has grown by so much: what a library leaks,
# or a media has left behind, ends with it.
_MEDIA_A_WORKER: Final = 2000
_GROWTH_BYTES: Final = 256 * 1024 * 1024

# Starting takes 1 to 2 s, and some 20 s of a core when kernels must be compiled first: several
# minutes where several workers do so at once beside much else.
_START_SECONDS: Final = 600.0
_RESTART_SECONDS: Final = 1.0

# An uploader who sends nothing for so long gives up the worker if others wait for one. Slow lines
# send something more often; a client that hangs or means harm does not.
_PATIENCE_SECONDS: Final = 2.0

_log = telemetry.get_logger(__name__)

# A worker ends a media that has more of a kind; one that was taken over may go on, and on.
_MAX_HASHES: Final = MAX_SIGNALS

_COMMAND: Final = (sys.executable, "-I", "-m", "hashmatch.worker")

OnSignals = Callable[[list[Signals], Done], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What one media may take of a worker.

    ``wall_seconds`` of being busy; time it spends waiting for bytes does not count.
    ``cpu_seconds`` of all its threads. ``memory_bytes`` beyond what a worker has when it starts.
    """

    wall_seconds: float = 300.0
    cpu_seconds: float = 600.0
    memory_bytes: int = 2 * 1024**3


class _Worker:
    """One child process and the parent's end of its channel."""

    def __init__(self, process: asyncio.subprocess.Process, sock: socket.socket) -> None:
        self.process = process
        self._socket = sock
        self._receiving = False
        self._media = 0
        self._resident_at_start = 0
        self.look_version = ""

    @classmethod
    async def start(cls, environment: Mapping[str, str], memory_bytes: int) -> _Worker:
        """``memory_bytes`` 0: not confined. Raises `Internal`, `ConfigInvalid`."""
        try:
            worker = await cls._spawn(environment, memory_bytes)
        except OSError as error:
            raise Internal(f"no worker process can be started ({error.strerror})") from error
        try:
            async with asyncio.timeout(_START_SECONDS):
                header, _ = await worker.receive()
            if header["type"] == "unconfined":
                raise ConfigInvalid(
                    f"sandbox: workers cannot be confined here: {header.get('why')}. Install "
                    "libseccomp; or, if nobody hostile can upload, --unsafe-no-sandbox",
                    setting="unsafe_no_sandbox",
                )
            if header["type"] != "ready":
                raise BadMessage("no ready message")
            worker.look_version = channel.parse_ready(header)
            worker._resident_at_start = worker.resident_bytes()
        except (EOFError, OSError, BadMessage, TimeoutError) as error:
            await worker.end()
            raise Internal("a worker process does not start; see the log") from error
        except BaseException:
            await worker.end()
            raise
        return worker

    @classmethod
    async def _spawn(cls, environment: Mapping[str, str], memory_bytes: int) -> _Worker:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *_COMMAND,
                    str(theirs.fileno()),
                    str(memory_bytes),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    env=dict(environment),
                )
            except BaseException:
                ours.close()
                raise
        return cls(process, ours)

    async def send(self, message: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, message)

    async def send_job(self, job: Job, spool: Spool, cpu_seconds: float) -> None:
        self._media += 1
        self._allow_cpu(cpu_seconds)
        message = channel.frame(job.to_header())
        readers = spool.open_readers()
        try:
            # The channel is empty at this point and the message small: it is sent whole.
            socket.send_fds(self._socket, [message], readers)
        finally:
            for descriptor in readers:
                os.close(descriptor)

    async def receive(self) -> Message:
        self._receiving = True
        try:
            prefix = await self._exactly(channel.PREFIX.size)
            header_length, payload_length = channel.lengths(prefix)
            header = channel.unframe(await self._exactly(header_length))
            return header, await self._exactly(payload_length)
        finally:
            self._receiving = False

    async def outlives(self, waiting: Coroutine[None, None, None]) -> None:
        """Waits for something else. Raises ``EOFError`` if the process ends first."""
        tasks = [asyncio.ensure_future(waiting), asyncio.ensure_future(self.process.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[1].done():
                raise EOFError
            tasks[0].result()
        finally:
            for task in tasks:
                task.cancel()

    async def is_ready(self, seconds: float) -> bool:
        """Waits, at most so long, until the worker has put its job away."""
        try:
            async with asyncio.timeout(seconds):
                while (await self.receive())[0]["type"] != "ready":
                    pass
        except (OSError, EOFError, BadMessage, TimeoutError):
            return False
        return True

    @property
    def is_worn(self) -> bool:
        """True if it should see no other media."""
        growth = self.resident_bytes() - self._resident_at_start
        return self._media >= _MEDIA_A_WORKER or growth > _GROWTH_BYTES

    def resident_bytes(self) -> int:
        """Memory that it takes now; 0 if it has ended."""
        try:
            pages = int(self._about("statm").split()[1])
        except OSError:
            return 0
        return pages * resource.getpagesize()

    def _allow_cpu(self, seconds: float) -> None:
        """From now on. The kernel counts whole seconds, and ends the process by a signal."""
        with contextlib.suppress(OSError, IndexError):  # It has ended, which is found out soon.
            # After the name, which may hold anything: fields 14 and 15 of proc(5), in ticks.
            fields = self._about("stat").rpartition(")")[2].split()
            used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            hard = resource.prlimit(self.process.pid, resource.RLIMIT_CPU)[1]
            allowed = math.ceil(used + seconds)
            resource.prlimit(self.process.pid, resource.RLIMIT_CPU, (allowed, hard))

    def _about(self, what: str) -> str:
        return Path(f"/proc/{self.process.pid}/{what}").read_text()

    async def how_it_ended(self) -> MediaError:
        """Of a worker that broke off, or is broken."""
        try:
            async with asyncio.timeout(_CANCEL_SECONDS):
                code = await self.process.wait()
        except TimeoutError:
            code = 0  # It lives, and talks nonsense.
        if code == -signal.SIGXCPU:
            return MediaError(
                VerdictReason.CPU_LIMIT, "decoding it takes more processor time than is allowed"
            )
        if code == -signal.SIGSYS:
            return MediaError(
                VerdictReason.SANDBOX_VIOLATION,
                "the process that decoded it tried what no decoder does, and was ended",
            )
        return MediaError(VerdictReason.WORKER_DIED, "the process that decoded it ended early")

    async def _exactly(self, size: int) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        loop = asyncio.get_running_loop()
        while view:
            read = await loop.sock_recv_into(self._socket, view)
            if not read:
                raise EOFError
            view = view[read:]
        return bytes(data)

    async def end(self) -> None:
        """Kills the process. Who waits for a message of it gets ``EOFError``."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        await self.process.wait()
        while self._receiving:  # It would wait for ever for a socket that is closed.
            await asyncio.sleep(0)
        self._socket.close()


class Stalled(Exception):
    """The uploader sends nothing while others wait for a worker. Never leaves floor 2."""


class Sandbox:
    """A fixed number of workers, each with one media at a time."""

    def __init__(
        self,
        workers: int,
        limits: WorkerLimits,
        environment: Mapping[str, str] | None = None,
        *,
        confined: bool = True,
    ) -> None:
        """``environment`` is all that a worker sees of the environment. One that is not
        ``confined`` may do whatever this process may: a crafted media that takes it over has the
        blocklist.
        """
        self._count = workers
        self._limits = limits
        self._confined = confined
        self._environment = dict(environment or {})
        self._idle: FairQueue[_Worker] = FairQueue()
        self._all: set[_Worker] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._closed = False
        self._look_version = ""

    async def start(self) -> None:
        """Starts the workers. Raises `Internal` if one does not start, `ConfigInvalid` if one
        cannot be confined.
        """
        await asyncio.gather(*(self._add_worker() for _ in range(self._count)))

    async def close(self) -> None:
        """Kills the workers."""
        self._closed = True
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(worker.end() for worker in self._all))

    @property
    def ready_workers(self) -> int:
        """Workers that run, idle or busy."""
        return len(self._all)

    @property
    def look_version(self) -> str:
        """What looks at media, as the newest worker says; empty before there is one."""
        return self._look_version

    async def inspect(
        self, spool: Spool, job: Job, on_signals: OnSignals, ticket: Ticket | None = None
    ) -> Done | None:
        """Has a worker decode and hash a spool, even while it grows. Callers get workers in turn.

        ``on_signals`` gets hashes as they come, with the tally so far; when it returns true the
        rest is not wanted, and the answer is None. Raises `MediaError` if the worker died or took
        too much, and `Stalled` if the worker was given to others because nothing came: then try
        again, from the beginning, once all has come.
        """
        worker = await self._alive(ticket.caller if ticket else "")
        if ticket:
            ticket.started()
        job_is_over = False
        try:
            await worker.send_job(job, spool, self._limits.cpu_seconds)
            done = await self._converse(worker, spool, on_signals)
            _tell_of_faults(done)
            job_is_over = done is not None and await worker.is_ready(_READY_SECONDS)
            return done
        except (EOFError, ConnectionError, BadMessage) as error:
            ended = await worker.how_it_ended()
            _log.warning("worker_died", reason=ended.code.name, error=type(error).__name__)
            raise ended from error
        finally:
            if job_is_over and not worker.is_worn:
                self._idle.put(worker)
            else:
                self._in_background(self._recover(worker))

    async def _alive(self, caller: str) -> _Worker:
        """A worker that has nothing to do, and has not died since."""
        while (worker := await self._idle.get(caller)).process.returncode is not None:
            self._in_background(self._recover(worker))
        return worker

    async def _patiently(self, growth: Callable[[], Awaitable[None]]) -> None:
        """Waits for bytes, for as long as nobody else wants the worker."""
        while True:
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await growth()
                return
            except TimeoutError:
                if self._idle.is_waited_for:
                    raise Stalled from None

    async def _converse(self, worker: _Worker, spool: Spool, on_signals: OnSignals) -> Done | None:
        busy_left, hashes = self._limits.wall_seconds, 0
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(busy_left):
                    header, payload = await worker.receive()
            except TimeoutError as error:
                raise MediaError(
                    VerdictReason.DECODE_TIMEOUT,
                    f"decoding takes longer than {self._limits.wall_seconds:g} s",
                ) from error
            busy_left -= time.monotonic() - began
            if header["type"] == "wait":
                size = _wanted(header)
                await worker.outlives(self._patiently(functools.partial(spool.wait_for, size)))
                await worker.send(
                    channel.frame(
                        {
                            "type": "size",
                            "size": spool.size,
                            "memory": spool.memory_size,
                            "ended": spool.ended,
                        }
                    )
                )
            elif header["type"] == "signals":
                signals = channel.parse_signals(header, payload)
                hashes += max((len(each) for each in signals), default=0)
                if hashes > _MAX_HASHES:
                    raise BadMessage("more hashes than a media may have")
                if await on_signals(signals, _told(worker, header)):
                    return None
            elif header["type"] == "done":
                return _told(worker, header)
            else:
                raise BadMessage(f"an unexpected {header['type'][:20]!r} message")

    async def _recover(self, worker: _Worker) -> None:
        """Brings a worker whose media was given up back to work, or replaces it."""
        if not worker.is_worn:
            with contextlib.suppress(OSError):
                await worker.send(channel.frame({"type": "cancel"}))
            if await worker.is_ready(_CANCEL_SECONDS):
                self._idle.put(worker)
                return
        await worker.end()
        self._all.discard(worker)
        metrics.WORKERS_REPLACED.inc()
        await self._replace()

    async def _replace(self) -> None:
        """Starts a worker, however often it takes: without workers every upload waits."""
        while not self._closed:
            try:
                await self._add_worker()
                return
            except (ConfigInvalid, Internal):
                _log.error("worker_does_not_start", again_in_seconds=_RESTART_SECONDS)
                await asyncio.sleep(_RESTART_SECONDS)

    async def _add_worker(self) -> None:
        memory_bytes = self._limits.memory_bytes if self._confined else 0
        worker = await _Worker.start(self._environment, memory_bytes)
        self._all.add(worker)
        self._look_version = worker.look_version
        self._idle.put(worker)

    def _in_background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._starting.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._starting.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("worker_not_replaced", error=type(task.exception()).__name__)


def _tell_of_faults(done: Done | None) -> None:
    for reason in done.reasons if done else ():
        if reason.code is VerdictReason.WORKER_FAULT:
            metrics.WORKER_FAULTS.inc()
            _log.error("worker_fault", where=reason.detail)


def _told(worker: _Worker, header: Mapping[str, object]) -> Done:
    return replace(channel.parse_done(header), look_version=worker.look_version)


def _wanted(header: Mapping[str, object]) -> int:
    size = header.get("size")
    if not isinstance(size, int):
        raise BadMessage("a wait message without a size")
    return size


@contextlib.asynccontextmanager
async def running(sandbox: Sandbox) -> AsyncIterator[Sandbox]:
    """Starts the workers and kills them at the end."""
    try:
        await sandbox.start()
        yield sandbox
    finally:
        await sandbox.close()
