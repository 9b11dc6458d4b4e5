"""The pictures that the items of an image file are (HEIF, AVIF): each is decoded by FFmpeg, put
together of its parts, and turned as the file says.

Source: ISO/IEC 23008-12, 6.5 and 6.6; ISO/IEC 14496-12, 12.1.4.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from PIL import Image

from hashmatch.decoding.media import coded, mini
from hashmatch.decoding.media.faults import Damaged
from hashmatch.decoding.media.heif import Items, items, sets_of_items
from hashmatch.decoding.media.source import Source
from hashmatch.decoding.media.unseen import Unseen
from hashmatch.errors import MediaError
from hashmatch.model.verdicts import VerdictReason

__all__ = ["EXIF", "MOST", "Still", "aperture", "others", "pictures", "sets"]

# Pictures beside the first which are looked at: files of phones and cameras have up to five, a
# burst has twenty.
MOST: Final = 32
# Sets of items in one file: of all that were seen, none has more than one.
_MOST_SETS: Final = 8
# The EXIF of a picture, under this key of its ``info``: no ``exif``, as it must not turn it.
EXIF: Final = "hashmatch:exif"

_DERIVED: Final = frozenset({b"grid", b"iovl", b"iden"})

# Pictures of pictures are no deeper in any honest file: a grid below an identity below another.
_DEEPEST: Final = 4
# Pixels that are decoded for one picture, as parts of what a picture may have: its transparency
# and parts that overlap are decoded besides.
_OVERLAP: Final = 4
# A decoder works in blocks: a picture ends within its last one. Source: ITU-T H.265, 64 luma
# samples are the largest.
_BLOCK: Final = 64

# Properties that choose one layer of several. Source: AV1 Image File Format, 2.3.2.1; ISO/IEC
# 23008-12, 6.5.11.
_LAYERS: Final = frozenset({b"a1op", b"lsel"})

_TURNS: Final = (
    None,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_180,
    Image.Transpose.ROTATE_270,
)
_MIRRORS: Final = (Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.FLIP_LEFT_RIGHT)


@dataclass(slots=True)
class Still:
    """One item of a file as a picture. ``as_file`` is the file as a decoder of whole files takes
    it, where there is one that viewers use.
    """

    source: Source
    items: Items
    item: int
    as_file: Source | None = None
    # What of it was not seen, in words; known when it is decoded.
    unseen: list[str] = field(default_factory=list)
    _whole: list[Image.Image] = field(default_factory=list)
    _pixels_left: int = 0
    _most: int = 0

    def unsupported(self) -> str | None:
        """What of it nothing here decodes, in a sentence; None if all is decoded."""
        for kind in sorted(self.items.coded(self.item) | {self.items.kinds.get(self.item, b"")}):
            if kind not in coded.CONFIGS and kind not in _DERIVED:
                return f"nothing here decodes pictures coded as {kind.decode('ascii', 'replace')!a}"
        return None

    def pictures(self, max_pixels: int) -> Iterator[Image.Image]:
        """The picture as it is shown, in L, RGB or RGBA; and whole, where a part is to be cut out
        of it, as programs differ. Raises `MediaError` and `Damaged`.
        """
        self._most, self._pixels_left = max_pixels, _OVERLAP * max_pixels
        whole, part = self._turned(self._composed(self.item, 0), self.item)
        for shown in [whole, *([] if part is None else [part]), *self._whole]:
            shown.info.update(self._described())
            yield shown

    def _described(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for of in (self.item, *self.items.parts(self.item)[:1]):
            for kind, content in self.items.properties.get(of, ()):
                if kind == b"colr" and content[:4] in (b"prof", b"rICC"):
                    found.setdefault("icc_profile", content[4:])
        for exif in self.items.described_by(self.item, b"Exif"):
            with contextlib.suppress(Damaged):  # Viewers do without it.
                data = self.items.content(self.source, exif)
                found[EXIF] = data[4 + int.from_bytes(data[:4], "big") :]
        return found

    def _shown(self, item: int, depth: int) -> Image.Image:
        whole, part = self._turned(self._composed(item, depth), item)
        return whole if part is None else part

    def _composed(self, item: int, depth: int) -> Image.Image:
        """With its transparency, and not yet turned."""
        if depth > _DEEPEST:
            raise Damaged("pictures within pictures without an end")
        image = self._plain(item, depth)
        alpha = self.items.alpha(item)
        if alpha is None:
            return image
        opacity = self._plain(alpha, depth + 1).convert("L")
        info = image.info
        if opacity.size != image.size:
            opacity = opacity.resize(image.size)
        image = image.convert("RGB")
        image.putalpha(opacity)
        if self.items.is_premultiplied(item):
            image = Image.frombytes("RGBa", image.size, image.tobytes()).convert("RGBA")
        image.info = info
        return image

    def _plain(self, item: int, depth: int) -> Image.Image:
        kind = self.items.kinds.get(item, b"")
        if kind == b"grid":
            return self._grid(item, depth)
        if kind == b"iovl":
            return self._overlay(item, depth)
        if kind == b"iden":
            parts = self.items.parts(item)
            if not parts:
                raise Damaged("a picture of another that is not named")
            return self._shown(parts[0], depth + 1)
        return self._coded(item)

    def _grid(self, item: int, depth: int) -> Image.Image:
        content = self.items.content(self.source, item)
        wide = 4 if content[1:2] > b"\0" and content[1] & 1 else 2
        if len(content) < 4 + 2 * wide:
            raise Damaged("a grid without a size")
        rows, columns = content[2] + 1, content[3] + 1
        size = (
            int.from_bytes(content[4 : 4 + wide], "big"),
            int.from_bytes(content[4 + wide : 4 + 2 * wide], "big"),
        )
        parts = self.items.parts(item)
        if len(parts) < rows * columns:
            raise Damaged("a grid with fewer parts than places")
        canvas: Image.Image | None = None
        at, step = (0, 0), (0, 0)
        for number, part in enumerate(parts[: rows * columns]):
            tile = self._shown(part, depth + 1)
            if canvas is None:
                canvas, step = self._canvas(tile.mode, size), tile.size
                canvas.info = tile.info
            at = number % columns * step[0], number // columns * step[1]
            if tile.mode != canvas.mode:
                canvas, tile = self._alike(canvas, tile)
            canvas.paste(tile, at)
        assert canvas is not None  # There are one row and one column at least.
        return canvas

    @staticmethod
    def _alike(canvas: Image.Image, tile: Image.Image) -> tuple[Image.Image, Image.Image]:
        mode = "RGBA" if "RGBA" in (canvas.mode, tile.mode) else "RGB"
        info = canvas.info
        canvas = canvas.convert(mode)
        canvas.info = info
        return canvas, tile.convert(mode)

    def _overlay(self, item: int, depth: int) -> Image.Image:
        content = self.items.content(self.source, item)
        parts = self.items.parts(item)
        is_wide = len(content) > 1 and content[1] & 1
        head = struct.Struct(">xx4H2I" if is_wide else ">xx4H2H")
        place = struct.Struct(">2i" if is_wide else ">2h")
        if len(content) < head.size + len(parts) * place.size:
            raise Damaged("an overlay without places")
        *ground, width, height = head.unpack_from(content)
        canvas = self._canvas("RGBA", (width, height), tuple(each >> 8 for each in ground))
        for number, part in enumerate(parts):
            above = self._shown(part, depth + 1).convert("RGBA")
            x, y = place.unpack_from(content, head.size + number * place.size)
            box = max(0, -x), max(0, -y), min(above.width, width - x), min(above.height, height - y)
            if box[0] < box[2] and box[1] < box[3]:
                canvas.alpha_composite(above.crop(box), (max(0, x), max(0, y)))
        return canvas

    def _canvas(
        self, mode: str, size: tuple[int, int], ground: tuple[int, ...] = ()
    ) -> Image.Image:
        if not size[0] or not size[1]:
            raise Damaged("a picture without a size")
        self._take(size)
        return Image.new(mode, size, ground or 0)

    def _take(self, size: tuple[int, int]) -> None:
        self._pixels_left -= size[0] * size[1]
        if size[0] * size[1] > self._most or self._pixels_left < 0:
            raise MediaError(
                VerdictReason.FRAME_SIZE_LIMIT,
                f"more than the {self._most} pixels that are allowed",
            )

    def _coded(self, item: int) -> Image.Image:
        kind = self.items.kinds.get(item, b"")
        if kind not in coded.CONFIGS:
            raise MediaError(
                VerdictReason.UNSUPPORTED, str(Still(self.source, self.items, item).unsupported())
            )
        config = self.items.property_of(item, coded.CONFIGS[kind]) or b""
        data = self.items.content(self.source, item)
        extent = self.items.property_of(item, b"ispe") or b""
        said = struct.unpack(">4x2I", extent[:12]) if len(extent) >= 12 else None
        if said is not None:
            self._take(said)
        frame, is_all = coded.frame(kind, config, data, self._most)
        if not is_all:
            self.unseen.append("an item of several pictures, behind its first")
        if said is None:
            self._take((frame.width, frame.height))
        image = coded.image(frame, self._nclx(item))
        if said is not None and said != image.size and said[0] and said[1]:
            # What a decoder puts out in whole blocks ends where the item says.
            if max(image.width - said[0], image.height - said[1]) >= _BLOCK:
                self._beyond_its_size(item, image)
            info = image.info
            image = image.crop((0, 0, min(said[0], image.width), min(said[1], image.height)))
            image.info = info
        return image

    def _beyond_its_size(self, item: int, image: Image.Image) -> None:
        """A picture that goes on outside of the size that its item says is looked at whole besides.
        Of a part of another that cannot be, nor of layers, of which another was asked for.
        """
        kinds = {kind for kind, _ in self.items.properties.get(item, ())}
        if item == self.item and not kinds & _LAYERS:
            self._whole.append(image)
        else:
            self.unseen.append("what of a picture lies outside of its own size")

    def _nclx(self, item: int) -> bytes:
        for kind, content in self.items.properties.get(item, ()):
            if kind == b"colr" and content[:4] == b"nclx" and len(content) >= 11:
                return content[4:]
        return b""

    def _turned(self, image: Image.Image, item: int) -> tuple[Image.Image, Image.Image | None]:
        """The picture upright; and the part of it that is to be shown, if it is not all. In the
        order in which the file names what is to be done.
        """
        info, whole, part = image.info, image, None
        for kind, content in self.items.properties.get(item, ()):
            turn = None
            if kind == b"irot" and content:
                turn = _TURNS[content[0] & 3]
            elif kind == b"imir" and content:
                turn = _MIRRORS[content[0] & 1]
            elif kind == b"clap":
                box = aperture(content, (part or whole).size)
                part = part if box is None else (part or whole).crop(box)
            if turn is not None:
                whole = whole.transpose(turn)
                part = None if part is None else part.transpose(turn)
        for each in (whole, part):
            if each is not None:
                each.info = dict(info)
        return whole, part


def aperture(content: bytes, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the part that a ``clap`` property cuts out of a picture of a
    width and height; None if that is all, or nothing.
    """
    if len(content) < 32:
        return None
    numbers = [int.from_bytes(content[i : i + 4], "big", signed=True) for i in range(0, 32, 4)]
    if not all(numbers[1::2]):
        return None
    width, height, right_by, down_by = (
        over / under for over, under in zip(numbers[::2], numbers[1::2], strict=True)
    )
    left, top = (size[0] - width) / 2 + right_by, (size[1] - height) / 2 + down_by
    box = (
        max(0, round(left)),
        max(0, round(top)),
        min(size[0], round(left + width)),
        min(size[1], round(top + height)),
    )
    is_part = box != (0, 0, *size) and box[0] < box[2] and box[1] < box[3]
    return box if is_part else None


