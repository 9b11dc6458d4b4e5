"""What an entry or an import would have done: told before it does any harm.

It is put into an index of its own, as if its bank were live on all uploads, and stored hashes of
screenings and of benign entries are searched in that. What is near is weighed and judged by
`engine.policy`, as uploads are.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from hashmatch.engine import policy
from hashmatch.engine.hashing.versions import HASH_VERSIONS
from hashmatch.engine.index.live import FLAT_UPLOAD, Matches, Snapshot, usable
from hashmatch.engine.policy import Judgement
from hashmatch.errors import PermissionDenied
from hashmatch.model.call import Call
from hashmatch.model.callers import Caller
from hashmatch.model.previews import Preview, PreviewedBenign, PreviewedScreening, PreviewTally
from hashmatch.model.records import BankPolicy, EntryRef, Evidence
from hashmatch.model.signals import EntrySignals, Signals, view_code
from hashmatch.model.verdicts import Action, BankMode, Effect, Kind, Part, Verdict
from hashmatch.store.audit import Audit
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.previews import Candidate, Of, Previewed, PreviewStore, Seen
from hashmatch.usecases.replica import Replica

__all__ = ["DEFAULT_SCREENINGS", "MOST_SCREENINGS", "Previews"]

DEFAULT_SCREENINGS: Final = 1_000
MOST_SCREENINGS: Final = 10_000

_SAMPLES: Final = 20
_EVIDENCE: Final = 10  # Of each.

# Screenings or benign entries that are looked at together, and hashes that are searched together.
_BLOCK: Final = 500
_HASHES_AT_ONCE: Final = 10_000

_AT_WORK_SECONDS: Final = 0.02

_MOST_REFS: Final = 10_000

_VIEW: Final = view_code(Part.FULL)
_NOBODY: Final = np.empty(0, np.int64)
_HELD: Final = (Verdict.BLOCK, Verdict.REVIEW)
_SERIOUS: Final = {Verdict.BLOCK: 2, Verdict.REVIEW: 1, Verdict.NO_MATCH: 0}
_TOLD: Final = {
    Verdict.BLOCK: "would_block",
    Verdict.REVIEW: "would_review",
    Verdict.NO_MATCH: "without_effect",
}

T = TypeVar("T")


class Previews:
    """One per server; for use within one event loop.

    A preview takes a thread of its own, which gives up the GIL while it searches and reads, and
    half of one core's time. In memory are the index of what is previewed (220 bytes a hash while
    it is made), ten thousand hashes that are searched at once or all of one upload that has more,
    and what these found.
    """

    def __init__(
        self, store: PreviewStore, blocklist: BlocklistStore, replica: Replica, audit: Audit
    ) -> None:
        """``replica`` follows what all of them store."""
        self._store = store
        self._blocklist = blocklist
        self._replica = replica
        self._audit = audit
        self._turn = asyncio.Lock()  # Two at once would leave uploads little of a small machine.

    async def of_entry(
        self,
        call: Call,
        entry_id: str,
        screenings: int = DEFAULT_SCREENINGS,
        *,
        benign: bool = True,
    ) -> Preview:
        """Of an entry in any state, compared with so many of the newest ``screenings`` and, with
        ``benign``, the entries of negative banks. Waits for previews that came before. One that is
        cancelled ends within a block. Raises `EntryNotFound`, `BankArchived`, `PermissionDenied`.
        """
        return await self._preview(call, Previewed(entry_id=entry_id), screenings, benign)

    async def of_import(
        self,
        call: Call,
        import_id: str,
        screenings: int = DEFAULT_SCREENINGS,
        *,
        benign: bool = True,
    ) -> Preview:
        """Likewise, of all entries of an import. Raises `ImportNotFound`, `BankArchived`,
        `PermissionDenied`.
        """
        return await self._preview(call, Previewed(import_id=import_id), screenings, benign)

    async def _preview(
        self, call: Call, previewed: Previewed, screenings: int, benign: bool
    ) -> Preview:
        bank = await asyncio.to_thread(self._store.bank_of, previewed)
        if not call.caller.may_touch(bank.bank_id, bank.name):
            raise PermissionDenied
        if call.caller.caller_id:
            what = "entry_previewed" if previewed.entry_id else "import_previewed"
            subject = previewed.entry_id or previewed.import_id
            details = {"screenings": screenings, "benign": benign}
            await asyncio.to_thread(self._audit.note, what, subject, details, call.caller.caller_id)
        async with self._turn:
            live = await self._replica.newest()
            work = _Work(self._store, self._blocklist, live, call.caller)
            with concurrent.futures.ThreadPoolExecutor(1, "hashmatch-preview") as alone:
                loop = asyncio.get_running_loop()
                done = loop.run_in_executor(alone, work.run, previewed, screenings, benign)
                try:
                    return await asyncio.shield(done)
                except asyncio.CancelledError:
                    work.stop.set()
                    await asyncio.wait({done})
                    done.exception()  # Nobody is to be told.
                    raise


class _Stopped(Exception):
    """Nobody waits for it any more."""


class _Work:
    """One preview. Blocks."""

    def __init__(
        self, store: PreviewStore, blocklist: BlocklistStore, live: Snapshot, caller: Caller
    ) -> None:
        self.stop = threading.Event()
        self._store = store
        self._blocklist = blocklist
        self._live = live
        self._caller = caller
        self._rested = 0.0

    def run(self, previewed: Previewed, screenings: int, benign: bool) -> Preview:
        """Raises `_Stopped` after `stop` was set, and what the store raises."""
        self._rested = time.thread_time()
        with self._store.candidate(previewed) as found:
            judge = _Judge(found, self._indexed(found), self._live, self._blocklist)
        uploads, harmless = _Tally[PreviewedScreening](), _Tally[PreviewedBenign]()
        for block in self._newest(screenings):
            for seen, judged in self._matched(Of.SCREENING, block, judge, uploads):
                self._count_screening(seen, judged, judge, uploads)
        if benign:
            seqs = self._store.benign(previewed)
            for first in range(0, len(seqs), _BLOCK):
                block = self._store.entries_of(seqs[first : first + _BLOCK])
                for seen, judged in self._matched(Of.ENTRY, block, judge, harmless):
                    sample = PreviewedBenign(self._ref(seen), judged.verdict, judged.evidence)
                    harmless.add(judged, sample)
        return Preview(
            entries=found.entries,
            kinds=tuple(sorted(judge.kinds)),
            revision=self._live.revision,
            screenings=uploads.told(),
            benign=harmless.told(),
            screening_samples=uploads.samples(),
            benign_samples=harmless.samples(),
        )

    def _go_on(self) -> None:
        """Rests for as long as it was at work: uploads need the cores more. Raises `_Stopped`."""
        worked = time.thread_time() - self._rested
        if worked >= _AT_WORK_SECONDS:
            self.stop.wait(worked)
            self._rested = time.thread_time()
        if self.stop.is_set():
            raise _Stopped

    def _indexed(self, found: Candidate) -> Snapshot:
        """All that is previewed, and its bank as if it were live on all uploads. Nothing in it is
        quarantined: who looks at that wants to know what comes if it is released.
        """
        bank = replace(
            found.bank,
            policy=replace(found.bank.policy, mode=BankMode.LIVE, traffic_percent=100),
        )
        if bank.action is Action.OVERRULE:
            # Weighed like any other: that it is near is what is asked for.
            bank = replace(bank, action=Action.REVIEW, policy=BankPolicy(block_score=0))
        snapshot = Snapshot().with_bank(0, found.bank_seq, bank)
        snapshot = snapshot.with_entries(0, found.bank_seq, found.entries)
        snapshot = snapshot.with_signals(self._watched(found.signals))
        while (begun := snapshot.begin_compaction()) is not None:
            self._go_on()
            snapshot, work = begun
            snapshot = snapshot.end_compaction(work.run())
        return snapshot

    def _watched(self, parts: Iterable[EntrySignals]) -> Iterator[EntrySignals]:
        for part in parts:
            self._go_on()
            yield part

    def _newest(self, count: int) -> Iterator[list[Seen]]:
        before = 0
        while count and (block := self._store.newest_screenings(before, min(count, _BLOCK))):
            yield block
            before, count = block[-1].seq, count - len(block)

    def _matched(
        self, of: Of, block: Sequence[Seen], judge: _Judge, tally: _Tally[T]
    ) -> Iterator[tuple[Seen, _Judged]]:
        """Those of a block that would have been matched; all of it is counted as compared or not.

        What is near anything is found for many at once, and then looked at one by one.
        """
        sizes = self._store.sizes(of, [each.seq for each in block])
        kinds = {each.seq: _kinds(of, each, sizes) for each in block}
        near: set[int] = set()
        obscure: set[int] = set()
        for kind in judge.kinds:
            having = sizes.get(kind, {})
            some = {seq: count for seq, count in having.items() if kind in kinds[seq]}
            for seqs in _batches(some):
                self._go_on()
                for part in self._store.joined(of, kind, seqs):
                    near.update(judge.near(part))
                    for own in _flat_parts(part):
                        self._go_on()
                        near.update(judge.near_flat(own))
                        obscure.update(judge.obscure(own))
        for each in block:
            whole = each.whole and each.seq not in obscure
            tally.compare(judge.kinds, kinds[each.seq], whole=whole)
            if each.seq in near:
                self._go_on()
                signals = self._store.signals(of, each.seq)
                same = [one for one in signals if one.kind in kinds[each.seq]]
                judged = judge.judged(same, each, overruled=of is Of.SCREENING)
                if judged is not None:
                    yield each, judged

    def _count_screening(
        self, seen: Seen, judged: _Judged, judge: _Judge, tally: _Tally[PreviewedScreening]
    ) -> None:
        assert seen.verdict is not None  # Of screenings, both are there.
        assert seen.create_time is not None
        sample = PreviewedScreening(
            seen.screening_id, seen.verdict, seen.create_time, judged.verdict, judged.evidence
        )
        tally.add(judged, sample)
        if judged.verdict in _HELD and seen.verdict is Verdict.NO_MATCH:
            tally.counts["newly_held"] += 1
        if judge.is_negative and seen.verdict in _HELD and judge.lets_pass(judged.signals, seen):
            tally.counts["newly_passed"] += 1

    def _ref(self, seen: Seen) -> EntryRef:
        """Of a benign entry, as the caller may know it."""
        ref = self._blocklist.entry_refs([seen.seq])[seen.seq]
        if self._caller.may_touch(ref.bank_id, ref.bank_name):
            return ref
        return replace(ref, reference="", label="")


class _Judged(NamedTuple):
    """What is previewed would have made this of an upload, by these hashes of it."""

    verdict: Verdict
    evidence: tuple[Evidence, ...]
    signals: Sequence[Signals]

    @property
    def sureness(self) -> tuple[int, ...]:
        """The surest are highest."""
        first = self.evidence[0]
        return (
            _SERIOUS[self.verdict],
            first.effect is Effect.ACTS,
            first.kind.exact,
            -1 if first.score is None else first.score,
            -first.distance,
            first.frames,
        )


class _Judge:
    """What comes of uploads by what is previewed."""

    def __init__(
        self, found: Candidate, index: Snapshot, live: Snapshot, blocklist: BlocklistStore
    ) -> None:
        """``index`` has what was ``found``, and ``live`` what is in use."""
        self._seq, self._bank = found.bank_seq, found.bank
        self._index = index
        self._live = live
        self._blocklist = blocklist
        self._refs: dict[int, EntryRef] = {}
        self._negative = {seq: bank for seq, bank in live.banks.items() if bank.overrules}
        self.kinds = index.kinds_to_search
        self.is_negative = self._bank.action is Action.OVERRULE

    def near(self, part: EntrySignals) -> list[int]:
        """Whose hashes are near any that is previewed; ``entry`` of ``part`` says whose each is."""
        rows = self._index.search(_queries(part)).media_row
        found: list[int] = np.unique(part.entry[usable(part)][rows]).tolist()
        return found

    def near_flat(self, own: EntrySignals) -> list[int]:
        """Likewise, of one that has flat frames alone, by these."""
        return [int(own.entry[0])] if len(self._index.search_flat(_queries(own))) else []

    def obscure(self, own: EntrySignals) -> list[int]:
        """Likewise; whether it would be held because it cannot be told from what is previewed."""
        return [int(own.entry[0])] if self._index.obscure(_queries(own)) else []

    def judged(self, signals: Sequence[Signals], seen: Seen, *, overruled: bool) -> _Judged | None:
        """None if nothing is matched. ``overruled``: negative banks count."""
        matches, snapshot = _searched(self._index, signals), self._index
        flat = _searched_flat(self._index, signals)
        if not matches and not flat:
            return None
        if overruled and self._negative and not self.is_negative:
            only = replace(self._live, banks=self._negative)
            snapshot = replace(self._index, banks={**self._negative, **self._index.banks})
            matches = _joined([*matches, *_searched(only, signals)])
            flat = _joined([*flat, *_searched_flat(only, signals)])
        judgement = self._weighed(matches, flat, signals, snapshot, seen.sha256)
        evidence = (*judgement.evidence, *judgement.unacted)[:_EVIDENCE]
        if not evidence:
            return None
        if self.is_negative:
            evidence = tuple(replace(each, action=Action.OVERRULE) for each in evidence)
            return _Judged(Verdict.NO_MATCH, evidence, signals)
        return _Judged(judgement.verdict, evidence, signals)

    def lets_pass(self, signals: Sequence[Signals], seen: Seen) -> bool:
        """True if an upload is held by what is in use, and would not be with what is previewed
        among the negative banks.
        """
        snapshot = replace(self._live, banks={**self._live.banks, self._seq: self._bank})
        own = self._own
        there, there_flat = (
            [each.select(~np.isin(each.entry, own)) for each in search(self._live, signals)]
            for search in (_searched, _searched_flat)
        )
        both = _joined([*there, *_searched(self._index, signals)])
        both_flat = _joined([*there_flat, *_searched_flat(self._index, signals)])
        before, after = (
            self._weighed(some, flat, signals, snapshot, seen.sha256).verdict
            for some, flat in ((there, there_flat), (both, both_flat))
        )
        return before in _HELD and after not in _HELD

    @functools.cached_property
    def _own(self) -> npt.NDArray[np.int64]:
        """Numbers of the entries that are previewed."""
        tables = (*self._index.tables.values(), self._index.flat)
        columns = [segment.entry for table in tables for segment in table.segments]
        return np.unique(np.concatenate([*columns, _NOBODY])).astype(np.int64)

    def _weighed(
        self,
        matches: Sequence[Matches],
        flat: Sequence[Matches],
        signals: Sequence[Signals],
        snapshot: Snapshot,
        sha256: bytes,
    ) -> Judgement:
        squares = [each for each in signals if each.kind is Kind.PDQ_PATCH]
        found = policy.Found.of(matches, squares, snapshot, flat[0] if flat else None)
        evidence = found.evidence(self._named(found.entries), sha256)
        return policy.judge(evidence, ())

    def _named(self, seqs: Sequence[int]) -> Mapping[int, EntryRef]:
        """Names of entries; those of before are kept, which are often the same."""
        unknown = [seq for seq in seqs if seq not in self._refs]
        if unknown:
            if len(self._refs) > _MOST_REFS:
                self._refs, unknown = {}, list(seqs)
            self._refs |= self._blocklist.entry_refs(unknown)
        return self._refs


class _Tally(Generic[T]):
    """Of screenings, or of benign entries."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._missing: Counter[Kind] = Counter()
        self._samples: list[tuple[tuple[int, ...], T]] = []

    def compare(self, wanted: frozenset[Kind], kinds: frozenset[Kind], *, whole: bool) -> None:
        """One more, which can be compared by some ``kinds``; all of it was looked at, or not."""
        self._missing.update(wanted - kinds)
        if not wanted & kinds:
            self.counts["not_compared"] += 1
        else:
            all_of_it = whole and wanted <= kinds
            self.counts["compared" if all_of_it else "partly_compared"] += 1

    def add(self, judged: _Judged, sample: T) -> None:
        """One that would have been matched."""
        self.counts[_TOLD[judged.verdict]] += 1
        self._samples.append((judged.sureness, sample))
        if len(self._samples) >= 10 * _SAMPLES:
            self._sort()

    def _sort(self) -> None:
        self._samples.sort(key=lambda each: each[0], reverse=True)
        del self._samples[_SAMPLES:]

    def told(self) -> PreviewTally:
        """All that was counted."""
        return PreviewTally(missing=dict(self._missing), **self.counts)

    def samples(self) -> tuple[T, ...]:
        """The surest, surest first; of those that are as sure, the newest."""
        self._sort()
        return tuple(sample for _, sample in self._samples)


