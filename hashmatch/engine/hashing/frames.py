"""A batch of frames in, one `Signals` for each perceptual kind out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hashmatch.engine.hashing import patches, pdq, plain, steady
from hashmatch.model.signals import Signals, view_code
from hashmatch.model.verdicts import Kind, Part, Turn

__all__ = ["FrameBatch", "hash_frames", "upright_squares"]


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Frames of one size.

    ``luma`` uint8 or float32 ``[n, h, w]``; times ``gain`` it spans 0 to 255. ``pts_ms`` int64
    ``[n]``. ``part`` says what of the frame this is. ``full_luma`` uint8 ``[n, H, W]`` is the
    frame before it was made smaller for PDQ, absent where it was not. ``stream`` is the number of
    the stream that they are of; ``key``: a decoder could begin at them; ``drawn``: a secret instant
    fell on them (see `engine.sampling.instants`); None: all frames of the stream come.
    ``colours`` gives the red, green and blue of a batch of one frame, uint8 ``[h, w]`` each and of
    more than the part if that is easier; None: nobody knows.
    """

    luma: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    pts_ms: npt.NDArray[np.int64]
    part: Part = Part.FULL
    gain: float = 1.0
    full_luma: npt.NDArray[np.uint8] | None = None
    stream: int = 0
    key: bool = True
    drawn: bool | None = None
    colours: Callable[[], Sequence[npt.NDArray[np.uint8]]] | None = None
    _grids: list[npt.NDArray[np.float32]] = field(default_factory=list, init=False, repr=False)

    def grids(self) -> npt.NDArray[np.float32]:
        """What PDQ hashes are made of, float32 ``[n, 64, 64]``: made when first asked for, as it
        tells frames apart and is then hashed.
        """
        if not self._grids:
            self._grids.append(pdq.reduced(self.luma))
        return self._grids[0]

    def is_plain(self) -> bool:
        """True if a batch of one frame is known to show nothing, see `plain`."""
        if self.colours is None:
            return False
        grid = self.grids()[0] * np.float32(self.gain)
        if self.full_luma is None and not plain.may_be_plain(grid):
            return False
        luma = self.luma if self.full_luma is None else self.full_luma
        return plain.is_plain(luma[0], self.gain, self.colours())

    def content(self, top: int, bottom: int, left: int, right: int) -> FrameBatch:
        """Its rows ``top`` to ``bottom`` and columns ``left`` to ``right``, ends excluded."""
        within = self.luma[:, top:bottom, left:right]
        return replace(self, luma=within, part=Part.CONTENT, full_luma=None)


_BOTH: Final = (Turn.NONE, Turn.FLIP_HORIZONTAL)

# Views of a frame that lists of whole frames have no hashes of.
_WITHIN: Final = (Part.CONTENT, Part.INSET)

# An inset nearly all of whose rows are alike, as those of bars and of edges are, comes near hashes
# of unrelated frames: of clean uploads' insets some were 56 of 256 bits from one, and none of those
# that are left is nearer than 66. No picture in a picture was lost by it.
_ALIKE: Final = 0.9
_GRID: Final = 32
_UPRIGHT: Final = np.zeros(1, np.int64)

# An upload's squares are looked at as they are; an entry's in a mirror too, and those that stand
# out most turned as well: hashes of squares that differ by two degrees are 30 to 50 bits apart.
_OF_UPLOAD: Final = (patches.Look(40),)
_OF_ENTRY: Final = (patches.Look(64), patches.Look(24, tilt=4), patches.Look(24, tilt=-4))


# Of frames of an entry that are there for a moment: most of what there is of it is them.
_OF_FLEETING: Final = (patches.Look(64),)


@functools.cache
def _views(part: Part, turns: int) -> npt.NDArray[np.uint8]:
    return np.array([view_code(part, turn) for turn in list(Turn)[:turns]], np.uint8)


