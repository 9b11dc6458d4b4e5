"""The client's calls of BlocklistService for imports."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator

from hashmatch.client._connection import Calls, new_request_id
from hashmatch.client._media import MediaSource, Progress
from hashmatch.client._paging import Cursor, created_since
from hashmatch.model.imports import Format, Import
from hashmatch.model.records import Provenance
from hashmatch.model.verdicts import Kind
from hashmatch.v1 import blocklist_service_pb2 as pb
from hashmatch.wire.records import import_from_wire, provenance_to_wire

__all__ = ["ImportCalls"]


class ImportCalls(Calls):
    """Imports lists of hashes."""

    async def import_entries(
        self,
        bank: str,
        source: MediaSource,
        *,
        format: Format | None = None,  # noqa: A002 - what it is called everywhere else
        kind: Kind | None = None,
        dry_run: bool = False,
        pending: bool = False,
        reference: str = "",
        label: str = "",
        provenance: Provenance | None = None,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
        progress: Progress | None = None,
    ) -> Import:
        """Adds the entries of a list of hashes to a bank. Invalid lines are reported and skipped;
        entries that the bank has already stay as they are.

        Args:
            bank: Id or name of the bank.
            source: The path of the list, its bytes, or a file opened for reading bytes, which is
                read from its position on and stays open. A source that cannot seek is read once, so
                that the call is not retried.
            format: How the list is written. None: detected from its first line.
            kind: The kind of hashes whose kind the list does not say: 64 digits may be PDQ or
                SHA256.
            dry_run: Nothing is imported; the answer says what would be.
            pending: The entries wait for approval in any bank, so that the import can be previewed.
                In a bank of `Activation.TWO_PERSON` all entries wait.
            reference: The reference of entries whose lines have none, up to 256 characters.
            label: The label of entries whose lines have none, up to 64 characters.
            provenance: Where the list comes from and why its items are listed.
            request_id: Makes the call safe to repeat: a repeat goes on with the same import, and
                gets the first answer if that was finished. 1 to 64 letters, digits, "-" and "_";
                None: a new UUID.
            timeout_seconds: Deadline in seconds, retries included. None: the client's; 0: no
                deadline, and one attempt.
            progress: Called after each chunk with the number of bytes sent and the size in bytes, 0
                if the size is unknown. Runs in the thread of the event loop: it must not block.

        Returns:
            The import: its counts, and up to 100,000 problems of lines. ``import_id`` is empty
            after a dry run.

        Raises:
            OSError: The path cannot be opened, or reading the source failed.
            BankNotFound: No bank has this id or name.
            BankArchived: The bank is archived.
            ListReversed: The PDQ hashes are written in another order of their bytes or bits.
            InvalidField: The source is not such a list, or an argument is malformed.
            RequestIdReused: ``request_id`` was used for another import.
            AccessDenied: The credentials are invalid, or the caller lacks the role CURATOR, or may
                not change this bank.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        header = pb.ImportEntriesHeader(
            request_id=request_id or new_request_id(),
            bank=bank,
            format=int(format or 0),  # type: ignore[arg-type]
            kind=int(kind or 0),  # type: ignore[arg-type]
            dry_run=dry_run,
            reference=reference,
            label=label,
            provenance=None if provenance is None else provenance_to_wire(provenance),
            pending=pending,
        )
        response = await self._connection.upload(
            self._connection.blocklist.ImportEntries,
            lambda _: pb.ImportEntriesRequest(header=header),
            lambda chunk: pb.ImportEntriesRequest(chunk=chunk),
            source,
            progress=progress,
            timeout_seconds=timeout_seconds,
            gated=False,  # Imports need no place, so the server tells of none.
        )
        return import_from_wire(_imported(response))

    async def get_import(self, import_id: str) -> Import:
        """Gets an import.

        Args:
            import_id: Id of the import, "imp_" and 26 characters.

        Returns:
            The import with up to 100,000 problems of lines.

        Raises:
            ImportNotFound: No import has this id.
            InvalidField: ``import_id`` is empty or not an id.
            AccessDenied: The credentials are invalid, or the caller has none of the roles CURATOR,
                APPROVER, AUDITOR, or may not see the bank of the import.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        request = pb.GetImportRequest(import_id=import_id)
        response = await self._connection.unary(self._connection.blocklist.GetImport, request)
        return import_from_wire(_imported(response))

    def list_imports(
        self, *, since: datetime.datetime | None = None, cursor: Cursor | None = None
    ) -> AsyncGenerator[Import]:
        """Lists imports, newest first.

        Args:
            since: The earliest time of creation, with a time zone. None: no limit.
            cursor: Where the list begins and how many imports it has, moved along as the list is
                read. None: all.

        Yields:
            Imports without their problems; pages are asked for as they are read.

        Raises:
            InvalidField: The token of ``cursor`` is not of this list.
            AccessDenied: The credentials are invalid, or the caller has none of the roles CURATOR,
                APPROVER, AUDITOR, or is limited to some banks.
            Unavailable: The server could not be reached, or did not answer, until the deadline of a
                page.
        """
        imports = self._connection.items(
            self._connection.blocklist.ListImports,
            pb.ListImportsRequest(),
            lambda page: page.imports,
            import_from_wire,
            cursor,
        )
        return created_since(imports, since, cursor)

    async def approve_import(
        self, import_id: str, *, why: str = "", request_id: str | None = None
    ) -> Import:
        """Brings all pending entries of an import into use: another person's, or one's own in a
        bank of `Activation.ONE_PERSON`.

        Args:
            import_id: Id of the import, "imp_" and 26 characters.
            why: The reason, for the audit trail; up to 2000 characters, line breaks allowed.
            request_id: Makes the call safe to repeat: a repeat changes nothing and gets the import.
                1 to 64 letters, digits, "-" and "_"; None: a new UUID.

        Returns:
            The import, `ImportState.ACTIVE`.

        Raises:
            ImportNotFound: No import has this id.
            EntryNotPending: The import does not wait for approval.
            SecondPersonNeeded: The caller imported the list, and the bank needs two persons.
            BankArchived: The bank is archived.
            InvalidField: An argument is malformed.
            AccessDenied: The credentials are invalid, or the caller has neither role CURATOR nor
                APPROVER, or may not approve this import.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        request = pb.ApproveImportRequest(
            request_id=request_id or new_request_id(), import_id=import_id, why=why
        )
        response = await self._connection.unary(self._connection.blocklist.ApproveImport, request)
        return import_from_wire(_imported(response))

    async def withdraw_import(
        self, import_id: str, *, why: str = "", request_id: str | None = None
    ) -> Import:
        """Takes all entries of an import out of use, or declines those that are pending. An import
        that is withdrawn already stays as it is.

        Args:
            import_id: Id of the import, "imp_" and 26 characters.
            why: The reason, for the audit trail; up to 2000 characters, line breaks allowed.
            request_id: Makes the call safe to repeat: a repeat changes nothing and gets the import.
                1 to 64 letters, digits, "-" and "_"; None: a new UUID.

        Returns:
            The import, `ImportState.WITHDRAWN`.

        Raises:
            ImportNotFound: No import has this id.
            InvalidField: An argument is malformed.
            AccessDenied: The credentials are invalid, or the caller has neither role CURATOR nor
                APPROVER, or may not change the bank of the import.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        request = pb.WithdrawImportRequest(
            request_id=request_id or new_request_id(), import_id=import_id, why=why
        )
        response = await self._connection.unary(self._connection.blocklist.WithdrawImport, request)
        return import_from_wire(_imported(response))


def _imported(
    response: pb.ImportEntriesResponse
    | pb.GetImportResponse
    | pb.ApproveImportResponse
    | pb.WithdrawImportResponse,
) -> pb.Import:
    """Returns the field ``import``, whose name is a word of Python."""
    message: pb.Import = getattr(response, "import")
    return message
