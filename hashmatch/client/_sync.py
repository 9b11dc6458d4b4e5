"""The client for code without asyncio.

Generated from `hashmatch.client.AsyncClient` by `make client`. Do not edit: change the asynchronous
client, or `tools/sync_client.py`, and generate this file anew.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

import grpc

from hashmatch.client._async import AsyncClient
from hashmatch.client._media import MediaSource, Progress
from hashmatch.client._paging import Cursor
from hashmatch.client._threads import ThreadedClient
from hashmatch.model.callers import Caller, KnownCaller, Role
from hashmatch.model.cases import Case, CaseDecision, CaseState, CaseType
from hashmatch.model.exports import ExportedEntry
from hashmatch.model.imports import Format, Import
from hashmatch.model.previews import Preview
from hashmatch.model.records import (
    AuditRow,
    Bank,
    BankPolicy,
    BlocklistChange,
    Checkpoint,
    Entry,
    Provenance,
    Screening,
)
from hashmatch.model.verdicts import Action, Activation, BankState, EntryState, Kind, Verdict
from hashmatch.v1 import common_pb2

__all__ = ["Client"]


class Client(ThreadedClient):
    """One connection to a server, safe for use by several threads.

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
        super().__init__(
            lambda: AsyncClient(
                server,
                timeout_seconds=timeout_seconds,
                credentials=credentials,
                token=token,
                max_beginning=max_beginning,
            )
        )

    def __enter__(self) -> Self:
        """Returns the client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the connection."""
        self.close()

    def close(self) -> None:
        """Closes the connection; calls under way fail. A second call does nothing."""
        self._close()

    def is_ready(self) -> bool:
        """Asks whether the server takes requests. Raises nothing.

        Returns:
            True if the server answered within five seconds that it has its blocklist loaded and
            takes requests.
        """
        return self._run(self._client.is_ready())

    def screen(
        self,
        media: MediaSource,
        *,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
        progress: Progress | None = None,
    ) -> Screening:
        """Screens a video or an image. Publish only what is `Verdict.NO_MATCH`.

        The answer may come before the whole file was sent. A file that cannot be decoded is no
        error: its screening is `Verdict.INCONCLUSIVE` and says why.

        Args:
            media: The path of a file, its bytes, or a file opened for reading bytes, which is read
                from its position on and stays open. A source that can seek is read up to the size
                that it has now; one that cannot is read once, so that the call is not retried.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID. Keep the id if the
                process may die between the call and the use of its answer.
            timeout_seconds: Deadline in seconds, retries included. None: the client's; 0: no
                deadline, and one attempt.
            progress: Called after each chunk with the number of bytes sent and the size in bytes, 0
                if the size is unknown. Runs in the thread of the event loop: it must not block.

        Returns:
            The screening, stored by the server. Evidence is withheld from a caller that is neither
            REVIEWER nor AUDITOR.

        Raises:
            OSError: The path cannot be opened, or reading the source failed.
            InvalidField: ``request_id`` is malformed.
            RequestIdReused: ``request_id`` was used for another upload.
            UploadMismatch: The source ended before the size that it had at the beginning.
            AccessDenied: The credentials are invalid, or the caller lacks the role PIPELINE.
            Unavailable: The server could not be reached, had no room (`Overloaded`, `SpoolFull`),
                or did not answer, until the deadline.
        """
        return self._run(
            self._client.screen(
                media, request_id=request_id, timeout_seconds=timeout_seconds, progress=progress
            )
        )

    def screen_signals(
        self,
        signals: Sequence[common_pb2.Signals],
        *,
        duration_ms: int,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Screening:
        """Screens media by hashes that the caller made of it.

        Args:
            signals: The hashes, one message for each kind, as ``hashmatch.v1.common_pb2`` defines
                them. `Verdict.NO_MATCH` needs every kind that the blocklist uses, and hashes of
                frames that lie at most a second apart from the start to the end.
            duration_ms: Running time of the media in milliseconds, 0 to 100 days; 0 for an image.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID.
            timeout_seconds: Deadline in seconds, retries included. None: the client's; 0: no
                deadline, and one attempt.

        Returns:
            The screening, stored by the server; its coverage is marked ``by_caller``.

        Raises:
            InvalidField: There are no hashes, they are malformed, or another argument is out of
                range.
            RequestIdReused: ``request_id`` was used for other hashes.
            AccessDenied: The credentials are invalid, or the caller lacks the role PIPELINE.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        return self._run(
            self._client.screen_signals(
                signals,
                duration_ms=duration_ms,
                request_id=request_id,
                timeout_seconds=timeout_seconds,
            )
        )

    def confirm(
        self,
        screening_id: str,
        *,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Screening:
        """Judges a screening again, by the current blocklist and without decoding. Call it right
        before publishing, so that an entry added since the upload is not missed.

        Args:
            screening_id: Id of the screening, "scr_" and 26 characters.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID.
            timeout_seconds: Deadline in seconds, retries included. None: the client's; 0: no
                deadline, and one attempt.

        Returns:
            The screening with the new verdict; ``judgement`` counts its verdicts from 1.

        Raises:
            ScreeningNotFound: No screening has this id, or it is another caller's.
            InvalidField: An argument is malformed.
            RequestIdReused: ``request_id`` was used for another call.
            AccessDenied: The credentials are invalid, or the caller lacks the role PIPELINE.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        return self._run(
            self._client.confirm(
                screening_id, request_id=request_id, timeout_seconds=timeout_seconds
            )
        )

    def get_screening(self, screening_id: str) -> Screening:
        """Gets a screening.

        Args:
            screening_id: Id of the screening, "scr_" and 26 characters.

        Returns:
            The screening with its newest verdict.

        Raises:
            ScreeningNotFound: No screening has this id, or the caller may not see it.
            InvalidField: ``screening_id`` is empty or not an id.
            AccessDenied: The credentials are invalid, or the caller has none of the roles PIPELINE,
                REVIEWER, AUDITOR.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        return self._run(self._client.get_screening(screening_id))

    def list_screenings(
        self,
        *,
        verdict: Verdict | None = None,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> Iterator[Screening]:
        """Lists screenings, newest first. A caller that is neither REVIEWER nor AUDITOR gets its
        own alone.

        Args:
            verdict: The newest verdict that listed screenings have. None: any.
            since: The earliest time of creation, with a time zone. None: no limit.
            cursor: Where the list begins and how many screenings it has, moved along as the list is
                read. None: all.

        Yields:
            Screenings with their newest verdicts; pages are asked for as they are read.

        Raises:
            InvalidField: The token of ``cursor`` is not of this list.
            AccessDenied: The credentials are invalid, or the caller has none of the roles PIPELINE,
                REVIEWER, AUDITOR.
            Unavailable: The server could not be reached, or did not answer, until the deadline of a
                page.
        """
        return self._iterate(
            self._client.list_screenings(verdict=verdict, since=since, cursor=cursor)
        )

    def create_bank(
        self,
        name: str,
        *,
        action: Action,
        label: str = "",
        thresholds: Mapping[Kind, int] | None = None,
        activation: Activation = Activation.ONE_PERSON,
        policy: BankPolicy | None = None,
        request_id: str | None = None,
    ) -> Bank:
        """Creates a bank.

        Args:
            name: Unique name, 1 to 64 letters, digits, ".", "-" and "_"; may not begin with "bnk_".
            action: What happens to an upload that matches: `Action.REVIEW`, `Action.BLOCK`, or
                `Action.OVERRULE` for a negative bank, whose entries are known to be harmless.
            label: What the entries show, up to 64 characters.
            thresholds: The kinds of hash that the bank uses, each with the largest number of
                differing bits: 0 to 63 of 256 for PDQ and PDQ_PATCH, 0 to 15 of 64 for PHASH, 0 for
                hashes of whole files. None: SHA256 at 0, PDQ at 31, PDQ_PATCH at 40. A negative
                bank may use neither MD5 nor SHA1.
            activation: `Activation.TWO_PERSON`: an entry is pending until another person approves
                it.
            policy: What becomes of evidence; see `BankPolicy`. None: its defaults.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID.

        Returns:
            The bank, in use and without entries.

        Raises:
            BankExists: Another bank has this name.
            InvalidField: An argument is malformed or out of range.
            RequestIdReused: ``request_id`` was used for another call.
            AccessDenied: The credentials are invalid, or the caller lacks the role ADMIN.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        return self._run(
            self._client.create_bank(
                name,
                action=action,
                label=label,
                thresholds=thresholds,
                activation=activation,
                policy=policy,
                request_id=request_id,
            )
        )

    def get_bank(self, bank: str) -> Bank:
        """Gets a bank.

        Args:
            bank: Id or name of the bank.

        Returns:
            The bank; ``etag`` changes whenever the bank does.

        Raises:
            BankNotFound: No bank has this id or name.
            InvalidField: ``bank`` is empty, or neither an id nor a name.
            AccessDenied: The credentials are invalid, or the caller has none of the roles REVIEWER,
                CURATOR, APPROVER, AUDITOR, ADMIN.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        return self._run(self._client.get_bank(bank))

    def list_banks(
        self,
        *,
        state: BankState | None = None,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> Iterator[Bank]:
        """Lists banks, newest first.

        Args:
            state: The state that listed banks are in. None: any.
            since: The earliest time of creation, with a time zone. None: no limit.
            cursor: Where the list begins and how many banks it has, moved along as the list is
                read. None: all.

        Yields:
            Banks; pages are asked for as they are read.

        Raises:
            InvalidField: The token of ``cursor`` is not of this list.
            AccessDenied: The credentials are invalid, or the caller has none of the roles REVIEWER,
                CURATOR, APPROVER, AUDITOR, ADMIN.
            Unavailable: The server could not be reached, or did not answer, until the deadline of a
                page.
        """
        return self._iterate(self._client.list_banks(state=state, since=since, cursor=cursor))

    def update_bank(
        self,
        bank: str,
        *,
        name: str | None = None,
        label: str | None = None,
        action: Action | None = None,
        thresholds: Mapping[Kind, int] | None = None,
        activation: Activation | None = None,
        policy: BankPolicy | None = None,
        etag: str = "",
        request_id: str | None = None,
    ) -> Bank:
        """Changes a bank. An argument that is None leaves its field as it is.

        Args:
            bank: Id or name of the bank.
            name: Another unique name; for its form see `create_bank`.
            label: What the entries show, up to 64 characters.
            action: What happens to an upload that matches.
            thresholds: All kinds of hash that the bank uses from now on; for ranges see
                `create_bank`. A kind that is added matches by hashes that entries have already.
            activation: How many persons a new entry needs; pending entries stay pending.
            policy: The whole of what becomes of evidence.
            etag: The ``etag`` of the bank as it was read: the call fails if the bank has changed
                since. Empty: it is changed in any case.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID.

        Returns:
            The bank after the change.

        Raises:
            BankNotFound: No bank has this id or name.
            BankArchived: The bank is archived.
            BankExists: Another bank has the new name.
            EtagMismatch: The bank has changed since ``etag`` was read.
            InvalidField: An argument is malformed or out of range.
            RequestIdReused: ``request_id`` was used for another call.
            AccessDenied: The credentials are invalid, or the caller lacks the role ADMIN.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        return self._run(
            self._client.update_bank(
                bank,
                name=name,
                label=label,
                action=action,
                thresholds=thresholds,
                activation=activation,
                policy=policy,
                etag=etag,
                request_id=request_id,
            )
        )

    def archive_bank(self, bank: str, *, etag: str = "", request_id: str | None = None) -> Bank:
        """Puts a bank out of use for good: its entries match nothing any more.

        Args:
            bank: Id or name of the bank.
            etag: The ``etag`` of the bank as it was read: the call fails if the bank has changed
                since. Empty: it is archived in any case.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID.

        Returns:
            The bank, `BankState.ARCHIVED`.

        Raises:
            BankNotFound: No bank has this id or name.
            BankArchived: The bank is archived already.
            EtagMismatch: The bank has changed since ``etag`` was read.
            InvalidField: An argument is malformed.
            RequestIdReused: ``request_id`` was used for another call.
            AccessDenied: The credentials are invalid, or the caller lacks the role ADMIN.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        return self._run(self._client.archive_bank(bank, etag=etag, request_id=request_id))

    def add_entry(
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
        return self._run(
            self._client.add_entry(
                bank,
                media,
                reference=reference,
                label=label,
                provenance=provenance,
                expire_time=expire_time,
                pending=pending,
                request_id=request_id,
                timeout_seconds=timeout_seconds,
                progress=progress,
            )
        )

    def add_entry_from_signals(
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
        return self._run(
            self._client.add_entry_from_signals(
                bank,
                signals,
                reference=reference,
                label=label,
                provenance=provenance,
                expire_time=expire_time,
                pending=pending,
                request_id=request_id,
            )
        )

    def get_entry(self, entry_id: str) -> Entry:
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
        return self._run(self._client.get_entry(entry_id))

    def list_entries(
        self,
        *,
        bank: str = "",
        state: EntryState | None = None,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> Iterator[Entry]:
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
        return self._iterate(
            self._client.list_entries(bank=bank, state=state, since=since, cursor=cursor)
        )

    def approve_entry(
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
        return self._run(self._client.approve_entry(entry_id, why=why, request_id=request_id))

    def withdraw_entry(
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
        return self._run(self._client.withdraw_entry(entry_id, why=why, request_id=request_id))

    def release_entry(
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
        return self._run(self._client.release_entry(entry_id, why=why, request_id=request_id))

    def watch_changes(
        self, after_revision: int = 0, *, resume_token: str = ""
    ) -> Iterator[BlocklistChange | Checkpoint]:
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
        return self._iterate(self._client.watch_changes(after_revision, resume_token=resume_token))

    def export_entries(
        self,
        bank: str,
        *,
        state: EntryState | None = EntryState.ACTIVE,
        kinds: Collection[Kind] = (),
        since: datetime.datetime | None = None,
        resume_token: str = "",
    ) -> Iterator[ExportedEntry]:
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
        return self._iterate(
            self._client.export_entries(
                bank, state=state, kinds=kinds, since=since, resume_token=resume_token
            )
        )

    def import_entries(
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
        return self._run(
            self._client.import_entries(
                bank,
                source,
                format=format,
                kind=kind,
                dry_run=dry_run,
                pending=pending,
                reference=reference,
                label=label,
                provenance=provenance,
                request_id=request_id,
                timeout_seconds=timeout_seconds,
                progress=progress,
            )
        )

    def get_import(self, import_id: str) -> Import:
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
        return self._run(self._client.get_import(import_id))

    def list_imports(
        self, *, since: datetime.datetime | None = None, cursor: Cursor | None = None
    ) -> Iterator[Import]:
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
        return self._iterate(self._client.list_imports(since=since, cursor=cursor))

    def approve_import(
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
        return self._run(self._client.approve_import(import_id, why=why, request_id=request_id))

    def withdraw_import(
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
        return self._run(self._client.withdraw_import(import_id, why=why, request_id=request_id))

    def preview_entry(
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
        return self._run(
            self._client.preview_entry(
                entry_id, screenings=screenings, benign=benign, timeout_seconds=timeout_seconds
            )
        )

    def preview_import(
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
        return self._run(
            self._client.preview_import(
                import_id, screenings=screenings, benign=benign, timeout_seconds=timeout_seconds
            )
        )

    def get_case(self, case_id: str) -> Case:
        """Gets a case.

        Args:
            case_id: Id of the case, "cas_" and 26 characters.

        Returns:
            The case; ``etag`` changes whenever it is opened or decided, and with new evidence.

        Raises:
            CaseNotFound: No case has this id.
            InvalidField: ``case_id`` is empty or not an id.
            AccessDenied: The credentials are invalid, or the caller has none of the roles REVIEWER,
                CURATOR, APPROVER, AUDITOR, or may not see the bank of the case.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        return self._run(self._client.get_case(case_id))

    def list_cases(
        self,
        *,
        state: CaseState | None = None,
        case_type: CaseType | None = None,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> Iterator[Case]:
        """Lists cases, newest first. A caller that is limited to some banks gets their cases alone.

        Args:
            state: The state that listed cases are in. None: any.
            case_type: The type of listed cases. None: any.
            since: The earliest time of creation, with a time zone. None: no limit.
            cursor: Where the list begins and how many cases it has, moved along as the list is
                read. None: all.

        Yields:
            Cases; pages are asked for as they are read.

        Raises:
            InvalidField: The token of ``cursor`` is not of this list.
            AccessDenied: The credentials are invalid, or the caller has none of the roles REVIEWER,
                CURATOR, APPROVER, AUDITOR.
            Unavailable: The server could not be reached, or did not answer, until the deadline of a
                page.
        """
        return self._iterate(
            self._client.list_cases(state=state, case_type=case_type, since=since, cursor=cursor)
        )

    def decide_case(
        self,
        case_id: str,
        decision: CaseDecision,
        *,
        why: str = "",
        etag: str = "",
        request_id: str | None = None,
    ) -> Case:
        """Decides an open case of a screening. The case of a quarantined entry is decided by
        `release_entry` or `withdraw_entry`.

        Args:
            case_id: Id of the case, "cas_" and 26 characters.
            decision: `CaseDecision.UPHELD`: the upload must not be published;
                `CaseDecision.OVERTURNED`: it may be.
            why: The reason, kept with the case; up to 2000 characters, line breaks allowed.
            etag: The ``etag`` of the case as it was read: the call fails if there is new evidence
                since. Empty: it is decided in any case.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID.

        Returns:
            The case, `CaseState.DECIDED`.

        Raises:
            CaseNotFound: No case has this id.
            CaseDecided: The case is decided already.
            EtagMismatch: There is new evidence since ``etag`` was read.
            InvalidField: The case is about an entry, or an argument is malformed.
            RequestIdReused: ``request_id`` was used for another call.
            AccessDenied: The credentials are invalid, or the caller lacks the role REVIEWER, or may
                not see the banks of the case.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        return self._run(
            self._client.decide_case(case_id, decision, why=why, etag=etag, request_id=request_id)
        )

    def create_caller(
        self,
        name: str,
        *,
        roles: Collection[Role],
        token: str = "",
        certificate: str = "",
        banks: Collection[str] = (),
        expire_time: datetime.datetime | None = None,
        request_id: str | None = None,
    ) -> KnownCaller:
        """Creates a caller that shows who it is by a token or a certificate; one of the two is
        needed.

        Args:
            name: Unique name, 1 to 64 letters, digits, ".", "-" and "_", of no caller before; may
                not begin with "clr_".
            roles: What the caller may do; at least one role.
            token: The token, made by `hashmatch.model.callers.new_token`; the server gets its hash
                alone. Ignored if ``certificate`` is given.
            certificate: The common name of the subject of the caller's certificate, up to 255
                characters.
            banks: Ids or names of the banks whose entries the caller may see and change, up to
                1,000. Empty: all.
            expire_time: When the caller is refused from, in the future and with a time zone. None:
                never.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID.

        Returns:
            The caller, `CallerState.ACTIVE`.

        Raises:
            CallerExists: Another caller has, or had, this name or these credentials.
            BankNotFound: A bank of ``banks`` does not exist.
            InvalidField: An argument is missing, malformed or out of range.
            RequestIdReused: ``request_id`` was used for another caller.
            AccessDenied: The credentials are invalid, or the caller lacks the role ADMIN.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        return self._run(
            self._client.create_caller(
                name,
                roles=roles,
                token=token,
                certificate=certificate,
                banks=banks,
                expire_time=expire_time,
                request_id=request_id,
            )
        )

    def list_callers(
        self, *, since: datetime.datetime | None = None, cursor: Cursor | None = None
    ) -> Iterator[KnownCaller]:
        """Lists callers, newest first, revoked ones too.

        Args:
            since: The earliest time of creation, with a time zone. None: no limit.
            cursor: Where the list begins and how many callers it has, moved along as the list is
                read. None: all.

        Yields:
            Callers; pages are asked for as they are read.

        Raises:
            InvalidField: The token of ``cursor`` is not of this list.
            AccessDenied: The credentials are invalid, or the caller has neither role AUDITOR nor
                ADMIN.
            Unavailable: The server could not be reached, or did not answer, until the deadline of a
                page.
        """
        return self._iterate(self._client.list_callers(since=since, cursor=cursor))

    def revoke_caller(self, caller: str, *, request_id: str | None = None) -> KnownCaller:
        """Refuses a caller from now on: this server at once, other servers within a second. A
        caller that is revoked already stays so.

        Args:
            caller: Id or name of the caller.
            request_id: Names the call; a repeat changes nothing. 1 to 64 letters, digits, "-" and
                "_"; None: a new UUID.

        Returns:
            The caller, `CallerState.REVOKED`.

        Raises:
            CallerNotFound: No caller has this id or name.
            InvalidField: An argument is malformed.
            AccessDenied: The credentials are invalid, or the caller lacks the role ADMIN.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        return self._run(self._client.revoke_caller(caller, request_id=request_id))

    def get_self(self) -> Caller:
        """Gets the caller that the server takes this client for.

        Returns:
            The caller; ``caller_id`` is empty where authentication is off.

        Raises:
            AccessDenied: The credentials are invalid.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        return self._run(self._client.get_self())

    def list_audit_rows(
        self,
        *,
        actor: str = "",
        subject: str = "",
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> Iterator[AuditRow]:
        """Lists the audit trail, newest first.

        Args:
            actor: Id or name of the caller whose actions are listed. Empty: any.
            subject: Id of what was acted on, or the name of a call that was denied. Empty: any.
            since: The earliest time of a row, with a time zone. None: no limit.
            cursor: Where the list begins and how many rows it has, moved along as the list is read.
                None: all.

        Yields:
            Rows; pages are asked for as they are read.

        Raises:
            InvalidField: A text is too long, or the token of ``cursor`` is not of this list.
            AccessDenied: The credentials are invalid, or the caller lacks the role AUDITOR.
            Unavailable: The server could not be reached, or did not answer, until the deadline of a
                page.
        """
        return self._iterate(
            self._client.list_audit_rows(actor=actor, subject=subject, since=since, cursor=cursor)
        )
