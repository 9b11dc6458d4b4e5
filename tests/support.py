"""What tests of the upper floors share: tiny media, hashes, and a server's parts put together."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import datetime
import functools
import io
import linecache
import os
import secrets
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from PIL import Image

from hashmatch.decoding import sandbox
from hashmatch.decoding.admission import Admission, AdmissionLimits
from hashmatch.decoding.intake import Inspected, Intake, IntakeLimits
from hashmatch.decoding.sandbox import Sandbox, WorkerLimits
from hashmatch.decoding.spool import SpoolBudget
from hashmatch.model.call import Call
from hashmatch.model.callers import UNRESTRICTED, Caller
from hashmatch.model.cases import CaseDecision
from hashmatch.model.commands import NewEntry
from hashmatch.model.records import (
    ALL_MISSED,
    NOT_KNOWN_MS,
    Bank,
    BankPolicy,
    Coverage,
    DecodeLimits,
    Entry,
    EntryRef,
    Evidence,
    KindCount,
    MediaInfo,
    Provenance,
    Reason,
    Screening,
    Segment,
)
from hashmatch.model.signals import Signals, view_code
from hashmatch.model.verdicts import (
    Action,
    Activation,
    BankMode,
    BankState,
    Category,
    Effect,
    EntryState,
    Kind,
    Part,
    Turn,
    Verdict,
    VerdictReason,
)
from hashmatch.server.grpc.server import Server
from hashmatch.store.database import Database
from hashmatch.usecases.assembly import UseCases, assemble

MIB = 1024 * 1024

# Tests run in their long forms: more files, more repetitions, all databases (`make torture`).
TORTURE = os.environ.get("HASHMATCH_TORTURE") == "1"

# For property tests: a machine with much else to do is no failure, and neither is a store that
# all examples share.
PATIENT = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def picture(seed: int, width: int = 96, height: int = 96) -> npt.NDArray[np.uint8]:
    """Blobs of several sizes, uint8 ``[height, width, 3]``: unlike those of every other seed, of a
    PDQ quality near 100, and so that encoding it changes few bits of its hash.
    """
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for blobs in (4, 8, 16, 32):
        coarse = Image.fromarray(random.integers(0, 256, (blobs, blobs, 3), np.uint8))
        total += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    return (total / 4).astype(np.uint8)


def image(seed: int, width: int = 96, height: int = 96) -> bytes:
    """A PNG file of `picture`."""
    return encoded(Image.fromarray(picture(seed, width, height)))


def flat_image() -> bytes:
    """A PNG file of one colour: nothing to hash."""
    return encoded(Image.new("RGB", (96, 96), (90, 90, 90)))


def noisy_image() -> bytes:
    """A PNG file of noise: flat, and with another hash each time that it is encoded."""
    noise = np.random.default_rng(1).normal(20, 6, (240, 320))
    return encoded(Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)))


def wall(number: int) -> bytes:
    """A PNG file of a wall out of focus: flat, and its hash is not steady."""
    down, across = np.mgrid[0:240, 0:320]
    rng = np.random.default_rng(number)
    grey = np.full((240, 320), 120.0)
    for _ in range(9):
        y, x, size = rng.uniform(0, 240), rng.uniform(0, 320), rng.uniform(15, 30)
        away = (down - y) ** 2 + (across - x) ** 2
        grey += rng.uniform(-70, 70) * np.exp(-away / (2 * size**2))
    return encoded(Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8)))


def card(number: int) -> bytes:
    """A PNG file with little in it, which PDQ calls flat."""
    down, across = np.mgrid[0:360, 0:640]
    grey = np.full((360, 640), 255, np.uint8)
    grey[np.hypot(down - 170 + 60 * number, across - 300 - 90 * number) < 20] = 135
    grey[205:212, 280 + 150 * number : 320 + 150 * number] = 155
    return encoded(Image.fromarray(grey))


def encoded(made: Image.Image, form: str = "PNG") -> bytes:
    """An image as a file."""
    buffer = io.BytesIO()
    made.save(buffer, form)
    return buffer.getvalue()


def clip(scenes: Sequence[int], fps: int = 4, quality: int = 3, frames: int | None = None) -> bytes:
    """A Matroska file that shows the `picture` of each seed for one second, or so many frames."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height = 96, 96
        stream.pix_fmt = "yuv420p"
        stream.options = {"qscale": str(quality), "flags": "qscale"}
        stream.gop_size = fps
        for seed in scenes:
            for _ in range(frames or fps):
                frame = av.VideoFrame.from_ndarray(picture(seed), format="rgb24")
                container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def reencoded(seed: int) -> bytes:
    """The same picture as `image` shows, in other bytes: a JPEG."""
    return encoded(Image.fromarray(picture(seed)), "JPEG")


