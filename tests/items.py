"""Image files of items (HEIF, AVIF), made box by box."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
from PIL import Image

from tests.support import box, boxes

# Properties that are what they are for every picture.
ALPHA = box(b"auxC", bytes(4) + b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")


@dataclass
class Item:
    """An item: its kind, its bytes, and its properties as boxes."""

    kind: bytes
    data: bytes
    properties: list[bytes] = field(default_factory=list)

    def with_(self, *properties: bytes) -> Item:
        """With more properties."""
        return Item(self.kind, self.data, [*self.properties, *properties])


def inner(data: bytes, kind: bytes) -> bytes:
    """The content of a box, wherever it is."""
    at = data.index(kind)
    return data[at + 4 : at - 4 + int.from_bytes(data[at - 4 : at], "big")]


def size_of(width: int, height: int) -> bytes:
    """The property that tells the size of a picture."""
    return box(b"ispe", struct.pack(">III", 0, width, height))


def coded(
    picture: Image.Image, codec: str = "libx265", pixels: str = "yuv420p", quality: int = 12
) -> Item:
    """A picture as an item of one intra frame, of HEVC or (``libx264``) H.264."""
    context: Any = av.codec.CodecContext.create(codec, "w")
    context.width, context.height = picture.size
    context.pix_fmt, context.time_base = pixels, Fraction(1, 1)
    context.options = {"crf": str(quality), "x265-params": "log-level=none"}
    frame = av.VideoFrame.from_ndarray(np.asarray(picture.convert("RGB")), "rgb24")
    frame = frame.reformat(format=pixels)
    frame.pts = 0
    packets = [*context.encode(frame), *context.encode(None)]
    units = re.split(rb"\0\0\0?\x01", b"".join(bytes(packet) for packet in packets))[1:]
    if codec == "libx264":
        kind, config, data = b"avc1", *_of_h264(units)
    else:
        kind, config, data = b"hvc1", *_of_hevc(units, frame.format)
    return Item(kind, data, [config, size_of(*picture.size)])


def _sized(unit: bytes, size: int) -> bytes:
    return len(unit).to_bytes(size, "big") + unit


def _of_h264(units: list[bytes]) -> tuple[bytes, bytes]:
    """Source: ISO/IEC 14496-15, 5.3.3."""
    (sequence,) = [unit for unit in units if unit[0] & 31 == 7]
    (picture,) = [unit for unit in units if unit[0] & 31 == 8]
    config = bytes([1, *sequence[1:4], 0xFF, 0xE1]) + _sized(sequence, 2)
    config += b"\1" + _sized(picture, 2)
    data = b"".join(_sized(unit, 4) for unit in units if unit[0] & 31 == 5)
    return box(b"avcC", config), data


def _of_hevc(units: list[bytes], form: av.VideoFormat) -> tuple[bytes, bytes]:
    """Source: ISO/IEC 14496-15, 8.3.3."""
    grey = len(form.components) == 1
    halves = 0 if grey else (form.chroma_width(2) == 1) + (form.chroma_height(2) == 1)
    sampling = 0 if grey else {2: 1, 1: 2, 0: 3}[halves]
    depth = form.components[0].bits - 8
    config = bytes([1, 1, *bytes(10), 93, 0xF0, 0, 0xFC])
    config += bytes([0xFC | sampling, 0xF8 | depth, 0xF8 | depth, 0, 0, 0x0F, 3])
    for kind in (32, 33, 34):
        (unit,) = [unit for unit in units if unit[0] >> 1 & 63 == kind]
        config += bytes([0x80 | kind, 0, 1]) + _sized(unit, 2)
    data = b"".join(_sized(unit, 4) for unit in units if unit[0] >> 1 & 63 < 32)
    return box(b"hvcC", config), data


def saved(picture: Image.Image, kind: bytes) -> Item:
    """A picture as an item that is a ``jpeg`` or a JPEG 2000 codestream (``j2k1``)."""
    file = io.BytesIO()
    if kind == b"jpeg":
        picture.save(file, "JPEG", quality=95)
    else:
        picture.save(file, "JPEG2000", no_jp2=True)
    return Item(kind, file.getvalue(), [size_of(*picture.size)])


def av1(picture: Image.Image) -> Item:
    """A picture as an item of one frame of AV1."""
    file = io.BytesIO()
    picture.save(file, "AVIF", quality=90)
    data = file.getvalue()
    config = box(b"av1C", inner(data, b"av1C"))
    depths = box(b"pixi", inner(data, b"pixi"))
    return Item(b"av01", boxes(data)[b"mdat"][8:], [config, depths, size_of(*picture.size)])


def grid(rows: int, columns: int, width: int, height: int) -> Item:
    """A picture that is put together of others, row by row."""
    content = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    return Item(b"grid", content, [size_of(width, height)])


def overlay(width: int, height: int, *places: tuple[int, int]) -> Item:
    """A picture of others that lie on a red ground, at these places."""
    content = struct.pack(">BB4H2H", 0, 0, 0xFFFF, 0, 0, 0xFFFF, width, height)
    content += b"".join(struct.pack(">hh", *place) for place in places)
    return Item(b"iovl", content, [size_of(width, height)])


def identity() -> Item:
    """A picture that is another one."""
    return Item(b"iden", b"", [size_of(128, 128)])


def image_file(
    items: Sequence[Item],
    *references: tuple[bytes, int, tuple[int, ...]],
    primary: int = 1,
    brand: bytes = b"heic",
    in_list: bool = False,
    hidden: frozenset[int] = frozenset(),
) -> bytes:
    """A file of items, numbered from 1; their bytes are in the list itself if ``in_list``."""
    numbered = list(enumerate(items, 1))
    properties: list[bytes] = []
    associated = b""
    for number, item in numbered:
        places = []
        for each in item.properties:
            if each not in properties:
                properties.append(each)
            essential = each[4:8] in (b"irot", b"imir", b"clap")
            places.append(properties.index(each) + 1 | 0x80 * essential)
        associated += struct.pack(">HB", number, len(places)) + bytes(places)
    infos = b"".join(
        box(b"infe", struct.pack(">BxxBHH4sx", 2, number in hidden, number, 0, item.kind))
        for number, item in numbered
    )
    related = b"".join(
        box(kind, struct.pack(f">HH{len(to)}H", of, len(to), *to)) for kind, of, to in references
    )
    payload = b"".join(item.data for item in items)

    def meta(start: int) -> bytes:
        places = b""
        for number, item in numbered:
            places += struct.pack(">HHHHII", number, in_list, 0, 1, start, len(item.data))
            start += len(item.data)
        return box(
            b"meta",
            bytes(4)
            + box(b"hdlr", bytes(8) + b"pict" + bytes(13))
            + box(b"pitm", struct.pack(">IH", 0, primary))
            + box(b"iloc", struct.pack(">B3xBBH", 1, 0x44, 0, len(items)) + places)
            + box(b"iinf", struct.pack(">IH", 0, len(items)) + infos)
            + (box(b"iref", bytes(4) + related) if related else b"")
            + box(
                b"iprp",
                box(b"ipco", b"".join(properties))
                + box(b"ipma", struct.pack(">II", 0, len(items)) + associated),
            )
            + (box(b"idat", payload) if in_list else b""),
        )

    head = box(b"ftyp", brand + bytes(4) + b"mif1miafheic")
    if in_list:
        return head + meta(0)
    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", payload)


def short_file(picture: Item, alpha: Item | None = None, *, orientation: int = 1) -> bytes:
    """A file of one picture of at most 128 pixels a side in the short form (``mini``)."""
    width, height = struct.unpack(">II", inner(b"".join(picture.properties), b"ispe")[4:12])
    config_kind = b"av1C" if picture.kind == b"av01" else b"hvcC"
    configs = [
        inner(b"".join(each.properties), config_kind)
        for each in (picture, alpha)
        if each is not None
    ]
    bits = ""

    def put(number: int, size: int) -> None:
        nonlocal bits
        bits += f"{number:0{size}b}"

    # Version, codings, float, full range, transparency, code points, HDR, ICC, EXIF, XMP.
    for flag in (0, 0, 0, 0, 1, alpha is not None, 0, 0, 0, 0, 0):
        put(flag, 1)
    put(1, 2)
    put(orientation - 1, 3)
    put(1, 1)
    put(width - 1, 15)
    put(height - 1, 15)
    put(1, 1)
    put(0, 1)
    put(0, 1)
    if alpha is not None:
        put(0, 1)
    put(1, 1)
    put(1, 1)
    put(len(configs[0]), 12)
    put(len(picture.data) - 1, 28)
    if alpha is not None:
        put(len(alpha.data), 28)
        put(len(configs[1]), 12)
    bits += "0" * (-len(bits) % 8)
    content = int(bits, 2).to_bytes(len(bits) // 8, "big") + b"".join(configs)
    content += (b"" if alpha is None else alpha.data) + picture.data
    codec = b"avif" if picture.kind == b"av01" else b"heic"
    return box(b"ftyp", b"mif3" + codec) + box(b"mini", content)
