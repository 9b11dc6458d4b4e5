"""A caller without hashmatch's own client: the calls as gRPC makes them, nothing held back."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Final, Self

from grpc import aio

from hashmatch.client._media import Progress
from hashmatch.model.records import Screening
from hashmatch.v1 import screening_service_pb2 as pb
from hashmatch.v1 import screening_service_pb2_grpc as pb_grpc
from hashmatch.wire.records import screening_from_wire
from hashmatch.wire.status import error_from_call

__all__ = ["PlainClient"]

_CHUNK_BYTES: Final = 256 * 1024


class PlainClient:
    """One connection; what a program in another language generates from the protos."""

    def __init__(self, server: str) -> None:
        """``server`` is ``HOST:PORT``."""
        self._channel = aio.insecure_channel(server)
        self._stub: Any = pb_grpc.ScreeningServiceStub(self._channel)

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
        await self._channel.close()

    async def screen(
        self, media: bytes, *, timeout_seconds: float, progress: Progress
    ) -> Screening:
        """Tried once. 0 seconds: as long as it takes. Raises `HashmatchError`."""

        async def messages() -> AsyncIterator[pb.ScreenUploadRequest]:
            header = pb.ScreenUploadHeader(request_id=str(uuid.uuid4()), size_bytes=len(media))
            yield pb.ScreenUploadRequest(header=header)
            for begin in range(0, len(media), _CHUNK_BYTES):
                chunk = media[begin : begin + _CHUNK_BYTES]
                yield pb.ScreenUploadRequest(chunk=chunk)
                progress(begin + len(chunk), len(media))

        try:
            response = await self._stub.ScreenUpload(messages(), timeout=timeout_seconds or None)
        except aio.AioRpcError as failed:
            raise error_from_call(failed) from failed
        return screening_from_wire(response.screening)
