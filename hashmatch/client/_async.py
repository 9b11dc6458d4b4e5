"""The client for asyncio, of which `hashmatch.client._sync` is generated (`make client`)."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import grpc

from hashmatch.client._calls_banks import BankCalls
from hashmatch.client._calls_callers import CallerCalls
from hashmatch.client._calls_cases import CaseCalls
from hashmatch.client._calls_changes import ChangeCalls
from hashmatch.client._calls_entries import EntryCalls
from hashmatch.client._calls_exports import ExportCalls
from hashmatch.client._calls_imports import ImportCalls
from hashmatch.client._calls_previews import PreviewCalls
from hashmatch.client._calls_screenings import ScreeningCalls
from hashmatch.client._connection import Connection

__all__ = ["AsyncClient"]


class AsyncClient(
    ScreeningCalls,
    BankCalls,
    EntryCalls,
    ChangeCalls,
    ExportCalls,
    ImportCalls,
    PreviewCalls,
    CaseCalls,
    CallerCalls,
):
    """One connection to a server, for use within one event loop; safe for concurrent calls.

    A call that fails raises an error of `hashmatch.errors`: one that its method names, or
    `Internal` for a fault of the server. ``TypeError`` and ``ValueError`` are raised for an
    argument that no message can carry.

    Calls are tried again while the server is away or full, until their deadline: that is safe,
    because every call that changes something carries a ``request_id``. Once a server has refused
    four uploads in a row as `Overloaded`, other uploads wait in line in the client, unsent, for
    their turn; an upload that may not wait as long as the delay that the server asked for (a
    ``timeout_seconds`` of 0 never waits) is refused at once by the same error.

    ``server`` is the address that the client connects to.
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
        """Connects when the first call is made.

        Args:
            server: ``HOST:PORT``. None: the variable ``HASHMATCH_SERVER``, else 127.0.0.1:50051.
                Where a name has several addresses, or for ``ipv4:ADDRESS:PORT,ADDRESS:PORT``, calls
                go to each in turn.
            timeout_seconds: Deadline of a call in seconds, retries included. 0: no deadline, and
                one attempt.
            credentials: Credentials of TLS. None: of the PEM files that ``HASHMATCH_CA``,
                ``HASHMATCH_CERTIFICATE`` and ``HASHMATCH_KEY`` name; without ``HASHMATCH_CA`` the
                connection is not encrypted.
            token: What shows who calls. None: the variable ``HASHMATCH_TOKEN``, else the content of
                the file that ``HASHMATCH_TOKEN_FILE`` names; empty: no token.
            max_beginning: Largest number of uploads, at least 1, that are sent at once before the
                server has said that it takes them, which takes milliseconds; others wait. Behind a
                proxy that holds initial metadata back it is the largest number of uploads at once.

        Raises:
            ConfigInvalid: A file that a variable names cannot be read, the token has a character
                that no token has, or ``max_beginning`` is below 1.
        """
        connection = Connection(
            server,
            timeout_seconds=timeout_seconds,
            credentials=credentials,
            token=token,
            max_beginning=max_beginning,
        )
        super().__init__(connection)
        self.server = connection.server

    async def __aenter__(self) -> Self:
        """Returns the client itself."""
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
        """Closes the connection; calls under way fail. A second call does nothing."""
        await self._connection.close()

    async def is_ready(self) -> bool:
        """Asks whether the server takes requests. Raises nothing.

        Returns:
            True if the server answered within five seconds that it has its blocklist loaded and
            takes requests.
        """
        return await self._connection.is_ready()
