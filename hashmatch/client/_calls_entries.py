"""The client's calls of BlocklistService for entries."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, Sequence

from hashmatch.client._connection import Calls, new_request_id
from hashmatch.client._media import MediaSource, Progress
from hashmatch.client._paging import Cursor, created_since
from hashmatch.model.records import Entry, Provenance
from hashmatch.model.verdicts import EntryState
from hashmatch.v1 import blocklist_service_pb2 as pb
from hashmatch.v1 import common_pb2
from hashmatch.wire.records import entry_from_wire, provenance_to_wire, timestamp

__all__ = ["EntryCalls"]


class EntryCalls(Calls):
    """Adds entries to banks, and takes them out of use."""

    async def add_entry(
        self,
        bank: str,
        media: MediaSource,
        *,
        reference: str = "",
        label: str = "",
        provenance: Provenance | None = None,
        expire_time: datetime.datetime | None = None,
        pending: bool = False,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
        progress: Progress | None = None,
    ) -> Entry:
        """Adds an entry made of a video or an image. The server hashes the file and does not keep
        it.

        Args:
            bank: Id or name of the bank.
            media: The path of a file, its bytes, or a file opened for reading bytes, which is read
                from its position on and stays open. A source that can seek is read up to the size
                that it has now; one that cannot is read once, so that the call is not retried.
            reference: What the curator calls the item (a case number, a file's name), up to 256
                characters.
            label: What the item shows, up to 64 characters. Empty: the bank's label.
            provenance: Where the item comes from and why it is listed.
            expire_time: When the entry goes out of use, in the future and with a time zone. None:
                never.
            pending: The entry waits for approval in any bank, so that it can be previewed. In a
                bank of `Activation.TWO_PERSON` every entry waits.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID.
            timeout_seconds: Deadline in seconds, retries included. None: the client's; 0: no
                deadline, and one attempt.
            progress: Called after each chunk with the number of bytes sent and the size in bytes, 0
                if the size is unknown. Runs in the thread of the event loop: it must not block.

        Returns:
            The entry, `EntryState.ACTIVE` or `EntryState.PENDING`. ``reasons`` is not empty if only
            a part of the file could be hashed.

        Raises:
            OSError: The path cannot be opened, or reading the source failed.
            BankNotFound: No bank has this id or name.
            BankArchived: The bank is archived.
            MediaUnusable: The file gives no hash that the bank can match by; ``metadata`` has the
                reason as ``media_reason``.
            InvalidField: An argument is malformed or out of range.
            RequestIdReused: ``request_id`` was used for another entry.
            UploadMismatch: The source ended before the size that it had at the beginning.
            AccessDenied: The credentials are invalid, or the caller lacks the role CURATOR, or may
                not change this bank.
            Unavailable: The server could not be reached, had no room (`Overloaded`, `SpoolFull`),
                or did not answer, until the deadline.
        """
        given = pb.CreateEntryFromMediaHeader(
            request_id=request_id or new_request_id(),
            bank=bank,
            reference=reference,
            label=label,
            provenance=None if provenance is None else provenance_to_wire(provenance),
            expire_time=None if expire_time is None else timestamp(expire_time),
            pending=pending,
        )

        def header(size: int) -> pb.CreateEntryFromMediaRequest:
            given.size_bytes = size
            return pb.CreateEntryFromMediaRequest(header=given)

        response = await self._connection.upload(
            self._connection.blocklist.CreateEntryFromMedia,
            header,
            lambda chunk: pb.CreateEntryFromMediaRequest(chunk=chunk),
            media,
            progress=progress,
            timeout_seconds=timeout_seconds,
        )
        return entry_from_wire(response.entry)

    async def add_entry_from_signals(
        self,
        bank: str,
        signals: Sequence[common_pb2.Signals],
        *,
        reference: str = "",
        label: str = "",
        provenance: Provenance | None = None,
        expire_time: datetime.datetime | None = None,
        pending: bool = False,
        request_id: str | None = None,
    ) -> Entry:
        """Adds an entry made of hashes.

        Args:
            bank: Id or name of the bank.
            signals: The hashes, one message for each kind, as ``hashmatch.v1.common_pb2`` defines
                them. Kinds that the bank does not use are left out.
            reference: What the curator calls the item (a case number, a file's name), up to 256
                characters.
            label: What the item shows, up to 64 characters. Empty: the bank's label.
            provenance: Where the item comes from and why it is listed.
            expire_time: When the entry goes out of use, in the future and with a time zone. None:
                never.
            pending: The entry waits for approval in any bank, so that it can be previewed. In a
                bank of `Activation.TWO_PERSON` every entry waits.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID.

        Returns:
            The entry, `EntryState.ACTIVE` or `EntryState.PENDING`.

        Raises:
            BankNotFound: No bank has this id or name.
            BankArchived: The bank is archived.
            MediaUnusable: No hash is of a kind that the bank uses and rich enough to match by.
            InvalidField: There are no hashes, they are malformed, or another argument is out of
                range.
            RequestIdReused: ``request_id`` was used for another entry.
            AccessDenied: The credentials are invalid, or the caller lacks the role CURATOR, or may
                not change this bank.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        request = pb.CreateEntryFromSignalsRequest(
            request_id=request_id or new_request_id(),
            bank=bank,
            reference=reference,
            label=label,
            signals=signals,
            provenance=None if provenance is None else provenance_to_wire(provenance),
            expire_time=None if expire_time is None else timestamp(expire_time),
            pending=pending,
        )
        response = await self._connection.unary(
            self._connection.blocklist.CreateEntryFromSignals, request
        )
        return entry_from_wire(response.entry)

    async def get_entry(self, entry_id: str) -> Entry:
        """Gets an entry, without its hashes.

        Args:
            entry_id: Id of the entry, "ent_" and 26 characters.

        Returns:
            The entry.

        Raises:
            EntryNotFound: No entry has this id.
            InvalidField: ``entry_id`` is empty or not an id.
            AccessDenied: The credentials are invalid, or the caller has none of the roles REVIEWER,
                CURATOR, APPROVER, AUDITOR, or may not see the bank of the entry.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        request = pb.GetEntryRequest(entry_id=entry_id)
        response = await self._connection.unary(self._connection.blocklist.GetEntry, request)
        return entry_from_wire(response.entry)

    def list_entries(
        self,
        *,
        bank: str = "",
        state: EntryState | None = None,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> AsyncGenerator[Entry]:
        """Lists entries, newest first, without their hashes.

        Args:
            bank: Id or name of the bank whose entries are listed. Empty: all banks, which a caller
                that is limited to some banks may not list.
            state: The state that listed entries are in. None: any.
            since: The earliest time of creation, with a time zone. None: no limit.
            cursor: Where the list begins and how many entries it has, moved along as the list is
                read. None: all.

        Yields:
            Entries; pages are asked for as they are read.

        Raises:
            BankNotFound: No bank has this id or name.
            InvalidField: ``bank`` is neither an id nor a name, or the token of ``cursor`` is not of
                this list.
            AccessDenied: The credentials are invalid, or the caller has none of the roles CURATOR,
                APPROVER, AUDITOR, or may not see the bank.
            Unavailable: The server could not be reached, or did not answer, until the deadline of a
                page.
        """
        request = pb.ListEntriesRequest(bank=bank, state=int(state or 0))  # type: ignore[arg-type]
        entries = self._connection.items(
            self._connection.blocklist.ListEntries,
            request,
            lambda page: page.entries,
            entry_from_wire,
            cursor,
        )
        return created_since(entries, since, cursor)

    async def approve_entry(
        self, entry_id: str, *, why: str = "", request_id: str | None = None
    ) -> Entry:
        """Brings a pending entry into use: another person's, or one's own in a bank of
        `Activation.ONE_PERSON`.

        Args:
            entry_id: Id of the entry, "ent_" and 26 characters.
            why: The reason, for the audit trail; up to 2000 characters, line breaks allowed.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID.

        Returns:
            The entry, `EntryState.ACTIVE`.

        Raises:
            EntryNotFound: No entry has this id.
            EntryNotPending: The entry does not wait for approval.
            SecondPersonNeeded: The caller proposed the entry, and the bank needs two persons.
            BankArchived: The bank is archived.
            InvalidField: An argument is malformed.
            RequestIdReused: ``request_id`` was used for another call.
            AccessDenied: The credentials are invalid, or the caller has neither role CURATOR nor
                APPROVER, or may not approve this entry.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        request = pb.ApproveEntryRequest(
            request_id=request_id or new_request_id(), entry_id=entry_id, why=why
        )
        response = await self._connection.unary(self._connection.blocklist.ApproveEntry, request)
        return entry_from_wire(response.entry)

    async def withdraw_entry(
        self, entry_id: str, *, why: str = "", request_id: str | None = None
    ) -> Entry:
        """Takes an entry out of use, or declines one that is pending. Screenings that it held back
        get a case. An entry that is out of use already stays as it is.

        Args:
            entry_id: Id of the entry, "ent_" and 26 characters.
            why: The reason, for the audit trail; up to 2000 characters, line breaks allowed.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID.

        Returns:
            The entry after the change.

        Raises:
            EntryNotFound: No entry has this id.
            InvalidField: An argument is malformed.
            RequestIdReused: ``request_id`` was used for another call.
            AccessDenied: The credentials are invalid, or the caller has neither role CURATOR nor
                APPROVER, or may not change the bank of the entry.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        request = pb.WithdrawEntryRequest(
            request_id=request_id or new_request_id(), entry_id=entry_id, why=why
        )
        response = await self._connection.unary(self._connection.blocklist.WithdrawEntry, request)
        return entry_from_wire(response.entry)

    async def release_entry(
        self, entry_id: str, *, why: str = "", request_id: str | None = None
    ) -> Entry:
        """Ends the quarantine of an entry: it blocks again, and is not quarantined again. Its case
        is decided.

        Args:
            entry_id: Id of the entry, "ent_" and 26 characters.
            why: The reason, for the audit trail; up to 2000 characters, line breaks allowed.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID.

        Returns:
            The entry; ``quarantine_time`` is None.

        Raises:
            EntryNotFound: No entry has this id.
            EntryNotQuarantined: The entry is not quarantined.
            InvalidField: An argument is malformed.
            RequestIdReused: ``request_id`` was used for another call.
            AccessDenied: The credentials are invalid, or the caller lacks the role APPROVER, or may
                not change the bank of the entry.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        request = pb.ReleaseEntryRequest(
            request_id=request_id or new_request_id(), entry_id=entry_id, why=why
        )
        response = await self._connection.unary(self._connection.blocklist.ReleaseEntry, request)
        return entry_from_wire(response.entry)
