"""Bytes in, what is known of the media out: with real workers."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from hashmatch.decoding.admission import Admission, AdmissionLimits
from hashmatch.decoding.intake import Inspected, Intake, Looks
from hashmatch.decoding.sandbox import Sandbox
from hashmatch.decoding.spool import SpoolBudget
from hashmatch.engine.sampling import densities
from hashmatch.engine.sampling.frames import Density
from hashmatch.errors import Overloaded, SpoolFull, UploadMismatch, UploadTooSlow
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind, VerdictReason
from tests.support import (
    LIMITS,
    MIB,
    Gate,
    clip,
    everybody,
    image,
    inspected_by,
    noisy_image,
    pieces,
    same_signals,
    spool_budget,
    workers,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = frozenset({Kind.PDQ, Kind.SHA256})
BY_TIME = Density(1000, change_bits=256, every_frame=True)
LOOKS = Looks(KINDS, BY_TIME, turns=False)

CLIP = clip([1, 2, 3, 4])
TEXT = b"no media at all\n" * 1000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    """One worker, so that one that is not given back is missed at once."""
    async with workers(1) as started:
        yield started


@pytest.fixture
def budget(tmp_path: Path) -> SpoolBudget:
    """Room for small uploads."""
    return spool_budget(tmp_path)


@pytest.fixture
def intake(sandbox: Sandbox, budget: SpoolBudget) -> Intake:
    """The intake under test."""
    return Intake(sandbox, budget, LIMITS, everybody())


async def never(_: Sequence[Signals]) -> bool:
    """Decides nothing."""
    return False


async def inspect(intake: Intake, data: bytes, announced: int = 0) -> Inspected:
    """What is known of a file."""
    async with asyncio.timeout(30):
        return await inspected_by(intake, pieces(data), announced, LOOKS, never)


def codes(inspected: Inspected) -> list[VerdictReason]:
    """Why coverage is not complete."""
    return [reason.code for reason in inspected.reasons]


def of(inspected: Inspected, kind: Kind) -> Signals | None:
    """The hashes of one kind."""
    return next((each for each in inspected.signals if each.kind is kind), None)


async def test_who_looks_more_closely_is_told_apart(
    sandbox: Sandbox, budget: SpoolBudget, media: Path
) -> None:
    """What was seen less closely than an operator asks for now would be NO_MATCH still."""
    closely = replace(LIMITS, upload=replace(densities.UPLOAD, found_ms=0))
    film = (media / "clips" / "pan_coffee.mp4").read_bytes()
    told = []
    for limits in (LIMITS, closely):
        each = Intake(sandbox, budget, limits, everybody())
        looks = Looks(KINDS, each.upload, turns=False)
        inspected = await inspected_by(each, pieces(film), 0, looks, never)
        assert inspected.look_version == each.look_version
        told.append((inspected.look_version, inspected.coverage.frames_decoded))
    (usual, few), (other, more) = told
    assert other == f"{usual}, found in 0 ms"
    assert more > few


async def test_a_media_is_hashed_by_all_kinds(intake: Intake) -> None:
    """An entry of one of the kinds would not be found."""
    kinds = frozenset(Kind)
    inspected = await inspected_by(
        intake, pieces(image(1)), 0, Looks(kinds, BY_TIME, turns=False), never
    )
    assert {each.kind for each in inspected.signals} == kinds
    for kind in (Kind.SHA256, Kind.SHA1, Kind.MD5):
        expected = hashlib.new(kind.name.lower(), image(1)).digest()
        found = of(inspected, kind)
        assert found is not None
        assert found.digests.tobytes() == expected
    assert inspected.coverage.complete
    assert inspected.reasons == ()
    assert inspected.media.size_bytes == len(image(1))
    assert inspected.media.sha256 == hashlib.sha256(image(1)).digest()
    assert (inspected.media.format, inspected.media.width, inspected.media.height) == (
        "png",
        96,
        96,
    )


@pytest.mark.parametrize("kinds", [{Kind.PDQ}, {Kind.PHASH}, {Kind.MD5}, set()])
async def test_only_what_is_asked_for_is_computed(intake: Intake, kinds: set[Kind]) -> None:
    """Every upload would cost the hashes that no bank uses."""
    looks = Looks(frozenset(kinds), BY_TIME, turns=False)
    inspected = await inspected_by(intake, pieces(image(1)), 0, looks, never)
    # SHA-256 names the media, so it is there in any case.
    assert {each.kind for each in inspected.signals} == kinds | {Kind.SHA256}


async def test_a_clip_is_looked_at_from_its_start_to_its_end(intake: Intake) -> None:
    """The last seconds of an upload would go unseen."""
    inspected = await inspect(intake, CLIP)
    found = of(inspected, Kind.PDQ)
    assert found is not None
    assert inspected.coverage.complete
    assert found.pts_ms.min() == 0
    assert found.pts_ms.max() >= 3500
    assert inspected.coverage.largest_gap_ms <= 1000
    assert inspected.coverage.frames_hashed == len(found)


async def test_it_does_not_matter_how_the_bytes_come(intake: Intake) -> None:
    """A slow line would give another verdict than a fast one."""
    expected = (await inspect(intake, CLIP)).signals
    for size in (len(CLIP), 1000, 17):
        inspected = await inspected_by(intake, pieces(CLIP, size), 0, LOOKS, never)
        assert same_signals(inspected.signals, expected)


async def test_it_does_not_matter_where_the_bytes_wait(sandbox: Sandbox, tmp_path: Path) -> None:
    """A server with much to do would give another verdict than an idle one."""
    expected = (
        await inspect(Intake(sandbox, spool_budget(tmp_path), LIMITS, everybody()), CLIP)
    ).signals
    for memory in (0, 1000, 4096):
        budget = spool_budget(tmp_path, memory)
        intake = Intake(sandbox, budget, LIMITS, everybody())
        inspected = await inspected_by(intake, pieces(CLIP, 1000), 0, LOOKS, never)
        assert same_signals(inspected.signals, expected)
        assert budget == spool_budget(tmp_path, memory)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", VerdictReason.EMPTY),
        (TEXT, VerdictReason.UNSUPPORTED),
        (image(1)[:-2000], VerdictReason.TRUNCATED),
        (noisy_image(), VerdictReason.ALL_FRAMES_FLAT),
    ],
    ids=["empty", "text", "cut short", "flat"],
)
async def test_what_cannot_be_looked_at_is_not_complete(
    intake: Intake, data: bytes, code: VerdictReason
) -> None:
    """A file that nobody could look at would pass."""
    inspected = await inspect(intake, data)
    assert codes(inspected) == [code]
    assert not inspected.coverage.complete
    # Whatever it is, a file of a known hash is found.
    exact = of(inspected, Kind.SHA256)
    assert exact is not None
    assert exact.digests.tobytes() == inspected.media.sha256 == hashlib.sha256(data).digest()


async def test_a_media_that_is_announced_too_large_is_not_received(intake: Intake) -> None:
    """Gigabytes would be sent to be refused at their end."""
    asked: list[str] = []

    async def unwanted() -> AsyncIterator[bytes]:
        asked.append("a byte")
        yield b""

    inspected = await inspected_by(intake, unwanted(), LIMITS.max_upload_bytes + 1, LOOKS, never)
    assert codes(inspected) == [VerdictReason.SIZE_LIMIT]
    assert not inspected.coverage.complete
    assert inspected.media.size_bytes == LIMITS.max_upload_bytes + 1
    assert asked == []


async def test_a_media_that_grows_too_large_is_given_up(
    sandbox: Sandbox, budget: SpoolBudget, tmp_path: Path
) -> None:
    """An upload that lies about its size could fill the disk."""
    received = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal received
        while True:
            await asyncio.sleep(0)
            received += 64 * 1024
            yield bytes(64 * 1024)

    limits = dataclasses.replace(LIMITS, max_upload_bytes=1 * MIB)
    intake = Intake(sandbox, budget, limits, everybody())
    inspected = await inspected_by(intake, endless(), 0, LOOKS, never)
    assert codes(inspected) == [VerdictReason.SIZE_LIMIT]
    assert received <= MIB + 2 * 64 * 1024
    assert inspected.signals == ()
    assert budget == spool_budget(tmp_path)


async def test_a_media_of_just_the_limit_is_taken(sandbox: Sandbox, budget: SpoolBudget) -> None:
    """The limit would not be what the settings say."""
    for spare, complete in ((0, True), (-1, False)):
        limits = dataclasses.replace(LIMITS, max_upload_bytes=len(CLIP) + spare)
        inspected = await inspect(Intake(sandbox, budget, limits, everybody()), CLIP)
        assert inspected.coverage.complete is complete


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"max_duration_ms": 2000}, VerdictReason.DURATION_LIMIT),
        ({"max_frame_pixels": 96 * 95}, VerdictReason.FRAME_SIZE_LIMIT),
        ({"max_frames": 1}, VerdictReason.FRAMES_LIMIT),
        ({"max_streams": 0}, VerdictReason.STREAMS_LIMIT),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_limits_reach_the_decoder(
    sandbox: Sandbox, budget: SpoolBudget, changed: dict[str, int], code: VerdictReason
) -> None:
    """A setting would have no effect, and one upload could keep a worker for hours."""
    decode = dataclasses.replace(LIMITS.decode, **changed)
    limits = dataclasses.replace(LIMITS, decode=decode)
    inspected = await inspect(Intake(sandbox, budget, limits, everybody()), CLIP)
    assert code in codes(inspected)
    assert not inspected.coverage.complete
    assert not inspected.coverage.complete


@pytest.mark.parametrize("off_by", [-1, 1, 1000])
async def test_an_upload_of_another_size_is_refused(
    intake: Intake, budget: SpoolBudget, tmp_path: Path, off_by: int
) -> None:
    """A connection that broke off would be taken for the end of the file."""
    assert (await inspect(intake, CLIP, len(CLIP))).coverage.complete
    with pytest.raises(UploadMismatch):
        await inspect(intake, CLIP, len(CLIP) + off_by)
    assert budget == spool_budget(tmp_path)
    assert (await inspect(intake, CLIP)).coverage.complete


async def test_a_sure_match_ends_the_upload(intake: Intake) -> None:
    """Hours of a known video would be sent and decoded for nothing."""
    asked: list[Signals] = []

    async def endless() -> AsyncIterator[bytes]:
        yield clip(range(20), fps=8, quality=1)
        await asyncio.Event().wait()

    async def at_once(signals: Sequence[Signals]) -> bool:
        asked.extend(signals)
        return True

    async with asyncio.timeout(20):
        inspected = await inspected_by(intake, endless(), 0, LOOKS, at_once)
    assert codes(inspected) == [VerdictReason.DECIDED_EARLY]
    assert not inspected.coverage.complete
    assert asked
    assert same_signals(inspected.signals, Signals.concatenate(asked))
    # Nobody knows the hash of a file that did not come whole.
    assert inspected.media.sha256 == b""
    assert of(inspected, Kind.SHA256) is None
    assert (await inspect(intake, image(1))).coverage.complete


async def test_a_failing_source_frees_everything(
    intake: Intake, budget: SpoolBudget, tmp_path: Path, spools: Callable[[], int]
) -> None:
    """Every upload that breaks off would take its room and its worker with it."""

    async def breaks() -> AsyncIterator[bytes]:
        yield CLIP[:2000]
        raise ConnectionResetError

    for _ in range(3):
        with pytest.raises(ConnectionResetError):
            await inspected_by(intake, breaks(), 0, LOOKS, never)
        assert budget == spool_budget(tmp_path)
        assert spools() == 0
    assert (await inspect(intake, CLIP)).coverage.complete


async def test_an_upload_that_is_given_up_frees_everything(
    intake: Intake, budget: SpoolBudget, tmp_path: Path, spools: Callable[[], int]
) -> None:
    """Likewise, for a pipeline that goes away without a word."""
    for _ in range(3):
        gate = Gate(CLIP)
        task = asyncio.create_task(inspected_by(intake, gate.__aiter__(), 0, LOOKS, never))
        await gate.waiting.wait()
        assert spools() == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert budget == spool_budget(tmp_path)
        assert spools() == 0
    assert (await inspect(intake, CLIP)).coverage.complete


async def test_an_upload_that_is_given_up_while_it_is_written_frees_its_room(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """The spool would fill up with uploads that are long gone, until it takes no more."""
    budget = SpoolBudget(0, 64 * MIB, tmp_path)
    limits = dataclasses.replace(LIMITS, max_upload_bytes=64 * MIB)
    intake = Intake(sandbox, budget, limits, everybody())
    data = bytes(32 * MIB)

    async def whole() -> AsyncIterator[bytes]:
        yield data
        await asyncio.Event().wait()

    for _ in range(3):
        task = asyncio.create_task(inspected_by(intake, whole(), 0, LOOKS, never))
        while budget.disk_bytes == 64 * MIB:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert budget.disk_bytes == 64 * MIB


async def test_a_full_spool_is_said_so(
    sandbox: Sandbox, tmp_path: Path, spools: Callable[[], int]
) -> None:
    """An upload would be cut short instead of being tried again."""
    budget = SpoolBudget(1000, 2000, tmp_path)
    intake = Intake(sandbox, budget, LIMITS, everybody())
    with pytest.raises(SpoolFull):
        await inspected_by(intake, pieces(CLIP, 500), 0, LOOKS, never)
    assert budget == SpoolBudget(1000, 2000, tmp_path)
    assert spools() == 0


async def test_more_uploads_than_workers(
    intake: Intake, budget: SpoolBudget, tmp_path: Path
) -> None:
    """Uploads that wait for a worker would be lost, or mixed up."""
    media = [clip([seed]) for seed in range(6)]
    alone = [(await inspect(intake, data)).signals for data in media]
    together = await asyncio.gather(*(inspect(intake, data) for data in media))
    for expected, inspected in zip(alone, together, strict=True):
        assert inspected.coverage.complete
        assert same_signals(inspected.signals, expected)
    assert budget == spool_budget(tmp_path)


async def test_a_stalled_upload_gives_its_worker_to_others(intake: Intake) -> None:
    """A few clients that hang would stop the uploads of all others."""
    gate = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield CLIP[: len(CLIP) // 2]
        await gate.wait()
        yield CLIP[len(CLIP) // 2 :]

    stalled = asyncio.create_task(inspected_by(intake, stalling(), 0, LOOKS, never))
    await asyncio.sleep(0.3)
    other = await inspect(intake, CLIP)
    assert other.coverage.complete
    assert not stalled.done()
    gate.set()
    async with asyncio.timeout(30):
        late = await stalled
    assert (late.coverage, late.reasons) == (other.coverage, ())
    assert same_signals(late.signals, other.signals)


# Uploads that come too slowly, or are too many


async def drip(every: float, times: int = 10_000) -> AsyncIterator[bytes]:
    """A byte now and then."""
    for _ in range(times):
        yield b"x"
        await asyncio.sleep(every)


@pytest.mark.parametrize(
    ("every", "idle", "all_of_it"), [(600, 0.2, 600), (0.05, 600, 0.3)], ids=["silent", "dripping"]
)
async def test_an_upload_that_comes_too_slowly_is_given_up(
    sandbox: Sandbox, budget: SpoolBudget, every: float, idle: float, all_of_it: float
) -> None:
    """A few hundred clients that send a byte a minute would keep everybody else out."""
    limits = dataclasses.replace(LIMITS, idle_seconds=idle, receive_seconds=all_of_it)
    admission = everybody()
    intake = Intake(sandbox, budget, limits, admission)
    free = budget.memory_bytes
    async with asyncio.timeout(60):
        with pytest.raises(UploadTooSlow):
            await inspected_by(intake, drip(every), 0, LOOKS, never)
    assert (admission.uploads, budget.memory_bytes) == (0, free)
    assert (await inspect(intake, CLIP)).coverage.complete


async def test_too_many_uploads_are_told_so_at_once(sandbox: Sandbox, budget: SpoolBudget) -> None:
    """Each would wait for all before it, until none is answered in time."""
    admission = Admission(AdmissionLimits(max_uploads=4, max_waiting=4, workers=1))
    intake = Intake(sandbox, budget, LIMITS, admission)
    slow = [
        asyncio.create_task(inspected_by(intake, drip(0.05), 0, LOOKS, never)) for _ in range(2)
    ]
    async with asyncio.timeout(60):
        while admission.uploads < 2:
            await asyncio.sleep(0.01)
        with pytest.raises(Overloaded):
            await inspected_by(intake, drip(0), 0, LOOKS, never)
    assert not any(task.done() for task in slow)  # For none of which it has waited.
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    assert (admission.uploads, admission.waiting) == (0, 0)
    assert (await inspect(intake, CLIP)).coverage.complete
    assert (admission.uploads, admission.waiting) == (0, 0)
