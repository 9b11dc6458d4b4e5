"""Files composed at random: whatever viewers show of a listed film for a second is found, or told
of as not seen.

The judges are FFmpeg as it is packaged, which decodes all of a film by its own defaults, and
Chromium for animated pictures; `pdqhash` hashes what they show.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pdqhash
import pytest

from hashmatch.decoding.channel import Done, Job
from hashmatch.decoding.media.source import BytesSource
from hashmatch.decoding.worker.inspect import inspect
from hashmatch.engine.sampling import densities
from hashmatch.model.records import DecodeLimits
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind
from tests import viewers
from tests.e2e.composing import Composed, compose, listed_film
from tests.support import TORTURE

FILES = 5_000 if TORTURE else 24

pytestmark = pytest.mark.timeout(6 * 3600 if TORTURE else 300)

# A viewer's picture is the film's if it is so near; lists are matched at the second distance.
SHOWN_BITS, NEAR_BITS = 20, 31
SHOWN_MS = 1000

Digests = npt.NDArray[np.uint8]
Timed = list[tuple[float, viewers.Picture]]


def hashed(picture: viewers.Picture) -> Digests:
    """By an implementation that is not hashmatch's."""
    bits, _ = pdqhash.compute(np.ascontiguousarray(picture))
    return np.packbits(bits.astype(np.uint8))


@lru_cache
def listed() -> Digests:
    """Every frame of the film ``[n, 32]``."""
    return np.stack([hashed(each) for each in listed_film()])


@lru_cache
def listed_turned() -> Digests:
    """The film in all turns and mirrors: in any of these a viewer knows it."""
    made = []
    for each in listed_film():
        turns, _ = pdqhash.compute_dihedral(np.ascontiguousarray(each))
        made += [np.packbits(np.asarray(bits).astype(np.uint8)) for bits in turns]
    return np.stack(made)


def bits_apart(some: Digests, others: Digests) -> int:
    """Between the nearest two of ``[n, 32]`` and ``[m, 32]``."""
    apart = np.bitwise_count(some[:, None] ^ others).sum(axis=-1)
    return int(apart.min(initial=256))


def shown_ms(timed: Timed) -> float:
    """How long the film is shown in one piece, at most."""
    timed = sorted(timed, key=lambda each: each[0])
    starts = [seconds for seconds, _ in timed]
    steps = np.diff(starts)
    # How long the last picture stays, viewers do not agree on.
    ends = [*starts[1:], starts[-1] + (float(np.median(steps)) if len(steps) else 0.0)]
    longest, since = 0.0, None
    known: dict[bytes, bool] = {}
    for start, end, (_, picture) in zip(starts, ends, timed, strict=True):
        name = picture.tobytes()
        if name not in known:
            known[name] = bits_apart(hashed(picture)[None], listed_turned()) <= SHOWN_BITS
        if not known[name]:
            since = None
            continue
        since = start if since is None else since
        longest = max(longest, end - since)
    return longest * 1000


def seen_by_viewers(composed: Composed, folder: Path, *, browser: bool) -> list[Timed]:
    """What viewers show of each track; raises `ViewerRefused`."""
    path = folder / f"composed.{composed.suffix}"
    path.write_bytes(composed.data)
    if composed.media_type and (browser or composed.suffix not in ("gif", "png")):
        at, timed = 0.0, []
        for seconds, picture in viewers.chromium_animation(path, composed.media_type):
            timed.append((at, picture))
            at += seconds
        return [timed]
    tracks = [viewers.ffmpeg_timed_frames(path)]
    if "second track" in composed.description:
        tracks.append(viewers.ffmpeg_timed_frames(path, track=1))
    return tracks


def looked_at(data: bytes, seed: int) -> tuple[int, Done]:
    """How near the nearest hash of an upload is to the film, and what is told of it."""
    job = Job((Kind.PDQ,), True, densities.UPLOAD, DecodeLimits(60_000, 1 << 22), seed=seed)
    found: list[Signals] = []
    done = inspect(BytesSource(data), job, lambda signals, _: found.extend(signals))
    digests = [each.digests for each in found]
    return (bits_apart(np.concatenate(digests), listed()) if digests else 256), done


@dataclass
class Account:
    """What became of files."""

    counts: Counter[str] = field(default_factory=Counter)
    sorts: Counter[str] = field(default_factory=Counter)
    misses: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def judge(self, seed: int, folder: Path) -> None:
        """Composes a file, has it shown and looked at."""
        composed = compose(seed)
        told = f"{seed}: {composed.description}"
        try:
            tracks = seen_by_viewers(composed, folder, browser=bool(seed % 2))
        except viewers.ViewerRefused as error:
            self.counts["refused by the viewer"] += 1
            self.refusals.append(f"{told} -> {error}")
            return
        nearest, done = looked_at(composed.data, seed)
        complete, found = done.coverage.complete, nearest <= NEAR_BITS
        self.sorts[composed.description.partition(" ")[0]] += 1
        self.counts["files"] += 1
        self.counts["complete"] += complete
        self.counts["found"] += found
        if not complete:
            why = "; ".join(f"{each.code.name}: {each.detail}" for each in done.reasons)
            self.refusals.append(f"{told} -> {why}")
        longest_ms = max(shown_ms(each) for each in tracks)
        shows = longest_ms >= SHOWN_MS
        self.counts["meant"] += composed.meant
        self.counts["meant and shown"] += composed.meant and shows
        self.counts["shown"] += shows
        self.counts["shown and found"] += shows and found
        self.counts["found where never meant"] += found and not composed.meant
        if shows and complete and not found:
            self.misses.append(f"{told} -> shown for {longest_ms:.0f} ms, {nearest} bits apart")


def test_what_viewers_show_is_found_or_told_of_as_not_seen(tmp_path: Path) -> None:
    """Whatever a file is made of. That files are looked at counts too: to refuse all is no way."""
    account = Account()
    for seed in range(FILES):
        account.judge(seed, tmp_path)
    counts: Any = account.counts
    assert len(account.sorts) > 5, account.sorts
    assert account.misses == [], counts
    assert counts["found where never meant"] == 0, counts
    refusals = "\n".join(account.refusals)
    assert counts["complete"] >= 0.85 * counts["files"], f"{counts}\n{refusals}"
    assert counts["refused by the viewer"] <= 0.05 * counts["files"], f"{counts}\n{refusals}"
    assert counts["meant and shown"] >= 0.6 * counts["meant"], counts
