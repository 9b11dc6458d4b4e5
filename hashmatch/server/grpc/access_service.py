"""AccessService: parse, call, translate."""

from __future__ import annotations

from typing import Any, Final

from hashmatch.errors import InvalidField
from hashmatch.model import ids
from hashmatch.model.callers import Role
from hashmatch.model.commands import NewCaller
from hashmatch.server.grpc import fields
from hashmatch.server.grpc.access_interceptor import current_caller
from hashmatch.usecases.callers import Callers
from hashmatch.v1 import access_service_pb2 as pb
from hashmatch.v1 import access_service_pb2_grpc as pb_grpc
from hashmatch.wire.enums import from_wire
from hashmatch.wire.records import audit_row_to_wire, known_caller_to_wire, self_to_wire

__all__ = ["AccessService"]

_HASH_BYTES: Final = 32
_LONGEST_CERTIFICATE: Final = 255
_LONGEST_NAME: Final = 300  # Of a subject of an issuer, with what is before it.
_MOST_BANKS: Final = 1000


class AccessService(pb_grpc.AccessServiceServicer):
    """See access_service.proto."""

    def __init__(self, callers: Callers) -> None:
        """Serves one `Callers`."""
        self._callers = callers

    async def CreateCaller(
        self, request: pb.CreateCallerRequest, context: Any
    ) -> pb.CreateCallerResponse:
        """See the proto."""
        made = await self._callers.create(
            fields.change(request, request.request_id), _new_caller(request)
        )
        return pb.CreateCallerResponse(caller=known_caller_to_wire(made))

    async def ListCallers(
        self, request: pb.ListCallersRequest, context: Any
    ) -> pb.ListCallersResponse:
        """See the proto."""
        page = await self._callers.list(
            fields.page_token(request.page_token), fields.page_size(request.page_size)
        )
        return pb.ListCallersResponse(
            callers=[known_caller_to_wire(each) for each in page.items],
            next_page_token=page.next_token,
        )

    async def RevokeCaller(
        self, request: pb.RevokeCallerRequest, context: Any
    ) -> pb.RevokeCallerResponse:
        """See the proto."""
        revoked = await self._callers.revoke(
            fields.change(request, request.request_id),
            fields.required("caller", request.caller),
        )
        return pb.RevokeCallerResponse(caller=known_caller_to_wire(revoked))

    async def GetSelf(self, request: pb.GetSelfRequest, context: Any) -> pb.GetSelfResponse:
        """See the proto."""
        return pb.GetSelfResponse(caller=self_to_wire(current_caller()))

    async def ListAuditRows(
        self, request: pb.ListAuditRowsRequest, context: Any
    ) -> pb.ListAuditRowsResponse:
        """See the proto."""
        page = await self._callers.list_audit_rows(
            fields.page_token(request.page_token),
            fields.page_size(request.page_size),
            fields.text("actor", request.actor, _LONGEST_NAME),
            fields.text("subject", request.subject, _LONGEST_NAME),
            fields.since_ms(request, "since"),
        )
        return pb.ListAuditRowsResponse(
            rows=[audit_row_to_wire(each) for each in page.items],
            next_page_token=page.next_token,
        )


def _new_caller(request: pb.CreateCallerRequest) -> NewCaller:
    if not request.roles:
        raise InvalidField("roles", "at least one is needed")
    if len(request.banks) > _MOST_BANKS:
        raise InvalidField("banks", f"{len(request.banks)}; at most {_MOST_BANKS} are allowed")
    expire = fields.expiry(request)
    secret, certificate = request.token_sha256, request.certificate
    if request.WhichOneof("credential") is None:
        raise InvalidField("credential", "a token's hash or a certificate's name is needed")
    if not certificate and len(secret) != _HASH_BYTES:
        raise InvalidField("token_sha256", f"{len(secret)} bytes; {_HASH_BYTES} are needed")
    return NewCaller(
        name=fields.name(request.name, ids.CALLER),
        roles=frozenset(from_wire(Role, role, "roles") for role in request.roles),
        banks=[fields.required("banks", each) for each in request.banks] or None,
        secret=secret,
        certificate=fields.text("certificate", certificate, _LONGEST_CERTIFICATE),
        expire_time=expire,
    )
