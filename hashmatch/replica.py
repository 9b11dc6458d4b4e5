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
        self._changing = asyncio.Lock()  # Held by whoever makes the next snapshot.
        self._compacting: asyncio.Task[None] | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot that was made; see `current` for one that is surely fresh."""
        return self._snapshot

    async def load(self) -> None:
        """Makes the first snapshot from all that is stored."""
        async with self._changing:
            self._snapshot = await asyncio.to_thread(self._load)

    async def current(self) -> Snapshot:
        """A snapshot no older than this call: asks the store for changes of any server."""
        if await asyncio.to_thread(self._store.revision) != self._snapshot.revision:
            async with self._changing:
                self._snapshot = await asyncio.to_thread(self._follow, self._snapshot)
            self._compact_soon()
        return self._snapshot

    async def close(self) -> None:
        """Ends what goes on in the background."""
        if self._compacting is not None:
            await self._compacting

    def _compact_soon(self) -> None:
        if self._compacting is None or self._compacting.done():
            self._compacting = asyncio.create_task(self._compact())

    async def _compact(self) -> None:
        """Searches and changes go on meanwhile."""
        while True:
            async with self._changing:
                begun = self._snapshot.begin_compaction()
                if begun is None:
                    return
                self._snapshot, work = begun
            done = await asyncio.to_thread(work.run)
            async with self._changing:
                self._snapshot = self._snapshot.end_compaction(done)

    def _load(self) -> Snapshot:
        snapshot = Snapshot()
        with self._store.load() as active:
            for seq, bank in active.banks.items():
                snapshot = snapshot.with_bank(active.revision, seq, bank)
                snapshot = snapshot.with_entries(active.revision, seq, bank.active_entries)
            snapshot = snapshot.with_signals(active.signals)
        while (begun := snapshot.begin_compaction()) is not None:
            snapshot, work = begun
            snapshot = snapshot.end_compaction(work.run())
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
