"""The client."""

from __future__ import annotations

import asyncio
import datetime
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import grpc
from grpc import aio

from hashmatch.client._access import AccessCalls
from hashmatch.client._connection import (
    authorized,
    new_request_id,
    open_channel,
    own_token,
    server_named,
)
from hashmatch.client._entries import EntryCalls
from hashmatch.client._exports import ExportCalls
from hashmatch.client._gate import Gate
from hashmatch.client._imports import ImportCalls
from hashmatch.client._media import MediaReader, MediaSource, Progress, begin_upload
from hashmatch.client._paging import Cursor, PagingCalls
from hashmatch.client._previews import PreviewCalls
from hashmatch.client._review import ReviewCalls
from hashmatch.client._streams import SILENCE_SECONDS, broken_off, next_of
from hashmatch.errors import Overloaded, Unavailable
from hashmatch.model.records import Bank, BankPolicy, BlocklistChange, Checkpoint, Screening
from hashmatch.model.verdicts import Action, Activation, BankState, Kind, Verdict
from hashmatch.v1 import access_service_pb2_grpc as access_grpc
from hashmatch.v1 import blocklist_service_pb2 as blocklist_pb
from hashmatch.v1 import blocklist_service_pb2_grpc as blocklist_grpc
from hashmatch.v1 import common_pb2
from hashmatch.v1 import review_service_pb2_grpc as review_grpc
from hashmatch.v1 import screening_service_pb2 as screening_pb
from hashmatch.v1 import screening_service_pb2_grpc as screening_grpc
from hashmatch.wire.records import (
    bank_from_wire,
    policy_to_wire,
    screening_from_wire,
    timestamp,
    watched_from_wire,
)
from hashmatch.wire.status import error_from_call

__all__ = ["AsyncClient"]

_FIRST_BACKOFF_SECONDS: Final = 0.2
_LONGEST_BACKOFF_SECONDS: Final = 5.0

# HealthCheckResponse of grpc.health.v1 with status SERVING: field 1 is 1.
_SERVING: Final = b"\x08\x01"

T = TypeVar("T")


