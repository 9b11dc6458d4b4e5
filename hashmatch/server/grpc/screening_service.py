"""ScreeningService: parse, call, translate."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any, Final

from hashmatch.errors import InvalidField
from hashmatch.model.verdicts import Verdict
from hashmatch.server.grpc import fields
from hashmatch.server.grpc.uploads import open_upload, told_when_taken
from hashmatch.usecases.screenings import Screenings
from hashmatch.v1 import screening_service_pb2 as pb
from hashmatch.v1 import screening_service_pb2_grpc as pb_grpc
from hashmatch.wire.enums import optional_from_wire
from hashmatch.wire.records import screening_to_wire
from hashmatch.wire.signals import signals_from_wire

__all__ = ["MAX_IMAGE_BYTES", "ScreeningService"]

MAX_IMAGE_BYTES: Final = 16 * 1024 * 1024

_MAX_DURATION_MS: Final = 100 * 24 * 3600 * 1000


class ScreeningService(pb_grpc.ScreeningServiceServicer):
    """See screening_service.proto."""

    def __init__(self, screenings: Screenings) -> None:
        """Serves one `Screenings`."""
        self._screenings = screenings

    async def ScreenUpload(
        self, request_iterator: AsyncIterator[pb.ScreenUploadRequest], context: Any
    ) -> pb.ScreenUploadResponse:
        """See the proto."""
        # First: gRPC forgets why an upload was refused whose header could not be sent any more.
        header, chunks = await open_upload(request_iterator)
        self._screenings.check_room()
        size = fields.size_bytes(header.size_bytes)
        request = fields.identified(header.request_id, f"upload {size}")
        screening = await self._screenings.screen(request, told_when_taken(chunks, context), size)
        return pb.ScreenUploadResponse(screening=screening_to_wire(screening))

    async def ScreenImage(
        self, request: pb.ScreenImageRequest, context: Any
    ) -> pb.ScreenImageResponse:
        """See the proto."""
        if len(request.image) > MAX_IMAGE_BYTES:
            raise InvalidField(
                "image",
                f"{len(request.image)} bytes; at most {MAX_IMAGE_BYTES} are allowed, "
                "send more by ScreenUpload",
            )
        fingerprint = f"image {hashlib.sha256(request.image).hexdigest()}"
        identity = fields.identified(request.request_id, fingerprint)
        screening = await self._screenings.screen(identity, _one(request.image))
        return pb.ScreenImageResponse(screening=screening_to_wire(screening))

    async def ScreenSignals(
        self, request: pb.ScreenSignalsRequest, context: Any
    ) -> pb.ScreenSignalsResponse:
        """See the proto."""
        signals = signals_from_wire(request.signals)
        if not signals:
            raise InvalidField("signals", "at least one is needed")
        if not 0 <= request.duration_ms <= _MAX_DURATION_MS:
            raise InvalidField("duration_ms", f"{request.duration_ms} is not within 0 and 100 days")
        identity = fields.change(request, request.request_id)
        screening = await self._screenings.screen_signals(identity, signals, request.duration_ms)
        return pb.ScreenSignalsResponse(screening=screening_to_wire(screening))

    async def GetScreening(
        self, request: pb.GetScreeningRequest, context: Any
    ) -> pb.GetScreeningResponse:
        """See the proto."""
        screening_id = fields.required("screening_id", request.screening_id)
        screening = await self._screenings.get(fields.reading(), screening_id)
        return pb.GetScreeningResponse(screening=screening_to_wire(screening))

    async def ListScreenings(
        self, request: pb.ListScreeningsRequest, context: Any
    ) -> pb.ListScreeningsResponse:
        """See the proto."""
        page = await self._screenings.list(
            fields.reading(),
            fields.page_token(request.page_token),
            fields.page_size(request.page_size),
            optional_from_wire(Verdict, request.verdict, "verdict"),
            fields.instant(request, "created_since"),
        )
        return pb.ListScreeningsResponse(
            screenings=[screening_to_wire(each) for each in page.items],
            next_page_token=page.next_token,
        )

    async def ConfirmScreening(
        self, request: pb.ConfirmScreeningRequest, context: Any
    ) -> pb.ConfirmScreeningResponse:
        """See the proto."""
        screening_id = fields.required("screening_id", request.screening_id)
        identity = fields.identified(request.request_id, f"confirm {screening_id}")
        screening = await self._screenings.confirm(identity, screening_id)
        return pb.ConfirmScreeningResponse(screening=screening_to_wire(screening))


async def _one(chunk: bytes) -> AsyncIterator[bytes]:
    if chunk:
        yield chunk
