"""Turns every exception of a handler into a status that says what to do."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc
from grpc import aio

from hashmatch import telemetry
from hashmatch.errors import HashmatchError, Internal
from hashmatch.wire.status import DETAILS_KEY, code_of, status_details

__all__ = ["ErrorsInterceptor"]

_log = telemetry.get_logger(__name__)


class ErrorsInterceptor(aio.ServerInterceptor):
    """Wraps the handlers of our own services; health and reflection answer for themselves."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """See `grpc.aio.ServerInterceptor`."""
        handler = await continuation(handler_call_details)
        method: str = handler_call_details.method
        if handler is None or not method.startswith("/hashmatch."):
            return handler
        wrap, call = (
            (grpc.stream_unary_rpc_method_handler, handler.stream_unary)
            if handler.request_streaming
            else (grpc.unary_unary_rpc_method_handler, handler.unary_unary)
        )
        return wrap(
            _translated(call, method),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _translated(call: Callable[..., Awaitable[Any]], method: str) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(call)
    async def translated(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await call(request, context)
        except HashmatchError as error:
            await _refuse(error, context, method)
        except aio.AbortError:
            raise
        except Exception as error:
            # Neither the caller nor the log gets its text, which could hold anything.
            _log.error(
                "handler_failed", method=method, error=type(error).__name__, where=_where(error)
            )
            await _refuse(Internal("a fault of the server; its log says more"), context, method)

    return translated


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
    _log.info("refused", method=method, reason=error.reason)
    details = (DETAILS_KEY, status_details(error))
    await context.abort(code_of(error), str(error), trailing_metadata=(details,))
