"""Formats of images that few programs write: seen, found, and refused for the right reason."""

from __future__ import annotations

import resource as usage
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hashmatch.decoding import sandbox
from hashmatch.decoding.media import image
from hashmatch.decoding.media.formats import Family, sniff
from hashmatch.decoding.media.source import BytesSource
from hashmatch.decoding.media.tally import Tally
from hashmatch.decoding.sandbox import Sandbox, WorkerLimits
from hashmatch.decoding.spool import Spool, SpoolBudget
from hashmatch.decoding.worker.local import look
from hashmatch.engine.hashing import pdq
from hashmatch.errors import MediaError
from hashmatch.model.records import DecodeLimits
from hashmatch.model.verdicts import Kind, VerdictReason
from tests.decoding.media.test_image import bits, codes, frames, saved
from tests.decoding.media.test_image_formats import OTHER, PIXELS, SHOWN, near
from tests.decoding.test_sandbox import ENVIRONMENT, JOB, Listener, fill
from tests.support import picture

TRUNCATED, UNSUPPORTED, UNSEEN, CORRUPT, TOO_LARGE = (
    VerdictReason.TRUNCATED,
    VerdictReason.UNSUPPORTED,
    VerdictReason.UNSEEN_MEDIA,
    VerdictReason.CORRUPT,
    VerdictReason.FRAME_SIZE_LIMIT,
)
HEIGHT, WIDTH = PIXELS.shape[:2]
GREY = np.asarray(SHOWN.convert("L"))
# Large dots, so that one bit a pixel shows something.
LARGE = Image.fromarray(picture(33, 256, 256))
BITS = SHOWN.convert("1")
LIGHT = (((PIXELS / 255 + 0.055) / 1.055) ** 2.4).astype("<f4")


def dds(
    pictures: list[Image.Image],
    *,
    caps: int = 0,
    depth: int = 0,
    levels: int = 1,
    code: bytes = b"",
) -> bytes:
    """A texture whose pictures have 32 bits a pixel, with smaller levels of nothing."""
    width, height = pictures[0].size
    flags = 0x1007 | (0x20000 if levels > 1 else 0) | (0x800000 if depth else 0)
    head = struct.pack("<4s7I44x", b"DDS ", 124, flags, height, width, width * 4, depth, levels)
    kind = (4, code, 0, 0, 0, 0, 0) if code else (0x41, b"", 32, 255, 65280, 255 << 16, 255 << 24)
    head += struct.pack("<2I4s5I", 32, *kind) + struct.pack("<5I", 0x1000, caps, 0, 0, 0)
    if code:
        head += struct.pack("<5I", 28, 3, 0, len(pictures), 0)
    rows = b""
    for each in pictures:
        rows += each.convert("RGBA").tobytes()
        rows += b"".join(bytes((width >> at) * (height >> at) * 4) for at in range(1, levels))
    return head + rows


def packed(plane: bytes, width: int) -> tuple[bytes, bytes]:
    """Rows in runs of one piece each: their lengths, and the runs."""
    rows = [plane[at : at + width] for at in range(0, len(plane), width)]
    runs = [bytes([len(row) - 1]) + row for row in rows]
    return b"".join(struct.pack(">H", len(run)) for run in runs), b"".join(runs)


def coded(plane: bytes, width: int, kind: int) -> bytes:
    """A channel of a layer: in rows, in runs, or by zip, without prediction or with."""
    if kind == 1:
        return b"".join(packed(plane, width))
    return zlib.compress(plane) if kind else plane


