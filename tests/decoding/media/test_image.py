"""Images through Pillow: every mode, turn and page as it is displayed, and nothing left out."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import numpy.typing as npt
import pytest
import skimage.data
from PIL import Image, features

from hashmatch.decoding.media import image
from hashmatch.decoding.media.formats import sniff
from hashmatch.decoding.media.source import FileSource
from hashmatch.decoding.media.tally import Tally
from hashmatch.engine.hashing import pdq
from hashmatch.engine.hashing.frames import FrameBatch, hash_frames
from hashmatch.errors import MediaError
from hashmatch.model.records import DecodeLimits
from hashmatch.model.verdicts import Kind, Part, VerdictReason

Digest = npt.NDArray[np.uint8]


def photograph(name: str, size: tuple[int, int] = (240, 180)) -> Image.Image:
    """A photograph, made small."""
    return Image.fromarray(getattr(skimage.data, name)()).convert("RGB").resize(size)


ASTRONAUT, CAT, CUP = photograph("astronaut"), photograph("chelsea"), photograph("coffee")
ROCKET, COINS = photograph("rocket"), photograph("coins")


def saved(picture: Image.Image, pillow_format: str = "PNG", **options: Any) -> bytes:
    """A picture as a file."""
    file = io.BytesIO()
    picture.copy().save(file, pillow_format, **options)  # Saving leaves marks on a picture.
    return file.getvalue()


def frames(
    data: bytes,
    *,
    max_frame_pixels: int = 1 << 24,
    max_duration_ms: int = 3_600_000,
) -> tuple[list[FrameBatch], Tally]:
    """What is seen of a file, and what is told of it; a refusal is told as a reason."""
    tally = Tally()
    batches = []
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        source = FileSource(file)
        image_format = sniff(source)
        assert image_format is not None
        limits = DecodeLimits(max_duration_ms, max_frame_pixels)
        try:
            for batch in image.frames(source, image_format, limits, tally):
                batches.append(batch)  # noqa: PERF402
        except MediaError as error:
            tally.add_reason(error.code, error.detail)
    return batches, tally


def digests(data: bytes, **options: Any) -> list[Digest]:
    """PDQ of every frame of a file of which nothing is missing."""
    batches, tally = frames(data, **options)
    assert tally.reasons == []
    return [pdq.digest(batch.luma)[0][0] for batch in batches]


def pdq_of(picture: Image.Image) -> Digest:
    """PDQ of a picture as it is."""
    (digest,) = digests(saved(picture))
    return digest


def bits(a: Digest, b: Digest) -> int:
    """How many bits two digests differ in."""
    return int(np.bitwise_count(a ^ b).sum())


def codes(tally: Tally) -> list[VerdictReason]:
    """The reasons why not everything was looked at."""
    return [reason.code for reason in tally.reasons]


@pytest.mark.parametrize(
    "mode", ["RGB", "L", "1", "P", "CMYK", "YCbCr", "HSV", "LAB", "RGBA", "LA", "I", "F", "I;16"]
)
def test_every_mode_is_the_same_picture(mode: str) -> None:
    """A picture saved in an unusual mode would not be recognised."""
    if mode == "I;16":
        grey = np.asarray(ASTRONAUT.convert("L")).astype(np.uint16)
        picture = Image.fromarray(grey * np.uint16(257))
    elif mode == "LAB":
        from PIL import ImageCms

        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        converted = ImageCms.profileToProfile(ASTRONAUT, *profiles, outputMode="LAB")
        assert converted is not None
        picture = converted
    elif mode == "LA":
        picture = ASTRONAUT.convert("L").convert("LA")
    else:
        picture = ASTRONAUT.convert(mode)
    pillow_format = {"1": "PNG", "P": "PNG", "HSV": "PNG"}.get(mode, "TIFF")
    if mode == "HSV":
        picture = picture.convert("RGB")
    found = digests(saved(picture, pillow_format))
    assert len(found) == (2 if mode == "F" else 1)  # Programs that end at 1 show another.
    assert bits(found[0], pdq_of(ASTRONAUT)) <= (20 if mode in "1P" else 6)


@pytest.mark.parametrize("scale", [1, 255, 65535])
def test_deep_grey_is_taken_at_its_own_scale(scale: int) -> None:
    """A picture in 16 bits or floating point would be all white or all black, and so pass."""
    grey = np.asarray(ASTRONAUT.convert("L")).astype(np.float32) / 255
    picture = Image.fromarray(grey * scale) if scale == 1 else None
    if picture is None:
        picture = Image.fromarray(np.rint(grey * scale).astype(np.int32))
    (found,) = digests(saved(picture, "TIFF"))
    assert bits(found, pdq_of(ASTRONAUT.convert("L"))) <= 2


@pytest.mark.parametrize("levels", [300, 3000])
def test_deep_grey_in_a_small_part_of_its_scale_is_seen(levels: int) -> None:
    """A picture in the low bits would pass as black: programs for deep pictures stretch it."""
    grey = np.asarray(ASTRONAUT.convert("L")).astype(np.float32) / 255
    picture = Image.fromarray(np.rint(400 + grey * levels).astype(np.uint16))
    hashes = digests(saved(picture, "TIFF"))
    assert len(hashes) == 2
    assert bits(hashes[1], pdq_of(ASTRONAUT.convert("L"))) <= 8


def test_one_bright_pixel_does_not_hide_floating_point() -> None:
    """All else would be black."""
    grey = np.asarray(ASTRONAUT.convert("L")).astype(np.float32) / 255
    grey[0, 0] = 60_000
    hashes = digests(saved(Image.fromarray(grey), "TIFF"))
    assert min(bits(each, pdq_of(ASTRONAUT.convert("L"))) for each in hashes) <= 4


def test_floating_point_of_pfm_is_taken_at_its_own_scale() -> None:
    """FFmpeg shows all of it white, Pillow the picture."""
    grey = np.asarray(ASTRONAUT.convert("L")).astype("<f4")
    height, width = grey.shape
    file = b"Pf\n%d %d\n-1.0\n" % (width, height) + grey[::-1].tobytes()
    hashes = digests(file)
    assert min(bits(each, pdq_of(ASTRONAUT.convert("L"))) for each in hashes) <= 2


@pytest.mark.parametrize(("pillow_format", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {})])
def test_transparency_is_seen_on_black_and_on_white(
    pillow_format: str, options: dict[str, Any]
) -> None:
    """A picture drawn in black with its brightness in the alpha channel would pass."""
    hidden = Image.new("RGBA", ASTRONAUT.size)
    hidden.putalpha(ASTRONAUT.convert("L"))
    if pillow_format == "WEBP":
        options = {"lossless": True, "exact": True}
    batches, _ = frames(saved(hidden, pillow_format, **options))
    assert [batch.part for batch in batches] == [Part.FULL, Part.FULL_ON_WHITE]
    assert not batches[0].luma.any()
    on_white, quality = pdq.digest(batches[1].luma)
    inside_out = Image.fromarray(255 - np.asarray(ASTRONAUT.convert("L")))
    assert bits(on_white[0], pdq_of(inside_out)) <= 2
    assert quality[0] == 100


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "I;16"])
def test_one_transparent_colour(mode: str) -> None:
    """A picture would change beyond recognition with one chunk that names a colour it has not."""
    if mode == "I;16":
        picture = Image.fromarray(
            np.asarray(ASTRONAUT.convert("L")).astype(np.uint16) * np.uint16(257)
        )
        unused, used = 5, int(np.asarray(picture)[0, 0])
    else:
        picture = ASTRONAUT.convert(mode)
        unused, used = 255, picture.getpixel((0, 0))  # type: ignore[assignment]
    plain = pdq_of(picture)
    if mode == "I;16":
        (found,) = digests(saved(picture, transparency=unused))
        assert bits(found, plain) <= 2
    with_holes, _ = frames(saved(picture, transparency=used))
    assert [batch.part for batch in with_holes] == [Part.FULL, Part.FULL_ON_WHITE]
    assert with_holes[0].luma[0, 0, 0] == 0
    assert with_holes[1].luma[0, 0, 0] == 255


UNTURNED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("pillow_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", UNTURNED)
def test_exif_orientation_is_followed(pillow_format: str, orientation: int) -> None:
    """A photograph taken with a phone held upright would not be recognised."""
    undone = UNTURNED[orientation]
    stored = ASTRONAUT if undone is None else ASTRONAUT.transpose(undone)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found, *plain = digests(saved(stored, pillow_format, exif=exif))
    assert bits(found, pdq_of(ASTRONAUT)) <= 4
    # Programs differ: Chromium shows WebP as it is stored.
    if pillow_format in ("PNG", "WEBP") and undone is not None:
        assert bits(plain[0], pdq_of(stored)) <= 4


@pytest.mark.parametrize("pillow_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0garbage",
        b"Exif\0\0II*\0",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0\0\0\0\0",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x03ab\0\0\0\0\0\0",
    ],
)
def test_damaged_exif_does_not_hide_the_picture(pillow_format: str, exif: bytes) -> None:
    """Any picture could be kept from being recognised by breaking what nobody looks at."""
    (found,) = digests(saved(ASTRONAUT, pillow_format, exif=exif))
    assert bits(found, pdq_of(ASTRONAUT)) <= 4


def animated(pillow_format: str, *pictures: Image.Image, **options: Any) -> bytes:
    """Pictures after each other in one file."""
    first, *rest = pictures
    return saved(first, pillow_format, save_all=True, append_images=rest, **options)


@pytest.mark.parametrize("pillow_format", ["GIF", "PNG", "WEBP", "AVIF"])
def test_every_frame_of_an_animation_is_looked_at(pillow_format: str) -> None:
    """A picture shown for long enough to be seen would not be looked at."""
    data = animated(
        pillow_format, ASTRONAUT, CAT, CUP, ROCKET, COINS, duration=[900, 90, 2000, 500, 400]
    )
    batches, tally = frames(data)
    assert tally.reasons == []
    assert [int(batch.pts_ms[0]) for batch in batches] == [0, 900, 990, 2990, 3490]
    for batch, picture in zip(batches, (ASTRONAUT, CAT, CUP, ROCKET, COINS), strict=True):
        within = 31 if pillow_format in ("GIF", "AVIF") else 6
        assert bits(pdq.digest(batch.luma)[0][0], pdq_of(picture)) <= within
    assert tally.frames_decoded == 5 + (pillow_format == "AVIF")  # And its still.
    assert tally.end_ms >= 3890


@pytest.mark.parametrize("pillow_format", ["GIF", "WEBP"])
@pytest.mark.parametrize("duration", [0, 1, 10])
def test_frames_of_next_to_no_time_are_shown_longer(pillow_format: str, duration: int) -> None:
    """Browsers show each for 100 ms: a hundred would be seen for ten seconds, and be one for us."""
    pictures = [photograph("astronaut", (64, 48)).rotate(3 * i) for i in range(25)]
    batches, tally = frames(animated(pillow_format, *pictures, duration=duration))
    assert tally.frames_decoded == 25
    assert [int(batch.pts_ms[0]) for batch in batches] == list(range(0, 2500, 100))


@pytest.mark.parametrize("pillow_format", ["TIFF", "MPO"])
def test_every_page_is_looked_at(pillow_format: str) -> None:
    """A prohibited page between two others would pass."""
    found = digests(animated(pillow_format, ASTRONAUT, CAT, CUP))
    assert len(found) == 3
    for digest, picture in zip(found, (ASTRONAUT, CAT, CUP), strict=True):
        assert bits(digest, pdq_of(picture)) <= 6


def test_an_animation_that_lasts_too_long_is_left() -> None:
    """One file could keep a worker busy for as long as it likes."""
    data = animated("GIF", *[ASTRONAUT, CAT] * 5, duration=2000)
    batches, tally = frames(data, max_duration_ms=7000)
    assert codes(tally) == [VerdictReason.DURATION_LIMIT]
    assert [int(batch.pts_ms[0]) for batch in batches] == [0, 2000, 4000, 6000]


def huge_png() -> bytes:
    """A file of some bytes whose header promises 30,000 x 30,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def gif_with_a_larger_frame(number: int) -> bytes:
    """One of its frames claims to be 20,000 x 20,000 pixels."""
    data = bytearray(animated("GIF", ASTRONAUT, CAT, duration=500, disposal=2))
    descriptor = b"\x2c" + struct.pack("<4H", 0, 0, *ASTRONAUT.size)
    at = -1
    for _ in range(number):
        at = data.index(descriptor, at + 1)
    data[at + 5 : at + 9] = struct.pack("<2H", 20_000, 20_000)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (huge_png(), 0),
        (saved(Image.new("L", (3000, 1000)), "TIFF", compression="tiff_lzw"), 0),
        (
            animated("TIFF", ASTRONAUT, Image.new("RGB", (2000, 2000)), compression="tiff_lzw"),
            1,
        ),
        (gif_with_a_larger_frame(1), 0),
        (gif_with_a_larger_frame(2), 1),
    ],
    ids=["png", "tiff", "second page", "first frame", "second frame"],
)
def test_too_many_pixels_are_never_decoded(data: bytes, seen: int) -> None:
    """A small file could fill the memory of the worker, even with a later frame."""
    batches, tally = frames(data, max_frame_pixels=1_000_000)
    assert codes(tally) == [VerdictReason.FRAME_SIZE_LIMIT]
    assert len(batches) == seen


