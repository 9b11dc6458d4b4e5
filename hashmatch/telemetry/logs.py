"""Logs: one JSON object a line on stderr.

What is logged names things by their ids. Hashes, file names, references and tokens never go in.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from hashmatch import streams

__all__ = ["configure", "get_logger"]


def configure(level: str) -> None:
    """Sets up logging for the process. ``level`` is a name of the standard library's. What cannot
    be written, on a full disk for one, is lost, and fails neither a request nor the process.
    """
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
        logger_factory=structlog.PrintLoggerFactory(streams.unfailing(sys.stderr)),
    )


def get_logger(name: str) -> Any:
    """A logger that says which module speaks."""
    return structlog.get_logger(module=name)