class AsyncClient(
    AccessCalls, EntryCalls, ImportCalls, ExportCalls, PreviewCalls, ReviewCalls, PagingCalls
):
    """One connection to a server, for use within one event loop; safe for concurrent calls.

    Calls are tried again while the server is away or full, until their deadline: that is safe,
    because every call that changes something carries a ``request_id``. Once a server has refused
    some uploads in a row because they are too many, others wait in line here, unsent, for their
    turn; those that may not wait so long (``timeout_seconds`` is 0, or less than the delay that the
    server asked for) are refused at once by the same error. All methods raise
    `hashmatch.errors.HashmatchError`.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        timeout_seconds: float = 120.0,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | None = None,
        max_beginning: int = 16,
    ) -> None:
        """``server`` is ``HOST:PORT``; by default the variable ``HASHMATCH_SERVER``, then
        127.0.0.1:50051. Where a name has several addresses, or for
        ``ipv4:ADDRESS:PORT,ADDRESS:PORT``, calls go to each in turn. ``timeout_seconds`` is the
        deadline of a call, retries included; 0 means that a call is tried once and waits as long
        as it takes. ``credentials`` are those of TLS, by default of the files that the variables
        ``HASHMATCH_CA``, ``HASHMATCH_CERTIFICATE`` and ``HASHMATCH_KEY`` name; without, the
        connection is not encrypted. ``token`` shows who calls, by default the variable
        ``HASHMATCH_TOKEN``, then the file that ``HASHMATCH_TOKEN_FILE`` names. So many uploads
        as ``max_beginning`` are sent at once without being known to be taken, which takes
        milliseconds each; others wait for their turn. A proxy that keeps initial metadata back
        makes it so many uploads in all.
        """
        self.server = target = server_named(server)
        token = own_token(token)
        self._timeout_seconds = timeout_seconds
        self._gate = Gate(max_beginning)
        self._channel = open_channel(target, credentials)
        self._screening = authorized(screening_grpc.ScreeningServiceStub(self._channel), token)
        self._blocklist = authorized(blocklist_grpc.BlocklistServiceStub(self._channel), token)
        self._review = authorized(review_grpc.ReviewServiceStub(self._channel), token)
        self._access = authorized(access_grpc.AccessServiceStub(self._channel), token)

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the connection."""
        await self.close()

    async def close(self) -> None:
        """Closes the connection; calls under way fail."""
        await self._channel.close()

    async def is_ready(self) -> bool:
        """True if the server is reachable, has its blocklist loaded and takes requests."""
        check: Any = self._channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            return bool(await check(b"", timeout=5.0) == _SERVING)
        except aio.AioRpcError:
            return False

    # Screening

    async def screen(
        self,
        media: MediaSource,
        *,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
        progress: Progress | None = None,
    ) -> Screening:
        """Screens a video or an image: a path, bytes, or an open file.

        The answer may come before all of it was sent. Keep ``request_id`` and give it again if the
        process may die between sending and using the answer. Raises ``OSError`` if the path cannot
        be opened.
        """
        header = screening_pb.ScreenUploadHeader(request_id=request_id or new_request_id())

        def call(reader: MediaReader, timeout: float | None) -> Awaitable[Any]:
            header.size_bytes = reader.size

            return self._gate.answer(
                lambda left: begin_upload(
                    self._screening.ScreenUpload,
                    screening_pb.ScreenUploadRequest(header=header),
                    lambda chunk: screening_pb.ScreenUploadRequest(chunk=chunk),
                    reader,
                    progress,
                    left,
                ),
                timeout,
            )

        response = await self._upload(media, call, timeout_seconds)
        return screening_from_wire(response.screening)

    async def screen_signals(
        self,
        signals: Sequence[common_pb2.Signals],
        *,
        duration_ms: int,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Screening:
        """Screens media that was hashed here; see ScreenSignalsRequest."""
        request = screening_pb.ScreenSignalsRequest(
            request_id=request_id or new_request_id(), signals=signals, duration_ms=duration_ms
        )
        response = await self._unary(self._screening.ScreenSignals, request, timeout_seconds)
        return screening_from_wire(response.screening)

    async def confirm(
        self,
        screening_id: str,
        *,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Screening:
        """Judges a screening again against the blocklist of now; ask right before publishing."""
        request = screening_pb.ConfirmScreeningRequest(
            request_id=request_id or new_request_id(), screening_id=screening_id
        )
        response = await self._unary(self._screening.ConfirmScreening, request, timeout_seconds)
        return screening_from_wire(response.screening)

    async def get_screening(self, screening_id: str) -> Screening:
        """A screening with its newest verdict."""
        request = screening_pb.GetScreeningRequest(screening_id=screening_id)
        response = await self._unary(self._screening.GetScreening, request)
        return screening_from_wire(response.screening)

    def list_screenings(
        self,
        *,
        verdict: Verdict | None = None,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> AsyncGenerator[Screening]:
        """Screenings, newest first, page by page as they are asked for. ``since``, as in all lists:
        those made at or after it alone; ``cursor``: where to begin, and how many.
        """
        request = screening_pb.ListScreeningsRequest()
        request.verdict = verdict or 0  # type: ignore[assignment]
        if since is not None:
            request.created_since.CopyFrom(timestamp(since))
        return self._items(
            self._screening.ListScreenings,
            request,
            "screenings",
            screening_from_wire,
            cursor=cursor,
        )

    # Banks

    async def create_bank(
        self,
        name: str,
        *,
        action: Action,
        label: str = "",
        thresholds: Mapping[Kind, int] | None = None,
        activation: Activation = Activation.ONE_PERSON,
        policy: BankPolicy | None = None,
        request_id: str | None = None,
    ) -> Bank:
        """Makes a bank; without ``thresholds`` it uses SHA-256, PDQ at 31 bits and squares."""
        request = blocklist_pb.CreateBankRequest(
            request_id=request_id or new_request_id(),
            name=name,
            label=label,
            action=int(action),  # type: ignore[arg-type]
            kinds=_kinds(thresholds),
            activation=int(activation),  # type: ignore[arg-type]
            policy=None if policy is None else policy_to_wire(policy),
        )
        response = await self._unary(self._blocklist.CreateBank, request)
        return bank_from_wire(response.bank)

    async def get_bank(self, bank: str) -> Bank:
        """A bank by id or name."""
        response = await self._unary(
            self._blocklist.GetBank, blocklist_pb.GetBankRequest(bank=bank)
        )
        return bank_from_wire(response.bank)

    def list_banks(
        self,
        *,
        state: BankState | None = None,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> AsyncGenerator[Bank]:
        """Banks, newest first."""
        request = blocklist_pb.ListBanksRequest()
        request.state = state or 0  # type: ignore[assignment]
        return self._items(
            self._blocklist.ListBanks,
            request,
            "banks",
            bank_from_wire,
            cursor=cursor,
            since=since,
        )

    async def update_bank(
        self,
        bank: str,
        *,
        name: str | None = None,
        label: str | None = None,
        action: Action | None = None,
        thresholds: Mapping[Kind, int] | None = None,
        activation: Activation | None = None,
        policy: BankPolicy | None = None,
        etag: str = "",
        request_id: str | None = None,
    ) -> Bank:
        """Changes what is given, a policy as a whole; with the bank's ``etag``, only if nobody
        changed it since.
        """
        request = blocklist_pb.UpdateBankRequest(
            request_id=request_id or new_request_id(),
            bank=bank,
            etag=etag,
            name=name,
            label=label,
            action=int(action or 0),  # type: ignore[arg-type]
            kinds=_kinds(thresholds),
            activation=int(activation or 0),  # type: ignore[arg-type]
            policy=None if policy is None else policy_to_wire(policy),
        )
        response = await self._unary(self._blocklist.UpdateBank, request)
        return bank_from_wire(response.bank)

    async def archive_bank(
        self, bank: str, *, etag: str = "", request_id: str | None = None
    ) -> Bank:
        """Puts a bank out of use."""
        request = blocklist_pb.ArchiveBankRequest(
            request_id=request_id or new_request_id(), bank=bank, etag=etag
        )
        response = await self._unary(self._blocklist.ArchiveBank, request)
        return bank_from_wire(response.bank)

    # Changes

    async def watch_changes(
        self, after_revision: int = 0, *, resume_token: str = ""
    ) -> AsyncGenerator[BlocklistChange | Checkpoint]:
        """Every change of the blocklist after a revision, in order, then those to come, without
        end; a checkpoint whenever there is none, and every few seconds from then on.

        A broken connection is made anew, for as long as any other call is tried, and goes on after
        what was told. To go on after a restart, keep the ``resume_token`` of what was told last and
        give it instead of ``after_revision``. Raises `ChangesCompacted` and `RevisionUnknown` if
        what was asked for cannot be told: then list the blocklist anew.
        """
        request = blocklist_pb.WatchChangesRequest(
            after_revision=after_revision, resume_token=resume_token
        )

        async def call(timeout: float | None) -> tuple[Any, Any]:
            responses = self._blocklist.WatchChanges(request)
            allowed = min(timeout or SILENCE_SECONDS, SILENCE_SECONDS)
            return responses, await _next(responses, allowed)

        while True:
            responses, response = await self._until_answered(call, None, can_repeat=True)
            try:
                while True:
                    yield watched_from_wire(response)
                    request.after_revision, request.resume_token = 0, response.resume_token
                    response = await _next(responses, SILENCE_SECONDS)
            except aio.AioRpcError as failed:
                error = error_from_call(failed)
                if not isinstance(error, Unavailable):
                    raise error from failed
            finally:
                responses.cancel()

    # How calls are made

    async def _unary(
        self, method: Callable[..., Any], request: Any, timeout_seconds: float | None = None
    ) -> Any:
        return await self._until_answered(
            lambda timeout: method(request, timeout=timeout), timeout_seconds, can_repeat=True
        )

    async def _upload(
        self,
        media: MediaSource,
        call: Callable[[MediaReader, float | None], Awaitable[Any]],
        timeout_seconds: float | None,
    ) -> Any:
        reader = MediaReader(media)
        try:
            return await self._until_answered(
                lambda timeout: call(reader, timeout),
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


async def _answered(call: Awaitable[T]) -> T:
    try:
        return await call
    except aio.AioRpcError as failed:
        raise error_from_call(failed) from failed


async def _next(responses: Any, seconds: float) -> Any:
    """The next response of a stream that has no end."""
    response = await next_of(responses, seconds)
    if response is aio.EOF:
        raise broken_off(responses)
    return response


def _kinds(thresholds: Mapping[Kind, int] | None) -> list[blocklist_pb.KindThreshold]:
    return [
        blocklist_pb.KindThreshold(kind=int(kind), max_distance=most)  # type: ignore[arg-type]
        for kind, most in (thresholds or {}).items()
    ]
