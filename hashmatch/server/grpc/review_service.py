"""ReviewService: parse, call, translate."""

from __future__ import annotations

from typing import Any, Final

from hashmatch.model.cases import CaseDecision, CaseState, CaseType
from hashmatch.server.grpc import fields
from hashmatch.usecases.cases import Cases
from hashmatch.v1 import review_service_pb2 as pb
from hashmatch.v1 import review_service_pb2_grpc as pb_grpc
from hashmatch.wire.enums import from_wire, optional_from_wire
from hashmatch.wire.records import case_to_wire

__all__ = ["ReviewService"]

_LONGEST_WHY: Final = 2000
_LONGEST_ETAG: Final = 64


class ReviewService(pb_grpc.ReviewServiceServicer):
    """See review_service.proto."""

    def __init__(self, review: Cases) -> None:
        """Serves one `Cases`."""
        self._review = review

    async def ListCases(self, request: pb.ListCasesRequest, context: Any) -> pb.ListCasesResponse:
        """See the proto."""
        page = await self._review.list(
            fields.reading(),
            fields.page_token(request.page_token),
            fields.page_size(request.page_size),
            optional_from_wire(CaseState, request.state, "state"),
            optional_from_wire(CaseType, request.type, "type"),
            fields.instant(request, "created_since"),
        )
        return pb.ListCasesResponse(
            cases=[case_to_wire(each) for each in page.items], next_page_token=page.next_token
        )

    async def GetCase(self, request: pb.GetCaseRequest, context: Any) -> pb.GetCaseResponse:
        """See the proto."""
        case = await self._review.get(fields.reading(), fields.required("case_id", request.case_id))
        return pb.GetCaseResponse(case=case_to_wire(case))

    async def DecideCase(
        self, request: pb.DecideCaseRequest, context: Any
    ) -> pb.DecideCaseResponse:
        """See the proto."""
        case = await self._review.decide(
            fields.change(request, request.request_id),
            fields.required("case_id", request.case_id),
            fields.text("etag", request.etag, _LONGEST_ETAG),
            from_wire(CaseDecision, request.decision, "decision"),
            fields.paragraphs("why", request.why, _LONGEST_WHY),
        )
        return pb.DecideCaseResponse(case=case_to_wire(case))
