"""Pictures set into a picture: rectangles whose edges persist while all else moves.

A film in the corner of another has a straight edge on each side that the frame does not end at.
What moves has its edges elsewhere in the next frame, so over some frames those of an inset stand
out. What it finds is only a view to hash: a door or a window that is taken for an inset costs two
hashes that match nothing.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hashmatch.engine.kernels import kernel

__all__ = ["Inset", "InsetFinder", "warm_up"]

# Frames that are looked at together. Of 29 pictures in pictures 25 were cut out so that a frame
# within 31 bits of the entry's came of it, with 8 frames as with 16; 24 with 4.
_FRAMES: Final = 8

# Pixels on a plane's longer side, at most. With all planes at 320 two less were cut out.
_LONG_SIDE: Final = 480

# Insets of eight frames that are hashed: the two whose edges stand out most. With three no more
# were found.
_MOST: Final = 2

# The least part of the frame's height and width that an inset has.
_LEAST: Final = 0.2

# How much longer than the other one side may be. Strips are bars of an application, or lines of
# text: 250 of 1,230 insets of clean uploads were, and came nearest to hashes of other films.
_LONGEST: Final = 2.5

# An edge stands out from the lines beside it by (own - theirs) / (own + theirs + _NOISE), 0 to 1;
# `_NOISE` in steps of luma. Each side of an inset does so by `_STANDS_OUT` over its length in the
# mean. With 0.3, 20 of 29 were found; with 0.15, no more than with 0.2, at three times as many
# rectangles of uploads that have no inset.
_NOISE: Final = 4.0
_STANDS_OUT: Final = 0.2

# Lines of each direction that sides are sought among: those with the most pronounced stretch.
_LINES: Final = 24

# Lines beside an edge that it is compared with: the second to the fourth on either side. Chroma,
# ringing and a shrunk picture spread an edge over its neighbours.
_NEAREST, _FARTHEST = 2, 4

# Rectangles whose sides all are within so many pixels are one.
_SAME: Final = 3

_Plane = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


class Inset(NamedTuple):
    """What one frame shows within a rectangle: ``luma`` uint8 ``[1, h, w]``, at ``pts_ms``."""

    pts_ms: int
    luma: npt.NDArray[np.uint8]


class InsetFinder:
    """The insets of one stream's frames, as they come. Holds `_FRAMES` small planes at most.

    Frames are looked at in groups, so an inset that is there for a part of the media is found too.
    """

    def __init__(self) -> None:
        """No frame was there yet."""
        self._planes: list[npt.NDArray[np.uint8]] = []
        self._pts_ms: list[int] = []

    def offer(self, pts_ms: int, luma: _Plane) -> list[Inset]:
        """Takes the next frame, ``luma`` uint8 or float32 ``[h, w]`` with values in 0 to 255.

        Returns the insets of the group that it completes, or none.
        """
        plane = _shrunk(luma)
        found = []
        if self._planes and self._planes[0].shape != plane.shape:
            found = self.finish()
        self._planes.append(plane)
        self._pts_ms.append(pts_ms)
        if len(self._planes) == _FRAMES:
            found += self.finish()
        return found

    def finish(self) -> list[Inset]:
        """The insets of the frames that wait for more."""
        planes, times = self._planes, self._pts_ms
        self._planes, self._pts_ms = [], []
        return [
            Inset(pts_ms, plane[None, top:bottom, left:right])
            for top, bottom, left, right in _rectangles(planes)
            for pts_ms, plane in zip(times, planes, strict=True)
        ]


def _rectangles(planes: list[npt.NDArray[np.uint8]]) -> list[tuple[int, ...]]:
    """Top, bottom, left and right of each, ends excluded; the most pronounced first."""
    if not planes:
        return []
    height, width = planes[0].shape
    if min(height, width) < 2 * _FARTHEST / _LEAST:
        return []
    across, down = np.zeros((2, height, width), np.int32)
    for plane in planes:
        _add_edges(plane, across, down)
    columns, rows = (_sums(edges, len(planes)) for edges in (across, np.ascontiguousarray(down.T)))
    found = _sought(columns, _strongest(columns), rows, _strongest(rows))
    ranked = found[np.argsort(-found[:, 0], kind="stable")]
    return [tuple(map(int, each[1:])) for each in ranked if each[0] > 0]


def _strongest(sums: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The lines with the most pronounced stretches, and both ends of the frame; rising."""
    strengths = _stretches(sums)
    lines = np.argsort(-strengths, kind="stable")[:_LINES]
    return np.unique(np.concatenate([[0], lines[strengths[lines] > 0], [len(strengths)]]))


