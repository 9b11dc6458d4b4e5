"""Turns every exception of a handler into a status that says what to do."""

from __future__ import annotations

import contextlib
import functools
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
from grpc import aio

from hashmatch import metrics, telemetry
from hashmatch.admission import CALLER
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
        if handler.response_streaming:
            wrap, call = (
                grpc.unary_stream_rpc_method_handler,
                _streamed(handler.unary_stream, method),
            )
        elif handler.request_streaming:
            wrap, call = (
                grpc.stream_unary_rpc_method_handler,
                _translated(handler.stream_unary, method),
            )
        else:
            wrap, call = (
                grpc.unary_unary_rpc_method_handler,
                _translated(handler.unary_unary, method),
            )
        return wrap(
            call,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _translated(call: Callable[..., Awaitable[Any]], method: str) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(call)
    async def translated(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
        async with _refusing(context, method):
            CALLER.set(_caller(context))
            return await call(request, context)

    return translated


def _streamed(call: Callable[..., AsyncGenerator[Any]], method: str) -> Callable[..., Any]:
    @functools.wraps(call)
    async def translated(
        request: Any, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[Any]:
        async with (
            _refusing(context, method),
            contextlib.aclosing(call(request, context)) as responses,
        ):
            async for response in responses:
                yield response

    return translated


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


def _caller(context: aio.ServicerContext[Any, Any]) -> str:
    """Who is given a share of the server: a machine, until callers have names."""
    return str(context.peer()).rpartition(":")[0]


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
