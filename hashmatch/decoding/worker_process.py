"""Worker processes: one template that has loaded and warmed up everything, and the workers that it
forks, each with the parent's end of its channel.

Loading takes seconds of a core, forking some hundredths: a worker that a crafted media has ended is
replaced at once. But forked processes lie alike in memory, and what an attacker learns from a crash
must not help with the next worker: the pool retires a template that lost one (`Template.retire`).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hashmatch.decoding import channel
from hashmatch.decoding.channel import BadMessage, Job, Message
from hashmatch.decoding.spool import Spool
from hashmatch.errors import ConfigInvalid, Internal, MediaError
from hashmatch.model.verdicts import VerdictReason

__all__ = ["CANCEL_SECONDS", "Template", "Worker"]

# A worker that does not stop this long after it was told to is killed.
CANCEL_SECONDS: Final = 0.1

# One that has hung up is about to end, and why it did is worth waiting for on a busy machine.
_END_SECONDS: Final = 10.0

# A worker is replaced after so many media, or once it has grown by so much: what a library leaks,
# or a media has left behind, ends with it.
_MEDIA_A_WORKER: Final = 2000
_GROWTH_BYTES: Final = 256 * 1024 * 1024

# A template starts in 3 s of a core, and in some 20 s where kernels must be compiled first: several
# minutes beside much else. A fork takes some hundredths.
_START_SECONDS: Final = 600.0
_FORK_SECONDS: Final = 60.0

_COMMAND: Final = (sys.executable, "-I", "-m", "hashmatch.decoding.worker")

# Workers share the processor: each decodes in one thread. And what forks must have a single one,
# as a library's pool of threads does not come along.
_OWN_ENVIRONMENT: Final = {"OPENBLAS_NUM_THREADS": "1"}


class _Channel:
    """The parent's end of a socket to another process of the sandbox."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._receiving = False

    async def send(self, message: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, message)

    def send_with(self, message: bytes, descriptors: Sequence[int]) -> None:
        """Hands over descriptors. Only where the channel is empty and the message small: it is
        sent whole.
        """
        socket.send_fds(self._socket, [message], descriptors)

    async def receive(self) -> Message:
        """The next message. Raises ``EOFError`` if the process has hung up, and `BadMessage`."""
        self._receiving = True
        try:
            prefix = await self._exactly(channel.PREFIX.size)
            header_length, payload_length = channel.lengths(prefix)
            header = channel.unframe(await self._exactly(header_length))
            return header, await self._exactly(payload_length)
        finally:
            self._receiving = False

    async def close(self) -> None:
        """Hangs up. Who waits for a message gets ``EOFError``."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        while self._receiving:  # It would wait for ever for a socket that is closed.
            await asyncio.sleep(0)
        self._socket.close()

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


def _channel_pair() -> tuple[_Channel, socket.socket]:
    """The parent's end, and the other process's. Raises `Internal`."""
    try:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        raise _cannot_start(error) from error
    ours.setblocking(False)
    return _Channel(ours), theirs


class Template:
    """The process that workers are forked from. It sees no media."""

    def __init__(self, process: asyncio.subprocess.Process, link: _Channel) -> None:
        self.look_version = ""
        self.retired = False  # No worker of it is to see another media.
        self._process = process
        self._link = link
        self._asking = asyncio.Lock()
        self._workers = 0

    @classmethod
    async def start(cls, environment: Mapping[str, str], memory_bytes: int) -> Template:
        """``environment`` is all that the process and its workers see of the environment.
        ``memory_bytes`` is what a media may take of a worker beyond what it has when it starts; 0:
        workers are not confined. Raises `Internal`.
        """
        link, theirs = _channel_pair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *_COMMAND,
                    str(theirs.fileno()),
                    str(memory_bytes),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    env={**_OWN_ENVIRONMENT, **environment},
                )
            except BaseException as error:
                await link.close()
                if isinstance(error, OSError):
                    raise _cannot_start(error) from error
                raise
        template = cls(process, link)
        try:
            async with asyncio.timeout(_START_SECONDS):
                template.look_version = channel.parse_ready(await _ready(link))
        except (EOFError, OSError, BadMessage, TimeoutError) as error:
            await template.end()
            raise Internal("a worker process does not start; see the log") from error
        except BaseException:
            await template.end()
            raise
        return template

    @property
    def has_ended(self) -> bool:
        """True once no worker can be forked from it."""
        return self._process.returncode is not None

    async def fork(self) -> Worker:
        """A new worker, ready. Raises `Internal`, and `ConfigInvalid` if it cannot be confined."""
        link, theirs = _channel_pair()
        self._workers += 1
        try:
            with theirs:
                pid = await self._asked({"type": "fork"}, "pid", [theirs.fileno()])
            # It is a child of the template's, which keeps its number until it is asked to reap it.
            worker = Worker(self, pid, os.pidfd_open(pid), link)
        except BaseException as error:
            await link.close()
            await self._lost_one()
            if isinstance(error, EOFError | OSError | BadMessage | TimeoutError):
                raise _cannot_start(error) from error
            raise
        try:
            async with asyncio.timeout(_FORK_SECONDS):
                await _ready(link)
            worker.started()
        except (EOFError, OSError, BadMessage, TimeoutError) as error:
            await worker.end()
            raise _cannot_start(error) from error
        except BaseException:
            await worker.end()
            raise
        return worker

    async def reap(self, pid: int) -> int | None:
        """The exit status of a worker that has ended, negative for a signal; None if nobody knows.
        Once for each worker.
        """
        try:
            return await self._asked({"type": "reap", "pid": pid}, "code")
        except (EOFError, OSError, BadMessage, TimeoutError):
            return None
        finally:
            await self._lost_one()

    async def retire(self) -> None:
        """Has its workers replaced by those of another template. Ends when the last of them has."""
        self.retired = True
        if not self._workers:
            await self.end()

    async def _lost_one(self) -> None:
        self._workers -= 1
        if self.retired and not self._workers:
            await self.end()

    async def end(self) -> None:
        """Kills the process, and not its workers."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._link.close()

    async def _asked(
        self, question: dict[str, Any], answer: str, descriptors: list[int] | None = None
    ) -> int:
        async with self._asking:
            try:
                async with asyncio.timeout(_FORK_SECONDS):
                    self._link.send_with(channel.frame(question), descriptors or [])
                    header, _ = await self._link.receive()
                if not isinstance(value := header.get(answer), int):
                    raise BadMessage(f"no {answer} in an answer to {question['type']}")
            except BaseException:
                # Its next answer would be taken for one to another question.
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                raise
        return value


