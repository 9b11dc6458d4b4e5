"""Subtitles: those that are pictures are drawn over the film; of texts it is told what draws."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import av
import av.error
import numpy as np
import numpy.typing as npt
from PIL import Image

from hashmatch.decoding.media.tally import Tally
from hashmatch.engine.hashing.frames import FrameBatch
from hashmatch.model.records import DecodeLimits
from hashmatch.model.verdicts import Part, VerdictReason

__all__ = ["Subtitles"]

Plane = npt.NDArray[np.float32]

# Formats that are text; what their decoders make of them has no place for drawings, but ASS.
_TEXTS: Final = frozenset({
    "ass", "ssa", "subrip", "srt", "webvtt", "mov_text", "text", "eia_608", "cea608", "stl",
    "hdmv_text_subtitle", "microdvd", "mpl2", "jacosub", "sami", "realtext", "subviewer",
    "subviewer1", "vplayer", "pjs", "cc_dec", "ttml",
})  # fmt: skip
# What turns the text of an ASS event into a drawing: `\p` and a number, also a clip that is drawn.
_DRAWS: Final = re.compile(rb"\\\s*p[\s(+0]*[1-9]|\\\s*i?clip\s*\([^)]*[a-z]")
_FONT_TYPES: Final = ("font/", "application/x-truetype", "application/x-font", "application/vnd.ms")
# Blocks, Braille and mosaics, of which text makes pictures.
_MOSAIC: Final = re.compile("[\u2580-\u259f\u2800-\u28ff\U0001fb00-\U0001fbff]")
_MOST_MOSAIC: Final = 40
# Subtitles are read: what has more characters at once is no line of a dialogue. PDQ looks at 16 x
# 16 waves of a picture, which takes about as many characters as this to draw.
_MOST_CHARACTERS: Final = 1000

# Segments of a PGS packet. Source: US 2009/0185789.
_PALETTE, _PRESENTATION = 0x14, 0x16
# How many events are remembered while frames are still in the decoder.
_REMEMBERED: Final = 32
_NEVER_MS: Final = 1 << 62
# Where a picture is no line of text, it is looked at by itself as well: a part of the film's area.
_LARGE: Final = 1 / 16

_LAYER: Final = 1 << 20  # Batches with subtitles are streams of their own.


@dataclass(frozen=True, slots=True)
class _Overlay:
    """A subtitle on the screen: luma and opacity ``[h, w]``, 0 to 255 and 0 to 1."""

    luma: Plane
    opacity: Plane
    start_ms: int
    end_ms: int


class Subtitles:
    """One stream of subtitles."""

    def __init__(
        self,
        stream: Any,
        start_ms: float,
        limits: DecodeLimits,
        tally: Tally,
        *,
        are_text: bool = False,
    ) -> None:
        """``start_ms`` is when the film starts. What cannot be looked at is told ``tally``.
        ``are_text``: by the container, whatever FFmpeg knows of them.
        """
        self._stream, self._limits, self._tally = stream, limits, tally
        self._tick_ms = float((stream.time_base or 0) * 1000)
        self._start_ms = start_ms
        context = stream.codec_context
        self._name = context.name if context is not None else "of no known format"
        self._overlays: deque[_Overlay] = deque(maxlen=_REMEMBERED)
        self._palettes: dict[int, npt.NDArray[np.float32]] = {}
        self._dvd = b""
        self._recent: deque[tuple[int, int]] = deque()  # Times and lengths of texts.
        self._last: dict[int, FrameBatch] = {}
        self._is_text = self._name in _TEXTS or (context is None and are_text)
        if self._is_text:
            header = bytes(context.extradata or b"") if context is not None else b""
            if _DRAWS.search(header):
                self._unseen("drawings in a subtitle track")
        elif self._name == "pgssub":
            context.options = {"max_pixels": str(limits.max_frame_pixels)}
        elif self._name == "dvdsub":
            context.options = {"max_pixels": str(limits.max_frame_pixels)}
            self._dvd = bytes(context.extradata or b"")
            if not self._dvd_colours():
                self._unseen("a subtitle track of pictures without their colours (dvdsub)")
        else:
            self._unseen(f"a subtitle track ({self._name})")

    def feed(self, packet: av.Packet[Any]) -> Iterator[FrameBatch]:
        """Takes the next packet; yields the pictures that it brings, over the newest frames and by
        itself.
        """
        if not packet.size:
            return
        pts_ms = round((packet.pts or 0) * self._tick_ms - self._start_ms)
        if self._is_text:
            self._read(bytes(packet), pts_ms)
        elif self._name in ("pgssub", "dvdsub"):
            try:
                shown = self._decoded(packet)
            except MemoryError:
                raise
            except (av.error.FFmpegError, ValueError, IndexError):
                self._unseen(f"a subtitle that cannot be decoded ({self._name})")
                return
            if shown is not None:
                yield from self._show(*shown, pts_ms)

    def over(self, batch: FrameBatch) -> Iterator[FrameBatch]:
        """Yields a batch of one frame with each subtitle over it that is on the screen then."""
        if batch.part is not Part.FULL or batch.stream >= _LAYER or batch.luma.size == 0:
            return
        if self._is_text:
            return
        self._last[batch.stream] = batch
        pts_ms = int(batch.pts_ms[0])
        for overlay in self._overlays:
            if overlay.start_ms <= pts_ms < overlay.end_ms:
                yield self._drawn(overlay, batch)

    def passes_over(self, name: str) -> bool:  # noqa: ARG002
        """False: all that FFmpeg's log says of it matters."""
        return False

    def finish(self) -> Iterator[FrameBatch]:
        """Nothing is left."""
        yield from ()

    def salvage(self) -> Iterator[FrameBatch]:
        """Nothing is left."""
        yield from ()

    def _unseen(self, what: str) -> None:
        self._tally.add_reason(VerdictReason.UNSEEN_MEDIA, what)

    def _read(self, data: bytes, pts_ms: int) -> None:
        if _DRAWS.search(data):
            self._unseen("drawings in a subtitle track")
        text = data.decode("utf-8", "replace")
        if len(_MOSAIC.findall(text)) > _MOST_MOSAIC:
            self._unseen("a subtitle text of blocks")
        plain = re.sub(r"\{[^}]*\}|<[^>]*>", "", text)
        self._recent.append((pts_ms, len(plain)))
        while self._recent and abs(self._recent[0][0] - pts_ms) > 1000:
            self._recent.popleft()
        if sum(length for _, length in self._recent) > _MOST_CHARACTERS:
            self._unseen("subtitle texts of more characters than are read")

    def _decoded(self, packet: av.Packet[Any]) -> tuple[Plane, Plane, int] | None:
        """Luma, opacity and for how long in ms; None if the packet shows nothing yet."""
        palette = self._palette_of(bytes(packet))
        decoded = self._stream.codec_context.decode2(packet)
        if decoded is None:
            return None
        context: Any = self._stream.codec_context
        rects = [rect for rect in decoded if rect.type == b"bitmap" and rect.planes]
        wide = max([getattr(context, "width", 0) or 0, *(r.x + r.width for r in rects)])
        high = max([getattr(context, "height", 0) or 0, *(r.y + r.height for r in rects)])
        if self._size is not None:
            wide, high = max(wide, self._size[0]), max(high, self._size[1])
        if wide * high > self._limits.max_frame_pixels:
            raise ValueError("larger than frames may be")
        luma = np.zeros((max(1, high), max(1, wide)), np.float32)
        opacity = np.zeros_like(luma)
        for rect in rects:
            if palette is None:
                raise ValueError("no palette")
            indices = np.frombuffer(memoryview(rect.planes[0]), np.uint8)
            indices = indices.reshape(rect.height, rect.width)
            place = np.s_[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width]
            luma[place], opacity[place] = palette[indices, 0], palette[indices, 1]
        lasts = decoded.end_display_time
        return luma, opacity, (_NEVER_MS if not 0 < lasts < 1 << 31 else lasts)

    _size: tuple[int, int] | None = None

    def _palette_of(self, data: bytes) -> npt.NDArray[np.float32] | None:
        """Luma and opacity by index, float32 ``[256, 2]``."""
        if self._name == "dvdsub":
            return self._dvd_palette(data)
        at, newest = 0, None
        while at + 3 <= len(data):
            kind, size = data[at], int.from_bytes(data[at + 1 : at + 3], "big")
            body = data[at + 3 : at + 3 + size]
            if kind == _PRESENTATION and len(body) >= 10:
                self._size = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big")
                if body[7] & 0xC0:  # A new epoch, or a point to begin at: nothing is kept.
                    self._palettes.clear()
                newest = body[9]
            elif kind == _PALETTE and len(body) >= 2:
                table = self._palettes.setdefault(body[0], np.zeros((256, 2), np.float32))
                for entry in range(2, len(body) - 4, 5):
                    index, luma, _, _, opacity = body[entry : entry + 5]
                    table[index] = np.clip((luma - 16) * 255 / 219, 0, 255), opacity / 255
            at += 3 + size
        return self._palettes.get(newest) if newest is not None else None

    def _dvd_colours(self) -> list[float]:
        """The luma of the sixteen colours of a DVD's subtitles, as containers write them down."""
        found = re.search(rb"palette:\s*((?:[0-9a-fA-F]{6}\s*,?\s*){16})", self._dvd)
        size = re.search(rb"size:\s*(\d+)x(\d+)", self._dvd)
        if size is not None:
            self._size = int(size[1]), int(size[2])
        if found is None:
            return []
        rgb = [int(each, 16) for each in re.findall(rb"[0-9a-fA-F]{6}", found[1])]
        return [
            0.299 * (each >> 16) + 0.587 * (each >> 8 & 255) + 0.114 * (each & 255) for each in rgb
        ]

    def _dvd_palette(self, data: bytes) -> npt.NDArray[np.float32] | None:
        """Of the four colours that the packet's commands choose. Source: DVD-Video, SPU."""
        colours = self._dvd_colours()
        if not colours or len(data) < 4:
            return None
        table = np.zeros((256, 2), np.float32)
        at = int.from_bytes(data[2:4], "big")
        seen: set[int] = set()
        while at + 4 <= len(data) and at not in seen:
            seen.add(at)
            following, command = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            while command < len(data) and data[command] != 0xFF:
                code = data[command]
                nibbles = [
                    nibble
                    for byte in data[command + 1 : command + 3][::-1]
                    for nibble in (byte & 15, byte >> 4)
                ]
                if code == 3 and len(nibbles) == 4:
                    table[:4, 0] = [colours[each] for each in nibbles]
                elif code == 4 and len(nibbles) == 4:
                    table[:4, 1] = np.maximum(table[:4, 1], np.array(nibbles) / 15)
                command += 1 + {3: 2, 4: 2, 5: 6, 6: 4}.get(code, 0)
                if code > 6:
                    return None
            at = following
        return table

    def _show(
        self, luma: Plane, opacity: Plane, lasts_ms: int, pts_ms: int
    ) -> Iterator[FrameBatch]:
        # What was there goes when the next comes.
        for number, before in enumerate(self._overlays):
            if before.start_ms <= pts_ms < before.end_ms:
                self._overlays[number] = replace(before, end_ms=pts_ms)
        if not opacity.any():
            return
        end_ms = min(_NEVER_MS, pts_ms + lasts_ms)
        overlay = _Overlay(luma, opacity, pts_ms, end_ms)
        self._overlays.append(overlay)
        for batch in self._last.values():
            yield self._drawn(overlay, batch)
        rows, columns = np.flatnonzero(opacity.any(1)), np.flatnonzero(opacity.any(0))
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        if opacity[box].size >= _LARGE * opacity.size:
            before_black = luma[box] * opacity[box]
            times = np.array([max(0, pts_ms)], np.int64)
            stream = _LAYER * 2 + self._stream.index
            yield FrameBatch(before_black[None], times, stream=stream)
            white = before_black + 255 * (1 - opacity[box])
            yield FrameBatch(white[None], times, Part.FULL_ON_WHITE, stream=stream)

    def _drawn(self, overlay: _Overlay, batch: FrameBatch) -> FrameBatch:
        high, wide = batch.luma.shape[1:]
        luma, opacity = (
            np.asarray(Image.fromarray(each).resize((wide, high), Image.Resampling.BILINEAR))
            if each.shape != (high, wide)
            else each
            for each in (overlay.luma, overlay.opacity)
        )
        film = batch.luma[0].astype(np.float32)
        if batch.gain != 1:
            film = np.clip((film - 16) * np.float32(batch.gain), 0, 255)
        drawn = film * (1 - opacity) + luma * opacity
        stream = _LAYER * (3 + self._stream.index) + batch.stream
        return replace(batch, luma=drawn[None], gain=1.0, stream=stream, colours=None)


def is_text(stream: Any) -> bool:
    """True if a stream of subtitles is text."""
    return stream.codec_context is not None and stream.codec_context.name in _TEXTS


def is_font(media_type: str) -> bool:
    """True if an attachment is a font by its media type."""
    return media_type.startswith(_FONT_TYPES)
