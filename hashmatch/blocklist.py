"""The blocklist as its keepers see it: banks, entries, and the rules for both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from hashmatch.errors import BankArchived, InvalidField, MediaUnusable
from hashmatch.hashing.exact import ExactHasher
from hashmatch.index.live import usable
from hashmatch.intake import Intake, Looks
from hashmatch.model.records import (
    DEFAULT_THRESHOLDS,
    Bank,
    Coverage,
    Entry,
    Page,
    Reason,
)
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Action, BankState, EntryState, Kind
from hashmatch.replica import Replica
from hashmatch.sampling import densities
from hashmatch.store.blocklist import BankEdit, BlocklistStore, Request

__all__ = ["Blocklist"]


class Blocklist:
    """Every change is in effect on this server when its method returns."""

    def __init__(self, store: BlocklistStore, replica: Replica, intake: Intake) -> None:
        """``replica`` follows ``store``."""
        self._store = store
        self._replica = replica
        self._intake = intake

    # Banks

    async def create_bank(
        self,
        request: Request,
        name: str,
        label: str,
        action: Action,
        thresholds: Mapping[Kind, int] | None,
    ) -> Bank:
        """Raises `InvalidField`, `BankExists`, `RequestIdReused`."""
        chosen = dict(thresholds or DEFAULT_THRESHOLDS)
        _check_thresholds(chosen)
        bank = await asyncio.to_thread(
            self._store.create_bank, request, name, label, action, chosen
        )
        await self._replica.current()
        return bank

    async def update_bank(self, request: Request, bank: str, etag: str, edit: BankEdit) -> Bank:
        """Raises `InvalidField`, `BankNotFound`, `BankExists`, `BankArchived`, `EtagMismatch`,
        `RequestIdReused`.
        """
        if edit.thresholds is not None:
            _check_thresholds(edit.thresholds)
        updated = await asyncio.to_thread(self._store.update_bank, request, bank, etag, edit)
        await self._replica.current()
        return updated

    async def archive_bank(self, request: Request, bank: str, etag: str) -> Bank:
        """Raises as `update_bank`."""
        return await self.update_bank(request, bank, etag, BankEdit(state=BankState.ARCHIVED))

    async def get_bank(self, bank: str) -> Bank:
        """By id or name. Raises `BankNotFound`."""
        return await asyncio.to_thread(self._store.get_bank, bank)

    async def list_banks(self, before: int, limit: int, state: BankState | None) -> Page[Bank]:
        """Newest first."""
        return await asyncio.to_thread(self._store.list_banks, before, limit, state)

    # Entries

    async def create_entry(
        self,
        request: Request,
        bank: str,
        reference: str,
        label: str,
        signals: Sequence[Signals],
    ) -> Entry:
        """Of hashes of kinds that the bank uses; others are left out.

        Raises `MediaUnusable` if none is rich enough to match by, `BankNotFound`, `BankArchived`,
        `RequestIdReused`.
        """
        return await self._create_entry(request, bank, reference, label, signals, (None, ()))

    async def _create_entry(
        self,
        request: Request,
        bank: str,
        reference: str,
        label: str,
        signals: Sequence[Signals],
        looked_at: tuple[Coverage | None, tuple[Reason, ...]],
    ) -> Entry:
        answered = await asyncio.to_thread(self._store.entry_answer, request)
        if answered is not None:
            return answered  # Whatever became of the bank since.
        thresholds = (await self.get_bank(bank)).thresholds
        kept = [each for each in signals if each.kind in thresholds and len(each)]
        if not any(usable(each).any() for each in kept):
            raise MediaUnusable(
                "none of its hashes is of a kind that the bank uses and rich enough to match by",
                media_reason="NOTHING_USABLE",
            )
        entry = await asyncio.to_thread(
            self._store.create_entry,
            request,
            bank,
            reference,
            label,
            kept,
            usable,
            *looked_at,
        )
        await self._replica.current()
        return entry

    async def create_entry_from_media(
        self,
        request: Request,
        bank: str,
        reference: str,
        label: str,
        chunks: AsyncIterator[bytes],
        announced_size: int = 0,
    ) -> Entry:
        """Hashes a media more closely than an upload is looked at, and makes an entry of it.

        Raises `MediaUnusable` if the bank wants hashes of frames and no frame gives one, what
        `create_entry` raises, `Overloaded`, `UploadTooSlow`, `UploadMismatch`, `SpoolFull` and
        whatever ``chunks`` raises.
        """
        if await asyncio.to_thread(self._store.knows, request.request_id):
            request = _with_media(request, await _sha256(chunks))
            answered = await asyncio.to_thread(self._store.entry_answer, request)
            if answered is not None:
                return answered
        found = await self.get_bank(bank)
        if found.state is BankState.ARCHIVED:  # Said before the media is received for nothing.
            raise BankArchived(f"bank {found.name!r} is archived and takes no entries")
        looks = Looks(
            frozenset(found.thresholds),
            densities.ENTRY,
            turns=False,
        )
        with self._intake.admitted() as ticket:
            inspected = await self._intake.inspect(ticket, chunks, announced_size, looks, _never)
        of_frames = [each for each in inspected.signals if not each.kind.exact]
        wants_frames = any(not kind.exact for kind in found.thresholds)
        if wants_frames and not any(usable(each).any() for each in of_frames):
            reason = inspected.reasons[0] if inspected.reasons else None
            raise MediaUnusable(
                f"no entry can be made of this media: {reason.detail if reason else 'no frames'}",
                media_reason=reason.code.name if reason else "NO_FRAMES",
            )
        request = _with_media(request, inspected.media.sha256)
        return await self._create_entry(
            request,
            bank,
            reference,
            label,
            inspected.signals,
            (inspected.coverage, inspected.reasons),
        )

    async def withdraw_entry(self, request: Request, entry_id: str) -> Entry:
        """Raises `EntryNotFound`, `RequestIdReused`."""
        entry = await asyncio.to_thread(self._store.withdraw_entry, request, entry_id)
        await self._replica.current()
        return entry

    async def get_entry(self, entry_id: str) -> Entry:
        """Raises `EntryNotFound`."""
        return await asyncio.to_thread(self._store.get_entry, entry_id)

    async def list_entries(
        self, before: int, limit: int, bank: str | None, state: EntryState | None
    ) -> Page[Entry]:
        """Newest first. Raises `BankNotFound`."""
        return await asyncio.to_thread(self._store.list_entries, before, limit, bank, state)


def _check_thresholds(thresholds: Mapping[Kind, int]) -> None:
    for kind, most in thresholds.items():
        if most > kind.largest_threshold:
            raise InvalidField(
                "kinds",
                f"a max_distance of {most} for {kind.name}; at most "
                f"{kind.largest_threshold} is allowed",
            )


def _with_media(request: Request, sha256: bytes) -> Request:
    """The request as it is told from one of the same id for another media."""
    return replace(request, fingerprint=f"{request.fingerprint} {sha256.hex()}")


async def _sha256(chunks: AsyncIterator[bytes]) -> bytes:
    hasher = ExactHasher(())
    async for chunk in chunks:
        hasher.update(chunk)
    return hasher.sha256


async def _never(_: Sequence[Signals]) -> bool:
    return False
