"""An account of which frames of a stream were looked at, and what that promises."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hashmatch.engine.sampling.clues import is_large, stand_out
from hashmatch.engine.sampling.instants import MISSED, Instants, found_in
from hashmatch.engine.sampling.packets import Doubt

__all__ = ["Looks", "Plan", "Promise", "Stretch"]


class Plan(NamedTuple):
    """How a video is sampled.

    ``max_gap_ms``: no stretch longer than that goes without a frame; 0: all frames are decoded.
    ``found_ms``: what is shown for so long in all is found as promised, see `found_in`. ``seed``:
    decides the instants, see `Job.seed`. ``needs_key``: what stands before the first key frame is
    not shown by most viewers, and may be damaged. ``probe_bytes``: how much of a file is read to
    find its streams; 0: as little as is usual.
    """

    max_gap_ms: int
    found_ms: int
    seed: int
    needs_key: bool = True
    probe_bytes: int = 0


class Stretch(NamedTuple):
    """Packets between two that a decoder can begin at, in the order of decoding.

    ``frames_ms`` and ``sizes`` (bytes) of each; ``sync_size``: bytes of the packet before them that
    the decoder began at; ``end_ms``: when the next such packet is shown, None at the end of the
    stream; ``may_lead``: frames that are decoded after that one may be shown before it.
    """

    frames_ms: Sequence[float]
    sizes: Sequence[int]
    sync_size: int
    end_ms: float | None
    may_lead: bool


class Promise(NamedTuple):
    """What was looked at of a stream; see the last three fields of `Coverage`."""

    longest_unseen_ms: int
    seen_permille: int
    miss_per_million: int


class Looks:
    """Which frames of one stream must be looked at, beside those that are cheap to decode.

    Frames are named by their times in ms, not rounded. Holds some 30 bytes for each frame shown.
    """

    def __init__(self, plan: Plan, stream: int, duration_ms: float) -> None:
        """``duration_ms`` as the header says, 0 if it does not."""
        self._instants = Instants(plan.seed, stream, duration_ms, plan.found_ms)
        self._found_ms = plan.found_ms
        self._shown = array("d")
        self._looked = array("d")
        self._marked: set[float] = set()  # Frames whose packets stand out.
        self._end_ms = 0.0
        self._judged_ms: float | None = None  # The end of the newest stretch that was judged.

    def shown(self, frame_ms: float) -> None:
        """A frame is there that is shown from this time on, decoded or not."""
        self._shown.append(frame_ms)
        self._instants.offer(frame_ms)

    def wants(self, frame_ms: float) -> bool:
        """True if the frame has to be looked at, as far as is known by now."""
        return frame_ms in self._marked or self._instants.wants(frame_ms)

    def may_want(self, frame_ms: float) -> bool:
        """True if it has to be looked at, or may yet have to: on a frame that comes out before the
        next is known an instant may fall afterwards, and it is looked at no second time.
        """
        return frame_ms in self._marked or self._instants.may_want(frame_ms)

    def decodes(self, frame_ms: float, size: int, sync_size: int) -> bool:
        """True if a packet of ``size`` bytes must be decoded even if no other refers to its frame:
        it is large, or an instant falls on it.
        """
        return is_large(size, sync_size) or self.wants(frame_ms)

    def looked(self, frame_ms: float) -> None:
        """The frame came out of the decoder and is looked at."""
        self._looked.append(frame_ms)
        self._marked.discard(frame_ms)
        self._instants.look(frame_ms)

    def number_ahead(self, stretch: Stretch) -> int:
        """The number of packets of a stretch that have to be decoded, from its first on; 0 when
        they have been and it is asked again for what is left. Packets that stand out are wanted.
        """
        if stretch.end_ms is not None and stretch.end_ms == self._judged_ms:
            return 0
        self._judged_ms = stretch.end_ms
        frames_ms = stretch.frames_ms
        large = stand_out(stretch.sizes, stretch.sync_size)
        wanted = [
            number
            for number, frame_ms in enumerate(frames_ms, 1)
            if large[number - 1] or self.wants(frame_ms)
        ]
        if not wanted:
            return 0
        self._marked.update(frames_ms[number - 1] for number in wanted)
        if stretch.may_lead and max(frames_ms) in self._marked:
            # At this instant a frame may be shown that is not known yet, and that refers to all.
            return len(frames_ms)
        return wanted[-1]

    def end(self, end_ms: float) -> None:
        """No more frames come; the last is shown until ``end_ms``."""
        self._end_ms = end_ms
        self._instants.end(end_ms)

    def promise(self) -> Promise:
        """What holds when all frames have come out of the decoder; call `end` before.

        Raises `Doubt` if less was looked at than is promised of every video.
        """
        if self._instants.missed:
            raise Doubt("a frame did not come out that had to be looked at")
        times = np.unique(np.array(self._shown))
        if not len(times):
            return Promise(0, 1000, 0)
        if len(times) < len(self._shown):
            raise Doubt("two frames of one time, of which players show the later")
        lasts = np.diff(times, append=max(self._end_ms, times[-1]))
        unseen = ~np.isin(times, np.array(self._looked))
        total_ms, unseen_ms = float(lasts.sum()), float(lasts[unseen].sum())
        if not unseen_ms:
            return Promise(0, 1000, 0)
        if self._instants.chance_of_a_miss(found_in(total_ms, self._found_ms)) > MISSED:
            raise Doubt("it does not last as long as its header says")
        chance = self._instants.chance_of_a_miss(found_in(total_ms, 0))
        return Promise(
            longest_unseen_ms=_longest(lasts, unseen),
            seen_permille=int(1000 * (1 - unseen_ms / total_ms)),
            miss_per_million=min(1_000_000, max(1, round(chance * 1_000_000))),
        )


def _longest(lasts: npt.NDArray[np.float64], unseen: npt.NDArray[np.bool_]) -> int:
    """The longest run of frames ``[n]`` that are ``unseen``, which last so long each, in ms."""
    before = np.concatenate([[0.0], np.cumsum(np.where(unseen, lasts, 0.0))])
    resets = np.maximum.accumulate(np.concatenate([[0.0], np.where(unseen, 0.0, before[1:])]))
    return int(np.ceil((before - resets).max()))
