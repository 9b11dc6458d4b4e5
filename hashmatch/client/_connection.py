"""How calls are made: repeated until they are answered, and resumed where a stream breaks off."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Final, Protocol, TypeVar, cast

import grpc
from grpc import aio

from hashmatch.client._channel import authorized, open_channel, own_token, server_named
from hashmatch.client._gate import Gate
from hashmatch.client._media import MediaReader, MediaSource, Progress, begin_upload
from hashmatch.client._paging import Cursor, PageRequest, PageResponse, pages
from hashmatch.errors import Overloaded, Unavailable
from hashmatch.v1 import access_service_pb2_grpc as access_grpc
from hashmatch.v1 import blocklist_service_pb2_grpc as blocklist_grpc
from hashmatch.v1 import review_service_pb2_grpc as review_grpc
from hashmatch.v1 import screening_service_pb2_grpc as screening_grpc
from hashmatch.wire.status import error_from_call

__all__ = ["Calls", "Connection", "new_request_id"]

_FIRST_BACKOFF_SECONDS: Final = 0.2
_LONGEST_BACKOFF_SECONDS: Final = 5.0

# The longest time that a stream may send nothing: ten times the two seconds between the checkpoints
# of WatchChanges (`usecases.changes`). A connection that was lost without a word shows by it.
_SILENCE_SECONDS: Final = 20.0

# The longest time for the answer to a health check.
_HEALTH_SECONDS: Final = 5.0

# HealthCheckResponse of grpc.health.v1 with status SERVING: field 1 is 1.
_SERVING: Final = b"\x08\x01"

T = TypeVar("T")
Request = TypeVar("Request")
Response = TypeVar("Response")
Message = TypeVar("Message")
OfPage = TypeVar("OfPage", bound=PageRequest)
Page = TypeVar("Page", bound=PageResponse)


class _IsServing(Protocol):
    def __call__(self, request: bytes, *, timeout: float) -> Awaitable[bytes]: ...


class Connection:
    """One channel to a server with the stubs of its services; for use within one event loop.

    ``server`` is its address. ``screening``, ``blocklist``, ``review`` and ``access`` are the stubs
    of the services of these names. All calls raise `hashmatch.errors.HashmatchError` alone.
    """

    def __init__(
        self,
        server: str | None,
        *,
        timeout_seconds: float,
        credentials: grpc.ChannelCredentials | None,
        token: str | None,
        max_beginning: int,
    ) -> None:
        """Arguments and errors are those of `hashmatch.client.AsyncClient`."""
        self.server = server_named(server)
        token = own_token(token)
        self._timeout_seconds = timeout_seconds
        self._gate = Gate(max_beginning)
        self._channel = open_channel(self.server, credentials)
        self.screening = authorized(screening_grpc.ScreeningServiceStub(self._channel), token)
        self.blocklist = authorized(blocklist_grpc.BlocklistServiceStub(self._channel), token)
        self.review = authorized(review_grpc.ReviewServiceStub(self._channel), token)
        self.access = authorized(access_grpc.AccessServiceStub(self._channel), token)

    async def close(self) -> None:
        """Closes the channel; calls under way fail. A second call does nothing."""
        await self._channel.close()

    async def is_ready(self) -> bool:
        """Returns whether the server's health service answers SERVING."""
        check = cast("_IsServing", self._channel.unary_unary("/grpc.health.v1.Health/Check"))
        try:
            return await check(b"", timeout=_HEALTH_SECONDS) == _SERVING
        except aio.AioRpcError:
            return False

    async def unary(
        self,
        method: aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout_seconds: float | None = None,
    ) -> Response:
        """Returns the response to a request.

        ``timeout_seconds``: the deadline, retries included; None: the connection's, 0: none, and
        one attempt.
        """
        return await self._until_answered(
            lambda timeout: method(request, timeout=timeout), timeout_seconds, can_repeat=True
        )

    async def upload(
        self,
        method: aio.StreamUnaryMultiCallable[Request, Response],
        header: Callable[[int], Request],
        of_chunk: Callable[[bytes], Request],
        source: MediaSource,
        *,
        progress: Progress | None,
        timeout_seconds: float | None,
        gated: bool = True,
    ) -> Response:
        """Returns the response to a header and the chunks of ``source``.

        ``header`` makes the first message of the size in bytes (0: unknown), ``of_chunk`` each
        other one. ``gated``: the upload waits for its turn in the `Gate`, and its chunks until the
        server has a place for it; the server has to tell that by ``TAKEN_KEY``. For
        ``timeout_seconds`` see `unary`. Raises ``OSError`` if a path cannot be opened, and whatever
        reading the source or ``progress`` raises.
        """
        reader = MediaReader(source)

        def begin(timeout: float | None) -> aio.StreamUnaryCall[Request, Response]:
            return begin_upload(
                method, header(reader.size), of_chunk, reader, progress, timeout, held=gated
            )

        try:
            return await self._until_answered(
                (lambda timeout: self._gate.answer(begin, timeout)) if gated else begin,
                timeout_seconds,
                can_repeat=reader.can_repeat,
            )
        except asyncio.CancelledError:
            # gRPC cancels a call whose messages cannot be made, and does not say why.
            if reader.failure is not None:
                raise reader.failure from None
            raise
        finally:
            reader.close()

    async def items(
        self,
        method: aio.UnaryUnaryMultiCallable[OfPage, Page],
        request: OfPage,
        messages: Callable[[Page], Iterable[Message]],
        read: Callable[[Message], T],
        cursor: Cursor | None,
    ) -> AsyncGenerator[T]:
        """Yields the records that ``read`` makes of the ``messages`` of each page of a list, and
        asks for a page when its first record is asked for. ``cursor`` says where to begin and how
        many records to read.
        """
        read_page = pages(lambda page: self.unary(method, page), request, cursor or Cursor())
        async with contextlib.aclosing(read_page) as responses:
            async for response in responses:
                for message in messages(response):
                    yield read(message)

    async def stream(
        self,
        method: aio.UnaryStreamMultiCallable[Request, Response],
        request: Request,
        resume: Callable[[Response], None],
        *,
        endless: bool,
    ) -> AsyncGenerator[Response]:
        """Yields the responses of a stream, across lost connections and silent ones.

        After each response ``resume`` changes ``request`` so that it asks for what follows: a
        stream that broke off is asked for so again, for as long as any call is tried, and ends with
        the error that is left then. ``endless``: a server that ends the stream broke it off.
        """

        async def begin(
            timeout: float | None,
        ) -> tuple[aio.UnaryStreamCall[Request, Response], Response | None]:
            call = method(request)
            longest = min(timeout or _SILENCE_SECONDS, _SILENCE_SECONDS)
            return call, await _next(call, longest, endless=endless)

        while True:
            call, response = await self._until_answered(begin, None, can_repeat=True)
            try:
                while response is not None:
                    resume(response)
                    yield response
                    response = await _next(call, _SILENCE_SECONDS, endless=endless)
                return
            except aio.AioRpcError as failed:
                error = error_from_call(failed)
                if not isinstance(error, Unavailable):
                    raise error from failed
            finally:
                call.cancel()

    async def _until_answered(
        self,
        call: Callable[[float | None], Awaitable[T]],
        timeout_seconds: float | None,
        *,
        can_repeat: bool,
    ) -> T:
        """Tries a call until it is answered, refused for good, or out of time."""
        allowed = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        deadline = time.monotonic() + allowed if allowed else None
        backoff = _FIRST_BACKOFF_SECONDS
        while True:
            try:
                return await _answered(call(deadline and max(0.001, deadline - time.monotonic())))
            except Unavailable as error:
                spread = random.uniform(0.5, 1.0)  # noqa: S311 - of retries
                pause = backoff * spread
                if isinstance(error, Overloaded):  # The gate sees to it that not all come again.
                    pause = error.retry_after_ms / 1000
                elif error.reason not in ("UNREACHABLE", "DEADLINE"):
                    pause = max(pause, error.retry_after_ms / 1000)
                if not can_repeat or deadline is None or time.monotonic() + pause >= deadline:
                    raise
                if isinstance(error, Overloaded):
                    pause *= 0.0 if self._gate.is_closed else 0.5 + spread
                else:
                    backoff = min(2 * backoff, _LONGEST_BACKOFF_SECONDS)
            await asyncio.sleep(pause)


