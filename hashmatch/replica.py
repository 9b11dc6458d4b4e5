"""The blocklist in memory: a snapshot that follows the store's log of changes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from hashmatch.index.live import Snapshot
from hashmatch.model.records import EntryRef
from hashmatch.store.blocklist import BlocklistStore

__all__ = ["Replica"]

_CHANGES_AT_ONCE: Final = 1000


class Replica:
    """One per server. Whoever changes the store calls `current` before it answers."""

    def __init__(self, store: BlocklistStore) -> None:
        """Has an empty snapshot until `load`."""
        self._store = store
        self._snapshot = Snapshot()
        self._refreshing = asyncio.Lock()

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot that was made; see `current` for one that is surely fresh."""
        return self._snapshot

    async def load(self) -> None:
        """Makes the first snapshot from all that is stored."""
        async with self._refreshing:
            self._snapshot = await asyncio.to_thread(self._load)

    async def current(self) -> Snapshot:
        """A snapshot no older than this call: asks the store for changes of any server."""
        if await asyncio.to_thread(self._store.revision) != self._snapshot.revision:
            async with self._refreshing:
                self._snapshot = await asyncio.to_thread(self._follow, self._snapshot)
        return self._snapshot

    def _load(self) -> Snapshot:
        revision, banks, active = self._store.load()
        snapshot = Snapshot()
        for seq, bank in banks.items():
            snapshot = snapshot.with_bank(revision, seq, bank)
        for seq, bank_seq, signals in active:
            snapshot = snapshot.with_entry(revision, seq, bank_seq, signals)
        return snapshot

    def _follow(self, snapshot: Snapshot) -> Snapshot:
        while changes := self._store.changes_since(snapshot.revision, _CHANGES_AT_ONCE):
            for change in changes:
                snapshot = snapshot.with_bank(change.revision, change.bank_seq, change.bank)
                if change.entry_seq is None:
                    continue
                if change.what == "entry_created":
                    signals = self._store.entry_signals(change.entry_seq)
                    snapshot = snapshot.with_entry(
                        change.revision, change.entry_seq, change.bank_seq, signals
                    )
                elif change.what == "entry_withdrawn":
                    snapshot = snapshot.without_entry(
                        change.revision, change.entry_seq, change.bank_seq
                    )
        return snapshot

    async def entry_refs(self, entry_seqs: Sequence[int]) -> dict[int, EntryRef]:
        """Names of entries, by sequence number."""
        return await asyncio.to_thread(self._store.entry_refs, entry_seqs) if entry_seqs else {}