def digests(seed: int, count: int = 1, kind: Kind = Kind.PDQ) -> npt.NDArray[np.uint8]:
    """Digests of no media at all, far from those of any other seed."""
    return np.random.default_rng(seed).integers(0, 256, (count, kind.width), np.uint8)


def signals(seed: int, count: int = 1, kind: Kind = Kind.PDQ, gap_ms: int = 1000) -> Signals:
    """Hashes of no media at all, ``gap_ms`` apart, of full quality."""
    return Signals(
        kind,
        digests(seed, count, kind),
        np.full(count, 100, np.uint8),
        np.arange(count, dtype=np.int64) * gap_ms,
        np.full(count, view_code(Part.FULL, Turn.NONE), np.uint8),
    )


def flipped(original: Signals, bits: int) -> Signals:
    """The same hashes, each with its first ``bits`` bits the other way round."""
    mask = np.packbits(np.arange(original.kind.width * 8) < bits)
    return Signals(
        original.kind,
        original.digests ^ mask,
        original.quality,
        original.pts_ms,
        original.view,
    )


def same_signals(left: Iterable[Signals], right: Iterable[Signals]) -> bool:
    """True if both are the same hashes in the same order."""
    return [(each.kind, each.columns()) for each in left] == [
        (each.kind, each.columns()) for each in right
    ]


def new_id() -> str:
    """A request_id nobody used."""
    return str(uuid.uuid4())


def new_request(said: str = "") -> Call:
    """A change nobody asked for before."""
    return Call(UNRESTRICTED, new_id(), f"fingerprint {said}")


def lets_others_run(work: Callable[[], object], call: str, patience: float = 60.0) -> bool:
    """Whether other threads run Python while ``work``, in a thread, is inside a call. ``call`` is a
    part of the line of source code that makes it.

    No thread is interrupted here, however long it runs: another one gets its turn only where the
    first lets go by itself. ``work`` is repeated until one did, so that it does not matter how soon
    the other is given a core. Only a call that never lets go takes ``patience`` seconds.
    """
    seen = False

    def repeat() -> None:
        until = time.monotonic() + patience
        while not seen and time.monotonic() < until:
            work()

    thread = threading.Thread(target=repeat)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        thread.start()
        while not seen and thread.is_alive():
            at_work = sys._current_frames().get(thread.ident or 0)
            if at_work is not None:
                line = linecache.getline(at_work.f_code.co_filename, at_work.f_lineno)
                seen = call in line
            del at_work  # Of the frame of a thread that has ended nothing is to be kept.
            time.sleep(0.0001)
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    return seen