def psd(
    composite: Image.Image = SHOWN,
    layers: list[Image.Image] | None = None,
    *,
    kinds: tuple[int, int, int] = (1, 1, 1),
    resources: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """A document, its composite and layers in runs; ``kinds`` is how channels of layers are."""
    width, height = composite.size
    head = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, height, width, 8, 3) + bytes(4)
    head += struct.pack(">I", len(resources)) + resources
    records, data = b"", b""
    for each in layers or []:
        planes = [plane.tobytes() for plane in each.split()]
        made = [
            struct.pack(">H", kind) + coded(plane, each.width, kind)
            for plane, kind in zip(planes, kinds, strict=True)
        ]
        records += struct.pack(">4iH", 0, 0, each.height, each.width, 3)
        records += b"".join(struct.pack(">HI", at, len(one)) for at, one in enumerate(made))
        records += b"8BIMnorm\xff\0\0\0" + struct.pack(">I", 12) + bytes(12)
        data += b"".join(made)
    info = struct.pack(">h", len(layers or [])) + records + data
    section = struct.pack(">I", len(info)) + info if layers else bytes(4)
    section += after
    counts, runs = zip(*(packed(one.tobytes(), width) for one in composite.split()), strict=True)
    rows = b"\0\1" + b"".join(counts) + b"".join(runs)
    return head + struct.pack(">I", len(section)) + section + rows


def resource(number: int, content: bytes) -> bytes:
    """An image resource."""
    return (
        struct.pack(">4sHHI", b"8BIM", number, 0, len(content)) + content + bytes(len(content) % 2)
    )


def hdr() -> bytes:
    """The picture as light in Radiance, without runs."""
    largest = np.maximum(LIGHT.max(axis=2), 1e-9)
    exponent = np.ceil(np.log2(largest * 1.001)).astype(int)
    mantissa = np.clip(LIGHT / (2.0**exponent)[..., None] * 256, 0, 255).astype(np.uint8)
    rows = np.dstack([mantissa, (exponent + 128).astype(np.uint8)])
    return (
        f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {HEIGHT} +X {WIDTH}\n".encode() + rows.tobytes()
    )


def exr(
    light: np.ndarray = LIGHT,
    *,
    names: str = "BGR",
    compression: int = 3,
    shown: tuple[int, int, int, int] = (0, 0, WIDTH - 1, HEIGHT - 1),
    flags: int = 0,
) -> bytes:
    """The picture as OpenEXR in floating point, packed by zlib in blocks of 16 rows, or not."""

    def attribute(name: str, kind: str, content: bytes) -> bytes:
        return f"{name}\0{kind}\0".encode() + struct.pack("<I", len(content)) + content

    channels = b"".join(
        name.encode() + b"\0" + struct.pack("<IIii", 2, 0, 1, 1)
        for name in ([*names] if len(names) == 3 else names.split(","))
    )
    head = b"v/1\x01" + struct.pack("<I", 2 | flags)
    head += attribute("channels", "chlist", channels + b"\0")
    head += attribute("compression", "compression", bytes([compression]))
    head += attribute("dataWindow", "box2i", struct.pack("<4i", 0, 0, WIDTH - 1, HEIGHT - 1))
    head += attribute("displayWindow", "box2i", struct.pack("<4i", *shown))
    head += attribute("lineOrder", "lineOrder", b"\0")
    head += attribute("pixelAspectRatio", "float", struct.pack("<f", 1))
    head += attribute("screenWindowCenter", "v2f", bytes(8))
    head += attribute("screenWindowWidth", "float", struct.pack("<f", 1)) + b"\0"
    lines = 16 if compression else 1
    blocks = []
    for start in range(0, HEIGHT, lines):
        rows = b"".join(
            light[y, :, channel].tobytes()
            for y in range(start, min(start + lines, HEIGHT))
            for channel in (2, 1, 0)
        )
        if compression:
            halves = np.frombuffer(rows[::2] + rows[1::2], np.uint8).astype(np.int16)
            steps = np.diff(halves, prepend=halves[:1] - 128) + 128
            steps[0] = halves[0]
            rows = zlib.compress((steps & 255).astype(np.uint8).tobytes())
        blocks.append(struct.pack("<iI", start, len(rows)) + rows)
    at, table = len(head) + 8 * len(blocks), b""
    for block in blocks:
        table += struct.pack("<Q", at)
        at += len(block)
    return head + table + b"".join(blocks)


