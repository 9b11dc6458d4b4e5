"""The set: which clips stand for prohibited ones, which for everybody else's, and what is done to
both.

Sources are the generated fixtures and, where HASHMATCH_CORPUS names a folder, the real clips in
it. Each is cut to its first seconds, made small and encoded anew: that is the "original" here.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
import random
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, TypeVar

import av
import numpy as np
import numpy.typing as npt

from benchmarks.robustness import attacks, making, mixing
from benchmarks.robustness.attacks import ATTACKS, attack
from benchmarks.robustness.making import Strength, Upload, fit, write
from fixtures import generate, transcode
from fixtures.transcode import decode, filtered
from hashmatch.decoding.media import luma
from hashmatch.engine.hashing.frames import hash_frames
from hashmatch.engine.hashing.versions import HASH_VERSIONS
from hashmatch.engine.index.live import usable
from hashmatch.model.verdicts import Kind, Turn

__all__ = ["SEED", "Case", "Clip", "Dataset", "build"]

T = TypeVar("T")
_Digests = npt.NDArray[np.uint8]

_ROOT: Final = Path(__file__).resolve().parent.parent.parent

SEED: Final = 20

# What is kept of a source: enough for a splice of three seconds and for sampling once a second.
_SECONDS: Final = 8.0
_LONG_SIDE: Final = 480
_FRAMES_PER_SECOND: Final = 25

_NEARLY_LOSSLESS: Final = {"preset": "ultrafast", "crf": "18"}

# Scripts whose change makes kept files stale.
_OF_SOURCES: Final = (__file__, making.__file__, transcode.__file__)
_OF_UPLOADS: Final = (making.__file__, transcode.__file__, attacks.__file__, mixing.__file__)

# Clips with frames nearer than this are versions of one film. Twice the bits that match by default;
# frames that have nothing to do with each other are 78 apart and more.
_SAME_FILM_BITS: Final = 62
_FINGERPRINT_SECONDS: Final = 0.4

# In the whole set, so many clean clips suffer each attack.
_CLEAN_PER_ATTACK: Final = 4


@dataclass(frozen=True, slots=True)
class Clip:
    """One source; ``family`` names all files that show the same film, of which it is the one
    that is used.
    """

    name: str
    path: Path
    family: tuple[str, ...]
    listed: bool


@dataclass(frozen=True, slots=True)
class Case:
    """One upload: a source as it is (``attack`` empty) or after an attack."""

    source: str
    listed: bool
    attack: str = ""
    seed: int = 0
    host: str = ""  # A clean clip, never the source.


@dataclass(frozen=True, slots=True)
class Dataset:
    """Clips by name, and a folder for the uploads made of them."""

    clips: dict[str, Clip]
    cache: Path

    @property
    def listed(self) -> list[Clip]:
        """Those on the blocklist."""
        return [clip for clip in self.clips.values() if clip.listed]

    @property
    def clean(self) -> list[Clip]:
        """The others."""
        return [clip for clip in self.clips.values() if not clip.listed]

    @property
    def set_id(self) -> str:
        """Eight hex digits that say which clips these are, and which of them are listed."""
        names = sorted(f"{clip.name} {clip.listed}" for clip in self.clips.values())
        return f"{zlib.crc32(' '.join(names).encode()):08x}"

    def cases(self, fraction: float = 1.0, seed: int = SEED) -> list[Case]:
        """Of all attacks on all listed clips a part, but each attack at least once; every clean
        clip as it is; and a part of the attacks on clean clips.

        The cases of a smaller fraction are among those of a larger one.
        """
        cases = []
        for name in ATTACKS:
            victims = _shuffled(self.listed, f"{seed} {name}")
            cases += [
                self._case(clip, name, seed) for clip in victims[: _part(len(victims), fraction)]
            ]
        cases += [Case(clip.name, listed=False) for clip in self.clean]
        pairs = [
            (name, clip)
            for name in ATTACKS
            for clip in _shuffled(self.clean, f"{seed} clean {name}")[:_CLEAN_PER_ATTACK]
        ]
        pairs = _shuffled(pairs, f"{seed} clean")
        cases += [
            self._case(clip, name, seed) for name, clip in pairs[: _part(len(pairs), fraction)]
        ]
        return cases

    def _case(self, clip: Clip, name: str, seed: int) -> Case:
        key = f"{seed} {name} {clip.name}"
        hosts = [each for each in self.clean if each.name != clip.name]
        host = _shuffled(hosts, key)[0]
        return Case(clip.name, clip.listed, name, zlib.crc32(key.encode()), host.name)

    def upload(self, case: Case) -> tuple[Path, Strength]:
        """The file of a case and how strongly it was attacked; made unless it is there already."""
        source = self.clips[case.source].path
        if not case.attack:
            return source, {}
        host = self.clips[case.host].path
        key = _key(_OF_UPLOADS, _content(source), _content(host), case.attack, f"{case.seed}")
        target = self.cache / "uploads" / f"{key}{ATTACKS[case.attack].suffix}"
        notes = target.with_suffix(".json")
        if not notes.exists():
            rng = np.random.default_rng(case.seed)
            with _making(target) as unfinished:
                strength = attack(case.attack, source, unfinished, rng, host=host)
            with _making(notes) as unfinished:
                unfinished.write_text(json.dumps(strength))
        return target, json.loads(notes.read_text())


def build(
    pool: Executor,
    corpus: Path | None = None,
    *,
    cache: Path = _ROOT / ".cache" / "robustness",
    seed: int = SEED,
) -> Dataset:
    """Prepares all sources and lists half of the families, by ``seed``.

    Files of one repository are named ``<repository>--<file>``. Those whose names begin alike are
    one family without looking; then whatever looks alike is joined, so that no clean clip matches
    a listed one before anything is done to it. Sources without a frame that is rich enough to
    hash are left out: no entry can be made of them.
    """
    fixtures = generate.build(_ROOT / ".cache" / "fixtures") / "clips"
    real = [path for path in corpus.iterdir() if path.is_file()] if corpus else []
    by_name: dict[str, list[Path]] = {}
    for path in sorted([*fixtures.iterdir(), *real], key=lambda path: path.name):
        by_name.setdefault(_film(path.name), []).append(path)
    groups = list(by_name.values())
    (cache / "sources").mkdir(parents=True, exist_ok=True)
    (cache / "uploads").mkdir(exist_ok=True)
    firsts = [group[0] for group in groups]
    prepared = list(pool.map(functools.partial(_prepare, cache / "sources"), firsts))
    families = _families([fingerprint for _, fingerprint in prepared])
    listed = _shuffled(families, f"{seed} listed")[: -(-len(families) // 2)]
    clips = {}
    for family in families:
        name = firsts[family[0]].name
        members = tuple(path.name for number in family for path in groups[number])
        clips[name] = Clip(name, prepared[family[0]][0], members, listed=family in listed)
    return Dataset(clips, cache)


def _film(name: str) -> str:
    """What files of one film have in common: the repository and the name's first part."""
    repository, _, file = name.rpartition("--")
    return f"{repository}--{file.split('-')[0]}"


