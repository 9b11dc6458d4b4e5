"""The client's calls of BlocklistService for banks."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, Mapping

from hashmatch.client._connection import Calls, new_request_id
from hashmatch.client._paging import Cursor, created_since
from hashmatch.model.records import Bank, BankPolicy
from hashmatch.model.verdicts import Action, Activation, BankState, Kind
from hashmatch.v1 import blocklist_service_pb2 as pb
from hashmatch.wire.records import bank_from_wire, policy_to_wire

__all__ = ["BankCalls"]


class BankCalls(Calls):
    """Creates and changes banks."""

    async def create_bank(
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
        request = pb.CreateBankRequest(
            request_id=request_id or new_request_id(),
            name=name,
            label=label,
            action=int(action),  # type: ignore[arg-type]
            kinds=_kinds(thresholds),
            activation=int(activation),  # type: ignore[arg-type]
            policy=None if policy is None else policy_to_wire(policy),
        )
        response = await self._connection.unary(self._connection.blocklist.CreateBank, request)
        return bank_from_wire(response.bank)

    async def get_bank(self, bank: str) -> Bank:
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
        request = pb.GetBankRequest(bank=bank)
        response = await self._connection.unary(self._connection.blocklist.GetBank, request)
        return bank_from_wire(response.bank)

    def list_banks(
        self,
        *,
        state: BankState | None = None,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> AsyncGenerator[Bank]:
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
        request = pb.ListBanksRequest(state=int(state or 0))  # type: ignore[arg-type]
        banks = self._connection.items(
            self._connection.blocklist.ListBanks,
            request,
            lambda page: page.banks,
            bank_from_wire,
            cursor,
        )
        return created_since(banks, since, cursor)

    async def update_bank(
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
        request = pb.UpdateBankRequest(
            request_id=request_id or new_request_id(),
            bank=bank,
            etag=etag,
            name=name,
            label=label,
            action=int(action or 0),  # type: ignore[arg-type]
            kinds=_kinds(thresholds),
            activation=int(activation or 0),  # type: ignore[arg-type]
            policy=None if policy is None else policy_to_wire(policy),
        )
        response = await self._connection.unary(self._connection.blocklist.UpdateBank, request)
        return bank_from_wire(response.bank)

    async def archive_bank(
        self, bank: str, *, etag: str = "", request_id: str | None = None
    ) -> Bank:
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
        request = pb.ArchiveBankRequest(
            request_id=request_id or new_request_id(), bank=bank, etag=etag
        )
        response = await self._connection.unary(self._connection.blocklist.ArchiveBank, request)
        return bank_from_wire(response.bank)


def _kinds(thresholds: Mapping[Kind, int] | None) -> list[pb.KindThreshold]:
    return [
        pb.KindThreshold(kind=int(kind), max_distance=most)  # type: ignore[arg-type]
        for kind, most in (thresholds or {}).items()
    ]