def hash_frames(
    batch: FrameBatch, kinds: Iterable[Kind], *, turns: bool, readings: bool = False
) -> list[Signals]:
    """Hashes a batch by each perceptual kind in ``kinds`` (exact ones are left to others).

    With ``turns``, PDQ gives all eight turns and mirrors of each frame, frame by frame. A frame's
    quality is PDQ's, for pHash too; below `pdq.MIN_QUALITY` it is graded (`steady`). With
    ``readings``, those of each turn of a flat frame follow, see `steady.readings`. What lies
    within a border, or is an inset, is hashed by PDQ alone: other kinds are of whole frames, as in
    the lists that have them.

    PDQ_PATCH has squares as they are of each frame ``turns`` are made of (an upload), and mirrored
    and turned ones too where they are not (an entry): so what is done for every upload is little.
    """
    wanted = {kind for kind in kinds if not kind.exact}
    if batch.part is Part.INSET:
        rich = _are_rich(batch.luma)
        if not rich.any():
            return []
        batch = replace(batch, luma=batch.luma[rich], pts_ms=batch.pts_ms[rich])
    squares = _patches(batch, turns) if Kind.PDQ_PATCH in wanted else []
    if not wanted & {Kind.PDQ, Kind.PHASH}:
        return squares
    count = len(Turn) if turns else 1
    digests, own_quality = pdq.of_reduced(batch.grids(), gain=batch.gain, turns=count)
    quality = steady.graded(batch.grids(), own_quality, batch.gain)
    hashed = []
    if Kind.PDQ in wanted:
        hashed.append(
            Signals(
                Kind.PDQ,
                digests.reshape(-1, pdq.DIGEST_BYTES),
                np.repeat(quality, count),
                np.repeat(batch.pts_ms, count),
                np.tile(_views(batch.part, count), len(quality)),
            )
        )
        if readings and batch.part is not Part.INSET:
            hashed += _readings(batch, digests, own_quality)
    if Kind.PHASH in wanted and batch.part not in _WITHIN:
        from hashmatch.engine.hashing import phash  # Loads Pillow and SciPy: only where it is used.

        # The range of the luma does not matter here: pHash compares with a median.
        whole = batch.luma if batch.full_luma is None else batch.full_luma
        if whole.dtype != np.uint8:
            whole = np.rint(whole)
        hashed.append(
            Signals(
                Kind.PHASH,
                phash.digest(whole.astype(np.uint8, copy=False)),
                quality,
                batch.pts_ms,
                np.full(len(quality), view_code(batch.part), np.uint8),
            )
        )
    return hashed + squares


def _readings(
    batch: FrameBatch, digests: npt.NDArray[np.uint8], quality: npt.NDArray[np.uint8]
) -> list[Signals]:
    """Those of each flat frame, whose hashes are ``digests`` uint8 ``[n, turns, 32]``."""
    found = []
    views = _views(batch.part, digests.shape[1])
    for number in np.flatnonzero(quality <= steady.MOST_QUALITY):
        grid, own = batch.grids()[number], digests[number]
        grain = steady.grain_of(batch.luma[number], batch.gain)
        made = steady.readings(grid, own, batch.gain, grain)
        found += [
            Signals(
                Kind.PDQ,
                reading,
                np.full(len(reading), reading_quality, np.uint8),
                np.repeat(batch.pts_ms[number], len(reading)),
                views,
            )
            for reading, reading_quality in zip(made, steady.READING_QUALITIES, strict=False)
        ]
    return found


def _are_rich(luma: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Of planes ``[n, h, w]``, bool ``[n]``: False if one row of it, brighter and darker, tells
    nearly all.
    """
    if min(luma.shape[1:]) < _GRID:
        return np.zeros(len(luma), np.bool_)
    grids = luma.astype(np.float32)
    for axis, length in enumerate(luma.shape[1:], 1):
        first = np.arange(_GRID) * length // _GRID
        sums = np.add.reduceat(grids, first, axis=axis)
        counts = np.diff(first, append=length).astype(np.float32)
        grids = sums / (counts[:, None] if axis == 1 else counts)
    _, alike = pdq.of_grids(np.ascontiguousarray(grids), _UPRIGHT)
    rich: npt.NDArray[np.bool_] = alike < _ALIKE
    return rich


def _patches(batch: FrameBatch, turns: bool) -> list[Signals]:
    looks, mirrored = (_OF_UPLOAD, False) if turns else (_OF_ENTRY, True)
    made = [
        _squares(batch, luma, int(pts_ms), looks, mirrored=mirrored)
        for luma, pts_ms in zip(batch.luma, batch.pts_ms, strict=True)
    ]
    return [each for each in made if len(each)]


def upright_squares(batch: FrameBatch) -> Signals:
    """Squares of a batch of one frame as they are: neither mirrored nor turned; as many as of an
    entry's frames, or none.
    """
    return _squares(batch, batch.luma[0], int(batch.pts_ms[0]), _OF_FLEETING, mirrored=False)


def _squares(
    batch: FrameBatch,
    luma: npt.NDArray[Any],
    pts_ms: int,
    looks: Sequence[patches.Look],
    *,
    mirrored: bool,
) -> Signals:
    views = np.array([view_code(batch.part, turn) for turn in _BOTH], np.uint8)
    digests, quality, flipped = patches.digests(luma, looks, mirrored=mirrored)
    times = np.full(len(digests), pts_ms, np.int64)
    return Signals(Kind.PDQ_PATCH, digests, quality, times, views[flipped.astype(np.int64)])