def _prepare(folder: Path, path: Path) -> tuple[Path, _Digests]:
    """The start of a clip, small and encoded anew, and the usable hashes of some of its frames.

    Digests uint8 ``[frames, turns, 32]``.
    """
    key = _key(_OF_SOURCES, _content(path), HASH_VERSIONS[Kind.PDQ])
    target = folder / f"{key}.mp4"
    notes = target.with_suffix(".npy")
    if not notes.exists():
        with av.open(str(path)) as container:
            own = container.streams.video[0].average_rate or Fraction(_FRAMES_PER_SECOND)
        # MPEG-4 has no more than 16 bits for the parts of a rate.
        rate = min(own, Fraction(_FRAMES_PER_SECOND)).limit_denominator(1001)
        steady = filtered(_timed(decode(path), own), f"fps={rate},{fit(_LONG_SIDE)}")
        shown = list(itertools.islice(steady, round(_SECONDS * rate)))
        with _making(target) as unfinished:
            write(unfinished, Upload(shown, {}, rate, options=_NEARLY_LOSSLESS))
        every = max(1, round(_FINGERPRINT_SECONDS * rate))
        hashed = [
            hash_frames(batch, [Kind.PDQ], turns=True)[0]
            for frame in shown[::every]
            for batch in luma.from_video_frame(frame, 0)
        ]
        rich = [each.digests for each in hashed if usable(each).all()]
        with _making(notes) as unfinished:
            np.save(unfinished, np.array(rich, np.uint8).reshape(-1, len(Turn), Kind.PDQ.width))
    return target, np.load(notes)


def _timed(shown: Iterable[av.VideoFrame], rate: Fraction) -> Iterator[av.VideoFrame]:
    """Times strictly rising in ms, also where a container has none."""
    last = -1
    for number, frame in enumerate(shown):
        moment = number / rate if frame.time is None else frame.time
        last = max(last + 1, round(moment * 1000))
        frame.pts, frame.time_base = last, Fraction(1, 1000)
        yield frame


def _families(fingerprints: list[_Digests]) -> list[list[int]]:
    """Indices of clips, those together that are joined by a chain of frames that look alike.

    Clips without a fingerprint are in none.
    """
    families: list[list[int]] = []
    for number, own in enumerate(fingerprints):
        if not len(own):
            continue
        alike = [
            family
            for family in families
            if any(_nearest(own, fingerprints[other]) <= _SAME_FILM_BITS for other in family)
        ]
        families = [family for family in families if family not in alike]
        families.append(sorted([number, *itertools.chain.from_iterable(alike)]))
    return sorted(families)


def _nearest(one: _Digests, other: _Digests) -> int:
    """Fewest bits between a frame of one clip and any turn of a frame of the other."""
    upright = one[:, 0].view(np.uint64)
    turned = other.reshape(-1, other.shape[-1]).view(np.uint64)
    return int(np.bitwise_count(upright[:, None] ^ turned[None]).sum(-1).min())


def _shuffled(items: Sequence[T], key: str) -> list[T]:
    return random.Random(key).sample(items, len(items))


def _part(count: int, fraction: float) -> int:
    return max(1, int(count * fraction))


@functools.cache
def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _key(scripts: Sequence[str], *parts: str) -> str:
    """Names a file by all that it is made of: its inputs, the scripts and the encoder."""
    versions = [_content(Path(script)) for script in scripts]
    state = hashlib.sha256(" ".join((*parts, *versions, av.__version__)).encode())
    return state.hexdigest()[:32]


@contextlib.contextmanager
def _making(target: Path) -> Iterator[Path]:
    """A name to write to; what is written appears as ``target`` when it is whole."""
    unfinished = target.with_name(f"{target.stem}.{uuid.uuid4().hex}.making{target.suffix}")
    yield unfinished
    unfinished.rename(target)
