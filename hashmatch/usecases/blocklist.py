"""The blocklist as its keepers see it: banks, entries, and the rules for both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from hashmatch.decoding.intake import Intake, Looks
from hashmatch.engine.hashing.exact import ExactHasher
from hashmatch.engine.index.live import matchable
from hashmatch.engine.sampling import densities
from hashmatch.errors import BankArchived, InvalidField, MediaUnusable, PermissionDenied
from hashmatch.model.call import Call
from hashmatch.model.callers import Role
from hashmatch.model.commands import BankEdit, NewEntry
from hashmatch.model.records import (
    DEFAULT_THRESHOLDS,
    Bank,
    BankPolicy,
    Coverage,
    Entry,
    Page,
    Reason,
)
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import (
    Action,
    Activation,
    BankState,
    EntryState,
    Kind,
    VerdictReason,
)
from hashmatch.store.audit import Audit
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.usecases.replica import Replica

__all__ = ["Blocklist"]

_ALL: Final = 100


class Blocklist:
    """Every change is in effect on this server when its method returns."""

    def __init__(
        self, store: BlocklistStore, replica: Replica, intake: Intake, audit: Audit
    ) -> None:
        """``replica`` follows ``store``, and ``audit`` is its trail."""
        self._audit = audit
        self._store = store
        self._replica = replica
        self._intake = intake

    # Banks

    async def create_bank(
        self,
        call: Call,
        name: str,
        label: str,
        action: Action,
        thresholds: Mapping[Kind, int] | None,
        activation: Activation = Activation.ONE_PERSON,
        bank_policy: BankPolicy | None = None,
    ) -> Bank:
        """Raises `InvalidField`, `BankExists`, `RequestIdReused`."""
        chosen = dict(thresholds or DEFAULT_THRESHOLDS)
        _check_thresholds(chosen, action)
        _check_policy(bank_policy, action)
        bank = await asyncio.to_thread(
            self._store.create_bank, call, name, label, action, chosen, activation, bank_policy
        )
        await self._replica.current()
        return bank

    async def update_bank(self, call: Call, bank: str, etag: str, edit: BankEdit) -> Bank:
        """Raises `InvalidField`, `BankNotFound`, `BankExists`, `BankArchived`, `EtagMismatch`,
        `RequestIdReused`.
        """
        if edit != BankEdit(name=edit.name, label=edit.label, state=edit.state):
            before = await self.get_bank(bank)
            action = edit.action or before.action
            _check_thresholds(edit.thresholds or before.thresholds, action)
            _check_policy(edit.policy or before.policy, action)
        updated = await asyncio.to_thread(self._store.update_bank, call, bank, etag, edit)
        await self._replica.current()
        return updated

    async def archive_bank(self, call: Call, bank: str, etag: str) -> Bank:
        """Raises as `update_bank`."""
        return await self.update_bank(call, bank, etag, BankEdit(state=BankState.ARCHIVED))

    async def get_bank(self, bank: str) -> Bank:
        """By id or name. Raises `BankNotFound`."""
        return await asyncio.to_thread(self._store.get_bank, bank)

    async def list_banks(self, before: int, limit: int, state: BankState | None) -> Page[Bank]:
        """Newest first."""
        return await asyncio.to_thread(self._store.list_banks, before, limit, state)

    # Entries

    async def create_entry(self, call: Call, bank: str, new: NewEntry) -> Entry:
        """Of hashes of kinds that the bank uses; others are left out.

        Raises `MediaUnusable` if none is rich enough to match by, `BankNotFound`, `BankArchived`,
        `PermissionDenied`, `RequestIdReused`.
        """
        await self._check_own(call, bank)
        return await self._create_entry(call, bank, new)

    async def _create_entry(self, call: Call, bank: str, new: NewEntry) -> Entry:
        answered = await asyncio.to_thread(self._store.entry_answer, call)
        if answered is not None:
            return answered  # Whatever became of the bank since.
        thresholds = (await self.get_bank(bank)).thresholds
        kept = [each for each in new.signals if each.kind in thresholds and len(each)]
        if not any(matchable(each).any() for each in kept):
            raise MediaUnusable(
                "none of its hashes is of a kind that the bank uses and rich enough to match by",
                media_reason="NOTHING_USABLE",
            )
        entry = await asyncio.to_thread(
            self._store.create_entry, call, bank, replace(new, signals=kept), matchable
        )
        await self._replica.current()
        return entry

    async def create_entry_from_media(
        self,
        call: Call,
        bank: str,
        new: NewEntry,
        chunks: AsyncIterator[bytes],
        announced_size: int = 0,
    ) -> Entry:
        """Hashes a media more closely than an upload is looked at, and makes an entry of it: all
        of ``new`` but what the media says.

        Raises `MediaUnusable` if the bank wants hashes of frames and no frame gives one, what
        `create_entry` raises, `Overloaded`, `UploadTooSlow`, `UploadMismatch`, `SpoolFull` and
        whatever ``chunks`` raises.
        """
        await self._check_own(call, bank)
        if await asyncio.to_thread(self._store.knows, call.request_id):
            call = _with_media(call, await _sha256(chunks))
            answered = await asyncio.to_thread(self._store.entry_answer, call)
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
        if wants_frames and not any(matchable(each).any() for each in of_frames):
            reason = next(iter(inspected.reasons), _nothing_shown(inspected.coverage))
            raise MediaUnusable(
                f"no entry can be made of this media: {reason.detail}",
                media_reason=reason.code.name,
            )
        call = _with_media(call, inspected.media.sha256)
        made = replace(
            new,
            signals=inspected.signals,
            coverage=inspected.coverage,
            reasons=inspected.reasons,
        )
        return await self._create_entry(call, bank, made)

    async def approve_entry(self, call: Call, entry_id: str, why: str = "") -> Entry:
        """Raises `EntryNotFound`, `EntryNotPending`, `SecondPersonNeeded`, `BankArchived`,
        `RequestIdReused`; `PermissionDenied` for another's bank, and to one who is no approver
        unless he could have brought it into use when he made it.
        """
        approver = Role.APPROVER in call.caller.roles
        if call.caller.banks is not None or not approver:
            found = await self.get_entry(call, entry_id)
            bank = await self.get_bank(found.ref.bank_id)
            if not approver and not call.caller.may_approve_own(bank.activation, found.proposed_by):
                raise PermissionDenied
        entry = await asyncio.to_thread(self._store.approve_entry, call, entry_id, why)
        await self._replica.current()
        return entry

    async def withdraw_entry(self, call: Call, entry_id: str, why: str = "") -> Entry:
        """Raises `EntryNotFound`, `PermissionDenied`, `RequestIdReused`."""
        if call.caller.banks is not None:
            await self.get_entry(call, entry_id)
        entry = await asyncio.to_thread(self._store.withdraw_entry, call, entry_id, why)
        await self._replica.current()
        return entry

    async def release_entry(self, call: Call, entry_id: str, why: str = "") -> Entry:
        """Raises `EntryNotFound`, `EntryNotQuarantined`, `PermissionDenied`, `RequestIdReused`."""
        if call.caller.banks is not None:
            await self.get_entry(call, entry_id)
        entry = await asyncio.to_thread(self._store.release_entry, call, entry_id, why)
        await self._replica.current()
        return entry

    async def expire_entries(self) -> int:
        """Puts entries out of use whose time is over; returns how many. Raises
        `StoreUnavailable`.
        """
        expired = await asyncio.to_thread(self._store.expire_entries, round(time.time() * 1000))
        if expired:
            await self._replica.current()
        return expired

    async def get_entry(self, call: Call, entry_id: str) -> Entry:
        """Raises `EntryNotFound`, `PermissionDenied`."""
        entry = await asyncio.to_thread(self._store.get_entry, entry_id)
        if not call.caller.may_touch(entry.ref.bank_id, entry.ref.bank_name):
            raise PermissionDenied
        return entry

    async def list_entries(
        self, call: Call, before: int, limit: int, bank: str | None, state: EntryState | None
    ) -> Page[Entry]:
        """Newest first. Raises `BankNotFound`; `PermissionDenied` for another's bank, and for all
        of them to a caller who may not see all.
        """
        if bank is not None:
            await self._check_own(call, bank)
        elif call.caller.banks is not None:
            raise PermissionDenied
        if call.caller.caller_id:
            details = {"bank": bank or "", "before": before, "limit": limit}
            await asyncio.to_thread(
                self._audit.note, "entries_listed", bank or "", details, call.caller.caller_id
            )
        return await asyncio.to_thread(self._store.list_entries, before, limit, bank, state)

    async def _check_own(self, call: Call, bank: str) -> None:
        """Raises `PermissionDenied` unless a bank is one of the caller's own; `BankNotFound`."""
        if call.caller.banks is None:
            return
        found = await self.get_bank(bank)
        if not call.caller.may_touch(found.bank_id, found.name):
            raise PermissionDenied