def fits(*cards: bytes, rows: bytes = GREY[::-1].tobytes()) -> bytes:
    """The picture in grey of 8 bits, from the bottom."""
    head = [b"SIMPLE  = %20s" % b"T", b"BITPIX  = %20d" % 8]
    head += cards or (b"NAXIS   = %20d" % 2,)
    head += [b"NAXIS1  = %20d" % WIDTH, b"NAXIS2  = %20d" % HEIGHT, b"END"]
    text = b"".join(card.ljust(80) for card in head)
    return text.ljust(2880) + rows + bytes(-len(rows) % 2880)


def fli(count: int = 1) -> bytes:
    """A film in greys whose frames are stored as they are."""
    palette = struct.pack("<IHH2B", 6 + 4 + 768, 4, 1, 0, 0) + bytes(
        value for level in range(256) for value in (level, level, level)
    )
    made = b""
    for number in range(count):
        rows = np.roll(GREY, number * 9, axis=1).tobytes()
        chunks = palette + struct.pack("<IH", 6 + len(rows), 16) + rows
        made += struct.pack("<IHH8x", 16 + len(chunks), 0xF1FA, 2) + chunks
    head = struct.pack("<IHHHHHHI", 128 + len(made), 0xAF12, count, WIDTH, HEIGHT, 8, 3, 100)
    return head.ljust(128, b"\0") + made


