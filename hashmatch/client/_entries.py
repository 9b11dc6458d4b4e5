"""What the client calls to keep entries."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

from hashmatch.client._connection import new_request_id
from hashmatch.client._gate import Gate
from hashmatch.client._media import MediaReader, MediaSource, Progress, begin_upload
from hashmatch.client._paging import Cursor
from hashmatch.model.records import Entry, Provenance
from hashmatch.model.verdicts import EntryState
from hashmatch.v1 import blocklist_service_pb2 as pb
from hashmatch.v1 import common_pb2
from hashmatch.wire.records import entry_from_wire, provenance_to_wire, timestamp

__all__ = ["EntryCalls"]


class EntryCalls:
    """A part of `hashmatch.client.AsyncClient`."""

    _blocklist: Any
    _gate: Gate
    _unary: Callable[..., Any]
    _upload: Callable[..., Any]
    _items: Callable[..., AsyncGenerator[Any]]

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
        """Makes an entry of a video or an image, which is hashed and not kept. It is
        ``pending`` until it is approved, if that is asked for or the bank takes two persons.
        """
        header = pb.CreateEntryFromMediaHeader(
            request_id=request_id or new_request_id(),
            bank=bank,
            reference=reference,
            label=label,
            provenance=None if provenance is None else provenance_to_wire(provenance),
            expire_time=None if expire_time is None else timestamp(expire_time),
            pending=pending,
        )

        def call(reader: MediaReader, timeout: float | None) -> Awaitable[Any]:
            header.size_bytes = reader.size

            return self._gate.answer(
                lambda left: begin_upload(
                    self._blocklist.CreateEntryFromMedia,
                    pb.CreateEntryFromMediaRequest(header=header),
                    lambda chunk: pb.CreateEntryFromMediaRequest(chunk=chunk),
                    reader,
                    progress,
                    left,
                ),
                timeout,
            )

        response = await self._upload(media, call, timeout_seconds)
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
        """Makes an entry of hashes; else as `add_entry`."""
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
        response = await self._unary(self._blocklist.CreateEntryFromSignals, request)
        return entry_from_wire(response.entry)

    async def get_entry(self, entry_id: str) -> Entry:
        """An entry."""
        request = pb.GetEntryRequest(entry_id=entry_id)
        response = await self._unary(self._blocklist.GetEntry, request)
        return entry_from_wire(response.entry)

    def list_entries(
        self,
        *,
        bank: str = "",
        state: EntryState | None = None,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> AsyncGenerator[Entry]:
        """Entries, newest first."""
        request = pb.ListEntriesRequest(bank=bank)
        request.state = state or 0  # type: ignore[assignment]
        return self._items(
            self._blocklist.ListEntries,
            request,
            "entries",
            entry_from_wire,
            cursor=cursor,
            since=since,
        )

    async def approve_entry(
        self, entry_id: str, *, why: str = "", request_id: str | None = None
    ) -> Entry:
        """Brings an entry into use that waits; see ApproveEntry."""
        request = pb.ApproveEntryRequest(
            request_id=request_id or new_request_id(), entry_id=entry_id, why=why
        )
        response = await self._unary(self._blocklist.ApproveEntry, request)
        return entry_from_wire(response.entry)

    async def withdraw_entry(
        self, entry_id: str, *, why: str = "", request_id: str | None = None
    ) -> Entry:
        """Takes an entry out of use, or declines one that is pending."""
        request = pb.WithdrawEntryRequest(
            request_id=request_id or new_request_id(), entry_id=entry_id, why=why
        )
        response = await self._unary(self._blocklist.WithdrawEntry, request)
        return entry_from_wire(response.entry)