def _check_thresholds(thresholds: Mapping[Kind, int], action: Action) -> None:
    forged = sorted(thresholds.keys() & {Kind.SHA1, Kind.MD5})
    if action is Action.OVERRULE and forged:
        names = ", ".join(kind.name for kind in forged)
        raise InvalidField(
            "kinds", f"{names} in a negative bank; files can be made that share it, use SHA256"
        )
    for kind, most in thresholds.items():
        if most > kind.largest_threshold:
            raise InvalidField(
                "kinds",
                f"a max_distance of {most} for {kind.name}; at most "
                f"{kind.largest_threshold} is allowed",
            )


def _check_policy(policy: BankPolicy | None, action: Action) -> None:
    if action is Action.OVERRULE and policy and policy.traffic_percent != _ALL:
        raise InvalidField(
            "policy.traffic_percent",
            f"{policy.traffic_percent} of a negative bank; it overrules for all uploads or, in "
            "shadow, for none",
        )


def _nothing_shown(coverage: Coverage) -> Reason:
    """Why media without fault has no hash to match by."""
    if coverage.frames_flat:
        return Reason(
            VerdictReason.ALL_FRAMES_FLAT, "it shows one colour or bars, and nothing else"
        )
    return Reason(VerdictReason.NO_FRAMES, "no frames")


def _with_media(call: Call, sha256: bytes) -> Call:
    """The call with a fingerprint that tells another file of the same request id apart."""
    return replace(call, fingerprint=f"{call.fingerprint} {sha256.hex()}")


async def _sha256(chunks: AsyncIterator[bytes]) -> bytes:
    hasher = ExactHasher(())
    async for chunk in chunks:
        hasher.update(chunk)
    return hasher.sha256


async def _never(_: Sequence[Signals]) -> bool:
    return False
