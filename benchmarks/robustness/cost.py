"""What each view of a frame costs an upload: processor time, beside what it adds in `steps`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt

from hashmatch.engine.hashing import patches, pdq
from hashmatch.engine.hashing.frames import FrameBatch, hash_frames
from hashmatch.engine.sampling.insets import InsetFinder
from hashmatch.engine.sampling.views import ContentFinder
from hashmatch.model.verdicts import Kind, Turn

__all__ = ["costs"]

_WIDTH: Final = 640
_HEIGHT: Final = 360
_OF_CLIP: Final = 8
_TIMES: Final = 3

# As many squares as an upload's frame has.
_SQUARES: Final = (patches.Look(40),)

_Plane = npt.NDArray[np.uint8]


def costs(clips: Sequence[Path]) -> Mapping[str, float]:
    """Milliseconds of processor time a frame of 640 x 360 that is hashed, of each of the steps that
    are done for uploads; the least of three runs over some frames of each clip.
    """
    films = [_frames(path) for path in clips]
    upright = _least(films, lambda film: _pdq(film, 1))
    return {
        "whole frames": upright,
        "turned": _least(films, lambda film: _pdq(film, len(Turn))) - upright,
        "within borders": _least(films, _borders),
        "insets": _least(films, _insets),
        "squares": _least(films, _squares),
    }


def _pdq(film: Sequence[_Plane], turns: int) -> None:
    for luma in film:
        pdq.dihedral(luma[None], turns=turns)


def _borders(film: Sequence[_Plane]) -> None:
    finder = ContentFinder()
    for luma in film:
        batch = FrameBatch(luma[None], np.zeros(1, np.int64))
        for box in finder.boxes(luma):
            hash_frames(batch.content(*box), [Kind.PDQ], turns=True)


def _insets(film: Sequence[_Plane]) -> None:
    finder = InsetFinder()
    for number, luma in enumerate(film):
        finder.offer(1000 * number, luma)
    finder.finish()


def _squares(film: Sequence[_Plane]) -> None:
    for luma in film:
        patches.digests(luma, _SQUARES, mirrored=False)


def _least(films: Sequence[Sequence[_Plane]], work: Callable[[Sequence[_Plane]], None]) -> float:
    spent = []
    for _ in range(_TIMES + 1):  # The first compiles.
        began = time.process_time()
        for film in films:
            work(film)
        spent.append(time.process_time() - began)
    return 1000 * min(spent) / max(1, sum(map(len, films)))


def _frames(path: Path) -> list[_Plane]:
    with av.open(str(path)) as container:
        found: list[_Plane] = []
        for frame in container.decode(video=0):
            plane = frame.reformat(_WIDTH, _HEIGHT, "gray").to_ndarray()
            found.append(np.asarray(plane, np.uint8))
            if len(found) == _OF_CLIP:
                break
    return found
