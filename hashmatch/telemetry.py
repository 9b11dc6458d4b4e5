"""Logs: one JSON object a line on stderr.

What is logged names things by their ids. Hashes, file names, references and tokens never go in.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any, TextIO, cast

import structlog

__all__ = ["configure", "get_logger"]


def configure(level: str) -> None:
    """Sets up logging for the process. ``level`` is a name of the standard library's."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Where it failed, without the values there, which may be hashes.
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Lossy(sys.stderr))),
    )


class _Lossy:
    """A stream that loses what it cannot write: a log on a full disk must not fail a request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def get_logger(name: str) -> Any:
    """A logger that says which module speaks."""
    return structlog.get_logger(module=name)
