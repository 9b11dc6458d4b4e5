"""Entry point of the template: forks workers, each of which takes one media after the other until
the parent hangs up.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn

from hashmatch.decoding import channel
from hashmatch.decoding.channel import Job
from hashmatch.decoding.media.tally import Tally
from hashmatch.decoding.media.versions import look_version
from hashmatch.decoding.worker.confine import CannotConfine, confine
from hashmatch.decoding.worker.inspect import inspect, summary
from hashmatch.decoding.worker.warm_up import warm_up
from hashmatch.model.signals import Signals

# Hashes are sent together this often, so that a long media does not cost a message a frame; the
# first ones go at once.
_EMIT_SECONDS: Final = 0.1


class _Cancelled(BaseException):
    """The parent does not want the rest. No ``Exception``, so that no decoder takes it for one."""


class _Link:
    """The worker's end of the channel. Hangs up the process when the parent is gone."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.job_cancelled = False

    def send(self, message: bytes) -> None:
        self._socket.sendall(message)

    def receive(self, descriptors: int = 0) -> tuple[dict[str, Any], list[int]]:
        """The next message and the descriptors that came with it."""
        prefix, passed, _, _ = socket.recv_fds(self._socket, channel.PREFIX.size, descriptors)
        prefix += self._exactly(channel.PREFIX.size - len(prefix))
        header_length, payload_length = channel.lengths(prefix)
        header = channel.unframe(self._exactly(header_length))
        self._exactly(payload_length)
        return header, passed

    def close(self) -> None:
        self._socket.close()

    def cancelled(self) -> bool:
        """True if the parent has spoken unasked: that can only be ``cancel``."""
        if not self.job_cancelled and select.select([self._socket], [], [], 0)[0]:
            self.receive()
            self.job_cancelled = True
        return self.job_cancelled

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self._socket.recv(size - len(data))
            if not chunk:
                os._exit(0)  # Nothing is to be put away, and much of that is forbidden.
            data += chunk
        return data


class _SpoolSource:
    """The parent's spool (see `decoding.spool`), read while it grows.

    When the parent does not want the rest, the media ends where it is: PyAV cannot pass on what is
    no ``Exception`` out of a read. The next to emit something, or to ask for the end, learns why.
    """

    def __init__(
        self, link: _Link, memory: int, disk: int, before_waiting: Callable[[], None]
    ) -> None:
        self._link = link
        self._before_waiting = before_waiting
        self._memory, self._disk = memory, disk
        self._size = 0
        self._split = 0
        self._ended = False

    def read_at(self, offset: int, size: int, *, whole: bool = True) -> bytes:
        needed = offset + (size if whole else 1)
        while needed > self._size and not self._ended:
            self._wait(needed)
        end = min(offset + size, self._size)
        in_memory = max(0, min(end, self._split) - offset)
        data = os.pread(self._memory, in_memory, offset) if in_memory else b""
        if end > max(offset, self._split):
            start = max(offset, self._split)
            data += os.pread(self._disk, end - start, start - self._split)
        return data

    def total(self) -> int:
        while not self._ended:
            self._wait(self._size + 1)
        if self._link.job_cancelled:
            raise _Cancelled
        return self._size

    def _wait(self, size: int) -> None:
        self._before_waiting()
        self._link.send(channel.frame({"type": "wait", "size": size}))
        header, _ = self._link.receive()
        if header["type"] == "size":
            self._size, self._split = header["size"], header["memory"]
            self._ended = header["ended"]
        else:
            self._ended = self._link.job_cancelled = True


class _Emitter:
    """Sends signals in batches, and notices that nobody wants them any more."""

    def __init__(self, link: _Link) -> None:
        self._link = link
        self._waiting: list[Signals] = []
        self._tally = Tally()
        self._sent_at = 0.0

    def __call__(self, signals: list[Signals], tally: Tally) -> None:
        self._waiting += signals
        self._tally = tally
        if self._link.cancelled():
            raise _Cancelled
        if time.monotonic() - self._sent_at >= _EMIT_SECONDS:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            so_far = summary(self._tally)
            self._link.send(channel.pack_signals(Signals.concatenate(self._waiting), so_far))
            self._waiting = []
            self._sent_at = time.monotonic()


def _work(link: _Link) -> None:
    header, descriptors = link.receive(descriptors=2)
    if header["type"] != "job":
        return  # A ``cancel`` that crossed with the end of its job.
    memory, disk = descriptors
    link.job_cancelled = False
    try:
        emitter = _Emitter(link)
        source = _SpoolSource(link, memory, disk, before_waiting=emitter.flush)
        done = inspect(source, Job.from_header(header), emitter)
        if link.job_cancelled:
            return
        emitter.flush()
        link.send(channel.pack_done(done))
    except _Cancelled:
        pass
    finally:
        os.close(memory)
        os.close(disk)
        link.send(channel.pack_ready())


def main() -> None:
    """Serves the socket whose descriptor is the first argument; the second is the memory that a
    media may take, in bytes.
    """
    link = _Link(socket.socket(fileno=int(sys.argv[1])))
    memory_bytes = int(sys.argv[2])  # 0: workers are not confined.
    warm_up()
    # What is there by now stays: the collector need not look through it for every upload, and its
    # memory is shared by all workers.
    gc.collect()
    gc.freeze()
    link.send(channel.pack_ready(look_version()))
    while True:
        header, descriptors = link.receive(descriptors=1)
        if header["type"] == "fork":
            [descriptor] = descriptors
            pid = os.fork()
            if not pid:
                link.close()
                _serve(_Link(socket.socket(fileno=descriptor)), memory_bytes)
            os.close(descriptor)
            link.send(channel.frame({"type": "forked", "pid": pid}))
        else:
            _, status = os.waitpid(header["pid"], 0)
            code = os.waitstatus_to_exitcode(status)
            link.send(channel.frame({"type": "reaped", "code": code}))


def _serve(link: _Link, memory_bytes: int) -> NoReturn:
    """What a worker does, until its process ends."""
    try:
        if memory_bytes:
            confine(memory_bytes)
        link.send(channel.pack_ready())
        while True:
            _work(link)
    except CannotConfine as error:
        link.send(channel.frame({"type": "unconfined", "why": str(error)}))
    except BaseException:
        sys.excepthook(*sys.exc_info())  # Of a worker that is confined, to nobody.
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