class Calls:
    """A group of the calls of `hashmatch.client.AsyncClient`, made over one `Connection`."""

    def __init__(self, connection: Connection) -> None:
        """``connection`` is shared by all groups of one client."""
        self._connection = connection


def new_request_id() -> str:
    """Returns a UUID: the id of a request that its caller gave none."""
    return str(uuid.uuid4())


async def _answered(call: Awaitable[T]) -> T:
    try:
        return await call
    except aio.AioRpcError as failed:
        raise error_from_call(failed) from failed


async def _next(
    call: aio.UnaryStreamCall[Request, Response], seconds: float, *, endless: bool
) -> Response | None:
    """Returns the next response, or None after the last.

    Raises ``aio.AioRpcError`` if the call failed, sent nothing for ``seconds``, or ended although
    it is ``endless``.
    """
    try:
        response = await asyncio.wait_for(call.read(), seconds)
    except TimeoutError:
        raise _broken_off(call) from None
    except asyncio.CancelledError:
        call.cancel()
        raise
    if response is not aio.EOF:
        return cast("Response", response)
    if endless:
        raise _broken_off(call)
    return None


def _broken_off(call: aio.UnaryStreamCall[Request, Response]) -> aio.AioRpcError:
    call.cancel()
    nothing = aio.Metadata()
    return aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, "nothing more was heard")
