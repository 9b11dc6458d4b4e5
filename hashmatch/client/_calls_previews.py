"""The client's calls of BlocklistService for previews."""

from __future__ import annotations

from hashmatch.client._connection import Calls
from hashmatch.model.previews import Preview
from hashmatch.v1 import blocklist_service_pb2 as pb
from hashmatch.wire.records import preview_from_wire

__all__ = ["PreviewCalls"]


class PreviewCalls(Calls):
    """Shows what an entry or an import would do."""

    async def preview_entry(
        self,
        entry_id: str,
        *,
        screenings: int | None = None,
        benign: bool = True,
        timeout_seconds: float | None = None,
    ) -> Preview:
        """Shows what an entry, in any state, would have matched. Changes nothing. A server makes
        one preview at a time, in seconds; others wait for their turn.

        Args:
            entry_id: Id of the entry, "ent_" and 26 characters.
            screenings: Number of the newest screenings that the entry is compared with, 0 to
                10,000. None: 1,000.
            benign: Whether the entry is compared with the entries of negative banks too.
            timeout_seconds: Deadline in seconds, retries included. None: the client's; 0: no
                deadline, and one attempt.

        Returns:
            How many screenings and benign entries would have been matched, and samples of them, by
            the policy of the bank as if it were live on all uploads.

        Raises:
            EntryNotFound: No entry has this id.
            BankArchived: The bank is archived.
            InvalidField: An argument is malformed or out of range.
            AccessDenied: The credentials are invalid, or the caller has none of the roles CURATOR,
                APPROVER, AUDITOR, or may not see the bank of the entry.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        request = pb.PreviewEntryRequest(entry_id=entry_id, screenings=screenings, benign=benign)
        response = await self._connection.unary(
            self._connection.blocklist.PreviewEntry, request, timeout_seconds
        )
        return preview_from_wire(response.preview)

    async def preview_import(
        self,
        import_id: str,
        *,
        screenings: int | None = None,
        benign: bool = True,
        timeout_seconds: float | None = None,
    ) -> Preview:
        """Shows what the entries of an import would have matched, except entries that were
        withdrawn one by one. Changes nothing. A server makes one preview at a time, in seconds;
        others wait for their turn.

        Args:
            import_id: Id of the import, "imp_" and 26 characters.
            screenings: Number of the newest screenings that the entries are compared with, 0 to
                10,000. None: 1,000.
            benign: Whether the entries are compared with those of negative banks too.
            timeout_seconds: Deadline in seconds, retries included. None: the client's; 0: no
                deadline, and one attempt.

        Returns:
            How many screenings and benign entries would have been matched, and samples of them, by
            the policy of the bank as if it were live on all uploads.

        Raises:
            ImportNotFound: No import has this id.
            BankArchived: The bank is archived.
            InvalidField: An argument is malformed or out of range.
            AccessDenied: The credentials are invalid, or the caller has none of the roles CURATOR,
                APPROVER, AUDITOR, or may not see the bank of the import.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        request = pb.PreviewImportRequest(import_id=import_id, screenings=screenings, benign=benign)
        response = await self._connection.unary(
            self._connection.blocklist.PreviewImport, request, timeout_seconds
        )
        return preview_from_wire(response.preview)
