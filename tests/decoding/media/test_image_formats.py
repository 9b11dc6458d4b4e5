"""Formats of still images beside the common ones, and common ones in uncommon kinds."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pylibjxl
import pytest
from PIL import Image

from hashmatch.decoding import sandbox
from hashmatch.decoding.media import jxl, pictures
from hashmatch.decoding.media.formats import sniff
from hashmatch.decoding.media.source import BytesSource
from hashmatch.decoding.media.unseen import Unseen
from hashmatch.decoding.sandbox import Sandbox, WorkerLimits
from hashmatch.decoding.spool import Spool, SpoolBudget
from hashmatch.engine.hashing import pdq
from hashmatch.model.verdicts import VerdictReason
from tests.decoding.media.test_image import bits, codes, frames, saved
from tests.decoding.media.test_raw import LARGE, RAWS
from tests.decoding.test_sandbox import ENVIRONMENT, JOB, Listener, fill
from tests.support import picture

SHOWN = Image.fromarray(picture(31, 96, 64))
OTHER = Image.fromarray(picture(32, 64, 48))
PIXELS = np.asarray(SHOWN)
TRUNCATED, UNSUPPORTED, UNSEEN, CORRUPT = (
    VerdictReason.TRUNCATED,
    VerdictReason.UNSUPPORTED,
    VerdictReason.UNSEEN_MEDIA,
    VerdictReason.CORRUPT,
)


def near(data: bytes, wanted: Image.Image, told: list[VerdictReason] | None = None) -> bool:
    """True if one of the pictures that are seen of a file is a picture."""
    batches, tally = frames(data)
    assert codes(tally) == (told or [])
    own = pdq.digest(np.asarray(wanted.convert("L"), np.float32)[None])[0][0]
    return any(bits(pdq.digest(each.luma)[0][0], own) <= 20 for each in batches)


def pam() -> bytes:
    """The picture as PAM, in RGB with alpha."""
    rgba = np.dstack([PIXELS, np.full(PIXELS.shape[:2], 255, np.uint8)])
    height, width = PIXELS.shape[:2]
    head = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    return head.encode() + rgba.tobytes()


def pfm() -> bytes:
    """The picture as PFM in colour, whose rows go upward."""
    height, width = PIXELS.shape[:2]
    rows = (PIXELS[::-1].astype("<f4") / 255).tobytes()
    return f"PF\n{width} {height}\n-1.0\n".encode() + rows


def plain_ppm() -> bytes:
    """The picture as PPM in plain text."""
    height, width = PIXELS.shape[:2]
    return (
        f"P3\n# made\n{width} {height}\n255\n".encode()
        + " ".join(map(str, PIXELS.ravel().tolist())).encode()
    )


def dib(mode: str) -> bytes:
    """The picture of an icon as a DIB with a mask of holes."""
    data = bytearray(saved(SHOWN.convert(mode), "BMP")[14:])
    data[8:12] = (2 * SHOWN.height).to_bytes(4, "little")
    return bytes(data) + bytes((SHOWN.width + 31) // 32 * 4 * SHOWN.height)


def icon(*contents: bytes, kind: int = 1) -> bytes:
    """An icon (1) or cursor (2)."""
    at = 6 + 16 * len(contents)
    entries = b""
    for content in contents:
        entries += struct.pack("<4B2H2I", 96, 64, 0, 0, 1, 24, len(content), at)
        at += len(content)
    return struct.pack("<3H", 0, kind, len(contents)) + entries + b"".join(contents)


def big_tiff() -> bytes:
    """The picture as BigTIFF of one strip."""
    rows = PIXELS.tobytes()
    height, width = PIXELS.shape[:2]
    # Three numbers of bits have room in a tag.
    tags = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 8 | 8 << 16 | 8 << 32),
        (259, 3, 1, 1), (262, 3, 1, 2), (273, 16, 1, 16), (277, 3, 1, 3), (278, 3, 1, height),
        (279, 16, 1, len(rows)),
    ]  # fmt: skip
    head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16 + len(rows))
    entries = b"".join(struct.pack("<HHQQ", *tag) for tag in tags)
    return head + rows + struct.pack("<Q", len(tags)) + entries + bytes(8)


FILES = {
    "jxl": pylibjxl.encode(PIXELS),
    "jxl in boxes": pylibjxl.encode(PIXELS, xmp=b"<x/>"),
    "jpeg 2000": saved(SHOWN, "JPEG2000"),
    "jpeg 2000, bare": saved(SHOWN, "JPEG2000", no_jp2=True),
    "icon of png": icon(saved(SHOWN)),
    "icon of dib": icon(dib("RGB")),
    "icon of palette": icon(dib("L")),
    "cursor": icon(dib("RGB"), kind=2),
    "icns": saved(SHOWN.resize((128, 128)), "ICNS"),
    "big tiff": big_tiff(),
    "ppm": saved(SHOWN, "PPM"),
    "ppm in text": plain_ppm(),
    "pgm of 16 bits": b"P5 96 64 65535\n"
    + (np.asarray(SHOWN.convert("L")).astype(">u2") * 257).astype(">u2").tobytes(),
    "pam": pam(),
    "pfm": pfm(),
    "qoi": saved(SHOWN, "QOI"),
    "tga": saved(SHOWN, "TGA"),
    "tga in run lengths": saved(SHOWN, "TGA", compression="tga_rle"),
    "pcx": saved(SHOWN, "PCX"),
    "sgi": saved(SHOWN, "SGI"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_picture_is_seen(name: str) -> None:
    """Uploads in these formats would all be held."""
    wanted = SHOWN.resize((128, 128)) if name == "icns" else SHOWN
    assert near(FILES[name], wanted)


@pytest.mark.parametrize("name", [each for each in FILES if each not in ("icns", "ppm in text")])
def test_half_a_file_is_told_of(name: str) -> None:
    """What a viewer shows of the half would pass for all of it."""
    _, tally = frames(FILES[name][: len(FILES[name]) // 2])
    assert len(codes(tally)) == 1
    wanted = (TRUNCATED,) if name == "jxl" else (TRUNCATED, UNSUPPORTED, CORRUPT)
    assert codes(tally)[0] in wanted


@pytest.mark.parametrize("kind", [1, 2])
def test_every_picture_of_an_icon_is_seen(kind: int) -> None:
    """Programs show the one that fits."""
    data = icon(dib("RGB"), saved(OTHER), kind=kind)
    assert near(data, SHOWN)
    assert near(data, OTHER)


def test_every_picture_of_a_netpbm_file_is_seen() -> None:
    """FFmpeg plays them one after another."""
    data = saved(SHOWN, "PPM") + saved(OTHER, "PPM")
    assert near(data, OTHER)
    assert codes(frames(data[:-1])[1]) == [TRUNCATED]


def animated_jxl() -> bytes:
    """The header of an animation in JPEG XL of 8 x 8 pixels. Source: ISO/IEC 18181-1, annex D."""
    size = "1" + "00000" + "100"
    # Not of defaults, with extra fields: upright, no size, no preview, an animation without
    # timecodes; 8 bits, no extra channels, XYB, ordinary colours and tones.
    metadata = "01" + "000" + "00" + "1" + "00" * 3 + "0" + "0" + "00" + "1" + "00" + "111" + "00"
    bits_of = (size + metadata + "1").ljust(64, "0")
    return b"\xff\x0a" + int(bits_of[::-1], 2).to_bytes(8, "little") + bytes(64)


def test_an_animation_in_jpeg_xl_is_told_of() -> None:
    """Frames behind the one that is decoded would pass unseen."""
    assert not jxl.is_animated(BytesSource(FILES["jxl"]))
    assert jxl.is_animated(BytesSource(animated_jxl()))
    form = sniff(BytesSource(animated_jxl()))
    assert form is not None
    told = list(pictures.of_file(BytesSource(animated_jxl()), form))
    assert isinstance(told[-1], Unseen)


def test_an_animation_in_jpeg_xl_is_told_of_behind_a_long_box() -> None:
    """Its header would stand behind what is read of the start."""

    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(content), kind) + content

    boxes = box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    boxes += box(b"skip", bytes(3 << 19)) + box(b"jxlc", animated_jxl())
    assert jxl.is_animated(BytesSource(boxes))


def bmp(
    depth: int, masks: tuple[int, ...], samples: npt.NDArray[np.uint32], header: int = 56
) -> bytes:
    """A BMP with masks of colours, its rows downward."""
    height, width = samples.shape
    rows = samples.astype("<u4" if depth == 32 else "<u2").tobytes()
    offset = 14 + header
    head = struct.pack("<2sIII", b"BM", offset + len(rows), 0, offset)
    info = struct.pack("<IiiHHIIiiII", header, width, -height, 1, depth, 3, len(rows), 0, 0, 0, 0)
    return head + (info + struct.pack("<4I", *masks)).ljust(header, b"\0") + rows


@pytest.mark.parametrize(
    ("depth", "widths"), [(32, (10, 10, 10)), (32, (8, 8, 8)), (16, (4, 4, 4)), (16, (2, 3, 1))]
)
def test_any_masks_of_a_bmp(depth: int, widths: tuple[int, int, int]) -> None:
    """Chromium shows them."""
    samples, masks, at = np.zeros(PIXELS.shape[:2], np.uint32), [], 0
    for channel, width in enumerate(widths):
        level = (PIXELS[..., channel].astype(np.uint32) * ((1 << width) - 1) + 127) // 255
        samples |= level << np.uint32(at)
        masks.append(((1 << width) - 1) << at)
        at += width
    batches, tally = frames(bmp(depth, (*masks, 0), samples))
    assert codes(tally) == []
    if min(widths) >= 4:
        assert near(bmp(depth, (*masks, 0), samples), SHOWN)
    else:
        assert len(batches) == 1


def odd_masks() -> bytes:
    """A BMP with ten bits of each colour."""
    levels = PIXELS.astype(np.uint32) * np.uint32(4)
    red, green, blue = levels[..., 0], levels[..., 1], levels[..., 2]
    samples = (red | green << 10 | blue << 20).astype(np.uint32)
    return bmp(32, (0x3FF, 0xFFC00, 0x3FF00000, 0), samples)


def test_alpha_of_a_bmp_may_be_padding() -> None:
    """Of a picture whose fourth samples are all zero browsers show the colours."""
    values = PIXELS.astype(np.uint32)
    red, green, blue = values[..., 0], values[..., 1], values[..., 2]
    samples = (red << 16 | green << 8 | blue).astype(np.uint32)
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    assert near(bmp(32, masks, samples), SHOWN)


@pytest.mark.parametrize("opaque", [0, 1])
def test_one_bit_of_transparency_in_a_bmp(opaque: int) -> None:
    """Pillow leaves it out; Chromium follows it."""
    levels = PIXELS.astype(np.uint32) >> np.uint32(3)
    samples = (levels[..., 0] << 10 | levels[..., 1] << 5 | levels[..., 2]).astype(np.uint32)
    shown = PIXELS.copy()
    shown[:, 48:] = 255
    samples[:, :48] |= np.uint32(1 << 15)
    if not opaque:
        assert near(bmp(16, (0x7C00, 0x3E0, 0x1F, 0x8000), samples), Image.fromarray(shown))
    assert near(bmp(16, (0x7C00, 0x3E0, 0x1F, 0x8000 * (1 - opaque)), samples), SHOWN)


def bmp_in_runs(runs: bytes, header: int = 40, coded: int = 1, bits: int = 8) -> bytes:
    """A BMP of 96 x 64 pixels in run lengths, with a palette of greys."""
    palette = bytes(value for i in range(256) for value in (i, i, i, 0))[: 4 << bits]
    palette = b"" if bits == 24 else palette
    offset = 14 + header + len(palette)
    head = struct.pack("<2sIII", b"BM", offset + len(runs), 0, offset)
    info = struct.pack("<IiiHHIIiiII", header, 96, 64, 1, bits, coded, len(runs), 0, 0, 0, 0)
    return head + info.ljust(header, b"\0") + palette + runs


PAIR = 294  # Bytes of two rows below.
GREY = np.asarray(SHOWN.convert("L"))


def grey_runs() -> bytes:
    """The rows in runs of one, and as they are."""
    made = b""
    for number, row in enumerate(GREY[::-1]):
        if number % 2:
            made += b"".join(bytes([1, level]) for level in row) + b"\0\0"
        else:
            made += bytes([0, len(row)]) + row.tobytes() + b"\0\0"
    return made


def test_run_lengths_of_a_bmp() -> None:
    """Those of 24 bits Pillow refuses, and Chromium shows."""
    assert near(bmp_in_runs(grey_runs() + b"\0\1"), SHOWN.convert("L"))
    colours = b"".join(
        b"".join(b"\1" + bytes(pixel[::-1]) for pixel in row) + b"\0\0" for row in PIXELS[::-1]
    )
    assert near(bmp_in_runs(colours + b"\0\1", 64, 4, 24), SHOWN)


def test_runs_that_leave_the_picture_are_told() -> None:
    """Chromium shows what comes before them, and Pillow something else."""
    at = len(grey_runs()) // 2
    broken = grey_runs()[: at - at % PAIR]
    shown = GREY.copy()
    shown[: 64 - 2 * (at // PAIR)] = 0
    outside = bmp_in_runs(broken + b"\0\2\xff\xff" + bytes(90))
    assert near(outside, Image.fromarray(shown), [CORRUPT])
    assert near(bmp_in_runs(broken), Image.fromarray(shown), [TRUNCATED])


def test_pixels_that_no_run_covers() -> None:
    """Chromium leaves them transparent, others take the first colour."""
    onward = bmp_in_runs(b"\0\2\0\x20" + grey_runs()[: PAIR * 16] + b"\0\1")
    for ground in (0, 255):
        shown = GREY.copy()
        shown[:32] = shown[32:]
        shown[32:] = ground
        assert near(onward, Image.fromarray(shown))


def test_chunks_packed_in_an_unknown_way() -> None:
    """Browsers leave out a profile or a text that nothing unpacks; Pillow refuses the picture."""
    data = saved(SHOWN)
    for kind in (b"iCCP", b"zTXt"):
        content = kind + b"name\0\1" + bytes(30)
        added = struct.pack(">I", len(content) - 4) + content
        added += struct.pack(">I", zlib.crc32(content))
        assert near(data[:33] + added + data[33:], SHOWN)
        assert near(data[:33] + added[:-4] + bytes(4) + data[33:], SHOWN)


def test_rows_of_a_png_in_several_pieces() -> None:
    """What lies between them is the end to Pillow, and to browsers nothing."""
    data = saved(SHOWN)
    at = data.index(b"IDAT") - 4
    length = int.from_bytes(data[at : at + 4], "big")
    rows, made = data[at + 8 : at + 8 + length], b""
    for kind, content in ((b"IDAT", rows[:999]), (b"tEXt", b"a\0b"), (b"IDAT", rows[999:])):
        made += struct.pack(">I", len(content)) + kind + content
        made += struct.pack(">I", zlib.crc32(kind + content))
    assert near(data[:at] + made + data[at + 12 + length :], SHOWN)


def test_floating_point_in_colour() -> None:
    """Pillow knows it in grey alone."""
    rows = (PIXELS.astype("<f4") / 255).tobytes()
    height, width = PIXELS.shape[:2]
    end = 8 + len(rows)
    tags = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, end), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, 8), (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, len(rows)),
        (339, 3, 3, end + 6),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    data = b"II*\0" + struct.pack("<I", end + 12) + rows + struct.pack("<6H", 32, 32, 32, 3, 3, 3)
    data += struct.pack("<H", len(tags)) + entries + bytes(4)
    assert near(data, SHOWN)
    # Cut, with its directory first: the rows lie behind the end.
    directory = len(data) - end - 12
    first = data[end + 12 :].replace(
        struct.pack("<HHII", 273, 4, 1, 8), struct.pack("<HHII", 273, 4, 1, 8 + directory + 12)
    )
    first = first.replace(
        struct.pack("<HHII", 258, 3, 3, end), struct.pack("<HHII", 258, 3, 3, 8 + directory)
    )
    first = first.replace(
        struct.pack("<HHII", 339, 3, 3, end + 6), struct.pack("<HHII", 339, 3, 3, 8 + directory + 6)
    )
    whole = b"II*\0\x08\0\0\0" + first + struct.pack("<6H", 32, 32, 32, 3, 3, 3) + rows
    assert near(whole, SHOWN)
    assert codes(frames(whole[:-900])[1]) == [TRUNCATED]


def png(*, changed: bytes = b"", damage: bytes = b"", cut: int = 0) -> bytes:
    """A PNG with a text, whose chunk ``damage`` has another check sum, without its last bytes."""
    data = saved(SHOWN)
    text = b"tEXt" + (changed or b"Comment\0none")
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    data = data[:33] + chunk + data[33:]
    if damage:
        at = data.index(damage) - 4
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        data = data[: end - 4] + b"\1\2\3\4" + data[end:]
    return data[: len(data) - cut]


@pytest.mark.parametrize("damage", [b"tEXt", b"IDAT", b"IHDR"])
def test_a_wrong_check_sum_of_what_is_whole(damage: bytes) -> None:
    """Browsers show the picture: of rows there is another sum, of texts nothing is shown."""
    assert near(png(damage=damage), SHOWN)


@pytest.mark.parametrize("cut", [4, 8, 12, 14])
def test_a_png_without_its_end_has_all_its_rows(cut: int) -> None:
    """Browsers show the picture."""
    assert near(png(cut=cut), SHOWN)


def test_a_png_beside_a_long_text() -> None:
    """Pillow refuses it."""
    assert near(png(changed=b"Comment\0" + b"long " * 300_000), SHOWN)


def test_a_gif_without_its_trailer() -> None:
    """Browsers show it; what is cut within a frame is told of all the same."""
    data = saved(SHOWN.convert("L"), "GIF")
    assert near(data[:-1], SHOWN)
    assert codes(frames(data[:-2])[1]) != []
    assert codes(frames(data[: len(data) // 2])[1]) == [TRUNCATED]


def test_a_frame_of_no_size() -> None:
    """Browsers show the others."""
    data = saved(SHOWN.convert("L"), "GIF")
    empty = b"\x2c" + bytes(8) + b"\0\x02\0"
    assert near(data[:-1] + empty + b"\x3b", SHOWN)


def deep_jpeg() -> bytes:
    """The picture with 12 bits of a sample: its coefficients are sixteen times as large."""
    data = saved(SHOWN, "JPEG", qtables=[[4] * 64], subsampling=0)
    data = data.replace(b"\x04" * 64, b"\x40" * 64)
    at = data.index(b"\xff\xc0")
    return data[: at + 1] + b"\xc1" + data[at + 2 : at + 4] + b"\x0c" + data[at + 5 :]


def test_twelve_bits_of_a_jpeg() -> None:
    """Pictures of scanners and medical devices would be held."""
    data = deep_jpeg()
    assert near(data, SHOWN)
    assert codes(frames(data[: len(data) // 2])[1]) == [TRUNCATED]


def test_a_kind_of_jpeg_that_is_not_decoded_is_not_corrupt() -> None:
    """Its sender would be asked for the same photograph again and again."""
    data = saved(SHOWN, "JPEG").replace(b"\xff\xc0", b"\xff\xc5", 1)
    assert codes(frames(data)[1]) == [UNSUPPORTED]


def test_what_is_no_tga_is_not_taken_for_one() -> None:
    """Texts and tables would be shown as noise."""
    for data in (b"\0\0\2" + bytes(60), bytes(100), b"a plain text, long enough " * 9):
        assert sniff(BytesSource(data)) is None


def tiff_of(content: bytes, compression: int, more: list[tuple[int, int, int, int]]) -> bytes:
    """A TIFF of one strip of 96 x 64 pixels in colour, packed by anything."""
    tags = [
        (256, 3, 1, 96), (257, 3, 1, 64), (258, 3, 3, 8), (259, 3, 1, compression), (262, 3, 1, 2),
        (273, 4, 1, 14), (277, 3, 1, 3), (278, 3, 1, 64), (279, 4, 1, len(content)), *more,
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return (
        b"II*\0" + struct.pack("<I", 14 + len(content)) + struct.pack("<3H", 8, 8, 8)
        + content + directory
    )  # fmt: skip


def tiled() -> bytes:
    """Tiles of 32 x 32 pixels, without codes."""
    tiles = [
        PIXELS[y : y + 32, x : x + 32].tobytes() for y in range(0, 64, 32) for x in range(0, 96, 32)
    ]
    at = 14 + 4 * len(tiles) * 2
    places = [at + 3072 * i for i in range(len(tiles))]
    tags = [
        (256, 3, 1, 96), (257, 3, 1, 64), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2),
        (277, 3, 1, 3), (322, 3, 1, 32), (323, 3, 1, 32), (324, 4, 6, 14), (325, 4, 6, 38),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    content = struct.pack("<6I", *places) + struct.pack("<6I", *[3072] * 6) + b"".join(tiles)
    return (
        b"II*\0" + struct.pack("<I", 14 + len(content)) + struct.pack("<3H", 8, 8, 8)
        + content + struct.pack("<H", len(tags)) + entries + bytes(4)
    )  # fmt: skip


def planar() -> bytes:
    """Red, green and blue each in a strip of its own."""
    planes = b"".join(PIXELS[..., i].tobytes() for i in range(3))
    data = bytearray(tiff_of(struct.pack("<6I", 38, 6182, 12326, *[6144] * 3) + planes, 1, []))
    at = data.rindex(struct.pack("<HHI", 273, 4, 1))
    data[at : at + 12] = struct.pack("<HHII", 273, 4, 3, 14)
    at = data.rindex(struct.pack("<HHI", 279, 4, 1))
    data[at : at + 12] = struct.pack("<HHII", 279, 4, 3, 26)
    first = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[first : first + 2], "little")
    data[first : first + 2] = (count + 1).to_bytes(2, "little")
    return bytes(data[:-4]) + struct.pack("<HHII", 284, 3, 1, 2) + bytes(4)


BITONAL = Image.fromarray(np.asarray(SHOWN.convert("L")) > 128)
TIFFS = {
    **{
        name: saved(SHOWN, "TIFF", compression=name)
        for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma")
    },
    **{
        name: saved(BITONAL, "TIFF", compression=name)
        for name in ("group3", "group4", "tiff_ccitt")
    },
    "tiled": tiled(),
    "planar": planar(),
}


@pytest.mark.parametrize("name", TIFFS)
def test_every_coding_of_a_tiff(name: str) -> None:
    """Scanners, editors and archives write them; what nothing here decodes is told as that."""
    is_bitonal = name in ("group3", "group4", "tiff_ccitt")
    assert near(TIFFS[name], BITONAL if is_bitonal else SHOWN)


def test_a_tiff_of_webp_is_of_a_kind_that_is_not_decoded() -> None:
    """It is not damaged."""
    assert codes(frames(tiff_of(saved(SHOWN, "WEBP"), 50001, []))[1]) == [UNSUPPORTED]


@pytest.mark.parametrize("pages", [64, 65])
def test_pages_behind_the_last_that_is_looked_at(pages: int) -> None:
    """What Pillow refuses is decoded page by page, up to a number."""
    data = b"II*\0" + struct.pack("<I3f3H", 26, 0.25, 0.5, 0.75, *[32] * 3)
    tags = [
        (256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 3, 20), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, 8), (277, 3, 1, 3), (278, 3, 1, 1), (279, 4, 1, 12), (339, 3, 1, 3),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    for page in range(pages):
        following = len(data) + 6 + len(entries) if page < pages - 1 else 0
        data += struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)
    _, tally = frames(data)
    assert tally.frames_decoded == 64
    assert (UNSEEN in codes(tally)) == (pages > 64)


def test_arithmetic_codes_of_a_jpeg() -> None:
    """Pillow decodes them: as they are none here, to noise, but the whole of it."""
    data = saved(SHOWN, "JPEG").replace(b"\xff\xc0", b"\xff\xc9", 1)
    batches, tally = frames(data)
    assert codes(tally) == []
    assert batches[0].luma.shape == (1, 64, 96)


def test_transparency_of_jpeg_2000() -> None:
    """Programs show it on a ground of their own."""
    clear = SHOWN.convert("RGBA")
    clear.paste((0, 0, 0, 0), (48, 0, 96, 64))
    data = saved(clear, "JPEG2000")
    for ground in ("black", "white"):
        wanted = Image.new("RGBA", SHOWN.size, ground)
        wanted.alpha_composite(clear)
        assert near(data, wanted.convert("RGB"))


async def test_a_confined_worker_decodes_them(tmp_path: Path) -> None:
    """What loads a part of itself late, or asks for more than a worker has, would fail there."""
    uploads = {**FILES, "deep jpeg": deep_jpeg(), "odd masks": odd_masks(), "half": b""}
    uploads |= {name: TIFFS[name] for name in ("jpeg", "zstd", "lzma", "group4")}
    uploads |= {name: made(LARGE) for name, made in RAWS.items()}
    uploads["runs"] = bmp_in_runs(grey_runs() + b"\0\1")
    uploads["half"] = FILES["jxl"][: len(FILES["jxl"]) // 2]
    async with sandbox.running(Sandbox(1, WorkerLimits(), ENVIRONMENT)) as running:
        for name, data in uploads.items():
            spool = Spool(SpoolBudget(1 << 20, 1 << 30, tmp_path))
            done = await running.inspect(await fill(spool, data), JOB, Listener())
            spool.close()
            assert done is not None
            told = [each.code for each in done.reasons]
            assert (name, told) == (name, [TRUNCATED] if name == "half" else [])