def test_the_limit_itself_is_allowed() -> None:
    """Pictures of exactly the size that is allowed would be refused."""
    data = saved(ASTRONAUT)
    pixels = ASTRONAUT.width * ASTRONAUT.height
    assert codes(frames(data, max_frame_pixels=pixels)[1]) == []
    assert codes(frames(data, max_frame_pixels=pixels - 1)[1]) == [VerdictReason.FRAME_SIZE_LIMIT]


@pytest.mark.parametrize("pillow_format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
@pytest.mark.parametrize("part", [30, 70, 97])
def test_a_truncated_image_is_told(pillow_format: str, part: int) -> None:
    """The upper half of a picture would pass as the whole."""
    data = saved(ASTRONAUT, pillow_format)
    _, tally = frames(data[: len(data) * part // 100])
    told = codes(tally)
    if pillow_format == "TIFF":
        # Pillow writes its directory first or last; without it there is no image at all.
        assert told in ([VerdictReason.TRUNCATED], [VerdictReason.CORRUPT])
    else:
        assert told == [VerdictReason.TRUNCATED]
    assert not tally.coverage().complete


@pytest.mark.parametrize("pillow_format", ["GIF", "PNG", "WEBP"])
def test_what_came_of_a_truncated_animation_is_looked_at(pillow_format: str) -> None:
    """A prohibited first frame would not be recognised if the last one is damaged."""
    data = animated(pillow_format, ASTRONAUT, CAT, CUP, duration=1500)
    batches, tally = frames(data[:-600])
    assert codes(tally) == [VerdictReason.TRUNCATED]
    if pillow_format != "WEBP":  # It cannot be opened without its end.
        assert bits(pdq.digest(batches[0].luma)[0][0], pdq_of(ASTRONAUT)) <= 31


def test_a_corrupt_image_is_told() -> None:
    """A picture that cannot be decoded would pass as looked at."""
    data = bytearray(saved(ASTRONAUT, "PNG"))
    at = data.index(b"IDAT") + 1000
    data[at : at + 400] = bytes(400)
    batches, tally = frames(bytes(data))
    assert (batches, codes(tally)) == ([], [VerdictReason.CORRUPT])
    assert tally.frames_failed == 1
    assert "PNG" not in tally.reasons[0].detail


@pytest.mark.parametrize("pillow_format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
def test_no_damage_passes_without_a_word(pillow_format: str) -> None:
    """A crafted image would end the worker, or count as looked at without a single frame."""
    whole = saved(ASTRONAUT.resize((80, 60)), pillow_format)
    rng = np.random.default_rng(5)
    for _ in range(25):
        data = bytearray(whole)
        at = int(rng.integers(12, len(data) - 20))
        data[at : at + 20] = rng.bytes(20)
        batches, tally = frames(bytes(data))
        assert batches or tally.reasons


def test_large_images_are_made_small_as_the_reference_does() -> None:
    """Lists made from large pictures would not match."""
    large = photograph("astronaut", (800, 500))
    (batch,), _ = frames(saved(large))
    assert batch.luma.shape == (1, 320, 512)
    small = large.copy()
    small.thumbnail((512, 512))
    assert bits(pdq.digest(batch.luma)[0][0], pdq_of(small)) == 0
    # PHASH is taken from the picture as it is.
    (hashed,) = hash_frames(batch, [Kind.PHASH], turns=False)
    assert hashed.digests[0].tobytes().hex() == str(imagehash.phash(large))


def test_slim_images_keep_a_pixel() -> None:
    """A picture of one row would end the worker when it is made small."""
    for size in ((9000, 1), (1, 9000), (1, 1)):
        (batch,), tally = frames(saved(Image.new("RGB", size, (1, 2, 3))))
        assert min(batch.luma.shape[1:]) == 1
        assert tally.reasons == []


def test_the_tally_says_what_was_seen() -> None:
    """The record would not say what was looked at."""
    _, tally = frames(saved(ASTRONAUT, "JPEG"))
    info, coverage = tally.media_info(), tally.coverage()
    assert (info.format, info.width, info.height) == ("jpeg", 240, 180)
    assert (coverage.complete, coverage.frames_decoded, coverage.streams) == (True, 1, 1)
    assert coverage.duration_content_ms == 0
    promised = coverage.longest_unseen_ms, coverage.seen_permille, coverage.miss_per_million
    assert promised == (0, 1000, 0)


def test_nothing_is_promised_of_a_truncated_animation() -> None:
    """Frames that are missing would count as frames that were looked at."""
    whole = saved(ASTRONAUT, "GIF", save_all=True, append_images=[CAT, CUP], duration=300)
    _, tally = frames(whole)
    assert tally.coverage().seen_permille == 1000
    _, tally = frames(whole[: len(whole) * 2 // 3])
    coverage = tally.coverage()
    assert coverage == coverage.broken_off()


def test_each_format_can_be_decoded_here() -> None:
    """A Pillow built without a library would make every such upload INCONCLUSIVE."""
    for name in ("jpg", "zlib", "webp", "avif", "libtiff", "littlecms2"):
        assert features.check(name), name


@pytest.mark.corpus
@pytest.mark.parametrize(
    "name",
    [
        *("1.png", "CMYK.jpg", "F.webp", "HSV.webp", "I.webp", "L.png", "LA.png", "LAB.webp"),
        *("P.png", "PA.webp", "RGB.jpg", "RGBA.png", "YCbCr.jpg"),
    ],
)
def test_reference_modes_are_the_same_picture(reference: Path, name: str) -> None:
    """A picture saved in another mode would not match the one it was made from."""
    folder = reference / "pdq" / "modes"
    (original,) = digests((folder / "original.jpg").read_bytes())
    found = digests((folder / name).read_bytes())
    assert min(bits(original, each) for each in found) <= 31


def grey_tiff(bits_each: int, *, white_is_zero: bool) -> bytes:
    """A TIFF of one level a pixel, written by hand: nothing else writes all of them."""
    grey = np.asarray(ASTRONAUT.convert("L"))
    grey = 255 - grey if white_is_zero else grey
    if bits_each == 1:
        pixels = np.packbits(grey > 127, axis=1).tobytes()
    elif bits_each == 12:
        levels = (grey.astype(np.uint16) * 16).reshape(-1, 2).astype(np.uint32)
        both = levels[:, 0] << 12 | levels[:, 1]
        pixels = np.stack([both >> 16, both >> 8, both], 1).astype(np.uint8).tobytes()
    else:
        pixels = (grey if bits_each == 8 else grey.astype("<u2") * np.uint16(257)).tobytes()
    tags = [
        (256, ASTRONAUT.width), (257, ASTRONAUT.height), (258, bits_each), (259, 1),
        (262, 0 if white_is_zero else 1), (273, 8), (277, 1), (278, ASTRONAUT.height),
        (279, len(pixels)),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory


@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("bits_each", [1, 8, 12, 16])
def test_zero_can_be_white(bits_each: int, white_is_zero: bool) -> None:
    """The negative of what is shown would be hashed."""
    if bits_each == 12 and white_is_zero:
        assert codes(frames(grey_tiff(12, white_is_zero=True))[1]) == [VerdictReason.UNSUPPORTED]
        return
    (found,) = digests(grey_tiff(bits_each, white_is_zero=white_is_zero))
    dithered = Image.fromarray((np.asarray(ASTRONAUT.convert("L")) > 127).astype(np.uint8) * 255)
    assert bits(found, pdq_of(dithered if bits_each == 1 else ASTRONAUT)) <= 6
