"""Thousands of broken and hostile files, against workers as they are: whatever comes, one media
ends, and none is called seen that was not.

What a file shows is found out by PyAV and Pillow alone, in another process: run as a program, this
module reads names of files and answers with what each shows.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ctypes
import hashlib
import itertools
import json
import os
import resource
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import numpy.typing as npt
import PIL
import pytest
from PIL import Image, ImageOps, ImageSequence

from hashmatch.decoding import sandbox, worker_process
from hashmatch.decoding.channel import Done, Job
from hashmatch.decoding.sandbox import Sandbox, WorkerLimits
from hashmatch.decoding.spool import Spool, SpoolBudget
from hashmatch.engine.hashing import pdq
from hashmatch.engine.sampling import densities
from hashmatch.engine.sampling.densities import MAX_GAP_MS
from hashmatch.errors import MediaError
from hashmatch.model.records import DecodeLimits
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind, VerdictReason
from tests.conftest import ROOT
from tests.hostile_media import Variant, references, variants
from tests.support import MIB, TORTURE, clip, picture

# The long form takes ten minutes or more; only the numbers differ.
TRUNCATIONS, FLIPS = (50, 500) if TORTURE else (3, 5)
LIES = 1 if TORTURE else 4  # One of so many headers that lie.

pytestmark = pytest.mark.timeout(6 * 3600 if TORTURE else 300)

WORKERS = 2
AT_ONCE = WORKERS + 1  # One waits for a worker.
HEALTHY_EVERY = 20
LIMITS = WorkerLimits(wall_seconds=10, cpu_seconds=10, memory_bytes=512 * MIB)
# For one that waits for a worker, which another one keeps for as long as it may and which then is
# replaced, on a machine with much else to do.
PATIENCE_SECONDS = 3 * LIMITS.wall_seconds + 30
JOB = Job((Kind.PDQ,), False, densities.UPLOAD, DecodeLimits(3_600_000, 1 << 24), seed=1)
ENVIRONMENT = {"NUMBA_CACHE_DIR": os.environ["NUMBA_CACHE_DIR"]}
NEAR_BITS = 31
HEALTHY = clip([1, 2])
CANARY_SEED = 7
IMAGES = {"jpeg", "png", "gif", "tiff", "bmp", "webp", "avif"}
PAGED = {"jpeg", "tiff"}

Digests = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.uint8]


class Moments(NamedTuple):
    """Digests, when what they are of is shown, and whether that has a pattern to know it by."""

    pts_ms: npt.NDArray[np.int64]
    digests: Digests
    patterned: npt.NDArray[np.bool_]

    def only(self, kept: npt.NDArray[np.bool_]) -> Moments:
        """Some of them."""
        return Moments(self.pts_ms[kept], self.digests[kept], self.patterned[kept])


def moments(rows: Iterable[tuple[int, bytes, bool]]) -> Moments:
    """In order of time."""
    ordered = sorted(rows)
    joined = b"".join(digest for _, digest, _ in ordered)
    return Moments(
        np.array([pts_ms for pts_ms, _, _ in ordered], np.int64),
        np.frombuffer(joined, np.uint8).reshape(-1, pdq.DIGEST_BYTES),
        np.array([patterned for _, _, patterned in ordered], np.bool_),
    )


def unseen(shown: Moments, hashed: Moments) -> list[tuple[int, int]]:
    """Stretches of ``shown`` that nothing ``hashed`` stands for: longer than hashmatch says that
    it leaves out, or all.
    """
    if not len(shown.pts_ms):
        return []
    near = np.array([_near(*row, hashed) for row in zip(shown.pts_ms, shown.digests, strict=True)])
    missed = shown.pts_ms[~near & shown.patterned]
    first, last = int(shown.pts_ms[0]), int(shown.pts_ms[-1])
    if not near.any():
        return [(first, last)] if len(missed) else []
    stretches = itertools.pairwise([first, *map(int, shown.pts_ms[near]), last])
    return [
        (since, until)
        for since, until in stretches
        if until - since > MAX_GAP_MS and ((missed >= since) & (missed <= until)).any()
    ]


def _near(pts_ms: int, digest: Digests, hashed: Moments) -> bool:
    since, until = np.searchsorted(hashed.pts_ms, [pts_ms - MAX_GAP_MS, pts_ms + MAX_GAP_MS + 1])
    bits = np.bitwise_count(hashed.digests[since:until] ^ digest).sum(-1)
    return bool((bits <= NEAR_BITS).any())


# What a file shows, by others' word


class Frame(NamedTuple):
    """One of what a viewer sees; ``track`` is what must be seen from its start to its end."""

    track: str
    pts_ms: int
    grey: Plane


# Numbers of frames by which a viewer holds what it has seen: one of so many, and at most so many.
# The decoder gets their memory back late or never: what is shown should not depend on it.
ALL, NEWEST, SOME = (1, None), (1, 2), (5, None)


def of_video(
    path: str, *, strictly: bool, holding: tuple[int, int | None] = (1, 0)
) -> Iterator[Frame | None]:
    """Frames; None for what cannot be decoded. ``strictly``: nor what is damaged."""
    one_of, most = holding
    with av.open(path, metadata_errors="replace") as container:
        streams = container.streams.video
        for stream in streams:
            stream.codec_context.thread_count = 1
            if strictly:
                stream.codec_context.options = {"err_detect": "explode"}
        last_ms: dict[int, int] = {}
        held: deque[Any] = deque(maxlen=most)
        count = itertools.count()
        for stream, packet in _packets(container):
            try:
                decoded: list[Any] = stream.decode(packet)
            except (av.error.FFmpegError, ValueError):
                yield None
                continue
            held += (frame for frame in decoded if not next(count) % one_of)
            for frame in decoded:
                pts_ms = _pts_ms(container, stream, frame, last_ms.get(stream.index))
                last_ms[stream.index] = pts_ms
                for ground, grey in _greys(frame):
                    yield Frame(f"{stream.index} {ground}", pts_ms, grey)


def _packets(container: Any) -> Iterator[tuple[Any, Any]]:
    """What can be read, and at the end, however it comes, what is left in the decoders."""
    with contextlib.suppress(av.error.FFmpegError, IndexError):
        for packet in container.demux(container.streams.video):
            if packet.size:
                yield packet.stream, packet
    for stream in container.streams.video:
        yield stream, None


def _pts_ms(container: Any, stream: Any, frame: Any, last_ms: int | None) -> int:
    stamp = frame.dts if container.format.name == "avi" else frame.pts
    if stamp is None or not stream.time_base:
        rate = stream.average_rate or stream.base_rate
        return 0 if last_ms is None else last_ms + (round(1000 / rate) if rate else 0)
    return round(float(stamp * stream.time_base * 1000) - (container.start_time or 0) / 1000)


def _greys(frame: Any) -> Iterator[tuple[str, Plane]]:
    turns = round(frame.rotation / 90) % 4
    if any(component.is_alpha for component in frame.format.components):
        for ground, grey in _on_grounds(Image.fromarray(frame.to_ndarray(format="rgba"))):
            yield ground, np.rot90(grey, turns)
    else:
        grey = frame.reformat(format="gray", threads=1).to_ndarray()
        yield "", np.ascontiguousarray(np.rot90(grey, turns))


def _on_grounds(rgba: Image.Image) -> Iterator[tuple[str, Plane]]:
    for ground in ("black", "white"):
        below = Image.new("RGBA", rgba.size, ground)
        yield ground, np.asarray(Image.alpha_composite(below, rgba).convert("L"))


def of_image(path: str, *, paged: bool) -> Iterator[Frame | None]:
    """Frames, or pages of a second each; None for what cannot be decoded."""
    pts_ms = 0
    with Image.open(path) as image:
        for number, frame in enumerate(ImageSequence.Iterator(image)):
            frame.load()
            upright: Image.Image = frame
            with contextlib.suppress(Exception):  # Its EXIF data is damaged.
                upright = ImageOps.exif_transpose(frame) or frame
            if "A" in upright.mode or "transparency" in upright.info:
                for ground, grey in _on_grounds(upright.convert("RGBA")):
                    yield Frame(ground, pts_ms, grey)
            else:
                yield Frame("", pts_ms, _grey_of(upright))
            duration = int(frame.info.get("duration") or 0)
            pts_ms += 1000 if paged else duration if duration > 10 else 100
            assert number < 1_000_000


def _grey_of(image: Image.Image) -> Plane:
    if image.mode[0] in "IF":  # Pillow's own conversion cuts off what is above 255.
        values = np.asarray(image, np.float64)
        return np.asarray(values * 255 / max(1.0, values.max()), np.uint8)
    if max(image.size) > 512:
        image = image.convert("RGB")
        image.thumbnail((512, 512))
    return np.asarray(image.convert("L"))


@dataclass
class Answer:
    """What a file shows: how many frames, and those of each track as `moments` takes them."""

    frames: int
    failed: int
    tracks: dict[str, list[tuple[int, bytes, bool]]] = field(default_factory=dict)

    @classmethod
    def of(cls, frames: Iterable[Frame | None]) -> Answer:
        """Counts and digests."""
        answer = cls(0, 0)
        for frame in frames:
            if frame is None:
                answer.failed += 1
                continue
            answer.frames += 1
            digests, quality = pdq.digest(frame.grey[None])
            track = answer.tracks.setdefault(frame.track, [])
            patterned = bool(quality[0] >= pdq.MIN_QUALITY)
            track.append((frame.pts_ms, digests.tobytes(), patterned))
        return answer

    def to_json(self) -> dict[str, Any]:
        """For another process."""
        tracks = {
            name: [(row[0], base64.b64encode(row[1]).decode(), row[2]) for row in track]
            for name, track in self.tracks.items()
        }
        return {"frames": self.frames, "failed": self.failed, "tracks": tracks}

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Answer:
        """From `to_json`."""
        tracks = {
            name: [(row[0], base64.b64decode(row[1]), row[2]) for row in track]
            for name, track in said["tracks"].items()
        }
        return cls(said["frames"], said["failed"], tracks)

    def unseen(self, hashed: Moments) -> list[tuple[int, int]]:
        """Of every track."""
        return [each for track in self.tracks.values() for each in unseen(moments(track), hashed)]


def look(path: str, media_format: str, *, again: bool) -> list[Answer]:
    """What a file shows; to a viewer that is strict, and to one that is not if that differs.
    ``again``: to those that hold what they have seen, each in a way of its own.
    """
    if media_format in IMAGES:
        try:
            return [Answer.of(of_image(path, paged=media_format in PAGED))]
        except (OSError, ValueError):
            if media_format != "png":
                raise
        # Pillow has limits of its own, for texts and numbers of frames; FFmpeg shows it.
        return [Answer.of(of_video(path, strictly=True))]
    answers = []
    for holding in (ALL, NEWEST, SOME) if again else ((1, 0),):
        answers.append(Answer.of(of_video(path, strictly=True, holding=holding)))
        if answers[-1].failed:
            answers.append(Answer.of(of_video(path, strictly=False, holding=holding)))
    return answers


def main() -> None:
    """A viewer; see the top."""
    resource.setrlimit(resource.RLIMIT_DATA, (3 << 30, 3 << 30))
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            said = [answer.to_json() for answer in look(**asked)]
            print(json.dumps({"shown": said}), flush=True)
        except Exception as error:
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)


# What the viewer has seen once is kept: it shows the same again while it, and its libraries, do.
_KEPT = ROOT / ".cache" / "viewed"
_OF_VIEWER = (
    b"".join(Path(source).read_bytes() for source in (__file__, pdq.__file__))
    + repr((av.library_versions, av.__version__, PIL.__version__)).encode()
)


class Viewer:
    """The other process; started again if a file was too much for it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "looked-at"
        self._process: asyncio.subprocess.Process | None = None
        self._one = asyncio.Lock()

    async def look(self, data: bytes, media_format: str, *, again: bool = False) -> list[Answer]:
        """See `look`. Raises ``ValueError`` if it cannot be looked at at all."""
        kept = _KEPT / f"{hashlib.sha256(_OF_VIEWER + media_format.encode() + data).hexdigest()}"
        if not again and kept.exists():
            said = json.loads(kept.read_text())
        else:
            async with self._one:
                self._path.write_bytes(data)
                asked = {"path": str(self._path), "media_format": media_format, "again": again}
                said = await self._ask(asked)
            if "shown" in said and not again and not TORTURE:
                self._path.write_text(json.dumps(said))
                _KEPT.mkdir(parents=True, exist_ok=True)
                self._path.replace(kept)
        if "error" in said:
            raise ValueError(said["error"])
        return [Answer.from_json(each) for each in said["shown"]]

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.e2e.test_hostile_media"),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=1 << 28,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        try:
            async with asyncio.timeout(200):
                line = await self._process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            await self.close()
            return {"error": "the viewer died, or took too long"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def close(self) -> None:
        """Ends it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.communicate()
            self._process = None


# What the workers make of it


@dataclass
class Outcome:
    """What became of a media: why it was not seen as a whole, or None."""

    name: str
    code: VerdictReason | None
    seconds: float
    hashed: Moments
    media_format: str = ""

    @property
    def container(self) -> str:
        """Without the codec."""
        return self.media_format.partition("/")[0]


async def sent(running: Sandbox, variant: Variant, folder: Path) -> Outcome:
    """A media to the next worker. Raises ``TimeoutError`` if it hangs."""
    found: list[tuple[int, bytes, bool]] = []

    async def collect(signals: list[Signals], _: Done) -> bool:
        for each in signals:
            patterned = each.quality >= pdq.MIN_QUALITY
            rows = zip(each.pts_ms, each.digests, patterned, strict=True)
            found.extend((int(pts_ms), row.tobytes(), bool(known)) for pts_ms, row, known in rows)
        return False

    spool = Spool(SpoolBudget(64 * MIB, 0, folder))
    began = time.monotonic()
    code, media_format = None, ""
    try:
        await spool.append(variant.data)
        await spool.end()
        async with asyncio.timeout(PATIENCE_SECONDS):
            done = await running.inspect(spool, JOB, collect)
        assert done is not None
        assert done.coverage.complete == (not done.reasons)
        code = done.reasons[0].code if done.reasons else None
        media_format = done.media.format
    except MediaError as error:
        code = error.code
    finally:
        spool.close()
    seconds = time.monotonic() - began
    return Outcome(variant.name, code, seconds, moments(found), media_format)


@dataclass
class Campaign:
    """What became of all of them."""

    folder: Path
    outcomes: list[Outcome] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)
    healthy_failed: int = 0
    # Of those called complete: what was left out, of them or of what they are a part of; and those
    # that do not show the same to every viewer, with their codecs.
    looked_at: int = 0
    frames: int = 0
    not_seen: list[str] = field(default_factory=list)
    not_whole: list[str] = field(default_factory=list)
    undetermined: list[str] = field(default_factory=list)
    # Of this process, and of the largest worker: before and after.
    descriptors: tuple[int, int] = (0, 0)
    resident: tuple[int, int] = (0, 0)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self._viewer = Viewer(self.folder)
        self._whole: dict[str, Answer] = {}
        self._parts: list[tuple[Variant, Moments]] = []

    async def run(self, left: Iterator[tuple[int, Variant]]) -> None:
        """Sends all of them, several at a time."""
        began, before = time.monotonic(), descriptors()
        async with workers() as running:
            at_first = largest(running)
            await asyncio.gather(*(self._in_turn(running, left) for _ in range(AT_ONCE)))
            while running._starting:  # Workers that are replaced.
                await asyncio.sleep(0.05)
            self.resident = at_first, largest(running)
        await self._viewer.close()
        for part, hashed in self._parts:
            if gaps := self._whole[part.cut_of].unseen(hashed):
                self.not_whole.append(f"{part.name}: {gaps[:3]}")
        # For the loop to put away what is closed.
        until = time.monotonic() + 20
        while descriptors() > before and time.monotonic() < until:
            await asyncio.sleep(0.1)
        self.descriptors = before, descriptors()
        self.seconds = time.monotonic() - began

    def by_code(self) -> dict[str, int]:
        """How many ended for what reason."""
        names = ["COMPLETE" if each.code is None else each.code.name for each in self.outcomes]
        return dict(Counter(names).most_common())

    async def _in_turn(self, running: Sandbox, left: Iterator[tuple[int, Variant]]) -> None:
        for number, variant in left:
            try:
                outcome = await sent(running, variant, self.folder)
            except TimeoutError:
                self.hung.append(variant.name)
                continue
            self.outcomes.append(outcome)
            if outcome.code is None:
                await self._check(outcome, variant)
            if number % HEALTHY_EVERY == 0:
                outcome = await sent(running, Variant("healthy", HEALTHY), self.folder)
                self.healthy_failed += outcome.code is not None

    async def _differs(self, variant: Variant, outcome: Outcome, answers: list[Answer]) -> bool:
        """Whether a file shows something else to who holds what he has seen."""
        held = await self._viewer.look(variant.data, outcome.container, again=True)
        return any(each not in answers for each in held)

    async def _check(self, outcome: Outcome, variant: Variant) -> None:
        """Holds what is called complete against what it shows."""
        self.looked_at += 1
        try:
            answers = await self._viewer.look(variant.data, outcome.container)
            gaps = [gap for answer in answers for gap in answer.unseen(outcome.hashed)]
            self.frames += sum(answer.frames for answer in answers)
            if not gaps and answers[0].frames:
                self._keep(outcome, variant, answers[0])
            elif await self._differs(variant, outcome, answers):
                self.undetermined.append(f"{outcome.media_format}: {variant.name}")
            else:
                self.not_seen.append(f"{variant.name}: {answers[0].frames} frames, {gaps[:3]}")
        except ValueError as error:
            self.not_seen.append(f"{variant.name}: {error}")

    def _keep(self, outcome: Outcome, variant: Variant, answer: Answer) -> None:
        if variant.name.startswith("whole/"):
            self._whole[variant.cut_of] = answer
        elif variant.cut_of:
            self._parts.append((variant, outcome.hashed))


def all_of(media: Path) -> Iterator[tuple[int, Variant]]:
    """With a number each."""
    lies = itertools.count()
    chosen = (
        variant
        for variant in variants(media, TRUNCATIONS, FLIPS)
        if not variant.name.startswith("lying/") or next(lies) % LIES == 0
    )
    return enumerate(chosen)


def largest(running: Sandbox) -> int:
    """Memory of the worker that has most, in bytes."""
    return max(worker._own_bytes() for worker in running._all)


@contextlib.asynccontextmanager
async def workers(*, confined: bool = True) -> AsyncIterator[Sandbox]:
    """The real ones."""
    made = Sandbox(WORKERS, LIMITS, ENVIRONMENT, confined=confined)
    async with sandbox.running(made) as running:
        yield running


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(scope="module")
def ended(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """All of them."""
    result = Campaign(tmp_path_factory.mktemp("hostile"))
    asyncio.run(result.run(all_of(media)))
    slowest = sorted(result.outcomes, key=lambda each: -each.seconds)[:12]
    print(f"{len(result.outcomes)} files in {result.seconds:.0f} s: {result.by_code()}")
    print(f"{result.looked_at} looked at again, {result.frames} frames")
    print("undetermined:", result.undetermined)
    print("slowest:", [f"{each.name} {each.seconds:.1f} s" for each in slowest])
    print("resident MiB:", [each // MIB for each in result.resident])
    return result


def named(ended: Campaign, code: VerdictReason) -> list[str]:
    """Those that ended so."""
    return [outcome.name for outcome in ended.outcomes if outcome.code is code]


def test_every_media_ends_and_no_worker_with_it(ended: Campaign) -> None:
    """A broken upload would keep a worker for ever, or look like an attack in the log."""
    assert len(ended.outcomes) >= (5000 if TORTURE else 500)
    assert ended.hung == []
    assert named(ended, VerdictReason.WORKER_DIED) == []
    assert named(ended, VerdictReason.SANDBOX_VIOLATION) == []
    assert named(ended, VerdictReason.WORKER_FAULT) == []


def test_healthy_media_among_them_are_seen(ended: Campaign) -> None:
    """One who uploads broken files would have those of others held back."""
    assert ended.healthy_failed == 0
    whole = [outcome for outcome in ended.outcomes if outcome.name.startswith("whole/")]
    assert len(whole) >= 39
    assert [outcome.name for outcome in whole if outcome.code is not None] == []


def test_what_is_called_complete_was_seen_from_start_to_end(ended: Campaign) -> None:
    """A file that is broken in the right way would be published with what nobody looked at."""
    assert ended.looked_at >= 100
    assert ended.frames >= 2000
    assert ended.not_seen == []
    # Of some damaged VP8 and HEVC, FFmpeg's decoders show what happens to be in their memory.
    assert len(ended.undetermined) <= ended.looked_at / 50


def test_a_part_that_is_called_complete_shows_all(ended: Campaign) -> None:
    """What a player finds and hashmatch does not would be behind the place of a cut."""
    assert ended.not_whole == []


def test_nothing_is_left_behind(ended: Campaign) -> None:
    """A server would run out of descriptors or memory after some thousand uploads."""
    before, after = ended.descriptors
    assert after == before
    at_first, at_last = ended.resident
    assert at_last - at_first <= worker_process._GROWTH_BYTES


async def test_a_second_that_was_not_looked_at_would_be_found(media: Path, tmp_path: Path) -> None:
    """The tests above would pass whatever is left out."""
    viewer = Viewer(tmp_path)
    async with workers() as running:
        for name in ("clips/pan_coffee.mp4", "images/animated.gif"):
            variant = Variant(name, (media / name).read_bytes())
            outcome = await sent(running, variant, tmp_path)
            answer, *more = await viewer.look(variant.data, outcome.container)
            assert more == []
            hashed = outcome.hashed
            assert answer.unseen(hashed) == []
            kept = (hashed.pts_ms < 1000) | (hashed.pts_ms > 2500)
            assert len(answer.unseen(hashed.only(kept))) == 1
            assert len(answer.unseen(hashed.only(kept & False))) == 1
            other = hashed.digests ^ np.uint8(0b01010101)  # Other pictures at those times.
            assert len(answer.unseen(hashed._replace(digests=other))) == 1
    await viewer.close()


# What files refer to

_IN_ACCESS, _IN_OPEN = 0x1, 0x20  # Source: Linux, include/uapi/linux/inotify.h.


class Canary:
    """A file and a port; each says if somebody came."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "canary.mkv"
        self.path.write_bytes(clip([CANARY_SEED]))
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)
        self.port = self._server.getsockname()[1]
        libc = ctypes.CDLL(None, use_errno=True)
        self._events = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        watch = libc.inotify_add_watch(self._events, bytes(self.path), _IN_ACCESS | _IN_OPEN)
        assert watch >= 0

    def was_read(self) -> bool:
        """Since last asked."""
        try:
            return bool(os.read(self._events, 65_536))
        except BlockingIOError:
            return False

    def was_called(self) -> bool:
        """Since last asked."""
        try:
            self._server.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Puts it away."""
        self._server.close()
        os.close(self._events)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    """One that was seen to sing."""
    made = Canary(tmp_path)
    made.path.read_bytes()
    socket.create_connection(("127.0.0.1", made.port)).close()
    assert made.was_read()
    assert made.was_called()
    assert not made.was_read()
    assert not made.was_called()
    yield made
    made.close()


@pytest.mark.parametrize("confined", [True, False], ids=["confined", "not confined"])
async def test_nothing_that_a_file_refers_to_is_opened(
    media: Path, tmp_path: Path, canary: Canary, confined: bool
) -> None:
    """A crafted upload would have the server's files published, or tell others who looks at it;
    and where nothing is confined, the decoder would be all that stands in its way.
    """
    [expected], _ = pdq.digest(np.asarray(Image.fromarray(picture(CANARY_SEED)).convert("L"))[None])
    told = []
    async with workers(confined=confined) as running:
        left = iter(list(references(media, canary.path, canary.port)))

        async def in_turn() -> None:
            for variant in left:
                outcome = await sent(running, variant, tmp_path)
                distances = np.bitwise_count(outcome.hashed.digests ^ expected).sum(-1)
                shown = bool((distances <= NEAR_BITS).any())
                if canary.was_read() or canary.was_called() or shown:
                    told.append(variant.name)
                if outcome.code is VerdictReason.SANDBOX_VIOLATION:
                    told.append(f"{variant.name}: violation")

        await asyncio.gather(*(in_turn() for _ in range(AT_ONCE)))
    assert told == []


if __name__ == "__main__":
    main()