def sets(source: Source) -> list[Items]:
    """The sets of items of a file, that in short form first, as decoders of whole files have it."""
    short = mini.items(source)
    places = sets_of_items(source)
    listed = [items(source, start, end) for start, end in places[:_MOST_SETS]]
    if len(places) > _MOST_SETS:
        listed[-1].doubts.append(f"all but {_MOST_SETS} of {len(places)} sets of items")
    return [short, *listed] if short.kinds else listed


def pictures(source: Source) -> Iterator[Still | Unseen]:
    """All pictures of a file, its first one first; and what of it cannot be looked at."""
    for found in sets(source):
        if found.primary in found.kinds:
            yield Still(source, found, found.primary)
        yield from others(source, found)


def others(source: Source, found: Items) -> Iterator[Still | Unseen]:
    """The pictures of a set of items beside its first one."""
    for doubt in found.doubts:
        yield Unseen(doubt)
    listed = found.others()
    if len(listed) > MOST:
        yield Unseen(f"all but {MOST} of {len(listed)} pictures beside the first")
    for item in listed[:MOST]:
        still = Still(source, found, item)
        unsupported = still.unsupported()
        if unsupported is None:
            yield still
        elif found.kinds[item] != b"tmap":  # Made of two that are looked at.
            yield Unseen(f"a picture beside the first: {unsupported}")
