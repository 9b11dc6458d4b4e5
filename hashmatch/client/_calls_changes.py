"""The client's call of BlocklistService to follow the blocklist."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from hashmatch.client._connection import Calls
from hashmatch.model.records import BlocklistChange, Checkpoint
from hashmatch.v1 import blocklist_service_pb2 as pb
from hashmatch.wire.records import watched_from_wire

__all__ = ["ChangeCalls"]


class ChangeCalls(Calls):
    """Follows the blocklist."""

    async def watch_changes(
        self, after_revision: int = 0, *, resume_token: str = ""
    ) -> AsyncGenerator[BlocklistChange | Checkpoint]:
        """Follows the changes of the blocklist, without end.

        A lost connection is re-established for as long as any call is retried, and the changes go
        on where they were: none is lost and none comes twice.

        Args:
            after_revision: The revision whose successors are wanted; 0: every change.
            resume_token: The ``resume_token`` of the last change or checkpoint that was received,
                to go on after a restart. Goes in place of ``after_revision``.

        Yields:
            Every change in the order of its revision, without hashes; and, whenever there is no
            further change, a checkpoint, repeated every two seconds or so.

        Raises:
            ChangesCompacted: Changes after this revision are no longer kept. List the blocklist
                anew and watch from the revision of the list.
            RevisionUnknown: The blocklist has not reached this revision, or is another one. List
                the blocklist anew.
            InvalidField: Both arguments were given, or one is malformed.
            AccessDenied: The credentials are invalid, or the caller lacks the role AUDITOR, or is
                limited to some banks.
            Unavailable: The server could not be reached for as long as the client's deadline.
        """
        request = pb.WatchChangesRequest(after_revision=after_revision, resume_token=resume_token)

        def resume(response: pb.WatchChangesResponse) -> None:
            request.after_revision, request.resume_token = 0, response.resume_token

        responses = self._connection.stream(
            self._connection.blocklist.WatchChanges, request, resume, endless=True
        )
        async with contextlib.aclosing(responses):
            async for response in responses:
                yield watched_from_wire(response)
