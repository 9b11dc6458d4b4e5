"""Screens a media: what matches it, what was looked at, and so what may become of it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import time
import weakref
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from hashmatch.access.disclosure import Clock, as_told
from hashmatch.access.probing import ProbingWatch
from hashmatch.decoding.admission import Ticket
from hashmatch.decoding.intake import Inspected, Intake, Looks
from hashmatch.engine import policy
from hashmatch.engine.hashing.exact import ExactHasher
from hashmatch.engine.hashing.versions import HASH_VERSIONS
from hashmatch.engine.index.live import Matches, Snapshot, usable
from hashmatch.engine.policy import Judgement
from hashmatch.engine.sampling import densities
from hashmatch.errors import RequestIdReused
from hashmatch.model import ids
from hashmatch.model.call import Call
from hashmatch.model.callers import Caller
from hashmatch.model.records import Coverage, MediaInfo, Page, Reason, Screening
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind, Verdict, VerdictReason
from hashmatch.store.screenings import ScreeningStore
from hashmatch.telemetry import logs, metrics
from hashmatch.usecases.flood_watch import FloodWatch
from hashmatch.usecases.replica import Replica

__all__ = ["Screenings"]

_log = logs.get_logger(__name__)


class Screenings:
    """One per server."""

    def __init__(
        self, store: ScreeningStore, replica: Replica, intake: Intake, flood_watch: FloodWatch
    ) -> None:
        """All four are ready for use."""
        self._flood_watch = flood_watch
        self._store = store
        self._replica = replica
        self._intake = intake
        self._probing = ProbingWatch(store.note_probing)
        self._in_flight: weakref.WeakValueDictionary[str, asyncio.Lock] = (
            weakref.WeakValueDictionary()
        )

    def check_room(self) -> None:
        """Raises `Overloaded` where `screen` would now: ask before the upload's first byte."""
        self._intake.check_room()

    async def screen(
        self, call: Call, chunks: AsyncIterator[bytes], announced_size: int = 0
    ) -> Screening:
        """Screens a media as its ``chunks`` arrive; may return before they end, to callers who see
        evidence.

        The same request id with another fingerprint raises `RequestIdReused`. Raises `Overloaded`
        before anything else is done; `UploadTooSlow`, `UploadMismatch`, `SpoolFull`,
        `StoreUnavailable` and whatever ``chunks`` raises; what is wrong with the media is in the
        verdict.
        """
        clock = Clock()
        chunks = clock.watching(chunks)
        async with self._once(call.request_id):
            with self._intake.admitted() as ticket:
                screening = await self._screen(ticket, call, chunks, announced_size)
        return await self._told(call, screening, clock)

    async def _screen(
        self, ticket: Ticket, call: Call, chunks: AsyncIterator[bytes], announced_size: int
    ) -> Screening:
        began = _Begun.now()
        answered = await asyncio.to_thread(self._store.answer_to, call)
        if answered is not None:
            await _check_same(answered.media, chunks)
            return answered
        search = _Search(await self._replica.newest())
        looks = Looks(
            search.snapshot.kinds_to_compute,
            self._intake.upload,
            turns=True,
        )
        inspected = await self._intake.inspect(
            ticket,
            chunks,
            announced_size,
            looks,
            search.add if call.caller.sees_evidence else search.add_all,
            functools.partial(self._known, looks),
        )
        if inspected.again:
            search = _Search(search.snapshot)
            await search.add_all(inspected.signals)
        kinds = looks.kinds | {Kind.SHA256}  # Names the media, so it is there in any case.
        screening = await self._conclude(call, began, search, inspected, kinds)
        self._probing.look_nearby(call.caller, screening, inspected.signals, search.snapshot)
        return screening

    async def screen_signals(
        self, call: Call, signals: Sequence[Signals], duration_ms: int
    ) -> Screening:
        """Screens media that the caller hashed. Raises `RequestIdReused`, `StoreUnavailable`."""
        clock = Clock()
        async with self._once(call.request_id):
            screening = await self._screen_signals(call, signals, duration_ms)
        return await self._told(call, screening, clock)

    async def _screen_signals(
        self, call: Call, signals: Sequence[Signals], duration_ms: int
    ) -> Screening:
        began = _Begun.now()
        answered = await asyncio.to_thread(self._store.answer_to, call)
        if answered is not None:
            return answered
        search = _Search(await self._replica.newest())
        await search.add_all(signals)
        inspected = _claimed(signals, duration_ms)
        kinds = frozenset(each.kind for each in signals)
        screening = await self._conclude(call, began, search, inspected, kinds)
        self._probing.look_nearby(call.caller, screening, inspected.signals, search.snapshot)
        return screening

    async def confirm(self, call: Call, screening_id: str) -> Screening:
        """Judges a stored screening against the blocklist of now.

        Raises `ScreeningNotFound`, also for another caller's; `RequestIdReused`,
        `StoreUnavailable`.
        """
        clock = Clock()
        async with self._once(call.request_id):
            screening = await self._confirm(call, screening_id, _owner(call.caller))
        return await self._told(call, screening, clock)

    async def _confirm(self, call: Call, screening_id: str, owner: str | None) -> Screening:
        began = _Begun.now()
        answered = await asyncio.to_thread(self._store.answer_to, call)
        if answered is not None:
            return answered
        stored = await asyncio.to_thread(self._store.get_stored, screening_id, owner)
        search = _Search(await self._replica.newest())
        await search.add_all(stored.signals)
        versions = stored.screening.hash_versions
        doubts = [
            *stored.coverage_reasons,
            *self._blocklist_doubts(search.snapshot, frozenset(versions), versions),
            *_look_doubts(stored.screening, self._intake.look_version),
        ]
        judgement = await self._judge(search, doubts, stored.screening.media.sha256)
        judged = _rejudged(stored.screening, judgement, search.snapshot.revision, began)
        return await asyncio.to_thread(self._store.add_judgement, call, judged)

    async def get(self, call: Call, screening_id: str) -> Screening:
        """With its newest verdict. Raises `ScreeningNotFound`, also for another caller's."""
        found = await asyncio.to_thread(self._store.get, screening_id, _owner(call.caller))
        return as_told(found, call.caller)

    async def list(
        self,
        call: Call,
        before: int,
        limit: int,
        verdict: Verdict | None,
        since: datetime.datetime | None,
    ) -> Page[Screening]:
        """Newest first; the caller's own, unless it sees all."""
        since_ms = None if since is None else round(since.timestamp() * 1000)
        page = await asyncio.to_thread(
            self._store.list, before, limit, verdict, since_ms, _owner(call.caller)
        )
        return replace(page, items=tuple(as_told(each, call.caller) for each in page.items))

    async def _told(self, call: Call, screening: Screening, clock: Clock) -> Screening:
        """What the caller is told, at a time that says no more."""
        if not call.caller.sees_evidence:
            self._probing.answered(call.caller, screening.verdict)
            await clock.tick()
        return as_told(screening, call.caller)

    @contextlib.asynccontextmanager
    async def _once(self, request_id: str) -> AsyncIterator[None]:
        """A repeat that comes while the first is still at work waits for its answer."""
        lock = self._in_flight.setdefault(request_id, asyncio.Lock())
        async with lock:
            yield

    async def _known(self, looks: Looks, sha256: bytes) -> Inspected | None:
        """What an earlier screening saw of the same bytes, if it saw all that is looked at now, and
        by the same version of what looks.
        """
        version = self._intake.look_version
        stored = await asyncio.to_thread(self._store.find_whole, sha256, version)
        if stored is None or not version:
            return None
        screening = stored.screening
        present = {kind: HASH_VERSIONS[kind] for kind in looks.kinds}
        if not present.items() <= screening.hash_versions.items():
            return None
        return Inspected(
            stored.signals,
            screening.media,
            screening.coverage,
            (),
            again=True,
            seed=stored.seed,
            look_version=screening.look_version,
        )

    async def _conclude(
        self,
        call: Call,
        began: _Begun,
        search: _Search,
        inspected: Inspected,
        kinds: frozenset[Kind],
    ) -> Screening:
        """Judges a media that was just hashed by ``kinds``, and stores the screening."""
        newest = await self._replica.newest()
        if newest.revision != search.snapshot.revision:
            # The blocklist changed while the media was looked at: search it all again, so that
            # the verdict belongs to one revision, and to the newest.
            search = _Search(newest)
            await search.add_all(inspected.signals)
        versions = {kind: HASH_VERSIONS[kind] for kind in sorted(kinds)}
        doubts = [
            *inspected.reasons,
            *self._blocklist_doubts(search.snapshot, kinds, versions),
        ]
        judgement = await self._judge(search, doubts, inspected.media.sha256)
        screening = Screening(
            screening_id=began.screening_id,
            verdict=judgement.verdict,
            reasons=judgement.reasons,
            evidence=judgement.evidence,
            unacted=judgement.unacted,
            media=inspected.media,
            coverage=inspected.coverage,
            blocklist_revision=search.snapshot.revision,
            hash_versions=versions,
            create_time=began.time,
            judge_time=datetime.datetime.now(datetime.UTC),
            elapsed_ms=_since_ms(began),
            look_version=inspected.look_version,
        )
        stored = await asyncio.to_thread(
            self._store.add,
            call,
            screening,
            inspected.signals,
            inspected.reasons,
            inspected.seed,
        )
        self._flood_watch.begin(stored, search.snapshot.banks.values())
        metrics.SCREENINGS.labels(stored.verdict.name).inc()
        metrics.SCREENING_SECONDS.observe(stored.elapsed_ms / 1000)
        _log.info(
            "screened",
            screening_id=stored.screening_id,
            verdict=stored.verdict.name,
            reasons=[reason.code.name for reason in stored.reasons],
            size_bytes=stored.media.size_bytes,
            format=stored.media.format,
            revision=stored.blocklist_revision,
            again=inspected.again,
            elapsed_ms=round(stored.elapsed_ms, 1),
        )
        return stored

    def _blocklist_doubts(
        self, snapshot: Snapshot, kinds: frozenset[Kind], versions: Mapping[Kind, str]
    ) -> Iterable[Reason]:
        """Why a media that was hashed by ``kinds`` could still match unseen."""
        if not self._replica.is_fresh:
            yield Reason(
                VerdictReason.BLOCKLIST_STALE,
                "the store was not heard of for too long; what was added since is not known",
            )
        yield from _kind_doubts(snapshot, kinds, versions)

    async def _judge(self, search: _Search, doubts: Sequence[Reason], sha256: bytes) -> Judgement:
        found = await asyncio.to_thread(search.found)
        evidence = found.evidence(await self._replica.entry_refs(found.entries), sha256)
        obscure = await asyncio.to_thread(search.obscure)
        return policy.judge(evidence, (*doubts, *policy.flat_doubts(obscure)))