def _kinds(of: Of, seen: Seen, sizes: Mapping[Kind, Mapping[int, int]]) -> frozenset[Kind]:
    """By which something can be compared: hashes of different versions never are."""
    if of is Of.SCREENING:
        same = HASH_VERSIONS.items() & seen.versions.items()
        return frozenset(kind for kind, _ in same)
    return frozenset(kind for kind, counts in sizes.items() if seen.seq in counts)


def _batches(sizes: Mapping[int, int]) -> Iterator[list[int]]:
    """Those of which each has so many hashes, some at once."""
    batch: list[int] = []
    count = 0
    for seq, size in sizes.items():
        if batch and count + size > _HASHES_AT_ONCE:
            yield batch
            batch, count = [], 0
        batch.append(seq)
        count += size
    if batch:
        yield batch


def _searched(snapshot: Snapshot, signals: Iterable[Signals]) -> list[Matches]:
    """One for each kind that found something; of each kind there is one `Signals`."""
    found = (snapshot.search(each) for each in signals)
    return [each for each in found if len(each)]


def _searched_flat(snapshot: Snapshot, signals: Iterable[Signals]) -> list[Matches]:
    """Likewise, of what `_searched` leaves out where all frames are flat: one at most."""
    found = (snapshot.search_flat(each) for each in signals)
    return [each for each in found if len(each)]


def _queries(part: EntrySignals) -> Signals:
    """Hashes as those of an upload, without their views."""
    views = np.full(len(part.quality), _VIEW, np.uint8)
    return Signals(part.kind, part.digests, part.quality, part.pts_ms, views)


def _flat_parts(part: EntrySignals) -> Iterator[EntrySignals]:
    """The hashes of each, if they are PDQ and none is rich; ``entry`` of ``part`` says whose."""
    if part.kind is not Kind.PDQ:
        return
    flat = np.setdiff1d(part.entry, part.entry[part.quality >= FLAT_UPLOAD])
    for seq in flat:
        own = part.entry == seq
        yield EntrySignals(
            part.kind,
            part.digests[own],
            part.quality[own],
            part.pts_ms[own],
            part.entry[own],
            part.bank[own],
        )


def _joined(matches: Sequence[Matches]) -> list[Matches]:
    """One for each kind."""
    return [
        Matches.concatenate([each for each in matches if each.kind is kind])
        for kind in sorted({each.kind for each in matches})
    ]
