"""Broken and hostile media, made of the generated fixtures: the same ones every time."""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

__all__ = ["Variant", "references", "variants"]

_HEAD: Final = 4096  # Where headers are: half of the damage is done there.
_MAX_FLIPS: Final = 20
_HUGE: Final = 65_500

Bytes = dict[str, bytes]  # Healthy files by name.


@dataclass(frozen=True, slots=True)
class Variant:
    """A file. What it is a part of, or empty: then it may show something else altogether."""

    name: str
    data: bytes
    cut_of: str = ""


def variants(media: Path, truncations: int, flips: int) -> Iterator[Variant]:
    """Every healthy file of ``media`` as it is, cut at so many places, with flipped bits so many
    times, and spliced with others; headers that lie; and files made to exhaust who decodes them.
    """
    healthy = {
        path.name: path.read_bytes()
        for folder in ("clips", "images")
        for path in sorted((media / folder).iterdir())
    }
    for name, data in healthy.items():
        yield Variant(f"whole/{name}", data, name)
        yield from _cut(name, data, truncations)
        yield from _flipped(name, data, flips)
    yield from _spliced(healthy)
    for prefix, made in (("lying", _lying(healthy)), ("bomb", _bombs(healthy))):
        for name, data in made:
            yield Variant(f"{prefix}/{name}", data)


def _cut(name: str, data: bytes, count: int) -> Iterator[Variant]:
    chance = random.Random(f"cut {name}")
    places = [len(data) - 1] + [
        chance.randrange(1, _HEAD if number % 4 == 3 else len(data)) for number in range(count - 1)
    ]
    for place in places:
        yield Variant(f"cut/{name}@{place}", data[:place], name)


def _flipped(name: str, data: bytes, count: int) -> Iterator[Variant]:
    for seed in range(count):
        chance = random.Random(f"flip {name} {seed}")
        within = min(len(data), _HEAD) if seed % 2 else len(data)
        flipped = bytearray(data)
        for _ in range(chance.randint(1, _MAX_FLIPS)):
            flipped[chance.randrange(within)] ^= 1 << chance.randrange(8)
        yield Variant(f"flip/{name}#{seed}", bytes(flipped))


def _spliced(healthy: Bytes) -> Iterator[Variant]:
    names = list(healthy)
    for number, name in enumerate(names):
        chance = random.Random(f"splice {name}")
        # One of another make, and its neighbour, which is of the same make more often than not.
        for other in (chance.choice(names), names[(number + 1) % len(names)]):
            head, tail = healthy[name], healthy[other]
            if chance.random() < 0.5:
                yield Variant(f"splice/{name}, then {other}", head + tail)
            else:
                at, since = chance.randrange(len(head)), chance.randrange(len(tail))
                joined = head[:at] + tail[since:]
                yield Variant(f"splice/{name}@{at}, then {other}@{since}", joined)


# Headers that lie

Named = Iterator[tuple[str, bytes]]


