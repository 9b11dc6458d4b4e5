"""The gRPC server with all its services."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from hashmatch.errors import ConfigInvalid
from hashmatch.server.grpc.access_interceptor import AccessInterceptor
from hashmatch.server.grpc.access_service import AccessService
from hashmatch.server.grpc.blocklist_service import BlocklistService
from hashmatch.server.grpc.errors_interceptor import ErrorsInterceptor
from hashmatch.server.grpc.review_service import ReviewService
from hashmatch.server.grpc.screening_service import MAX_IMAGE_BYTES, ScreeningService
from hashmatch.usecases.assembly import UseCases
from hashmatch.v1 import (
    access_service_pb2,
    blocklist_service_pb2,
    review_service_pb2,
    screening_service_pb2,
)
from hashmatch.v1 import access_service_pb2_grpc as access_grpc
from hashmatch.v1 import blocklist_service_pb2_grpc as blocklist_grpc
from hashmatch.v1 import review_service_pb2_grpc as review_grpc
from hashmatch.v1 import screening_service_pb2_grpc as screening_grpc

__all__ = ["OPTIONS", "Server", "Tls"]

_SERVICES: Final = (
    screening_service_pb2.DESCRIPTOR.services_by_name["ScreeningService"].full_name,
    blocklist_service_pb2.DESCRIPTOR.services_by_name["BlocklistService"].full_name,
    review_service_pb2.DESCRIPTOR.services_by_name["ReviewService"].full_name,
    access_service_pb2.DESCRIPTOR.services_by_name["AccessService"].full_name,
)

# The largest message is an image; the rest of the request needs little beside it. A larger one
# is refused by gRPC itself.
_MAX_MESSAGE_BYTES: Final = MAX_IMAGE_BYTES + 64 * 1024

# Calls that came and that no handler has seen yet. What is beyond that gRPC itself cancels, and
# says neither why nor when to come again: by chance beyond 1000, were it not told otherwise.
_MOST_PENDING: Final = 4000

# Seconds that a call may wait for a handler. gRPC cancels it after 30 by itself, again without a
# reason: a server that was flooded for longer than that would look unreachable. A caller's own
# deadline ends a call sooner, and `_MOST_PENDING` bounds how many wait.
_LONGEST_PENDING_SECONDS: Final = 3600

OPTIONS: Final = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.server.max_pending_requests", _MOST_PENDING),
    ("grpc.server.max_pending_requests_hard_limit", _MOST_PENDING),
    ("grpc.server_max_unrequested_time_in_server", _LONGEST_PENDING_SECONDS),
)


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM: what the server shows; and if callers must show one, who signs their certificates."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None = None


class Server:
    """One listening port."""

    def __init__(self, use_cases: UseCases) -> None:
        """Does not listen before `start`."""
        self._server = aio.server(
            interceptors=[ErrorsInterceptor(), AccessInterceptor(use_cases.authorizer)],
            options=OPTIONS,
        )
        self._changes = use_cases.changes
        self._health = health.aio.HealthServicer()
        screening_grpc.add_ScreeningServiceServicer_to_server(
            ScreeningService(use_cases.screenings), self._server
        )
        blocklist_grpc.add_BlocklistServiceServicer_to_server(
            BlocklistService(
                use_cases.blocklist,
                use_cases.imports,
                use_cases.exports,
                use_cases.changes,
                use_cases.previews,
            ),
            self._server,
        )
        review_grpc.add_ReviewServiceServicer_to_server(
            ReviewService(use_cases.cases), self._server
        )
        access_grpc.add_AccessServiceServicer_to_server(
            AccessService(use_cases.callers), self._server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )

    async def start(self, listen: str, tls: Tls | None = None) -> str:
        """Listens at ``HOST:PORT`` (port 0: any that is free) and returns the address; with
        ``tls``, by that alone.

        Raises `ConfigInvalid` if that cannot be.
        """
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        try:
            port = (
                self._server.add_secure_port(listen, _credentials(tls))
                if tls
                else self._server.add_insecure_port(listen)
            )
        except RuntimeError as error:
            raise ConfigInvalid(
                f"listen: cannot listen on {listen}; is the port in use?", setting="listen"
            ) from error
        await self._server.start()
        return f"{listen.rpartition(':')[0]}:{port}"

    async def serve(self, *, ready: bool) -> None:
        """Tells load balancers whether requests are welcome."""
        statuses = health_pb2.HealthCheckResponse
        await self._set_health(statuses.SERVING if ready else statuses.NOT_SERVING)

    async def stop(self, grace_seconds: float) -> None:
        """Takes no new requests, lets those at work end for ``grace_seconds``, then stops."""
        await self._health.enter_graceful_shutdown()
        self._changes.end()  # Its readers would stay for all of it.
        await self._server.stop(grace_seconds)

    async def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for service in ("", *_SERVICES):
            await self._health.set(service, status)


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)],
        root_certificates=tls.client_ca,
        require_client_auth=tls.client_ca is not None,
    )
