"""Something done around every handler of our own services."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from grpc import aio

__all__ = ["Around", "WrappingInterceptor"]

Around = Callable[[Any, str], contextlib.AbstractAsyncContextManager[None]]


class WrappingInterceptor(aio.ServerInterceptor):
    """Runs each call within ``around(context, method)``; health and reflection are let through.

    What it is wrapped in is entered before the first message is read.
    """

    def __init__(self, around: Around) -> None:
        """``around`` may raise, also what it makes of an exception of the handler."""
        self._around = around

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
        call: Callable[..., Any]
        if handler.response_streaming:
            wrap, call = grpc.unary_stream_rpc_method_handler, handler.unary_stream
            wrapped = self._streamed(call, method)
        elif handler.request_streaming:
            wrap, call = grpc.stream_unary_rpc_method_handler, handler.stream_unary
            wrapped = self._answered(call, method)
        else:
            wrap, call = grpc.unary_unary_rpc_method_handler, handler.unary_unary
            wrapped = self._answered(call, method)
        return wrap(
            wrapped,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _answered(self, call: Callable[..., Awaitable[Any]], method: str) -> Callable[..., Any]:
        async def answered(request: Any, context: Any) -> Any:
            async with self._around(context, method):
                return await call(request, context)

        return answered

    def _streamed(self, call: Callable[..., Any], method: str) -> Callable[..., Any]:
        async def streamed(request: Any, context: Any) -> AsyncIterator[Any]:
            async with (
                self._around(context, method),
                contextlib.aclosing(call(request, context)) as responses,
            ):
                async for response in responses:
                    yield response

        return streamed