def _patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _sizes(size: int) -> list[int]:
    return sorted({0, size // 2, 2 * size + 1, (1 << 32) - 1})


def _lying(healthy: Bytes) -> Named:
    for make in (
        _lying_mp4,
        _lying_matroska,
        _lying_riff,
        _lying_png,
        _lying_gif,
        _lying_jpeg,
        _lying_tiff,
        _lying_others,
    ):
        yield from make(healthy)


def _lying_mp4(healthy: Bytes) -> Named:
    film, fragments = healthy["pan_astronaut.mp4"], healthy["fragmented.mp4"]
    for data, kinds in (
        (film, "ftyp moov mvhd trak mdia stbl stsd avcC stts stsc stsz stco mdat"),
        (fragments, "mvex moof traf tfhd trun mdat"),
    ):
        for name in kinds.split():
            at = data.index(name.encode()) - 4
            for size in _sizes(int.from_bytes(data[at : at + 4], "big")):
                title = f"{name} of {size} bytes{' and fragments' * (data is fragments)}.mp4"
                yield title, _patched(data, at, size.to_bytes(4, "big"))
    # (box, offset behind its type): see ISO/IEC 14496-12, 8.2 to 8.7.
    for what, kind, offset, values in (
        ("film's duration", b"mvhd", 16, (0, 1, 1 << 31, (1 << 32) - 1)),
        ("time scale of the film", b"mvhd", 12, (0, 1, (1 << 32) - 1)),
        ("time scale of the track", b"mdhd", 12, (0, 1, (1 << 32) - 1)),
        ("track's duration", b"mdhd", 16, (0, 1, (1 << 32) - 1)),
        ("edit's duration", b"elst", 8, (0, 1, (1 << 31) - 1)),
        ("edit's start", b"elst", 12, (0, 10_000, (1 << 31) - 1)),
        ("edits", b"elst", 4, (0, 2, 1 << 28)),
        ("frames", b"stsz", 8, (0, 1, 1 << 20, (1 << 32) - 1)),
        ("size of all frames", b"stsz", 4, (1, 1 << 30)),
        ("times", b"stts", 4, (0, 1 << 30)),
        ("length of a frame", b"stts", 12, (0, (1 << 31) - 1, (1 << 32) - 1)),
        ("chunks", b"stco", 4, (0, 1 << 28)),
        ("place of a chunk", b"stco", 8, (0, 8, (1 << 32) - 1)),
        ("frames of a chunk", b"stsc", 12, (0, 1, (1 << 31) - 1)),
        ("sample descriptions", b"stsd", 4, (0, 2, 1 << 30)),
        ("width and height", b"avc1", 24, (0, 0x00010001, 0xFFFFFFFF, 0x40004000)),
    ):
        for value in values:
            at = film.index(kind) + 4 + offset
            yield f"{what} {value}.mp4", _patched(film, at, value.to_bytes(4, "big"))


def _lying_matroska(healthy: Bytes) -> Named:
    data = healthy["matroska.mkv"]
    for what, kind, length in (
        ("EBML header", b"\x1a\x45\xdf\xa3", 4),
        ("segment", b"\x18\x53\x80\x67", 4),
        ("information", b"\x15\x49\xa9\x66\xa6", 4),
        ("tracks", b"\x16\x54\xae\x6b\x40", 4),
        ("track", b"\xae\x01\0\0\0", 1),
        ("cluster", b"\x1f\x43\xb6\x75", 4),
        ("duration", b"\x44\x89\x88", 2),
        ("time scale", b"\x2a\xd7\xb1\x83", 3),
        ("video", b"\xe0\x8b\xb0", 1),
        ("codec", b"\x86\x8fV_", 1),
    ):
        at = data.index(kind) + length  # Of the element's kind; its size follows.
        width = 9 - data[at].bit_length()
        most = (1 << 7 * width) - 1
        size = int.from_bytes(data[at : at + width], "big") & most
        for said in sorted({0, size // 2, min(2 * size + 1, most - 1), most - 1, most}):
            new = (said | 1 << 7 * width).to_bytes(width, "big")
            yield f"{what} of {said} bytes.mkv", _patched(data, at, new)
    duration = data.index(b"\x44\x89\x88") + 3
    for value in (0.0, -1.0, 1.0, 1e12, 1e300, float("nan"), float("inf")):
        yield f"lasts {value} ms.mkv", _patched(data, duration, struct.pack(">d", value))
    scale = data.index(b"\x2a\xd7\xb1\x83") + 4
    for number in (0, 1, 0xFFFFFF):
        yield f"ticks of {number} ns.mkv", _patched(data, scale, number.to_bytes(3, "big"))
    width_at = data.index(b"\xb0\x82\x01\x40\xba\x81") + 2
    for number in (0, 1, 0xFFFF):
        yield f"{number} pixels wide.mkv", _patched(data, width_at, number.to_bytes(2, "big"))


def _lying_riff(healthy: Bytes) -> Named:
    for name, kinds in (
        ("mpeg4.avi", "RIFF,LIST,avih,strh,strf,movi,00dc,idx1"),
        ("chelsea.webp", "RIFF,VP8 "),
        ("animated.webp", "RIFF,VP8X,ANIM,ANMF"),
    ):
        data = healthy[name]
        for part in kinds.split(","):
            # The kind of a list stands behind its length.
            at = data.index(part.encode()) + (-4 if part == "movi" else 4)
            for size in _sizes(int.from_bytes(data[at : at + 4], "little")):
                yield f"{part} of {size} bytes, {name}", _patched(data, at, _le(size))
    avi = healthy["mpeg4.avi"]
    for what, kind, offset, values in (
        ("us a frame", b"avih", 4, (0, 1, (1 << 32) - 1)),
        ("frames", b"avih", 20, (0, 1, (1 << 32) - 1)),
        ("streams", b"avih", 28, (0, 1000)),
        ("width", b"avih", 36, (0, 1 << 31)),
        ("scale", b"strh", 24, (0, (1 << 32) - 1)),
        ("rate", b"strh", 28, (0, (1 << 32) - 1)),
        ("frames of the stream", b"strh", 36, (0, 1, (1 << 32) - 1)),
        ("width of the stream", b"strf", 8, (0, 1, 1 << 15, 1 << 31)),
        ("height of the stream", b"strf", 12, (0, 1, 1 << 15, (1 << 32) - 1)),
    ):
        for value in values:
            at = avi.index(kind) + 4 + offset
            yield f"{what} {value}.avi", _patched(avi, at, value.to_bytes(4, "little"))
    still, canvas = healthy["chelsea.webp"], healthy["animated.webp"]
    for side in (0, 1, 0x3FFF):
        at = still.index(b"\x9d\x01\x2a") + 3
        yield f"a side of {side}.webp", _patched(still, at, side.to_bytes(2, "little") * 2)
    for side in (0, 0xFFFF, 0xFFFFFF):
        at = canvas.index(b"VP8X") + 12
        yield f"a canvas of {side + 1}.webp", _patched(canvas, at, side.to_bytes(3, "little") * 2)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return len(content).to_bytes(4, "big") + kind + content + check.to_bytes(4, "big")


def _lying_png(healthy: Bytes) -> Named:
    for name in ("coffee.png", "animated.png", "one_bit.png"):
        data = healthy[name]
        for width, height in ((0, 0), (1, 1), (256, 96), (256, 384), (4000, 4000), (_HUGE, _HUGE)):
            header = struct.pack(">II", width, height) + data[24:29]
            yield f"{width} x {height}, {name}", _patched(data, 8, _chunk(b"IHDR", header))
    data = healthy["coffee.png"]
    for depth, colours in ((16, 2), (8, 6), (8, 3), (1, 0), (8, 0)):
        header = data[16:24] + bytes([depth, colours, 0, 0, 0])
        yield f"depth {depth}, colours {colours}.png", _patched(data, 8, _chunk(b"IHDR", header))
    for length in _sizes(int.from_bytes(data[33:37], "big")):
        yield f"chunk of {length} bytes.png", _patched(data, 33, length.to_bytes(4, "big"))
    moving = healthy["animated.png"]
    at = moving.index(b"acTL") - 4
    for count in (0, 1, 3, 5, (1 << 31) - 1):
        chunk = _chunk(b"acTL", struct.pack(">II", count, 0))
        yield f"{count} frames.png", _patched(moving, at, chunk)


def _lying_gif(healthy: Bytes) -> Named:
    for name in ("still.gif", "animated.gif"):
        data = healthy[name]
        at = data.index(b"\x2c\x00\x00\x00\x00") + 5
        for what, place in (("screen", 6), ("frame", at)):
            for width, height in ((0, 0), (1, 1), (256, 96), (4000, 4000), (0xFFFF, 0xFFFF)):
                sides = struct.pack("<HH", width, height)
                yield f"{what} of {width} x {height}, {name}", _patched(data, place, sides)
        yield f"frame beside the screen, {name}", _patched(data, at - 4, b"\xff" * 4)


def _lying_jpeg(healthy: Bytes) -> Named:
    for name in ("astronaut.jpg", "cmyk.jpg"):
        data = healthy[name]
        at = data.index(b"\xff\xc0") + 5
        for height, width in ((0, 0), (1, 1), (96, 256), (384, 256), (4000, 4000), (_HUGE, _HUGE)):
            sides = struct.pack(">HH", height, width)
            yield f"{width} x {height}, {name}", _patched(data, at, sides)
        for count in (0, 1, 4, 255):
            yield f"{count} components, {name}", _patched(data, at + 4, bytes([count]))


def _lying_tiff(healthy: Bytes) -> Named:
    data = healthy["coins.tiff"]
    for offset in (0, 4, 9, len(data) - 2, len(data), (1 << 32) - 1):
        yield f"directory at {offset}.tiff", _patched(data, 4, struct.pack("<I", offset))
    count = int.from_bytes(data[8:10], "little")
    for said in (0, 1, count + 1, 0xFFFF):
        yield f"directory of {said}.tiff", _patched(data, 8, struct.pack("<H", said))
    for number in range(count):
        at = 10 + 12 * number
        tag = int.from_bytes(data[at : at + 2], "little")
        for place, value in ((4, 0), (4, (1 << 32) - 1), (8, 0), (8, _HUGE), (8, (1 << 32) - 1)):
            what = "count" if place == 4 else "value"
            yield f"tag {tag}, {what} {value}.tiff", _patched(data, at + place, _le(value))


def _le(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _lying_others(healthy: Bytes) -> Named:
    bmp = healthy["rocket.bmp"]
    for what, at, values in (
        ("pixels", 10, (0, 14, len(bmp), (1 << 32) - 1)),
        ("width", 18, (0, 1, 1 << 15, (1 << 31) - 1, (1 << 32) - 1)),
        ("height", 22, (0, 1, 1 << 15, (1 << 31) - 1, (1 << 32) - 192)),
        ("compression", 30, (1, 3, 99)),
    ):
        for value in values:
            yield f"{what} {value}.bmp", _patched(bmp, at, _le(value))
    flash = healthy["flash.flv"]
    for value in (0, 8, 10, 1 << 20):
        yield f"tags at {value}.flv", _patched(flash, 5, value.to_bytes(4, "big"))
    for value in (0, 1, 0xFFFFFF):
        yield f"tag of {value} bytes.flv", _patched(flash, 14, value.to_bytes(3, "big"))
    stream = healthy["transport.ts"]
    packets = [stream[at : at + 188] for at in range(0, len(stream), 188)]
    yield "all packets twice.ts", b"".join(packet * 2 for packet in packets)
    yield "backwards.ts", b"".join(reversed(packets))
    yield (
        "every packet of one stream.ts",
        b"".join(_patched(packet, 1, packets[40][1:3]) for packet in packets),
    )


# Bombs


def _bombs(healthy: Bytes) -> Named:
    yield from _image_bombs(healthy)
    yield from _animation_bombs()
    yield from _matroska_bombs(healthy)
    yield from _mp4_bombs(healthy)


def _png(width: int, height: int, pixels: bytes, *, kind: int = 6, more: bytes = b"") -> bytes:
    """``kind`` 0: grey of one bit; 6: RGBA. ``more``: chunks before the pixels."""
    header = struct.pack(">II", width, height) + bytes([8 if kind else 1, kind, 0, 0, 0])
    chunks = _chunk(b"IHDR", header) + more + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@functools.cache
def _zeros(mebibytes: int) -> bytes:
    """So many, compressed."""
    compressor = zlib.compressobj(1)
    parts = [compressor.compress(bytes(1 << 20)) for _ in range(mebibytes)]
    return b"".join(parts) + compressor.flush()


def _tiff(entries: Sequence[tuple[int, int, int, int]], following: int, data: bytes) -> bytes:
    """One directory, of (tag, type, count, value); ``data`` begins at byte 1024."""
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + _le(8) + directory + _le(following)
    return head.ljust(1024, b"\0") + data


def _tiff_of(side: int, data: bytes, following: int = 0) -> bytes:
    """A grey picture, compressed by deflate."""
    tags = {256: side, 257: side, 258: 8, 259: 8, 262: 1, 273: 1024, 277: 1, 278: side}
    entries = [(tag, 4, 1, value) for tag, value in tags.items()]
    return _tiff([*entries, (279, 4, 1, len(data))], following, data)


def _image_bombs(healthy: Bytes) -> Named:
    tiny, large = _zeros(1), _zeros(200)
    yield "tiny data, huge.png", _png(_HUGE, _HUGE, tiny)
    yield "tiny data, largest.png", _png((1 << 31) - 1, (1 << 31) - 1, tiny)
    yield "tiny data, allowed.png", _png(4000, 4000, tiny)
    yield "grey bits, huge.png", _png(_HUGE, _HUGE, large, kind=0)
    yield "large in memory.png", _png(4000, 4000, large)
    yield "far more pixels than it shows.png", _png(16, 16, large)
    for kind, head in ((b"iCCP", b"a\0\0"), (b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0")):
        more = _chunk(kind, head + large)
        yield f"{kind.decode()} of 200 MiB.png", _png(16, 16, tiny, more=more)
    text = _chunk(b"tEXt", b"a\0b") * 100_000
    yield "a hundred thousand texts.png", _png(16, 16, tiny, more=text)
    screen = struct.pack("<HH", _HUGE, _HUGE)
    yield "tiny data, huge.gif", b"GIF89a" + screen + b"\0\0\0" + _gif_frame(1) + b";"
    yield "tiny data, huge.tiff", _tiff_of(_HUGE, tiny)
    yield "tiny data, largest.tiff", _tiff_of((1 << 32) - 1, tiny)
    yield "large in memory.tiff", _tiff_of(4000, large)
    yield "far more pixels than it shows.tiff", _tiff_of(16, large)
    yield "directories in a loop.tiff", _tiff_of(64, _zeros(1), following=8)
    directories = [_tiff_of(16, tiny)]
    for number in range(500):
        start = 2 * 1024 + 1024 * number
        entry = directories[0][8:1024]
        directories.append(entry[:110] + _le(start + 1024) + entry[114:])
    yield "many directories.tiff", b"".join(part.ljust(1024, b"\0") for part in directories)
    lossless = b"\x2f" + struct.pack("<I", 0x3FFF | 0x3FFF << 14) + bytes(64)
    yield "tiny data, huge.webp", _riff(b"WEBP", _riff_chunk(b"VP8L", lossless))
    canvas = bytes([2, 0, 0, 0]) + b"\xff" * 6
    frame = bytes(16) + _riff_chunk(b"VP8L", lossless)
    yield (
        "animation, huge.webp",
        _riff(
            b"WEBP",
            _riff_chunk(b"VP8X", canvas)
            + _riff_chunk(b"ANIM", bytes(6))
            + _riff_chunk(b"ANMF", frame) * 1000,
        ),
    )
    photo = healthy["astronaut.jpg"]
    yield "200 pictures.jpg", photo * 200
    at = photo.index(b"\xff\xc0")
    segment = b"\xff\xe1\xff\xff" + b"Exif\0\0" + bytes(0xFFFF - 8)
    yield "200 segments.jpg", photo[:2] + segment * 200 + photo[2:]
    scans = Image.open(io.BytesIO(photo))
    buffer = io.BytesIO()
    scans.save(buffer, "JPEG", progressive=True)
    progressive = buffer.getvalue()
    at = progressive.index(b"\xff\xc2") + 5
    wide = _patched(progressive, at, struct.pack(">HH", 4000, 4000))
    scan = progressive.rindex(b"\xff\xda")
    yield "many scans of much.jpg", wide[:-2] + progressive[scan:-2] * 300 + b"\xff\xd9"


def _gif_frame(side: int, delay: int = 4) -> bytes:
    """Of one colour; ``delay`` in hundredths of a second."""
    control = b"\x21\xf9\x04\x04" + struct.pack("<H", delay) + b"\0\0"
    place = b"\x2c" + struct.pack("<HHHH", 0, 0, side, side) + b"\x80" + b"\0\0\0\xff\xff\xff"
    return control + place + b"\x02\x02\x44\x01\x00"


def _animation_bombs() -> Named:
    for side, count in ((16, 5000), (4000, 1000)):
        screen = b"GIF89a" + struct.pack("<HH", side, side) + b"\0\0\0"
        yield f"{count} frames of {side}.gif", screen + _gif_frame(1) * count + b";"
    pixels = zlib.compress(b"\0\x40\x80\xc0\xff")
    parts = [_chunk(b"acTL", struct.pack(">II", 4000, 0))]
    for number in range(4000):
        control = struct.pack(">IIIIIHHBB", max(0, 2 * number - 1), 1, 1, 0, 0, 1, 25, 0, 0)
        parts.append(_chunk(b"fcTL", control))
        if number:
            parts.append(_chunk(b"fdAT", struct.pack(">I", 2 * number) + pixels))
        else:
            parts.append(_chunk(b"IDAT", pixels))
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 6, 0, 0, 0))
    moving = b"\x89PNG\r\n\x1a\n" + header + b"".join(parts)
    yield "4000 frames.png", moving + _chunk(b"IEND", b"")


def _ebml(kind: int, *contents: bytes) -> bytes:
    """An element; its size in eight bytes."""
    content = b"".join(contents)
    width = (kind.bit_length() + 7) // 8
    return kind.to_bytes(width, "big") + (1 << 56 | len(content)).to_bytes(8, "big") + content


def _number(kind: int, value: int) -> bytes:
    return _ebml(kind, value.to_bytes(8, "big"))


# Source: RFC 9559, 5.1.
_EBML, _SEGMENT, _INFO, _TRACKS, _CLUSTER = (
    0x1A45DFA3,
    0x18538067,
    0x1549A966,
    0x1654AE6B,
    0x1F43B675,
)


def _matroska(tracks: Sequence[bytes], *content: bytes, info: bytes = b"") -> bytes:
    head = _ebml(_EBML, _ebml(0x4282, b"matroska"))
    about = _ebml(_INFO, _number(0x2AD7B1, 1_000_000), info)
    return head + _ebml(_SEGMENT, about, _ebml(_TRACKS, *tracks), *content)


def _track(number: int, width: int = 64, height: int = 64, more: bytes = b"") -> bytes:
    """Motion JPEG."""
    pixels = _ebml(0xE0, _number(0xB0, width), _number(0xBA, height))
    numbers = _number(0xD7, number), _number(0x73C5, number), _number(0x83, 1)
    return _ebml(0xAE, *numbers, _ebml(0x86, b"V_MJPEG"), pixels, more)


def _cluster(start_ms: int, blocks: Sequence[bytes]) -> bytes:
    return _ebml(_CLUSTER, _number(0xE7, start_ms), *blocks)


def _block(track: int, after_ms: int, data: bytes) -> bytes:
    number = (0x4000 | track).to_bytes(2, "big")
    return _ebml(0xA3, number, after_ms.to_bytes(2, "big"), b"\x80", data)


def _jpeg(side: int) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def _matroska_bombs(healthy: Bytes) -> Named:
    small, tiny = _jpeg(64), _jpeg(8)
    for count in (60, 1000):
        tracks = [_track(number + 1) for number in range(count)]
        blocks = [_block(number + 1, 0, small) for number in range(count)]
        yield f"{count} streams.mkv", _matroska(tracks, _cluster(0, blocks))
    one = _cluster(0, [_block(1, 0, small)])
    for width, height in ((_HUGE, _HUGE), ((1 << 31) - 1, 1), ((1 << 62), (1 << 62))):
        yield f"{width} x {height}.mkv", _matroska([_track(1, width, height)], one)
    at = small.index(b"\xff\xc0") + 5
    for side in (4000, _HUGE):
        lying = _patched(small, at, struct.pack(">HH", side, side))
        blocks = [_block(1, number * 40, lying) for number in range(200)]
        yield f"frames of {side}, not of 64.mkv", _matroska([_track(1)], _cluster(0, blocks))
    for step_ms, count in ((1, 2000), (0, 2000), (1000, 1000)):
        clusters = [
            _cluster(
                start * step_ms,
                [_block(1, (at - start) * step_ms, tiny) for at in range(start, start + 20)],
            )
            for start in range(0, count, 20)
        ]
        name = f"{count} tiny frames, {step_ms} ms each.mkv"
        yield name, _matroska([_track(1, 8, 8)], *clusters)
    # Lacing: 256 frames in a block, of no bytes.
    laced = _ebml(0xA3, b"\x40\x01\0\0\x82\xff" + bytes(255)) * 20_000
    yield "empty frames in laces.mkv", _matroska([_track(1)], _cluster(0, [laced]))
    packed = _ebml(0x6D80, _ebml(0x6240, _ebml(0x5034, _number(0x4254, 0))))
    blocks = [_block(1, number * 40, _zeros(100)) for number in range(20)]
    yield "frames of 100 MiB, packed.mkv", _matroska([_track(1, more=packed)], _cluster(0, blocks))
    nested = b""
    for _ in range(3000):
        nested = _ebml(0xA0, nested)
    yield "groups in groups.mkv", _matroska([_track(1)], _cluster(0, [nested]))
    tags = b""
    for _ in range(1000):
        tags = _ebml(0x67C8, _ebml(0x45A3, b"a"), tags)
    yield "tags in tags.mkv", _matroska([_track(1)], _ebml(0x1254C367, _ebml(0x7373, tags)), one)
    data = healthy["matroska.mkv"]
    # A list of what is where that leads back to itself.
    seek = _ebml(0x114D9B74, _ebml(0x4DBB, _ebml(0x53AB, b"\x11\x4d\x9b\x74"), _number(0x53AC, 0)))
    start = data.index(bytes.fromhex("18538067")) + 12
    yield "lists of themselves.mkv", data[:start] + seek * 1000 + data[start:]
    yield "far apart.mkv", _matroska([_track(1)], one, _cluster((1 << 62), [_block(1, 0, small)]))
    yield "nothing, for long.mkv", _matroska([_track(1)], _ebml(0xEC, bytes(1 << 23)), one)


def _box(kind: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def _rewritten(data: bytes, path: Sequence[bytes], new: bytes, *, behind: bool = False) -> bytes:
    """With a box of other content, or with more ``behind`` it, and the sizes around it put right.

    Every box of that ``path`` is changed.
    """
    made, at = b"", 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + size]
        if kind == path[0] and path[1:]:
            made += _box(kind, _rewritten(content, path[1:], new, behind=behind))
        elif kind == path[0]:
            made += _box(kind, content if behind else b"", new)
        else:
            made += data[at : at + size]
        at += size
    return made


def _mp4_bombs(healthy: Bytes) -> Named:
    film = healthy["moov_at_end.mp4"]
    at = film.index(b"trak") - 4
    track = film[at : at + int.from_bytes(film[at : at + 4], "big")]
    for count in (50, 2000):
        yield f"{count} more streams.mp4", _rewritten(film, [b"moov"], track * count, behind=True)
    kinds = {"moov": b"moov", "trak": b"trak", "udta": b"udta", "meta": b"meta", "ilst": b"ilst"}
    for name, kind in kinds.items():
        nested = b""
        for _ in range(5000):
            nested = _box(kind, nested)
        yield f"{name} in {name}.mp4", _box(b"ftyp", b"isom\0\0\2\0") + _box(b"moov", nested) + film
    yield "a hundred thousand boxes.mp4", film + _box(b"free") * 100_000
    yield "a hundred thousand boxes first.mp4", _box(b"free") * 100_000 + film
    yield "films in a row.mp4", film * 50
    fragments = healthy["fragmented.mp4"]
    start = fragments.index(b"moof") - 4
    yield "a fragment again and again.mp4", fragments[:start] + fragments[start:] * 20
    endless = _box(b"moof", _box(b"mfhd", struct.pack(">II", 0, 1)))
    yield "fragments of nothing.mp4", fragments[:start] + endless * 50_000
    # An index each of whose entries is an index: the one at the start of the file.
    entry = struct.pack(">III", 1 << 31 | 64, 1, 0)
    header = struct.pack(">IIIIIHH", 0, 1, 1000, 0, 0, 0, 1000)
    yield "index of indices.mp4", _box(b"sidx", header, entry * 1000) * 50 + fragments
    many = struct.pack(">II", 0, 1_000_000)
    table = [b"moov", b"trak", b"mdia", b"minf", b"stbl"]
    for what, kind, content in (
        ("frames of one byte", b"stsz", struct.pack(">III", 0, 1, 1_000_000)),
        ("frames of no length", b"stts", struct.pack(">IIII", 0, 1, (1 << 32) - 1, 0)),
        ("chunks at one place", b"stco", many + struct.pack(">I", 48) * 1_000_000),
        ("edits", b"stss", many + struct.pack(">I", 1) * 1_000_000),
    ):
        yield f"a million {what}.mp4", _rewritten(film, [*table, kind], content)
    edits = struct.pack(">II", 0, 4000) + struct.pack(">IIHH", 100, 0, 1, 0) * 4000
    path = [b"moov", b"trak", b"edts", b"elst"]
    yield "4000 edits.mp4", _rewritten(film, path, edits)


# References


def references(media: Path, canary: Path, port: int) -> Iterator[Variant]:
    """Files that ask for the file ``canary``, or for something of a server at ``port`` here."""
    film = (media / "clips" / "moov_at_end.mp4").read_bytes()
    photo = (media / "images" / "coffee.png").read_bytes()
    file, web = f"file://{canary}", f"http://127.0.0.1:{port}/media.ts"
    addresses = {
        "path": str(canary),
        "file": file,
        "short": f"file:{canary}",
        "http": web,
        "tcp": f"tcp://127.0.0.1:{port}",
        "rtsp": f"rtsp://127.0.0.1:{port}/media",
        "concat": f"concat:{canary}|{web}",
        "subfile": f"subfile,,start,0,end,100,,:{canary}",
        "crypto": f"crypto+{web}",
    }
    for name, address in addresses.items():
        for kind, text in _playlists(address).items():
            yield Variant(f"refers/{name}.{kind}", text.encode())
        playlist = _playlists(address)["m3u8"].encode()
        for kind, data in _referring(film, photo, address, playlist).items():
            yield Variant(f"refers/{name}, {kind}", data)
    session = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=a\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    session += f"m=video {port} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    yield Variant("refers/session.sdp", session.encode())
    yield Variant("refers/alias.mp4", _with_data_reference(film, _alias(str(canary))))


def _playlists(address: str) -> dict[str, str]:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    link = f'<image width="64" height="64" xlink:href="{address}" href="{address}"/>'
    return {
        "m3u8": f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1.0,\n{address}\n#EXT-X-ENDLIST\n",
        "ffconcat": f"ffconcat version 1.0\nfile '{address}'\nduration 1\n",
        "svg": f'<?xml version="1.0"?>\n{svg}{link}</svg>\n',
        "mpd": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
        f"<Period><AdaptationSet><Representation><BaseURL>{address}</BaseURL>"
        "</Representation></AdaptationSet></Period></MPD>",
        "asx": f'<asx version="3.0"><entry><ref href="{address}"/></entry></asx>',
        "mvg": f"push graphic-context\nimage over 0,0 0,0 '{address}'\npop graphic-context\n",
        "txt": address,
    }


def _referring(film: bytes, photo: bytes, address: str, playlist: bytes) -> dict[str, bytes]:
    """Media whose format is known, with an address, or a playlist, in them."""
    said = address.encode()
    small = _jpeg(64)
    one = _cluster(0, [_block(1, 0, small)])
    link = _ebml(0x3C83AB, said) + _ebml(0x3EB9BB, said) + _number(0x3EB923, 1)
    text = _ebml(
        0xAE,
        *(_number(0xD7, 2), _number(0x73C5, 2), _number(0x83, 0x11)),
        _ebml(0x86, b"S_TEXT/UTF8"),
    )
    xmp = _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + said)
    at = photo.index(b"IDAT") - 4
    movie = _box(b"rdrf", bytes(4), b"url ", (len(said) + 1).to_bytes(4, "big"), said + b"\0")
    head = _box(b"ftyp", b"qt  \0\0\0\0")
    return {
        "data elsewhere.mp4": _with_data_reference(film, _box(b"url ", bytes(4), said + b"\0")),
        "name elsewhere.mp4": _with_data_reference(
            film, _box(b"urn ", bytes(4), b"a\0" + said + b"\0")
        ),
        "another film.mov": head + _box(b"moov", _box(b"rmra", _box(b"rmda", movie))),
        "another segment.mkv": _matroska([_track(1)], one, info=link),
        "subtitles.mkv": _matroska(
            [_track(1), text], _cluster(0, [_block(1, 0, small), _block(2, 0, playlist)])
        ),
        "playlist behind.mp4": film + playlist,
        "playlist in free.mp4": _box(b"free", playlist) + film,
        "playlist as data.mp4": head + _box(b"mdat", playlist),
        "subtitles.avi": _avi_with_subtitles(small, playlist),
        "text.png": photo[:at] + xmp + photo[at:],
    }


def _with_data_reference(film: bytes, reference: bytes) -> bytes:
    """A film whose frames are in another file, by its word."""
    path = [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"]
    return _rewritten(film, path, struct.pack(">II", 0, 1) + reference)


def _alias(path: str) -> bytes:
    """As Macintosh names a file. Source: FFmpeg, libavformat/mov.c, mov_read_dref."""
    name = path.rpartition("/")[2].encode()[:63]
    record = bytes(10) + b"\1a".ljust(28, b"\0") + bytes(12)
    record += bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    record += struct.pack(">HH", 1, 1) + bytes(16)
    said = path.encode() + b"\0" * (len(path) % 2)
    record += struct.pack(">HH", 2, len(said)) + said
    record += struct.pack(">HH", 18, len(said)) + said + struct.pack(">HH", 0xFFFF, 0)
    return _box(b"alis", bytes(4), record)


def _riff_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + _le(len(content)) + content + b"\0" * (len(content) % 2)


def _riff(kind: bytes, content: bytes) -> bytes:
    return _riff_chunk(b"RIFF", kind + content)


def _avi_with_subtitles(frame: bytes, playlist: bytes) -> bytes:
    """A frame, and subtitles that FFmpeg finds out the format of by itself."""

    def stream(kind: bytes, handler: bytes, form: bytes) -> bytes:
        header = kind + handler + bytes(12) + struct.pack("<IIII", 1, 25, 0, 1) + bytes(20)
        chunks = _riff_chunk(b"strh", header) + _riff_chunk(b"strf", form)
        return _riff_chunk(b"LIST", b"strl" + chunks)

    main = struct.pack("<14I", 40_000, 0, 0, 0x10, 1, 0, 2, 0, 64, 64, 0, 0, 0, 0)
    form = struct.pack("<IiiHH4sIiiII", 40, 64, 64, 1, 24, b"MJPG", 0, 0, 0, 0, 0)
    streams = stream(b"vids", b"MJPG", form) + stream(b"txts", bytes(4), bytes(40))
    gab2 = b"GAB2\0\2\0" + _le(2) + b"a\0" + b"\4\0" + _le(len(playlist)) + playlist
    frames = _riff_chunk(b"00dc", frame) + _riff_chunk(b"01tx", gab2)
    header = _riff_chunk(b"LIST", b"hdrl" + _riff_chunk(b"avih", main) + streams)
    return _riff(b"AVI ", header + _riff_chunk(b"LIST", b"movi" + frames))
