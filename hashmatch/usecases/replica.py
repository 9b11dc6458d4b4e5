"""The blocklist in memory: a snapshot that follows the store's log of changes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

from hashmatch.engine.index import snapshot as snapshot_files
from hashmatch.engine.index.live import Snapshot
from hashmatch.errors import ChangesCompacted, SnapshotUnusable, StoreUnavailable
from hashmatch.model.records import EntryRef
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.telemetry import logs
from hashmatch.telemetry.background import meanwhile

__all__ = ["DEFAULT_STALENESS_SECONDS", "Replica"]

# A store that was not heard of for so long makes the blocklist stale.
DEFAULT_STALENESS_SECONDS: Final = 10.0

_CHANGES_AT_ONCE: Final = 1000

# An index file that is further behind than this is not worth following from.
_MOST_BEHIND: Final = 100_000

# The store is asked for changes at least this often, announced or not.
_POLL_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 0.2

T = TypeVar("T")

_log = logs.get_logger(__name__)


class Replica:
    """One per server. Whoever changes the store calls `current` before it answers."""

    def __init__(
        self,
        store: BlocklistStore,
        *,
        file: Path | None = None,
        max_staleness_seconds: float = DEFAULT_STALENESS_SECONDS,
    ) -> None:
        """Has an empty snapshot until `load`. ``file`` is where the index is kept, so that it need
        not be made anew at the next start.
        """
        self._store = store
        self._file = file
        self._max_staleness_seconds = max_staleness_seconds
        self._snapshot = Snapshot()
        self._heard = -float("inf")  # When the store last said that there is nothing newer.
        self._moved = asyncio.Event()  # Set, and replaced, when there is a newer revision.
        self._changing = asyncio.Lock()  # Held by whoever makes the next snapshot.
        self._compacting: asyncio.Task[None] | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot that was made; see `current` for one that is surely fresh."""
        return self._snapshot

    @property
    def is_fresh(self) -> bool:
        """False if the store was not heard of for longer than it may."""
        return time.monotonic() - self._heard <= self._max_staleness_seconds

    async def load(self) -> None:
        """Makes the first snapshot, from the file if there is one that can be used, else from all
        that is stored. Raises `StoreUnavailable`.
        """
        async with self._changing:
            began = time.monotonic()
            kept = await asyncio.to_thread(self._load_file)
            if kept is None:
                self._snapshot = await asyncio.to_thread(self._load)
            else:
                self._snapshot = kept
            self._heard = began
        if kept is None:
            await asyncio.to_thread(self._save)
        self._compact_soon()

    async def current(self) -> Snapshot:
        """A snapshot no older than this call: asks the store for changes of any server. Raises
        `StoreUnavailable`.
        """
        asked = time.monotonic()
        if await asyncio.to_thread(self._store.revision) != self._snapshot.revision:
            async with self._changing:
                self._snapshot = await asyncio.to_thread(self._followed, self._snapshot)
            self.wake()
            self._compact_soon()
        self._heard = max(self._heard, asked)
        return self._snapshot

    async def newest(self) -> Snapshot:
        """Likewise; if the store cannot be asked, the newest there is: see `is_fresh`."""
        try:
            return await self.current()
        except StoreUnavailable:
            return self._snapshot

    async def wait_beyond(self, revision: int, seconds: float) -> None:
        """Until there may be a change after ``revision``, at most so long."""
        if self._snapshot.revision <= revision:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), seconds)

    def wake(self) -> None:
        """Ends every `wait_beyond`."""
        self._moved.set()
        self._moved = asyncio.Event()

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Meanwhile changes of other servers are followed as they are announced."""
        try:
            async with meanwhile(self._follow_always()):
                yield
        finally:
            await self.close()

    async def close(self) -> None:
        """Ends what goes on in the background."""
        if self._compacting is not None:
            await self._compacting

    async def entry_refs(self, entry_seqs: Sequence[int]) -> dict[int, EntryRef]:
        """Names of entries, by sequence number."""
        return await asyncio.to_thread(self._store.entry_refs, entry_seqs) if entry_seqs else {}

    async def _follow_always(self) -> None:
        loop, was_heard = asyncio.get_running_loop(), True
        # Waiting takes a thread of its own: those that all share may be busy.
        with concurrent.futures.ThreadPoolExecutor(1, "hashmatch-follow") as waiting:
            while True:
                try:
                    with contextlib.ExitStack() as stack:
                        listening = self._store.listen()
                        listener = await _to_its_end(
                            loop.run_in_executor(waiting, stack.enter_context, listening)
                        )
                        while True:
                            # Asked after listening began, so that nothing is missed in between.
                            await self.current()
                            if not was_heard:
                                _log.info("store_heard_again", revision=self._snapshot.revision)
                            was_heard = True
                            await _to_its_end(
                                loop.run_in_executor(waiting, listener.wait, _POLL_SECONDS)
                            )
                except StoreUnavailable as error:
                    if was_heard:
                        _log.warning("store_not_heard", error=str(error))
                    was_heard = False
                except Exception:
                    # Whatever it is, a server that no longer follows would be of no use.
                    _log.exception("following_failed")
                    was_heard = False
                await asyncio.sleep(_RETRY_SECONDS)

    def _compact_soon(self) -> None:
        if self._compacting is None or self._compacting.done():
            self._compacting = asyncio.create_task(self._compact())

    async def _compact(self) -> None:
        """Searches and changes go on meanwhile."""
        try:
            if await self._compact_all():
                await asyncio.to_thread(self._save)
        except Exception:
            # What is there can still be searched; the next change tries again.
            _log.exception("compaction_failed")

    async def _compact_all(self) -> bool:
        compacted = False
        while True:
            async with self._changing:
                begun = self._snapshot.begin_compaction()
                if begun is None:
                    return compacted
                self._snapshot, work = begun
            done = await asyncio.to_thread(work.run)
            async with self._changing:
                self._snapshot = self._snapshot.end_compaction(done)
            compacted = True

    def _load_file(self) -> Snapshot | None:
        if self._file is None:
            return None
        try:
            kept = snapshot_files.load(self._file, self._store.store_id())
        except FileNotFoundError:
            return None
        except (OSError, SnapshotUnusable) as error:
            _log.warning("index_file_unusable", error=_said(error))
            return None
        with self._store.load() as active:
            behind = active.revision - kept.revision
            if not 0 <= behind <= _MOST_BEHIND:
                _log.warning("index_file_unusable", error=f"it is {behind} revisions behind")
                return None
            if kept.lacks_flat and behind:
                _log.warning("index_file_unusable", error="it is older, and has no flat hashes")
                return None
            if kept.lacks_flat:
                kept = kept.with_flat(active.signals)
            for seq, bank in active.banks.items():
                kept = kept.with_bank(kept.revision, seq, bank)
            kept = kept.with_quarantine(kept.revision, active.quarantined)
        try:
            return self._follow(kept)
        except ChangesCompacted as error:
            _log.warning("index_file_unusable", error=str(error))
            return None

    def _load(self) -> Snapshot:
        snapshot = Snapshot()
        with self._store.load() as active:
            for seq, bank in active.banks.items():
                snapshot = snapshot.with_bank(active.revision, seq, bank)
                snapshot = snapshot.with_entries(active.revision, seq, bank.active_entries)
            snapshot = snapshot.with_quarantine(active.revision, active.quarantined)
            snapshot = snapshot.with_signals(active.signals)
        while (begun := snapshot.begin_compaction()) is not None:
            snapshot, work = begun
            snapshot = snapshot.end_compaction(work.run())
        return snapshot

    def _save(self) -> None:
        if self._file is None:
            return
        try:
            snapshot_files.save(self._file, self._store.store_id(), self._snapshot)
        except (OSError, StoreUnavailable) as error:
            # The next start takes longer, and that is all.
            _log.warning("index_file_not_saved", error=_said(error))

    def _followed(self, snapshot: Snapshot) -> Snapshot:
        if self._store.revision() < snapshot.revision:
            # A backup was restored: what has come since is no longer in force.
            _log.warning("store_set_back", revision=snapshot.revision)
            return self._load()
        try:
            return self._follow(snapshot)
        except ChangesCompacted:
            _log.warning("changes_no_longer_kept", revision=snapshot.revision)
            return self._load()

    def _follow(self, snapshot: Snapshot) -> Snapshot:
        while changes := self._store.changes_since(snapshot.revision, _CHANGES_AT_ONCE):
            with self._store.signals_of(changes) as signals:
                snapshot = snapshot.with_signals(signals)
            for change in changes:
                snapshot = snapshot.with_bank(change.revision, change.bank_seq, change.bank)
                if change.kind.brings:
                    snapshot = snapshot.with_entries(
                        change.revision, change.bank_seq, change.entries
                    )
                elif change.kind.takes and change.kind.is_of_many:
                    snapshot = snapshot.without_entries(
                        change.revision, self._store.left_by(change.revision), change.bank_seq
                    )
                elif change.kind.takes and change.entry_seq is not None:
                    snapshot = snapshot.without_entry(
                        change.revision, change.entry_seq, change.bank_seq
                    )
            if any(change.kind.affects_quarantine for change in changes):
                quarantined = self._store.quarantined()
                snapshot = snapshot.with_quarantine(snapshot.revision, quarantined)
        return snapshot


async def _to_its_end(future: asyncio.Future[T]) -> T:
    """What a thread does. Who is cancelled waits for it: it uses what would be closed."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait({future})
        raise


def _said(error: Exception) -> str:
    """What an error says that may be logged: no name of a file."""
    return (error.strerror or "") if isinstance(error, OSError) else str(error)