def warm_up() -> None:
    """Compiles the kernels, or loads them, for every sort of plane that they take."""
    rng = np.random.default_rng(0)
    wide = _LONG_SIDE + 1  # So that it is made smaller, too.
    for dtype in (np.uint8, np.float32):
        drawn: npt.NDArray[Any] = rng.integers(0, 256, (120, wide)).astype(dtype)
        for luma in (drawn, drawn[:, :-1], drawn[:, 1:], np.rot90(drawn), np.rot90(drawn, 2)):
            finder = InsetFinder()
            finder.offer(0, luma)
            finder.finish()


def _shrunk(luma: _Plane) -> npt.NDArray[np.uint8]:
    """At most `_LONG_SIDE` pixels on the longer side: means of squares."""
    if luma.dtype != np.uint8:
        luma = np.rint(luma).astype(np.uint8)
    step = -(-max(luma.shape) // _LONG_SIDE)
    if step == 1:
        return luma.astype(np.uint8, order="C")
    luma = luma.view()
    luma.flags.writeable = False  # A kernel is compiled once for each sort of array.
    return _means(luma, step)  # type: ignore[no-any-return]


@kernel
def _means(luma, step):  # type: ignore[no-untyped-def]
    rows, columns = luma.shape[0] // step, luma.shape[1] // step
    out = np.empty((rows, columns), np.uint8)
    half = np.float32(0.5)
    part = np.float32(1) / np.float32(step * step)
    down = np.empty(columns * step, np.int32)
    totals = np.empty(columns, np.int32)
    for y in range(rows):
        line = luma[y * step]
        for x in range(len(down)):
            down[x] = line[x]
        for below in range(1, step):
            line = luma[y * step + below]
            for x in range(len(down)):
                down[x] += np.int32(line[x])
        if step == 2:  # The usual one; known to the compiler, many are added at once.
            for x in range(columns):
                totals[x] = down[2 * x] + down[2 * x + 1]
        else:
            totals[:] = 0
            for beside in range(step):
                for x in range(columns):
                    totals[x] += down[x * step + beside]
        made = out[y]
        for x in range(columns):
            made[x] = np.uint8(np.float32(totals[x]) * part + half)
    return out


@kernel
def _add_edges(plane, across, down):  # type: ignore[no-untyped-def]
    """How far each pixel is from the one on its left, and from the one above it."""
    for y in range(plane.shape[0]):
        line, beside = plane[y], across[y, 1:]
        for x in range(len(line) - 1):
            beside[x] += abs(np.int32(line[x + 1]) - np.int32(line[x]))
    for y in range(1, plane.shape[0]):
        above, line, total = plane[y - 1], plane[y], down[y]
        for x in range(len(line)):
            total[x] += abs(np.int32(line[x]) - np.int32(above[x]))


@kernel
def _sums(edges, frames):  # type: ignore[no-untyped-def]
    """By how much edges stand out from those beside them, summed up from the first line on:
    float32 ``[lines + 1, positions]``.
    """
    lines, positions = edges.shape
    out = np.zeros((lines + 1, positions), np.float32)
    noise = np.float32(_NOISE * frames)
    inner = np.float32(1 / (2 * (_FARTHEST - _NEAREST + 1)))
    ends = (range(1, _FARTHEST + 1), range(positions - _FARTHEST, positions))
    for line in range(lines):
        own, before, after = edges[line], out[line], out[line + 1]
        # From the first that is looked at: indices that might be below nothing would be looked up
        # one by one. The second to the fourth on either side are written out for the same reason.
        middle, sums = own[1 + _FARTHEST :], before[1 + _FARTHEST :]
        made, around = after[1 + _FARTHEST :], own[1:]
        for x in range(positions - 2 * _FARTHEST - 1):
            beside = around[x] + around[x + 1] + around[x + 2]
            beside += around[x + 6] + around[x + 7] + around[x + 8]
            mean, edge = np.float32(beside) * inner, np.float32(middle[x])
            made[x] = sums[x] + (edge - mean) / (edge + mean + noise)
        for end in ends:
            for at in end:  # Where some of them are outside.
                beside, count = 0, 0
                for apart in range(-_FARTHEST, _FARTHEST + 1):
                    if abs(apart) >= _NEAREST and 1 <= at + apart < positions:
                        beside += own[at + apart]
                        count += 1
                mean, edge = np.float32(beside / count), np.float32(own[at])
                after[at] = before[at] + (edge - mean) / (edge + mean + noise)
    return out


@kernel
def _stretches(sums):  # type: ignore[no-untyped-def]
    """Of each position the largest sum over a stretch that stands out, float32 ``[positions]``."""
    lines, positions = sums.shape
    best, least = np.zeros((2, positions), np.float32)
    for line in range(1, lines):
        expected = np.float32(_STANDS_OUT) * np.float32(line)
        for at in range(positions):
            above = sums[line, at] - expected
            best[at] = max(best[at], above - least[at])
            least[at] = min(least[at], above)
    return best


@kernel
def _side(sums, at, start, end):  # type: ignore[no-untyped-def]
    """By how much the edge at a position stands out, in the mean; nothing at the frame's end."""
    if at == 0 or at == sums.shape[1]:
        return np.float32(0)
    mean = (sums[end, at] - sums[start, at]) / np.float32(end - start)
    return mean if mean >= np.float32(_STANDS_OUT) else np.float32(-1)


@kernel
def _sought(columns, lefts, rows, tops):  # type: ignore[no-untyped-def]
    """The rectangles whose sides stand out most: strength, top, bottom, left, right."""
    best = np.zeros((_MOST, 5), np.float32)
    width, height = columns.shape[1], rows.shape[1]
    for left in lefts:
        for right in lefts:
            if right - left < _LEAST * width or right - left == width:
                continue
            for top in tops:
                above = _side(rows, top, left, right)
                if above < 0:
                    continue
                for bottom in tops:
                    if bottom - top < _LEAST * height or bottom - top == height:
                        continue
                    if max(right - left, bottom - top) > _LONGEST * min(right - left, bottom - top):
                        continue
                    below = _side(rows, bottom, left, right)
                    before = _side(columns, left, top, bottom)
                    after = _side(columns, right, top, bottom)
                    if below < 0 or before < 0 or after < 0:
                        continue
                    _keep(best, above + below + before + after, top, bottom, left, right)
    return best


@kernel
def _keep(best, strength, top, bottom, left, right):  # type: ignore[no-untyped-def]
    """Puts a rectangle in the place of one that is nearly the same, or of the weakest."""
    place = 0
    for number in range(len(best)):
        kept = best[number]
        if (
            kept[0] > 0
            and abs(kept[1] - top) <= _SAME
            and abs(kept[2] - bottom) <= _SAME
            and abs(kept[3] - left) <= _SAME
            and abs(kept[4] - right) <= _SAME
        ):
            place = number
            break
        if kept[0] < best[place, 0]:
            place = number
    if strength > best[place, 0]:
        best[place, 0] = strength
        best[place, 1], best[place, 2] = top, bottom
        best[place, 3], best[place, 4] = left, right
