"""Pictures of light in floating point, OpenEXR and Radiance, as screens of 8 bits show them.

Source: "OpenEXR File Layout", https://openexr.com/en/latest/OpenEXRFileLayout.html.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from hashmatch.decoding.media import by_ffmpeg
from hashmatch.decoding.media.faults import Damaged
from hashmatch.decoding.media.source import Source
from hashmatch.decoding.media.unseen import Unseen

__all__ = ["OTHERS", "damaged", "missing", "picture", "pictures"]

# The other ways in which a picture is shown, under this key of its ``info``: a list of images.
OTHERS: Final = "hashmatch:others"

_MOST_BYTES: Final = 1 << 28
_MOST_HEADER: Final = 1 << 20
_MOST_CHUNKS: Final = 1 << 17
_MOST_UNPACKED: Final = 1 << 32  # More than the largest picture that may be decoded.

# Flags of the version.
_TILED, _DEEP, _PARTS = 0x200, 0x800, 0x1000
# Compressions whose data zlib unpacks: ZIPS, ZIP and PXR24.
_BY_ZLIB: Final = frozenset({b"\2", b"\3", b"\5"})
_COLOURS: Final = frozenset({"R", "G", "B", "Y"})

# Light of which so much of a picture is brighter than white is also shown in less of it.
_BRIGHT_PERCENTILE: Final = 99


class _Header(NamedTuple):
    flags: int
    attributes: dict[str, bytes]
    end: int  # Where the table of chunks begins.

    def box(self, name: str) -> tuple[int, ...]:
        """Its least x and y, and its largest."""
        return struct.unpack("<4i", self.attributes.get(name, b"")[:16].ljust(16, b"\0"))

    def channels(self) -> list[str]:
        """Their names."""
        names, data = [], self.attributes.get("channels", b"")
        while data and data[0]:
            name, _, data = data.partition(b"\0")
            names.append(name.decode("latin-1"))
            data = data[16:]
        return names


def _header(source: Source) -> _Header | None:
    """Of the first part; None if the file ends within it."""
    data = source.read_at(0, _MOST_HEADER)
    at, attributes = 8, {}
    while at < len(data) and data[at]:
        name, _, rest = data[at : at + 512].partition(b"\0")
        kind = rest.partition(b"\0")[0]
        at += len(name) + len(kind) + 2
        length = int.from_bytes(data[at : at + 4], "little")
        attributes[name.decode("latin-1")] = data[at + 4 : at + 4 + length]
        at += 4 + length
    if at >= len(data):
        return None
    return _Header(int.from_bytes(data[4:8], "little"), attributes, at + 1)


def _chunks(source: Source, header: _Header) -> Iterator[tuple[int, int]]:
    """(first byte, length) of the content of each chunk. The table of their places ends where the
    first of them begins.
    """
    if header.flags & (_DEEP | _PARTS):
        return
    head = 20 if header.flags & _TILED else 8
    at, first, count = header.end, source.total() + 1, 0
    while at < first and count < _MOST_CHUNKS:
        place = int.from_bytes(source.read_at(at, 8).ljust(8, b"\0"), "little")
        if place <= at:
            yield source.total() + 1, 0  # Never written.
            return
        first = min(first, place)
        length = int.from_bytes(source.read_at(place + head - 4, 4), "little")
        yield place + head, length
        at, count = at + 8, count + 1


def missing(source: Source) -> str | None:
    """Says in a sentence what is missing of an EXR at its end; None if nothing is."""
    header = _header(source)
    if header is None:
        return "the file ends within its header"
    end = max((start + length for start, length in _chunks(source, header)), default=0)
    if end > source.total():
        return f"its rows end at byte {end}, the file at byte {source.total()}"
    return None


def damaged(source: Source) -> str | None:
    """Says in a sentence what of an EXR does not fit its check sum; None if all does, or there is
    none: FFmpeg leaves it black without a word.
    """
    header = _header(source)
    if header is None or header.attributes.get("compression", b"")[:1] not in _BY_ZLIB:
        return None
    left, room = source.total(), _MOST_UNPACKED
    for start, length in _chunks(source, header):
        left -= length
        data = source.read_at(start, length) if left >= 0 else b"\0"
        if left < 0 or not data:
            return f"the chunk at byte {start} overlaps others"
        if data[0] & 15 != 8:
            continue  # What does not become shorter is stored as it is.
        unpacker = zlib.decompressobj()
        try:
            while data and not unpacker.eof:
                room -= len(unpacker.decompress(data, _MOST_HEADER))
                data = unpacker.unconsumed_tail
                if room < 0:
                    return f"the chunk at byte {start} holds more than a picture"
        except zlib.error:
            return f"the chunk at byte {start} is damaged"
    return None


def pictures(source: Source) -> Iterator[Source | Unseen]:
    """The picture of an EXR, and what beside it no decoder here shows."""
    yield source
    header = _header(source)
    if header is None:
        return
    if header.flags & _PARTS:
        yield Unseen("parts behind the first")
    names = header.channels()
    if any("." in name and name.rpartition(".")[2] in _COLOURS for name in names):
        yield Unseen("colours of another layer or view")
    data, display = header.box("dataWindow"), header.box("displayWindow")
    if data[0] < display[0] or data[1] < display[1] or data[2] > display[2] or data[3] > display[3]:
        yield Unseen("rows outside of what is displayed")


def picture(source: Source, codec: str, most_pixels: int) -> Image.Image:
    """The picture in RGB as screens show light, clipped at white; among what it says under `OTHERS`
    are the levels as they are, which FFmpeg shows, the picture with its transparency, and with less
    light where most of it is brighter than white. Raises as `by_ffmpeg.picture` does.
    """
    if source.total() > _MOST_BYTES:
        raise Damaged("too large a file for one picture")
    try:
        frame = by_ffmpeg.frames(codec, source.read_at(0, source.total()), most_pixels)[0]
    except Damaged as error:
        if codec == "hdr":
            # It does not say where it ends, and its decoder not why it refuses: most are cut.
            raise Damaged("truncated, or damaged") from error
        raise
    if frame.width * frame.height > most_pixels:
        raise Image.DecompressionBombError
    has_alpha = any(each.is_alpha for each in frame.format.components)
    wanted = "gbrapf32le" if has_alpha else "gbrpf32le"
    if frame.format.name.startswith("gray"):
        wanted = "grayf32le"
    if frame.format.name != wanted:
        frame = frame.reformat(format=wanted, threads=1)
    stored = np.asarray(frame.to_ndarray(), np.float32)
    light = np.nan_to_num(stored, nan=0, posinf=float(np.finfo(np.float32).max), neginf=0)
    if light.ndim == 2:
        light = light[..., None].repeat(3, axis=2)
    colours = light[..., :3]
    shown = _as_image(_curved(colours))
    others = [_as_image(colours)]
    if has_alpha and (light[..., 3] < 1).any():
        alpha = _as_image(light[..., 3:].repeat(3, axis=2)).getchannel(0)
        clear = shown.copy()
        clear.putalpha(alpha)
        others.append(clear)
    bright = float(np.percentile(colours, _BRIGHT_PERCENTILE))
    if bright > 1:
        others.append(_as_image(_curved(colours / np.float32(bright))))
    shown.info[OTHERS] = others
    return shown


def _curved(light: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Levels of light, both 0 to 1. Source: IEC 61966-2-1."""
    clipped = np.clip(light, 0, 1)
    return np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** (1 / 2.4) - 0.055)


def _as_image(levels: npt.NDArray[np.float32]) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(levels, 0, 1) * 255).astype(np.uint8))
