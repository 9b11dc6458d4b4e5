"""The parent's side of the workers: starts them ahead, feeds one media to each, replaces them.

A worker that dies, hangs or talks nonsense ends one media as `MediaError`, never the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from hashmatch.decoding import channel
from hashmatch.decoding.admission import Ticket
from hashmatch.decoding.channel import BadMessage, Done, Job
from hashmatch.decoding.fair_queue import FairQueue
from hashmatch.decoding.spool import Spool
from hashmatch.decoding.worker_process import CANCEL_SECONDS, Template, Worker
from hashmatch.errors import ConfigInvalid, Internal, MediaError
from hashmatch.model.signals import MAX_SIGNALS, Signals
from hashmatch.model.verdicts import VerdictReason
from hashmatch.telemetry import logs, metrics

__all__ = ["OnSignals", "Sandbox", "Stalled", "WorkerLimits", "running"]

# How long it may take to put a media away that it has finished.
_READY_SECONDS: Final = 2.0

# Pause before another try where none starts.
_RESTART_SECONDS: Final = 1.0

# An uploader who sends nothing for so long gives up the worker if others wait for one. Slow lines
# send something more often; a client that hangs or means harm does not.
_PATIENCE_SECONDS: Final = 2.0

_log = logs.get_logger(__name__)

# A worker ends a media that has more of a kind; one that was taken over may go on, and on.
_MAX_HASHES: Final = MAX_SIGNALS

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
        self._idle: FairQueue[Worker] = FairQueue()
        self._all: set[Worker] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._closed = False
        self._templates: list[Template] = []  # The newest last; others retire, or have ended.
        self._beginning = asyncio.Lock()  # Of one that workers wait for.
        self._retiring = False

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
        await asyncio.gather(*(template.end() for template in self._templates))

    @property
    def ready_workers(self) -> int:
        """Workers that run, idle or busy."""
        return len(self._all)

    @property
    def look_version(self) -> str:
        """What looks at media, as the newest template says; empty before there is one."""
        return self._templates[-1].look_version if self._templates else ""

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
            hung_up = not isinstance(error, BadMessage)
            ended = await worker.how_it_ended(hung_up=hung_up)
            self._replace_template(worker.template)
            _log.warning("worker_died", reason=ended.code.name, error=type(error).__name__)
            raise ended from error
        finally:
            if job_is_over and not worker.is_worn:
                self._idle.put(worker)
            else:
                self._in_background(self._recover(worker))

    async def _alive(self, caller: str) -> Worker:
        """A worker that has nothing to do, and has not died since."""
        while (worker := await self._idle.get(caller)).has_ended or worker.is_worn:
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

    async def _converse(self, worker: Worker, spool: Spool, on_signals: OnSignals) -> Done | None:
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

    async def _recover(self, worker: Worker) -> None:
        """Brings a worker whose media was given up back to work, or replaces it."""
        if not worker.is_worn:
            with contextlib.suppress(OSError):
                await worker.send(channel.frame({"type": "cancel"}))
            if await worker.is_ready(CANCEL_SECONDS):
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
        async with self._beginning:
            if not self._templates or self._templates[-1].has_ended:
                await self._begin_template()
            template = self._templates[-1]
        worker = await template.fork()
        self._all.add(worker)
        self._idle.put(worker)

    async def _begin_template(self) -> None:
        memory_bytes = self._limits.memory_bytes if self._confined else 0
        begun = await Template.start(self._environment, memory_bytes)
        ended = [each for each in self._templates if each.has_ended]
        self._templates = [*(each for each in self._templates if each not in ended), begun]
        for each in ended:
            await each.end()

    def _replace_template(self, template: Template) -> None:
        """Begins another in place of one that lost a worker, unless one is beginning already. Until
        it has begun workers are forked from the old one.
        """
        if not (self._retiring or template.retired or self._closed):
            self._retiring = True
            self._in_background(self._retire(template))

    async def _retire(self, template: Template) -> None:
        try:
            await self._begin_template()
        finally:
            self._retiring = False
        await template.retire()

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


def _told(worker: Worker, header: Mapping[str, object]) -> Done:
    return replace(channel.parse_done(header), look_version=worker.template.look_version)


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
