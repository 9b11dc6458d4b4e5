"""Lists are imported: read line by line, and added block by block as one import."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.engine.index.live import Snapshot, usable
from hashmatch.errors import ListReversed, PermissionDenied
from hashmatch.lists.reader import Item, ListReader
from hashmatch.model.call import Call
from hashmatch.model.callers import Role
from hashmatch.model.imports import Format, Import, ImportProblem, ImportState
from hashmatch.model.records import Bank, Page, Provenance
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind
from hashmatch.model.views import FULL
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.bulk import NewEntries
from hashmatch.store.contents import Contents, content_of
from hashmatch.store.imports import Counts, ImportStore, Known
from hashmatch.usecases.replica import Replica

__all__ = ["Imports", "ListSaid"]

# Entries that are added together, and about how many hashes they have at most: what was added
# stays if the rest never comes.
_BLOCK: Final = 10_000
_BLOCK_HASHES: Final = 200_000

_MOST_PROBLEMS: Final = 100_000

# PDQ hashes that are looked for in other orders, before anything is added; and of how many one
# must be found in an order, and none as they are, for the list to be taken for one in that order.
_SAMPLE: Final = 2_000
_REVERSED: Final = 3

_Digests = npt.NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, slots=True)
class ListSaid:
    """What is said of a list beside its lines: ``form`` and ``kind`` where it does not say them
    itself, what to call the one entry of a list that is one, and why its entries are there. They
    are ``pending`` whatever the bank asks for, or as it does.
    """

    form: Format | None = None
    kind: Kind | None = None
    reference: str = ""
    label: str = ""
    provenance: Provenance = dataclasses.field(default_factory=Provenance)
    pending: bool = False


class Imports:
    """One per server."""

    def __init__(self, store: ImportStore, blocklist: BlocklistStore, replica: Replica) -> None:
        """``replica`` follows what both store."""
        self._store = store
        self._blocklist = blocklist
        self._replica = replica

    async def add(
        self,
        call: Call,
        bank: str,
        said: ListSaid,
        chunks: AsyncIterator[bytes],
        *,
        dry_run: bool = False,
    ) -> Import:
        """Imports a list whose bytes are ``chunks``. What is broken in it is told and left out;
        what the bank has already stays as it is. A ``dry_run`` only tells what would come of it.

        A request that broke off goes on where it was, if it is sent again. Raises `InvalidField`
        if this is no list, `ListReversed`, `BankNotFound`, `BankArchived`, `PermissionDenied`,
        `RequestIdReused` and whatever ``chunks`` raises.
        """
        found = await asyncio.to_thread(self._blocklist.get_bank, bank)
        if not call.caller.may_touch(found.bank_id, found.name):
            raise PermissionDenied
        work = _Work(found, said, self._replica.snapshot)
        begun = None
        if not dry_run:
            begun = await asyncio.to_thread(self._store.begin, call, found.bank_id, said.provenance)
            if begun.state is not ImportState.UNFINISHED:
                return begun
        work.known = await asyncio.to_thread(self._store.known, found.bank_id)
        async for chunk in chunks:
            await asyncio.to_thread(work.feed, chunk)
            while block := work.block():
                await self._add(call, work, block, begun)
        await asyncio.to_thread(work.finish)
        while block := work.block(last=True):
            await self._add(call, work, block, begun)
        if begun is None:
            return _tried(found, work)
        finished = await asyncio.to_thread(
            self._store.finish,
            call,
            begun.import_id,
            work.reader.form,
            work.counts,
            work.problems,
        )
        await self._replica.current()
        return finished

    async def _add(
        self, call: Call, work: _Work, block: Sequence[Item], begun: Import | None
    ) -> None:
        made = await asyncio.to_thread(_entries, block, work.said)
        if begun is None:
            contents = made.contents or ()
            places, withdrawn = await asyncio.to_thread(work.known.contents.sorted_out, contents)
            work.known.contents.add(contents[place] for place in places)
            work.would_create += len(places)
        else:
            _, withdrawn = await asyncio.to_thread(
                self._store.add,
                call,
                begun.import_id,
                made,
                usable,
                work.known,
                pending=work.said.pending,
            )
        work.counts = dataclasses.replace(
            work.counts,
            items=work.counts.items + len(block),
            withdrawn_before=work.counts.withdrawn_before + withdrawn,
        )

    async def approve(self, call: Call, import_id: str, why: str = "") -> Import:
        """Brings all its pending entries into use. Raises `ImportNotFound`, `EntryNotPending`,
        `SecondPersonNeeded`, `BankArchived`; `PermissionDenied` as `Blocklist.approve_entry`.
        """
        found = await self.get(call, import_id)
        if Role.APPROVER not in call.caller.roles:
            bank = await asyncio.to_thread(self._blocklist.get_bank, found.bank_id)
            if not call.caller.may_approve_own(bank.activation, found.proposed_by):
                raise PermissionDenied
        approved = await asyncio.to_thread(self._store.approve, call, import_id, why)
        await self._replica.current()
        return approved

    async def withdraw(self, call: Call, import_id: str, why: str = "") -> Import:
        """Takes all its entries out of use. Raises `ImportNotFound`, `PermissionDenied`."""
        await self.get(call, import_id)
        withdrawn = await asyncio.to_thread(self._store.withdraw, call, import_id, why)
        await self._replica.current()
        return withdrawn

    async def get(self, call: Call, import_id: str) -> Import:
        """Raises `ImportNotFound`, `PermissionDenied`."""
        found = await asyncio.to_thread(self._store.get, import_id)
        if not call.caller.may_touch(found.bank_id, found.bank_name):
            raise PermissionDenied
        return found

    async def list(self, call: Call, before: int, limit: int) -> Page[Import]:
        """Newest first. Raises `PermissionDenied` to a caller who may not see all banks."""
        if call.caller.banks is not None:
            raise PermissionDenied
        return await asyncio.to_thread(self._store.list, before, limit)


class _Work:
    """One list, as far as it was read."""

    def __init__(self, bank: Bank, said: ListSaid, snapshot: Snapshot) -> None:
        self.bank = bank
        self.said = said
        self.reader = ListReader(frozenset(bank.thresholds), said.form, said.kind)
        self.counts = Counts()
        self.problems: list[ImportProblem] = []
        self.known = Known(Contents(), 0)
        self.would_create = 0  # Of a dry run.
        self._items: list[Item] = []
        self._hashes = 0  # Of the items.
        self._snapshot = snapshot
        self._order_checked = False

    def feed(self, chunk: bytes) -> None:
        """Reads more."""
        self._take(self.reader.feed(chunk))

    def finish(self) -> None:
        """There is no more."""
        self._take(self.reader.finish())
        self.counts = dataclasses.replace(self.counts, lines=self.reader.lines)

    def block(self, *, last: bool = False) -> list[Item]:
        """The next items to add; none if more have to be read first. Raises `ListReversed`."""
        if len(self._items) < _BLOCK and self._hashes < _BLOCK_HASHES and not last:
            return []
        if not self._order_checked:
            _check_order(self._items[:_SAMPLE], self._snapshot)
            self._order_checked = True
        end = hashes = 0
        while end < min(_BLOCK, len(self._items)) and hashes < _BLOCK_HASHES:
            hashes += len(self._items[end].hashes)
            end += 1
        block, self._items = self._items[:end], self._items[end:]
        self._hashes -= hashes
        return block

    def _take(self, read: Iterable[Item | ImportProblem]) -> None:
        broken = 0
        for each in read:
            if isinstance(each, Item):
                self._items.append(each)
                self._hashes += len(each.hashes)
                continue
            broken += 1
            if len(self.problems) < _MOST_PROBLEMS:
                self.problems.append(each)
        self.counts = dataclasses.replace(self.counts, broken=self.counts.broken + broken)


def _tried(bank: Bank, work: _Work) -> Import:
    counts, now = work.counts, datetime.datetime.now(datetime.UTC)
    created = work.would_create
    return Import(
        import_id="",
        bank_id=bank.bank_id,
        bank_name=bank.name,
        state=ImportState.UNFINISHED,
        format=work.reader.form,
        lines=counts.lines,
        created=created,
        known=counts.known(created),
        withdrawn_before=counts.withdrawn_before,
        broken=counts.broken,
        provenance=work.said.provenance,
        proposed_by="",
        approved_by="",
        revision=0,
        create_time=now,
        update_time=now,
        dry_run=True,
        problems=tuple(work.problems),
    )


def _entries(items: Sequence[Item], said: ListSaid) -> NewEntries:
    hashes = []
    for kind in sorted({each.kind for item in items for each in item.hashes}):
        parts = [[each for each in item.hashes if each.kind is kind] for item in items]
        flat = [each for part in parts for each in part]
        digests = np.frombuffer(b"".join([each.digest for each in flat]), np.uint8)
        signals = Signals(
            kind,
            digests.reshape(-1, kind.width),
            np.array([each.quality for each in flat], np.uint8),
            np.array([each.pts_ms for each in flat], np.int64),
            np.array([each.view for each in flat], np.uint8),
        )
        hashes.append((signals, np.cumsum([0, *map(len, parts)])))
    return NewEntries(
        [item.reference or said.reference for item in items],
        [item.label or said.label for item in items],
        hashes,
        [content_of([(each.kind, each.digest) for each in item.hashes]) for item in items],
    )


# Orders that lists were found to be written in by mistake: a digest's bytes, or its 16 words, the
# other way round, each as it is; all of its bits; the bytes of each word.
_ORDERS: Final[Mapping[str, Callable[[_Digests], _Digests]]] = {
    "their bytes the other way round": lambda some: some[:, ::-1],
    "their 16-bit words the other way round": lambda some: some.reshape(-1, 16, 2)[:, ::-1].reshape(
        -1, 32
    ),
    "their bits the other way round": lambda some: np.packbits(
        np.unpackbits(some, axis=1)[:, ::-1], axis=1
    ),
    "the two bytes of each word exchanged": lambda some: some.reshape(-1, 16, 2)[
        :, :, ::-1
    ].reshape(-1, 32),
}


def _check_order(items: Sequence[Item], snapshot: Snapshot) -> None:
    """Raises `ListReversed` if PDQ hashes match what is listed in another order alone."""
    found = (each.digest for item in items for each in item.hashes if each.kind is Kind.PDQ)
    digests = list(itertools.islice(found, _SAMPLE))
    if not digests:
        return
    some = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, Kind.PDQ.width)
    if _matching(some, snapshot):
        return
    for order, changed in _ORDERS.items():
        if _matching(np.ascontiguousarray(changed(some)), snapshot) >= min(_REVERSED, len(some)):
            raise ListReversed(
                "none of the list's PDQ hashes matches what is listed as they are written, and "
                f"several do with {order}; write them as PDQ's reference implementation does"
            )


def _matching(digests: npt.NDArray[np.uint8], snapshot: Snapshot) -> int:
    count = len(digests)
    signals = Signals(
        Kind.PDQ,
        digests,
        np.full(count, 100, np.uint8),
        np.arange(count, dtype=np.int64),
        np.full(count, FULL, np.uint8),
    )
    return len(np.unique(snapshot.search(signals).media_row))
