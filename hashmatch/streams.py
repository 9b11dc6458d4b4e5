"""The standard streams of a process. A log that cannot be written fails nothing; an answer that
cannot be written fails the command, and says so.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn, TextIO

__all__ = ["run", "unfailing"]

_STDIN, _STDOUT, _STDERR = range(3)

# What each is opened as where whoever started the process closed it: what is read is empty, what is
# written to stdout fails, and what is written to stderr is lost.
_INSTEAD: Final = {_STDIN: os.O_RDONLY, _STDOUT: os.O_RDONLY, _STDERR: os.O_WRONLY}


def run(command: Callable[[], object]) -> NoReturn:
    """Runs a command and ends the process with its exit code, or with 1 if what it wrote to stdout
    did not arrive. Whether stderr can be written changes nothing.
    """
    for descriptor, mode in _INSTEAD.items():
        _ensure_open(descriptor, mode)
    sys.stdin = sys.stdin or open(_STDIN, closefd=False)  # noqa: SIM115
    sys.stderr = unfailing(sys.stderr)
    raw = _Output(_STDOUT, "w", closefd=False)
    sys.stdout = _text(io.BufferedWriter(raw), sys.stdout)
    code: object = 0
    try:
        command()
    except SystemExit as end:
        code = end.code
    except Exception:
        if raw.failure is None:
            raise
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    if raw.failure is not None:
        code = code or 1
        # Whoever reads from a pipe may stop when he has read enough.
        if raw.failure.errno != errno.EPIPE:
            sys.stderr.write(f"error: the output cannot be written: {raw.failure.strerror}\n")
        # The interpreter writes what is left at its end, and that would give the status 120.
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
    sys.exit(code)  # type: ignore[arg-type]


def unfailing(stream: TextIO | None) -> TextIO:
    """A stream that writes to the same file as ``stream`` at once, line by line, and loses what
    cannot be written. Nothing of it is left for the end of the process. A stream that is no file is
    returned as it is; None, a closed stream, loses everything.
    """
    if stream is None:
        return _text(_Lossy(None), None)
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return stream
    with contextlib.suppress(OSError):
        stream.flush()
    return _text(_Lossy(descriptor), stream)


class _Lossy(io.RawIOBase):
    """Writes to a descriptor whatever can be written."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._cut = False

    def write(self, data: Any) -> int:
        """Takes all of ``data``, and writes it as far as that is possible."""
        left = memoryview(data).cast("B")
        size = len(left)
        if self._descriptor is None:
            return size
        # A line that was cut short by a full disk does not swallow the next one.
        if self._cut:
            left = memoryview(b"\n" + left)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
                self._cut = bool(left)
        except OSError:
            pass
        return size

    def writable(self) -> bool:
        """True: a text stream asks for it."""
        return True

    def fileno(self) -> int:
        """The descriptor; raises ``OSError`` if there is none."""
        if self._descriptor is None:
            raise io.UnsupportedOperation("a closed stream")
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._descriptor is not None and os.isatty(self._descriptor)


class _Output(io.FileIO):
    """A file that remembers why it could not be written."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Writes; raises ``OSError``."""
        try:
            return super().write(data)
        except OSError as error:
            self.failure = error
            raise


def _text(binary: Any, like: TextIO | None) -> TextIO:
    lines = isinstance(binary, io.RawIOBase) or binary.isatty()
    return io.TextIOWrapper(
        binary,  # A raw stream that takes all it is given will do.
        encoding=like.encoding if like is not None else "utf-8",
        errors=like.errors if like is not None else "backslashreplace",
        line_buffering=lines,
    )


def _ensure_open(descriptor: int, mode: int) -> None:
    """Opens a standard descriptor that is closed: the next file to be opened would take its place,
    and what a library prints would be written into it.
    """
    try:
        os.fstat(descriptor)
    except OSError:
        opened = os.open(os.devnull, mode)
        if opened != descriptor:
            os.dup2(opened, descriptor)
            os.close(opened)
        os.set_inheritable(descriptor, True)