class Worker:
    """One process that decodes, and the parent's end of its channel."""

    def __init__(self, template: Template, pid: int, pidfd: int, link: _Channel) -> None:
        self.pid = pid
        self._template = template
        self._pidfd = pidfd
        self._link = link
        self._media = 0
        self._bytes_at_start = 0
        self._ended = asyncio.Event()
        self._code: asyncio.Task[int | None] | None = None
        asyncio.get_running_loop().add_reader(pidfd, self._has_ended)
        self.send = link.send
        self.receive = link.receive

    @property
    def template(self) -> Template:
        """What it was forked from."""
        return self._template

    def started(self) -> None:
        """From here on what it takes of memory counts as growth."""
        self._bytes_at_start = self._own_bytes()

    @property
    def has_ended(self) -> bool:
        """True once the process is gone."""
        if self._ended.is_set():
            return True
        waiting = select.poll()  # Not select(2), which knows no descriptor above 1023.
        waiting.register(self._pidfd, select.POLLIN)
        return bool(waiting.poll(0))

    async def send_job(self, job: Job, spool: Spool, cpu_seconds: float) -> None:
        """Begins a job, for which the worker has so much processor time."""
        self._media += 1
        self._allow_cpu(cpu_seconds)
        readers = spool.open_readers()
        try:
            self._link.send_with(channel.frame(job.to_header()), readers)
        finally:
            for descriptor in readers:
                os.close(descriptor)

    async def outlives(self, waiting: Coroutine[None, None, None]) -> None:
        """Waits for something else. Raises ``EOFError`` if the process ends first."""
        tasks = [asyncio.ensure_future(waiting), asyncio.ensure_future(self._ended.wait())]
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
        growth = self._own_bytes() - self._bytes_at_start
        return self._template.retired or self._media >= _MEDIA_A_WORKER or growth > _GROWTH_BYTES

    def _own_bytes(self) -> int:
        """Memory that it takes now beside what is mapped from files; 0 if it has ended."""
        try:
            resident, mapped = map(int, self._about("statm").split()[1:3])
        except OSError:
            return 0
        return (resident - mapped) * resource.getpagesize()

    async def how_it_ended(self, *, hung_up: bool) -> MediaError:
        """Of a worker that ``hung_up``, or talks nonsense."""
        code = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS if hung_up else CANCEL_SECONDS):
                await self._ended.wait()
                code = await self._exit_code()
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

    async def end(self) -> None:
        """Kills the process. Who waits for a message of it gets ``EOFError``."""
        if not self._ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        await self._ended.wait()
        await self._link.close()
        await self._exit_code()
        if self._pidfd >= 0:  # Not twice: whoever ends it may be told to stop meanwhile.
            os.close(self._pidfd)
            self._pidfd = -1

    def _has_ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self._code = asyncio.ensure_future(self._template.reap(self.pid))
        self._ended.set()

    async def _exit_code(self) -> int | None:
        """Of a process that has ended; None if nobody knows."""
        assert self._code is not None
        return await asyncio.shield(self._code)

    def _allow_cpu(self, seconds: float) -> None:
        """From now on. The kernel counts whole seconds, and ends the process by a signal."""
        with contextlib.suppress(OSError, IndexError):  # It has ended, which is found out soon.
            # After the name, which may hold anything: fields 14 and 15 of proc(5), in ticks.
            fields = self._about("stat").rpartition(")")[2].split()
            used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            hard = resource.prlimit(self.pid, resource.RLIMIT_CPU)[1]
            allowed = math.ceil(used + seconds)
            resource.prlimit(self.pid, resource.RLIMIT_CPU, (allowed, hard))

    def _about(self, what: str) -> str:
        return Path(f"/proc/{self.pid}/{what}").read_text()


async def _ready(link: _Channel) -> dict[str, Any]:
    """The header of the message that a process sends when it can be used."""
    header, _ = await link.receive()
    if header["type"] == "unconfined":
        raise ConfigInvalid(
            f"sandbox: workers cannot be confined here: {header.get('why')}. Install "
            "libseccomp; or, if nobody hostile can upload, --unsafe-no-sandbox",
            setting="unsafe_no_sandbox",
        )
    if header["type"] != "ready":
        raise BadMessage("no ready message")
    return header


def _cannot_start(error: BaseException) -> Internal:
    why = error.strerror if isinstance(error, OSError) else "see the log"
    return Internal(f"no worker process can be started ({why})")
