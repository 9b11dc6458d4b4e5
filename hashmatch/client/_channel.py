"""Where a client finds its server, and the credentials that it shows."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import grpc
from grpc import aio

from hashmatch.errors import ConfigInvalid

__all__ = [
    "DEFAULT_SERVER",
    "authorized",
    "open_channel",
    "own_token",
    "server_named",
]

DEFAULT_SERVER: Final = "127.0.0.1:50051"

# A page of screenings that match a flood of near-duplicates has many MiB; gRPC's default is 4.
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    # Of several servers each gets calls in turn.
    ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),
)


Stub = TypeVar("Stub")


def server_named(server: str | None) -> str:
    """Returns ``server``, else the variable ``HASHMATCH_SERVER``, else `DEFAULT_SERVER`."""
    return server or os.environ.get("HASHMATCH_SERVER") or DEFAULT_SERVER


def own_token(token: str | None) -> str:
    """Returns ``token``, else the variable ``HASHMATCH_TOKEN``, else the content of the file that
    ``HASHMATCH_TOKEN_FILE`` names, else an empty text. Raises `ConfigInvalid` if that file cannot
    be read.
    """
    if token is not None:
        return token
    if given := os.environ.get("HASHMATCH_TOKEN"):
        return given.strip()
    content = _file("HASHMATCH_TOKEN_FILE")
    return "" if content is None else content.decode("utf-8", "replace").strip()


def open_channel(target: str, credentials: grpc.ChannelCredentials | None) -> aio.Channel:
    """Returns a channel to ``target``: with TLS by ``credentials``, else by the PEM files that the
    variables ``HASHMATCH_CA`` (authorities), ``HASHMATCH_CERTIFICATE`` and ``HASHMATCH_KEY`` (of
    the client) name; without TLS if ``HASHMATCH_CA`` is not set.

    Raises `ConfigInvalid` if a file cannot be read.
    """
    if credentials is None and (authorities := _file("HASHMATCH_CA")) is not None:
        credentials = grpc.ssl_channel_credentials(
            authorities, _file("HASHMATCH_KEY"), _file("HASHMATCH_CERTIFICATE")
        )
    if credentials is None:
        return aio.insecure_channel(target, _OPTIONS)
    return aio.secure_channel(target, credentials, _OPTIONS)


def _file(variable: str) -> bytes | None:
    name = os.environ.get(variable)
    if not name:
        return None
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ConfigInvalid(f"{variable}: the file cannot be read ({error.strerror})") from None


def authorized(stub: Stub, token: str) -> Stub:
    """The stub itself if ``token`` is empty; else one of the same methods, each of which sends the
    token. Raises `ConfigInvalid` if a header cannot carry the token.
    """
    if not token:
        return stub
    if not token.isascii() or not token.isprintable():
        raise ConfigInvalid("the token has a character that no token has")
    return cast("Stub", _Authorized(stub, (("authorization", f"Bearer {token}"),)))


class _Authorized:
    def __init__(self, stub: object, metadata: tuple[tuple[str, str], ...]) -> None:
        self._stub = stub
        self._metadata = metadata

    def __getattr__(self, name: str) -> Any:
        return functools.partial(getattr(self._stub, name), metadata=self._metadata)
