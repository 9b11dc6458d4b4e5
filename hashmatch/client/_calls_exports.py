"""The client's call of BlocklistService to export entries."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import AsyncGenerator, Collection

from hashmatch.client._connection import Calls
from hashmatch.model.exports import ExportedEntry
from hashmatch.model.verdicts import EntryState, Kind
from hashmatch.v1 import blocklist_service_pb2 as pb
from hashmatch.wire.exports import exported_from_wire
from hashmatch.wire.records import timestamp

__all__ = ["ExportCalls"]


class ExportCalls(Calls):
    """Reads entries with their hashes."""

    async def export_entries(
        self,
        bank: str,
        *,
        state: EntryState | None = EntryState.ACTIVE,
        kinds: Collection[Kind] = (),
        since: datetime.datetime | None = None,
        resume_token: str = "",
    ) -> AsyncGenerator[ExportedEntry]:
        """Reads the entries of a bank with their hashes. The audit trail records the caller.

        A lost connection is re-established for as long as any call is retried, and the export goes
        on where it was: no entry is left out and none comes twice.

        Args:
            bank: Id or name of the bank.
            state: The state that exported entries are in. None: any.
            kinds: The kinds of hash that are exported; an entry without such hashes comes without
                any. Empty: all kinds.
            since: The earliest time of creation, with a time zone. None: no limit.
            resume_token: The ``resume_token`` of the last part that was received, to go on after a
                restart by a call with the same other arguments. Empty: from the beginning.

        Yields:
            Entries in the order of their creation. An entry with many hashes comes in several
            parts, one after the other: all but the last ``continues``.

        Raises:
            BankNotFound: No bank has this id or name.
            InvalidField: ``bank`` is neither an id nor a name, or ``resume_token`` is not of an
                export of this bank.
            AccessDenied: The credentials are invalid, or the caller has none of the roles CURATOR,
                APPROVER, AUDITOR, ADMIN, or may not see the bank.
            Unavailable: The server could not be reached for as long as the client's deadline.
        """
        request = pb.ExportEntriesRequest(
            bank=bank,
            state=int(state or 0),  # type: ignore[arg-type]
            kinds=[int(kind) for kind in sorted(kinds)],  # type: ignore[misc]
            created_since=None if since is None else timestamp(since),
            resume_token=resume_token,
        )

        def resume(response: pb.ExportEntriesResponse) -> None:
            request.resume_token = response.entries[-1].resume_token

        responses = self._connection.stream(
            self._connection.blocklist.ExportEntries, request, resume, endless=False
        )
        async with contextlib.aclosing(responses):
            async for response in responses:
                for message in response.entries:
                    yield exported_from_wire(message)