def xpm() -> bytes:
    """The picture in 64 greys."""
    text = "/* XPM */\nstatic char *made[] = {\n" + f'"{WIDTH} {HEIGHT} 64 1",\n'
    signs = [chr(48 + level) for level in range(64)]
    signs[signs.index("\\")] = "~"
    text += "".join(
        f'"{s} c #{level * 4:02x}{level * 4:02x}{level * 4:02x}",\n'
        for level, s in enumerate(signs)
    )
    text += ",\n".join('"' + "".join(signs[level // 4] for level in row) + '"' for row in GREY)
    return (text + "\n};\n").encode()


def wbmp() -> bytes:
    """The picture in one bit."""
    return b"\0\0" + bytes([WIDTH, HEIGHT]) + BITS.tobytes()


def sun() -> bytes:
    """The picture as a Sun raster."""
    rows = PIXELS[..., ::-1].tobytes()
    return struct.pack(">8I", 0x59A66A95, WIDTH, HEIGHT, 24, len(rows), 1, 0, 0) + rows


def gbr() -> bytes:
    """The picture as a brush."""
    rgba = np.dstack([PIXELS, np.full((HEIGHT, WIDTH), 255, np.uint8)])
    return struct.pack(">5I4sI", 33, 2, WIDTH, HEIGHT, 4, b"GIMP", 10) + b"made\0" + rgba.tobytes()


def ftex() -> bytes:
    """The picture as a texture of a game."""
    rows = PIXELS.tobytes()
    return struct.pack("<4s7II", b"FTEX", 1, WIDTH, HEIGHT, 1, 1, 1, 32, len(rows)) + rows


def pixar() -> bytes:
    """The picture as a dump of rows."""
    head = bytearray(1024)
    head[:4] = b"\x80\xe8\0\0"
    struct.pack_into("<2H4x2H", head, 416, HEIGHT, WIDTH, 14, 2)
    return bytes(head) + PIXELS.tobytes()


def dcx(*pictures: Image.Image) -> bytes:
    """Pages in PCX."""
    pages = [saved(each, "PCX") for each in pictures]
    at = 4 + 4 * (len(pages) + 1)
    places = []
    for page in pages:
        places.append(at)
        at += len(page)
    return struct.pack(f"<I{len(places)}II", 0x3ADE68B1, *places, 0) + b"".join(pages)


def im() -> bytes:
    """The picture as IFUNC writes it."""
    with warnings.catch_warnings(action="ignore"):  # Pillow will leave the format.
        return saved(SHOWN, "IM")


def pcd() -> tuple[bytes, Image.Image]:
    """The picture in grey as a PhotoCD, and as it is shown."""
    shown = Image.fromarray(GREY).resize((768, 512))
    plane = np.asarray(shown)
    rows = b"".join(
        plane[y : y + 2].tobytes() + bytes([156] * 384 + [137] * 384) for y in range(0, 512, 2)
    )
    head = bytearray(96 * 2048)
    head[2048:2055] = b"PCD_IPI"
    return bytes(head) + rows, shown


FILES = {
    "dds": (dds([SHOWN]), SHOWN),
    "dds by number": (dds([SHOWN], code=b"DX10"), SHOWN),
    "dds in blocks": (saved(LARGE.convert("RGBA"), "DDS", pixel_format="DXT1"), LARGE),
    "psd": (psd(), SHOWN),
    "blp": (saved(SHOWN.quantize(256), "BLP"), SHOWN),
    "hdr": (hdr(), SHOWN),
    "exr": (exr(), SHOWN),
    "exr without codes": (exr(compression=0), SHOWN),
    "fits": (fits(), Image.fromarray(GREY)),
    "fli": (fli(), Image.fromarray(GREY)),
    "flic": (fli(3), Image.fromarray(GREY)),
    "xbm": (saved(BITS, "XBM"), BITS),
    "xpm": (xpm(), Image.fromarray(GREY)),
    "wbmp": (wbmp(), BITS),
    "im": (im(), SHOWN),
    "dib": (saved(SHOWN, "DIB"), SHOWN),
    "dcx": (dcx(SHOWN), SHOWN),
    "msp": (saved(BITS, "MSP"), BITS),
    "sun": (sun(), SHOWN),
    "gbr": (gbr(), SHOWN),
    "ftex": (ftex(), SHOWN),
    "pixar": (pixar(), SHOWN),
    "spider": (saved(SHOWN.convert("F"), "SPIDER"), SHOWN.convert("L")),
    "pcd": pcd(),
}
STILLS = {name: data for name, (data, _) in FILES.items() if name != "flic"}
# Cut, these are like nothing that is known.
BY_LENGTH = ("wbmp", "spider")


@pytest.mark.parametrize("name", STILLS)
def test_a_picture_is_seen(name: str) -> None:
    """Uploads in these formats would all be held, or pass for something else."""
    assert near(*FILES[name])


@pytest.mark.parametrize("name", [name for name in STILLS if name not in BY_LENGTH])
@pytest.mark.parametrize("part", range(1, 7))
def test_a_part_of_a_file_is_truncated(name: str, part: int) -> None:
    """What a viewer shows of it would pass for all of it, or its sender be asked for it again."""
    data = STILLS[name].rstrip(b"\0")  # Padding is no part of it.
    data = data[: len(data) * part // 7]
    _, tally = frames(data)
    assert codes(tally) == [TRUNCATED]


async def test_a_confined_worker_decodes_them(tmp_path: Path) -> None:
    """What loads a part of itself late, or asks for more than a worker has, would fail there."""
    uploads = {name: data for name, (data, _) in FILES.items()}
    uploads |= {"layers": psd(layers=[OTHER]), "pages": dcx(SHOWN, OTHER)}
    async with sandbox.running(Sandbox(1, WorkerLimits(), ENVIRONMENT)) as running:
        for name, data in uploads.items():
            spool = Spool(SpoolBudget(1 << 20, 1 << 30, tmp_path))
            done = await running.inspect(await fill(spool, data), JOB, Listener())
            spool.close()
            assert done is not None
            assert (name, [each.code for each in done.reasons]) == (name, [])


def claiming(name: str) -> bytes:
    """A small file that says it has 100,000 x 100,000 pixels, or as many as its numbers can."""
    data, (width, height) = bytearray(STILLS[name][:4096]), (100_000, 100_000)
    if name in ("fits", "hdr", "im", "xbm", "xpm"):
        text = bytes(data)
        for old in (b"%20d" % WIDTH, b"%20d" % HEIGHT):
            text = text.replace(old, b"%20d" % width)
        text = text.replace(b"-Y %d +X %d" % (HEIGHT, WIDTH), b"-Y %d +X %d" % (height, width))
        text = text.replace(b"%d*%d" % (WIDTH, HEIGHT), b"%d*%d" % (width, height))
        text = text.replace(b"_width %d" % WIDTH, b"_width %d" % width)
        text = text.replace(b"_height %d" % HEIGHT, b"_height %d" % height)
        return text.replace(b'"%d %d 64' % (WIDTH, HEIGHT), b'"%d %d 64' % (width, height))
    place, form, numbers = {
        "dds": (12, "<2I", (height, width)),
        "psd": (14, ">2I", (height, width)),
        "blp": (12, "<2I", (width, height)),
        "dib": (4, "<2I", (width, height)),
        "sun": (4, ">2I", (width, height)),
        "gbr": (8, ">2I", (width, height)),
        "ftex": (8, "<2I", (width, height)),
        "pixar": (416, "<2H", (65535, 65535)),
        "msp": (4, "<2H", (65535, 65535)),
        "fli": (8, "<2H", (65535, 65535)),
    }[name]
    struct.pack_into(form, data, place, *numbers)
    return bytes(data)


@pytest.mark.parametrize(
    "name",
    ["fits", "hdr", "im", "xbm", "xpm", "dds", "psd", "blp", "sun", "gbr", "ftex", "pixar", "fli"],
)
def test_a_small_file_that_claims_a_large_picture(name: str) -> None:
    """Room for it is never made: the worker would be killed, and with it what is beside it."""
    data = claiming(name)
    assert data != STILLS[name][:4096]
    tally = Tally()
    form = sniff(BytesSource(data))
    assert form is not None
    began = most_memory()
    told = []
    try:
        for _ in image.frames(BytesSource(data), form, DecodeLimits(60_000, 1 << 24), tally):
            pytest.fail("a picture is shown")
    except MediaError as error:
        told.append(error.code)
    told += codes(tally)
    assert told
    assert set(told) <= {TRUNCATED, TOO_LARGE, CORRUPT}
    assert most_memory() - began < 1 << 28


def most_memory() -> int:
    """The most memory that this process has had."""
    return usage.getrusage(usage.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("name", STILLS)
def test_a_listed_picture_is_found(name: str) -> None:
    """In another format it would pass the blocklist."""
    data, shown = FILES[name]
    listed = pdq.digest(np.asarray(shown.convert("L"), np.float32)[None])[0]
    form = sniff(BytesSource(data))
    assert form is not None
    seen = [
        pdq.digest(each.luma * each.gain)[0][0]
        for each in image.frames(BytesSource(data), form, DecodeLimits(60_000, 1 << 24), Tally())
    ]
    assert min(bits(each, listed[0]) for each in seen) <= 31


@pytest.mark.parametrize("caps", [0x200 | 0xFC00, 0x200 | 0x0C00])
@pytest.mark.parametrize("levels", [1, 4])
def test_every_face_of_a_cube_is_seen(caps: int, levels: int) -> None:
    """Viewers show one, or all of them side by side."""
    faces = [OTHER] * ((caps & 0xFC00).bit_count() - 1) + [SHOWN.resize(OTHER.size)]
    data = dds(faces, caps=caps, levels=levels)
    assert near(data, OTHER)
    assert near(data, faces[-1])
    cut = data[: -OTHER.width * OTHER.height * 2]
    assert codes(frames(cut)[1]) == [TRUNCATED]


def test_every_entry_of_an_array_and_slice_of_a_volume_is_seen() -> None:
    """The second would pass unseen."""
    assert near(dds([OTHER, SHOWN.resize(OTHER.size)], code=b"DX10"), SHOWN.resize(OTHER.size))
    assert near(dds([OTHER, SHOWN.resize(OTHER.size)], caps=0x200000, depth=2), SHOWN)


def test_more_entries_than_are_looked_at_are_told() -> None:
    """Pictures behind the last would pass unseen."""
    dots = [Image.new("RGB", (4, 4))] * 257
    assert UNSEEN in codes(frames(dds(dots, code=b"DX10"))[1])


@pytest.mark.parametrize("kinds", [(0, 0, 0), (1, 1, 1), (0, 1, 1), (2, 2, 2), (2, 1, 0)])
def test_every_layer_of_a_document_is_seen(kinds: tuple[int, int, int]) -> None:
    """Viewers show the composite, and editors the layers."""
    data = psd(layers=[SHOWN.rotate(90), OTHER], kinds=kinds)
    for each in (SHOWN, OTHER, SHOWN.rotate(90)):
        assert near(data, each)


def test_the_preview_of_a_document_is_seen() -> None:
    """File managers show it."""
    data = psd(resources=resource(1036, bytes(28) + saved(OTHER, "JPEG", quality=95)))
    assert near(data, OTHER)


def linked(*files: bytes) -> bytes:
    """A block with the files of smart objects."""
    made = b""
    for each in files:
        item = b"liFD\0\0\0\2\x04made" + bytes(20) + struct.pack(">Q", len(each)) + b"\0" + each
        made += struct.pack(">Q", len(item)) + item + bytes(-len(item) % 4)
    return bytes(4) + b"8BIMlnk2" + struct.pack(">I", len(made)) + made


def test_the_files_that_layers_show_are_seen() -> None:
    """Editors open them."""
    data = psd(after=linked(saved(SHOWN.rotate(90)), saved(OTHER)))
    assert near(data, OTHER)
    assert near(data, SHOWN.rotate(90))
    assert codes(frames(psd(after=linked(saved(OTHER), b"%PDF-1.5")))[1]) == [UNSEEN]


def test_layers_of_16_bits_are_seen() -> None:
    """Pillow refuses them, FFmpeg shows them."""
    wide = [np.asarray(plane).astype(">u2") * 257 for plane in OTHER.split()]
    rows = b"".join(plane.astype(">u2").tobytes() for plane in wide)
    channels = [b"\0\0" + plane.astype(">u2").tobytes() for plane in wide]
    records = struct.pack(">4iH", 0, 0, OTHER.height, OTHER.width, 3)
    records += b"".join(struct.pack(">HI", at, len(one)) for at, one in enumerate(channels))
    records += b"8BIMnorm\xff\0\0\0" + struct.pack(">I", 12) + bytes(12)
    info = struct.pack(">h", 1) + records + b"".join(channels)
    head = b"8BPS\0\1" + bytes(6)
    head += struct.pack(">HIIHH", 3, OTHER.height, OTHER.width, 16, 3) + bytes(8)
    section = struct.pack(">I", len(info)) + info
    black = bytes(len(rows))
    data = head + struct.pack(">I", len(section)) + section + b"\0\0" + black
    assert near(data, OTHER)


def test_layers_that_are_not_seen_are_told() -> None:
    """Packed as nothing here unpacks, or without a composite."""
    assert codes(frames(psd(layers=[OTHER], kinds=(3, 3, 3)))[1]) == [UNSEEN]
    assert codes(frames(psd(resources=resource(1057, bytes(5))))[1]) == [UNSEEN]
    for key in (b"Lr16", b"lnk2"):
        more = psd(after=bytes(4) + b"8BIM" + key + b"\0\0\0\4" + bytes(4))
        assert codes(frames(more)[1]) == [UNSEEN]
    assert codes(frames(psd(after=bytes(4) + b"8BIMlnk2" + bytes(4)))[1]) == []
    dots = Image.new("RGB", (3000, 3000))
    assert codes(frames(psd(layers=[dots] * 3, kinds=(2, 2, 2)))[1]) == [UNSEEN]
    data = psd(layers=[OTHER])
    at = data.index(b"8BIMnorm") - 38
    assert UNSEEN in codes(frames(data[:at] + b"\x7f\xff" + data[at + 2 :])[1])


def test_the_fourth_channel_may_be_a_mask() -> None:
    """Programs differ in whether what it hides is shown."""
    clear = SHOWN.convert("RGBA")
    clear.putalpha(0)
    assert near(dds([clear]), SHOWN)
    half = SHOWN.convert("RGBA")
    half.paste((0, 0, 0, 0), (48, 0, 96, 64))
    for ground in ("black", "white"):
        wanted = Image.new("RGBA", SHOWN.size, ground)
        wanted.alpha_composite(half)
        assert near(dds([half]), wanted.convert("RGB"))


def test_light_is_shown_in_each_way() -> None:
    """Viewers follow the curve of a screen; FFmpeg shows light as levels; and some show less of a
    picture that is too bright.
    """
    for data in (exr(), hdr()):
        assert near(data, SHOWN)
        assert near(data, Image.fromarray((LIGHT * 255).astype(np.uint8)))
    assert near(exr((LIGHT * 500).astype("<f4")), SHOWN)


@pytest.mark.parametrize("at", [0.3, 0.6, 0.9])
def test_a_damaged_block_of_an_exr_is_told(at: float) -> None:
    """FFmpeg leaves it black without a word."""
    data = bytearray(exr())
    data[int(len(data) * at)] ^= 0xFF
    assert codes(frames(bytes(data))[1]) == [CORRUPT]


@pytest.mark.parametrize(
    "options",
    [
        {"shown": (0, 0, WIDTH - 20, HEIGHT - 1)},
        {"names": "B,G,R,second.R"},
        {"flags": 0x1000},
    ],
)
def test_what_is_not_seen_of_an_exr_is_told(options: dict[str, Any]) -> None:
    """Views, parts and margins that other programs show."""
    assert UNSEEN in codes(frames(exr(**options))[1])


def test_what_is_not_seen_of_a_fits_is_told() -> None:
    """Slices and extensions that other programs show."""
    cube = fits(b"NAXIS   = %20d" % 3, b"NAXIS3  = %20d" % 2, rows=GREY.tobytes() + GREY.tobytes())
    assert codes(frames(cube)[1]) == [UNSEEN]
    second = fits().replace(b"SIMPLE  = %20s" % b"T", b"XTENSION= 'IMAGE   '          ")
    assert codes(frames(fits() + second)[1]) == [UNSEEN]


def test_every_page_is_seen() -> None:
    """Faxes have several."""
    assert near(dcx(SHOWN, OTHER), OTHER)


def test_a_film_in_flic_is_seen(tmp_path: Path) -> None:
    """Every frame of it."""
    path = tmp_path / "film"
    path.write_bytes(fli(3))
    done = look(path, (Kind.PDQ,)).done
    assert done.coverage.frames_decoded == 3
    assert done.coverage.complete
    path.write_bytes(fli(3)[:-9000])
    assert [each.code for each in look(path, (Kind.PDQ,)).done.reasons] == [TRUNCATED]


@pytest.mark.parametrize(
    "data",
    [
        b"#define made_width 96\n#define made_height 64\nint made() { return 0; }\n" * 4,
        b"#define width 96\n",
        b"/* an XPM, or not */\n" * 20,
        b"\0\0\x60\x40" + bytes(95),
        b"Image type: unknown\n" * 30,
        bytes(4096),
    ],
)
def test_what_is_like_a_picture_is_none(data: bytes) -> None:
    """Texts and tables would be shown as noise."""
    assert sniff(BytesSource(data)) is None


def test_an_exr_without_a_packing_is_no_fault_of_ours() -> None:
    """A worker would fail, and an error be logged for every such file."""
    data = exr()
    at = data.index(b"compression\0compression\0") + 24
    empty = data[:at] + bytes(4) + data[at + 5 :]
    told = codes(frames(empty)[1])
    assert told
    assert set(told) <= {TRUNCATED, CORRUPT}


@pytest.mark.parametrize("name", STILLS)
def test_damaged_files_are_no_fault_of_ours(name: str) -> None:
    """What reads headers here may only find them damaged."""
    rng = np.random.default_rng(len(name))
    for _ in range(40):
        data = np.frombuffer(STILLS[name], np.uint8).copy()
        places = rng.integers(0, min(len(data), 512), 3)
        data[places] = rng.choice(np.array([0, 1, 127, 255], np.uint8), 3)
        source = BytesSource(data.tobytes())
        form = sniff(source)
        if form is None or form.family is not Family.IMAGE:
            continue
        tally, seen = Tally(), 0
        try:
            for _batch in image.frames(source, form, DecodeLimits(60_000, 1 << 20), tally):
                seen += 1
        except MediaError:
            continue
        assert seen or tally.reasons
