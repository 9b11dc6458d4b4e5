"""Turns every exception of a handler into a status that says what to do."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import AsyncIterator
from typing import Any, NoReturn

from grpc import aio

from hashmatch.errors import HashmatchError, Internal
from hashmatch.server.grpc.wrapping import WrappingInterceptor
from hashmatch.telemetry import logs, metrics
from hashmatch.wire.status import DETAILS_KEY, code_of, status_details

__all__ = ["ErrorsInterceptor"]

_log = logs.get_logger(__name__)


class ErrorsInterceptor(WrappingInterceptor):
    """Goes around all others: what they raise is translated too."""

    def __init__(self) -> None:
        """Has no state."""
        super().__init__(_refusing)


@contextlib.asynccontextmanager
async def _refusing(context: aio.ServicerContext[Any, Any], method: str) -> AsyncIterator[None]:
    try:
        yield
    except HashmatchError as error:
        await _refuse(error, context, method)
    except aio.AbortError:
        raise
    except Exception as error:
        # Neither the caller nor the log gets its text, which could hold anything.
        _log.error("handler_failed", method=method, error=type(error).__name__, where=_where(error))
        await _refuse(Internal("a fault of the server; its log says more"), context, method)


def _where(error: BaseException) -> list[str]:
    """The calls that led to an error and to what caused it, outermost first."""
    calls = [
        f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    cause = error.__cause__ or error.__context__
    return calls if cause is None else [*_where(cause), type(cause).__name__, *calls]


async def _refuse(
    error: HashmatchError, context: aio.ServicerContext[Any, Any], method: str
) -> NoReturn:
    metrics.REFUSALS.labels(error.reason).inc()
    _log.info("refused", method=method, reason=error.reason)
    details = (DETAILS_KEY, status_details(error))
    await context.abort(code_of(error), str(error), trailing_metadata=(details,))