def _owner(caller: Caller) -> str | None:
    """Whose screenings a caller sees; None: all."""
    return None if caller.sees_evidence else caller.caller_id


async def _check_same(answered: MediaInfo, chunks: AsyncIterator[bytes]) -> None:
    """Reads a media that comes again, so that another one under the same request_id does not get
    its verdict. One that was decided before its end has no hash to compare, nor needs one: its
    verdict is a match. Raises `RequestIdReused`.
    """
    if not answered.sha256:
        return
    hasher = ExactHasher(())
    size = 0
    async for chunk in chunks:
        hasher.update(chunk)
        size += len(chunk)
        if size > answered.size_bytes:
            break
    if hasher.sha256 != answered.sha256:
        raise RequestIdReused("request_id: it was used for another media; make a new one")


class _Search:
    """All matches of one media in one snapshot, as its hashes come."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._found: list[Matches] = []
        self._searched: dict[Kind, int] = {}  # How many hashes so far.
        self.squares: list[Signals] = []  # What `policy.agreements` weighs.
        self._whole: list[Signals] = []  # PDQ, to be searched again if all are flat.

    @property
    def matches(self) -> list[Matches]:
        """One `Matches` of each kind that found something."""
        kinds = {each.kind for each in self._found}
        return [
            Matches.concatenate([each for each in self._found if each.kind is kind])
            for kind in sorted(kinds)
        ]

    async def add(self, signals: Sequence[Signals]) -> bool:
        """Searches more hashes; true if by now the verdict is BLOCK whatever still comes."""
        await self.add_all(signals)
        if policy.may_overrule_files(self.snapshot):
            return False
        snapshot = self.snapshot
        return policy.sure_block(self.matches, snapshot.banks, snapshot.quarantined)

    async def add_all(self, signals: Sequence[Signals]) -> bool:
        """Likewise; never says that it is enough."""
        found = await asyncio.to_thread(lambda: [self.snapshot.search(each) for each in signals])
        for each, one in zip(signals, found, strict=True):
            # Several pictures may be of one time: of other streams, or on other grounds.
            before = self._searched.get(each.kind, 0)
            self._searched[each.kind] = before + int(usable(each).sum())
            if len(one):
                self._found.append(replace(one, media_row=one.media_row + before))
        self.squares += [each for each in signals if each.kind is Kind.PDQ_PATCH]
        self._whole += [each for each in signals if each.kind is Kind.PDQ]
        return False

    def found(self) -> policy.Found:
        """All that was found, when all of the media is here. Takes its time."""
        flat = [self.snapshot.search_flat(each) for each in Signals.concatenate(self._whole)]
        return policy.Found.of(self.matches, self.squares, self.snapshot, flat[0] if flat else None)

    def obscure(self) -> int:
        """How many frames cannot be told from those of the blocklist: see `Snapshot.obscure`."""
        return sum(self.snapshot.obscure(each) for each in Signals.concatenate(self._whole))


def _kind_doubts(
    snapshot: Snapshot, kinds: frozenset[Kind], versions: Mapping[Kind, str]
) -> Iterable[Reason]:
    """Where the kinds that media was hashed by are not those that would find all."""
    # An entry whose bank has changed its kinds since may have none left to match by.
    if not snapshot.active_entries or not snapshot.kinds_to_search:
        yield Reason(
            VerdictReason.BLOCKLIST_EMPTY, "the blocklist has no active entry; nothing can match"
        )
    missing = snapshot.kinds_to_search - kinds
    if missing:
        names = ", ".join(kind.name for kind in sorted(missing))
        yield Reason(VerdictReason.KIND_MISSING, f"the blocklist uses {names}; it was not computed")
    changed = sorted(kind for kind in kinds if versions[kind] != HASH_VERSIONS[kind])
    if changed:
        names = ", ".join(kind.name for kind in changed)
        yield Reason(
            VerdictReason.HASH_VERSION_CHANGED,
            f"{names} was computed by another version; screen the media again",
        )


def _look_doubts(screening: Screening, present: str) -> Iterable[Reason]:
    """Where a media was looked at by another version than is at work now. What was not seen as a
    whole has reasons of its own; and a caller's hashes were not seen here.
    """
    coverage = screening.coverage
    if coverage.complete and not coverage.by_caller and screening.look_version != present:
        yield Reason(
            VerdictReason.LOOK_VERSION_CHANGED,
            "it was looked at by another version, and this one may see more; upload it again",
        )


def _claimed(signals: Sequence[Signals], duration_ms: int) -> Inspected:
    """What a caller who hashed the media says was looked at, checked as far as it can be."""
    times = [np.unique(each.pts_ms) for each in signals if not each.kind.exact]
    largest_gap = max(
        (int(np.diff(each, prepend=0, append=duration_ms).max()) for each in times), default=0
    )
    frames = max((len(each) for each in times), default=0)
    # A frame is flat if none of its hashes is rich, as where a worker looks at it.
    flat = [
        len(np.setdiff1d(each.pts_ms, each.pts_ms[usable(each)]))
        for each in signals
        if not each.kind.exact
    ]
    all_flat = [count for count, each in zip(flat, times, strict=True) if count == len(each)]
    reasons = []
    if largest_gap > densities.MAX_GAP_MS:
        reasons.append(
            Reason(
                VerdictReason.COVERAGE_GAP,
                f"{largest_gap} ms without a hash, {densities.MAX_GAP_MS} ms are allowed",
            )
        )
    if all_flat:
        reasons.append(
            Reason(
                VerdictReason.ALL_FRAMES_FLAT,
                f"all {max(all_flat)} frames of a kind are too flat to match by",
            )
        )
    coverage = Coverage(
        complete=not reasons,
        duration_content_ms=duration_ms,
        frames_hashed=frames,
        frames_flat=max(flat, default=0),
        largest_gap_ms=largest_gap,
        by_caller=True,
    )
    sha256 = next((bytes(each.digests[0]) for each in signals if each.kind is Kind.SHA256), b"")
    media = MediaInfo(sha256=sha256, duration_header_ms=duration_ms)
    return Inspected(Signals.concatenate(signals), media, coverage, tuple(reasons))


def _rejudged(
    screening: Screening, judgement: Judgement, revision: int, began: _Begun
) -> Screening:
    return replace(
        screening,
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        evidence=judgement.evidence,
        unacted=judgement.unacted,
        blocklist_revision=revision,
        judge_time=datetime.datetime.now(datetime.UTC),
        elapsed_ms=_since_ms(began),
    )


class _Begun(NamedTuple):
    """When a call began. Its screening is named then: an id tells the time, and that of the
    judgement would tell how long it took.
    """

    monotonic: float
    time: datetime.datetime
    screening_id: str

    @classmethod
    def now(cls) -> _Begun:
        return cls(time.monotonic(), datetime.datetime.now(datetime.UTC), ids.new_id(ids.SCREENING))


def _since_ms(began: _Begun) -> float:
    return (time.monotonic() - began.monotonic) * 1000
