"""A picture of which frames of a media were looked at, and why."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
import av.error
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hashmatch.engine.hashing.frames import FrameBatch
from hashmatch.engine.sampling.frames import Chosen, Why

__all__ = ["Thumbnail", "draw", "key_frame_times"]

# In pixels.
_WIDE: Final = 176
_HIGH: Final = 132
_LINE: Final = 16
_EDGE: Final = 8
_COLUMNS: Final = 6
_TRACK: Final = 64

# A board of more would be larger than most programs show.
_MOST: Final = 240

_PAPER: Final = "#ffffff"
_INK: Final = "#222222"
_COLOURS: Final = {
    Why.START: "#228833",
    Why.CHANGE: "#cc3311",
    Why.BESIDE: "#aa3377",
    Why.GAP: "#4477aa",
    Why.END: "#228833",
}
_WORDS: Final = {
    Why.START: "start",
    Why.CHANGE: "scene change",
    Why.BESIDE: "beside",
    Why.GAP: "time",
    Why.END: "end",
}


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A frame that was chosen, small."""

    pts_ms: int
    picture: Image.Image
    why: Why
    key: bool  # A decoder could begin at it.

    @classmethod
    def of(cls, chosen: Chosen[FrameBatch]) -> Thumbnail:
        """From the luma that was hashed."""
        batch = chosen.frame
        luma = np.clip(np.asarray(batch.luma[0], np.float32), 0, 255).astype(np.uint8)
        picture = Image.fromarray(np.ascontiguousarray(luma))
        picture.thumbnail((_WIDE, _HIGH))
        return cls(chosen.pts_ms, picture, chosen.why, batch.key)


def key_frame_times(path: Path) -> list[int]:
    """When key frames are shown, in ms, by the container's word; none for an image."""
    times: list[int] = []
    # What is wrong with it is told elsewhere; so these are those before that.
    with contextlib.suppress(av.error.FFmpegError), av.open(str(path)) as container:
        start_ms = (container.start_time or 0) / 1000
        times.extend(
            round(float(packet.pts * packet.time_base) * 1000 - start_ms)
            for packet in container.demux(container.streams.video)
            if packet.is_keyframe and packet.pts is not None and packet.time_base
        )
    return times


def draw(
    target: Path, chosen: Sequence[Thumbnail], key_ms: Sequence[int], duration_ms: int
) -> None:
    """Writes a PNG: a time line with key frames and the frames chosen, and these below it.

    Raises ``OSError`` if it cannot be written.
    """
    shown = chosen[:_MOST]
    rows = -(-max(1, len(shown)) // _COLUMNS)
    high = max((each.picture.height for each in shown), default=0)
    cell_wide, cell_high = _WIDE + _EDGE, high + 2 * _LINE
    size = _COLUMNS * cell_wide + _EDGE, _TRACK + 3 * _LINE + rows * cell_high + _EDGE
    board = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(board)
    _draw_track(pen, size[0], chosen, key_ms, duration_ms)
    for number, each in enumerate(shown):
        left = _EDGE + number % _COLUMNS * cell_wide
        top = _TRACK + 3 * _LINE + number // _COLUMNS * cell_high
        board.paste(each.picture.convert("RGB"), (left, top))
        frame = (left - 1, top - 1, left + each.picture.width, top + each.picture.height)
        pen.rectangle(frame, outline=_COLOURS[each.why], width=2)
        words = f"{each.pts_ms / 1000:.2f} s  {_WORDS[each.why]}{'  key' if each.key else ''}"
        _write(pen, (left, top + high + 2), words, _COLOURS[each.why])
    board.save(target, "PNG")


def _draw_track(
    pen: ImageDraw.ImageDraw,
    wide: int,
    chosen: Sequence[Thumbnail],
    key_ms: Sequence[int],
    duration_ms: int,
) -> None:
    last_ms = max([duration_ms, 1, *(each.pts_ms for each in chosen)])

    def place(pts_ms: int) -> int:
        return _EDGE + round(max(0, pts_ms) / last_ms * (wide - 2 * _EDGE - 1))

    middle = _LINE + _TRACK // 2
    pen.line((_EDGE, middle, wide - _EDGE, middle), fill=_INK)
    for pts_ms in key_ms:
        pen.line((place(pts_ms), middle, place(pts_ms), middle + _TRACK // 2 - 4), fill=_INK)
    for each in chosen:
        at = place(each.pts_ms)
        pen.line((at, middle - _TRACK // 2 + 4, at, middle), fill=_COLOURS[each.why], width=2)
    count = f"{len(chosen)} frames of {last_ms / 1000:.1f} s"
    if len(chosen) > _MOST:
        count += f", the first {_MOST} below"
    _write(pen, (_EDGE, 2), f"chosen, above the line: {count}", _INK)
    _write(pen, (_EDGE, _LINE + _TRACK), f"key frames, below it: {len(key_ms)}", _INK)
    left = wide // 2
    for why in (Why.CHANGE, Why.GAP, Why.END):
        word = "start or end" if why is Why.END else _WORDS[why]
        _write(pen, (left, 2), word, _COLOURS[why])
        left += 120


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], words: str, colour: str) -> None:
    font: Any = ImageFont.load_default(size=12)
    pen.text(place, words, fill=colour, font=font)