async def pieces(data: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    """A file as it arrives."""
    for start in range(0, len(data), size):
        await asyncio.sleep(0)
        yield data[start : start + size]


class Gate:
    """A file that arrives in two halves, the second once `open` was called."""

    def __init__(self, data: bytes, first: int | None = None) -> None:
        """``first``: bytes of the first half."""
        self._data = data
        self._first = len(data) // 2 if first is None else first
        self.waiting = asyncio.Event()
        self._opened = asyncio.Event()

    def open(self) -> None:
        """Lets the second half come."""
        self._opened.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces."""
        yield self._data[: self._first]
        self.waiting.set()
        await self._opened.wait()
        yield self._data[self._first :]


LIMITS = IntakeLimits(20 * MIB, DecodeLimits(max_duration_ms=60_000, max_frame_pixels=1 << 20))


def spool_budget(folder: Path, memory_bytes: int = 32 * MIB) -> SpoolBudget:
    """Room for small uploads."""
    return SpoolBudget(memory_bytes, 32 * MIB, folder)


def everybody() -> Admission:
    """Room for all uploads of a test."""
    return Admission(AdmissionLimits(1000, 1000, 1))


async def inspected_by(intake: Intake, *given: Any) -> Inspected:
    """`Intake.inspect` of what is admitted."""
    with intake.admitted() as ticket:
        return await intake.inspect(ticket, *given)


@functools.cache
def _migrated_file() -> Path:
    """An empty SQLite database, migrated: one for all tests of this process."""
    folder = tempfile.mkdtemp(prefix="hashmatch-sqlite-")
    atexit.register(shutil.rmtree, folder)
    path = Path(folder) / "template.db"
    with contextlib.closing(Database(f"sqlite:///{path}")) as database:
        database.migrate()
    return path


def spools_of(process: int | str) -> int:
    """Files of uploads that a process has open, by its number or "self"."""
    count = 0
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # It was closed meanwhile.
            count += "hashmatch-spool" in os.readlink(descriptor)
    return count


def sqlite(folder: Path) -> Database:
    """The database ``hashmatch.db`` of a folder: a copy of an empty one if there is none."""
    path = folder / "hashmatch.db"
    new = not path.exists()
    if new:
        shutil.copyfile(_migrated_file(), path)
        # Each store has a name of its own, which migrating gives it.
        with contextlib.closing(sqlite3.connect(path)) as copy, copy:
            copy.execute("UPDATE store SET store_id = ?", [secrets.token_hex(16)])
    database = Database(f"sqlite:///{path}")
    if not new:
        database.migrate()
    return database


@dataclass(frozen=True, kw_only=True)
class Parts(UseCases):
    """What `hashmatch.app` puts together, without gRPC."""

    database: Database
    budget: SpoolBudget

    @classmethod
    async def make(
        cls,
        folder: Path,
        started: Sandbox,
        limits: IntakeLimits = LIMITS,
        budget: SpoolBudget | None = None,
        *,
        open_to_all: bool = True,
    ) -> Parts:
        """On the database in ``folder``, which is made if there is none; ``open_to_all``: callers
        are not asked who they are.
        """
        database = sqlite(folder)
        budget = budget or spool_budget(folder)
        intake = Intake(started, budget, limits, everybody())
        use_cases = assemble(database, intake, open_to_all=open_to_all)
        await use_cases.replica.load()
        shared = {each.name: getattr(use_cases, each.name) for each in fields(use_cases)}
        return cls(database=database, budget=budget, **shared)

    def server(self) -> Server:
        """A server of all of it."""
        return Server(self)

    async def bank(
        self, action: Action = Action.BLOCK, thresholds: dict[Kind, int] | None = None
    ) -> Bank:
        """A new bank."""
        name = f"bank-{uuid.uuid4().hex[:12]}"
        return await self.blocklist.create_bank(new_request(), name, "", action, thresholds)

    async def entry(self, bank: Bank, data: bytes, reference: str = "") -> Entry:
        """An entry made of a file."""
        return await self.blocklist.create_entry_from_media(
            new_request(), bank.bank_id, NewEntry(reference, "", ()), pieces(data)
        )

    async def screen(
        self,
        data: bytes,
        request_id: str | None = None,
        *,
        announced_size: int = 0,
        caller: Caller = UNRESTRICTED,
    ) -> Screening:
        """A screening of a file."""
        call = Call(caller, request_id or new_id(), "fingerprint")
        return await self.screenings.screen(call, pieces(data), announced_size)


# Records, for hypothesis


def _count(most: int = 2**32 - 1) -> st.SearchStrategy[int]:
    return st.integers(0, most)


_MS = st.integers(-(2**62), 2**62)
INSTANTS = st.datetimes(
    datetime.datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
    datetime.datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(datetime.UTC),
)

REASONS = st.builds(Reason, st.sampled_from(VerdictReason), st.text())
# An id comes from the store, which has no zero character in columns of its own.
_IDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
REFS = st.builds(EntryRef, _IDS, *[st.text(max_size=20)] * 4)
SEGMENTS = st.builds(Segment, _MS, _MS, _MS, _MS, _count())
EVIDENCE = st.builds(
    Evidence,
    REFS,
    st.sampled_from(Action),
    st.sampled_from(Kind),
    st.sampled_from(Part),
    st.sampled_from(Turn),
    _count(),
    _count(),
    _count(),
    st.lists(SEGMENTS, max_size=3).map(tuple),
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.sampled_from(Effect),
    st.booleans(),
)
MEDIA_INFO = st.builds(
    MediaInfo, _count(2**62), st.binary(max_size=32), st.text(), _count(), _count(), _MS
)
COVERAGE = st.builds(
    Coverage,
    st.booleans(),
    _MS,
    *[_count(2**62)] * 4,
    _MS,
    _count(),
    st.booleans(),
    _MS | st.just(NOT_KNOWN_MS),
    _count(1000),
    _count(ALL_MISSED),
)
BANKS = st.builds(
    Bank,
    bank_id=st.text(),
    name=st.text(),
    label=st.text(),
    action=st.sampled_from(Action),
    thresholds=st.dictionaries(st.sampled_from(Kind), _count()),
    state=st.sampled_from(BankState),
    revision=_count(2**62),
    create_time=INSTANTS,
    update_time=INSTANTS,
    active_entries=_count(2**62),
    activation=st.sampled_from(Activation),
    policy=st.builds(BankPolicy, st.sampled_from(BankMode), *[_count()] * 4),
)
PROVENANCES = st.builds(
    Provenance,
    source=st.text(),
    legal_basis=st.text(),
    category=st.none() | st.sampled_from(Category),
    severity=st.integers(0, 4),
    note=st.text(),
    language=st.text(),
)
ENTRIES = st.builds(
    Entry,
    ref=REFS,
    state=st.sampled_from(EntryState),
    kinds=st.lists(st.builds(KindCount, st.sampled_from(Kind), _count(), _count())).map(tuple),
    duration_ms=_MS,
    revision=_count(2**62),
    create_time=INSTANTS,
    update_time=INSTANTS,
    provenance=PROVENANCES,
    proposed_by=st.text(),
    approved_by=st.text(),
    expire_time=st.none() | INSTANTS,
    quarantine_time=st.none() | INSTANTS,
)


@st.composite
def screenings(draw: st.DrawFn) -> Screening:
    """Screenings whose verdict is borne out by their evidence."""
    verdict = draw(st.sampled_from(Verdict))
    matched = verdict in (Verdict.BLOCK, Verdict.REVIEW)
    coverage = draw(COVERAGE)
    return Screening(
        screening_id=draw(st.text()),
        verdict=verdict,
        reasons=tuple(draw(st.lists(REASONS, min_size=1, max_size=3))),
        evidence=tuple(draw(st.lists(EVIDENCE, min_size=1, max_size=3))) if matched else (),
        media=draw(MEDIA_INFO),
        coverage=replace(coverage, complete=True) if verdict is Verdict.NO_MATCH else coverage,
        blocklist_revision=draw(_count(2**62)),
        hash_versions=draw(st.dictionaries(st.sampled_from(Kind), st.text())),
        look_version=draw(_IDS),
        create_time=draw(INSTANTS),
        judge_time=draw(INSTANTS),
        judgement=draw(st.integers(1, 2**32 - 1)),
        elapsed_ms=draw(_count(10**12)) / 1000,
        unacted=tuple(draw(st.lists(EVIDENCE, max_size=2))),
        case_id=draw(st.text()),
        decision=draw(st.none() | st.sampled_from(CaseDecision)),
    )


@st.composite
def any_signals(draw: st.DrawFn, kind: Kind | None = None, most: int = 6) -> Signals:
    """Hashes of any kind; one if it is of a file."""
    kind = kind or draw(st.sampled_from(Kind))
    count = 1 if kind.exact else draw(st.integers(1, most))
    views = [view_code(part, turn) for part in Part for turn in Turn]

    def column(each: st.SearchStrategy[int]) -> list[int]:
        return draw(st.lists(each, min_size=count, max_size=count))

    raw = draw(st.binary(min_size=count * kind.width, max_size=count * kind.width))
    days = 100 * 24 * 3600 * 1000
    return Signals(
        kind,
        np.frombuffer(raw, np.uint8).reshape(count, kind.width),
        np.array(column(_count(100)), np.uint8),
        np.array(column(st.integers(-days, days)), np.int64),
        np.array(column(st.sampled_from(views)), np.uint8),
    )


@contextlib.asynccontextmanager
async def workers(count: int) -> AsyncIterator[Sandbox]:
    """Worker processes that decode."""
    environment = {"NUMBA_CACHE_DIR": os.environ["NUMBA_CACHE_DIR"]}
    async with sandbox.running(
        Sandbox(count, WorkerLimits(wall_seconds=30.0), environment)
    ) as started:
        yield started


def boxes(data: bytes) -> dict[bytes, bytes]:
    """The top-level boxes of an ISO base media file, by their kind."""
    found, at = {}, 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        found[data[at + 4 : at + 8]] = data[at : at + length]
        at += length
    return found


def box(kind: bytes, content: bytes) -> bytes:
    """A box of an ISO base media file."""
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def image_boxes(still: bytes, brand: bytes, film: bytes) -> bytes:
    """One file with the items of an AVIF and the film of an MP4, under one brand."""
    items, tracks = boxes(still), boxes(film)
    head = bytearray(items[b"ftyp"])
    head[8:12] = brand
    # Places in the file are absolute: each ``mdat`` stays where it was, behind what grew.
    at_still = still.index(items[b"mdat"])
    at_film = film.index(tracks[b"mdat"])
    before = bytes(head) + items[b"meta"] + tracks[b"moov"]
    meta = moved(items[b"meta"], b"iloc", at_still, len(before))
    moov = moved(tracks[b"moov"], b"stco", at_film, len(before) + len(items[b"mdat"]))
    return bytes(head) + meta + moov + items[b"mdat"] + tracks[b"mdat"]


def moved(data: bytes, table: bytes, old: int, new: int) -> bytes:
    """A box whose table of places says that ``mdat`` begins at ``new`` instead of ``old``."""
    changed = bytearray(data)
    at = -1
    while (at := data.find(table, at + 1)) >= 0:
        end = at - 4 + int.from_bytes(data[at - 4 : at], "big")
        # Of items: one extent of each, as libavif writes them.
        places = range(at + 12, end, 4) if table == b"stco" else range(at + 18, end, 14)
        for place in places:
            value = int.from_bytes(data[place : place + 4], "big") - old + new
            changed[place : place + 4] = value.to_bytes(4, "big")
    return bytes(changed)


def descendants(pid: int, state: str = "") -> set[int]:
    """Processes that a process started, and those that these started; or those of them in one
    ``state``, as /proc has it.
    """
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # It ended meanwhile.
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                parents[int(folder.name)] = (int(stat[1]), stat[0])
    found: set[int] = set()
    newest = {pid}
    while newest:
        newest = {each for each, (parent, _) in parents.items() if parent in newest} - found
        found |= newest
    return {each for each in found if parents[each][1].startswith(state)}


def decoding(pid: int) -> set[int]:
    """Worker processes of a process: what its templates have forked."""
    mine = templates(pid)
    return {each for each, parent in _of_sandboxes(pid).items() if parent in mine}


def templates(pid: int) -> set[int]:
    """Processes from which a process has workers forked."""
    return {each for each, parent in _of_sandboxes(pid).items() if parent == pid}


def _of_sandboxes(pid: int) -> dict[int, int]:
    """Processes that run `decoding.worker`, with their parents."""
    found = {}
    for each in descendants(pid):
        with contextlib.suppress(OSError):  # It ended meanwhile.
            if b"hashmatch.decoding.worker" in Path(f"/proc/{each}/cmdline").read_bytes():
                stat = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
                found[each] = int(stat[1])
    return found
