"""What a file says of its colours is followed as Chromium does; the plain picture is seen too."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from hashmatch.decoding.media import icc, image
from hashmatch.decoding.media.formats import sniff
from hashmatch.decoding.media.source import BytesSource
from hashmatch.decoding.media.tally import Tally
from hashmatch.engine.hashing import pdq
from hashmatch.engine.hashing.frames import FrameBatch
from hashmatch.model.records import DecodeLimits
from hashmatch.model.verdicts import VerdictReason
from tests.support import picture
from tests.viewers import chromium_shows_each

SHOWN = Image.fromarray(picture(11, 160, 128))
# Of colours that films have: those at the edge of BT.2020 are mapped by each program as it likes.
MUTED = Image.blend(SHOWN, SHOWN.convert("L").convert("RGB"), 0.7)
SRGB = np.where(
    (levels := np.linspace(0, 1, 1024)) <= 0.04045,
    levels / 12.92,
    ((levels + 0.055) / 1.055) ** 2.4,
)


def saved(made: Image.Image, form: str, **options: Any) -> bytes:
    """A picture as a file."""
    file = io.BytesIO()
    made.save(file, form, **options)
    return file.getvalue()


def seen(data: bytes) -> tuple[list[FrameBatch], list[VerdictReason]]:
    """What is seen of a file, and what is told of it."""
    tally, source = Tally(), BytesSource(data)
    image_format = sniff(source)
    assert image_format is not None
    batches = list(image.frames(source, image_format, DecodeLimits(60_000, 1 << 22), tally))
    return batches, [reason.code for reason in tally.reasons]


def apart(batches: list[FrameBatch], shown: Image.Image) -> int:
    """Bits between a picture and what is nearest to it of all that is seen and can be found."""
    (digest,), _ = pdq.digest(np.asarray(shown.convert("L"))[None])
    found = [pdq.digest(batch.luma, gain=batch.gain) for batch in batches]
    return min(
        int(np.bitwise_count(each[0] ^ digest).sum())
        for each, quality in found
        if quality[0] >= pdq.MIN_QUALITY
    )


def with_chunks(png: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with chunks behind its header."""
    added = b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return png[:33] + added + png[33:]


def negative(space: bytes = b"RGB ") -> bytes:
    """A profile that turns the negative round, by its curves."""
    made = icc.matrix_profile(icc.SRGB_PRIMARIES, SRGB[::-1])
    assert made is not None
    return made if space == b"RGB " else grey_profile(SRGB[::-1])


def grey_profile(curve: icc.Curve) -> bytes:
    """A profile of grey with one curve."""
    made = icc.matrix_profile(icc.SRGB_PRIMARIES, curve)
    assert made is not None
    return made[:16] + b"GRAY" + made[20:].replace(b"rTRC", b"kTRC", 1)


def table_profile(space: str, shown: Callable[[np.ndarray[Any, Any]], Any]) -> bytes:
    """A profile by a table: of each of 9 levels a channel, the colour that ``shown`` makes of it
    (uint8 ``[n, channels]`` to uint8 ``[n, 3]``).
    """
    channels = {"RGB ": 3, "CMYK": 4}[space]
    grid = np.linspace(0, 255, 9).astype(np.uint8)
    nodes = np.stack(np.meshgrid(*[grid] * channels, indexing="ij"), -1).reshape(-1, channels)
    colours = Image.fromarray(np.asarray(shown(nodes), np.uint8)[None])
    lab = ImageCms.profileToProfile(
        colours, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    table = np.frombuffer(lab.tobytes(), np.uint8).reshape(-1, 3).copy()
    ramp = bytes(range(256))
    identity = b"".join(struct.pack(">i", 65536 * (i % 4 == 0)) for i in range(9))
    content = b"mft1" + bytes(4) + bytes([channels, 3, 9, 0]) + identity
    # Pillow's own Lab has signed a and b; the profile's are offset by 128.
    table[:, 1:] ^= 0x80
    content += ramp * channels + table.tobytes() + ramp * 3
    content += bytes(-len(content) % 4)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    head = struct.pack(
        ">I4sI4s4s4s12s4s",
        156 + len(white) + len(content),
        bytes(4),
        0x02400000,
        b"mntr" if channels == 3 else b"prtr",
        space.encode(),
        b"Lab ",
        bytes(12),
        b"acsp",
    ).ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    tags = struct.pack(
        ">I4sII4sII", 2, b"wtpt", 156, len(white), b"A2B0", 156 + len(white), len(content)
    )
    return head.ljust(128, b"\0") + tags + white + content


def inverted(made: Image.Image) -> Image.Image:
    """The negative."""
    return Image.fromarray(255 - np.asarray(made))


def bmp_with(profile: bytes) -> bytes:
    """A BMP with a profile behind its pixels."""
    plain = saved(inverted(SHOWN), "BMP")
    pixels = plain[54:]
    head = struct.pack("<I", 124) + plain[18:54].ljust(52, b"\0")
    head += (
        struct.pack("<I", 0x4D424544)
        + bytes(48)
        + struct.pack("<4I", 4, 124 + len(pixels), len(profile), 0)
    )
    return (
        b"BM"
        + struct.pack("<IHHI", 138 + len(pixels) + len(profile), 0, 0, 138)
        + head
        + pixels
        + profile
    )


def curved(levels: icc.Curve, power: float) -> Image.Image:
    """The picture, stored so that ``power`` over its levels shows it."""
    table = np.rint(255 * np.clip(levels, 0, 1) ** (1 / power)).astype(np.uint8)
    return Image.fromarray(table[np.asarray(SHOWN)])


def png_gamma(power: float, mode: str = "RGB") -> bytes:
    """A PNG whose levels are crowded at the top; ``gAMA`` alone brings them apart."""
    stored = curved(np.interp(np.linspace(0, 1, 256), levels, SRGB), power).convert(mode)
    if mode == "RGBA":
        stored.putalpha(255)
        stored.putpixel((0, 0), (0, 0, 0, 0))
    return with_chunks(saved(stored, "PNG"), (b"gAMA", round(1e5 / power).to_bytes(4, "big")))


SRGB_CURVE = icc.matrix_profile(icc.SRGB_PRIMARIES, SRGB)
NEGATIVE_TABLE = table_profile("RGB ", lambda nodes: 255 - nodes)
CMYK_TABLE = table_profile(
    "CMYK", lambda nodes: np.minimum(nodes[:, :3].astype(int) + nodes[:, 3:], 255)
)
FILES = {
    **{
        f"negative.{form.lower()}": saved(inverted(SHOWN), form, icc_profile=profile, **more)
        for form, profile, more in (
            ("JPEG", negative(), {"quality": 95}),
            ("PNG", NEGATIVE_TABLE, {}),
            ("WEBP", NEGATIVE_TABLE, {"quality": 95}),
            ("AVIF", NEGATIVE_TABLE, {"quality": 95}),
        )
    },
    "table.jpeg": saved(inverted(SHOWN), "JPEG", quality=95, icc_profile=NEGATIVE_TABLE),
    "grey.png": saved(inverted(SHOWN.convert("L")), "PNG", icc_profile=negative(b"GRAY")),
    "grey.jpeg": saved(inverted(SHOWN.convert("L")), "JPEG", icc_profile=negative(b"GRAY")),
    "grey_of_colour.jpeg": saved(SHOWN, "JPEG", icc_profile=negative(b"GRAY")),
    "colour_of_grey.jpeg": saved(inverted(SHOWN.convert("L")), "JPEG", icc_profile=negative()),
    "palette.png": saved(inverted(SHOWN).convert("P"), "PNG", icc_profile=NEGATIVE_TABLE),
    "cmyk.jpeg": saved(SHOWN.convert("CMYK"), "JPEG", quality=95),
    "cmyk_profile.jpeg": saved(SHOWN.convert("CMYK"), "JPEG", quality=95, icc_profile=CMYK_TABLE),
    "broken.jpeg": saved(SHOWN, "JPEG", icc_profile=negative()[:300]),
    "no_profile.jpeg": saved(SHOWN, "JPEG", icc_profile=b"something else" * 30),
    "bmp.bmp": bmp_with(negative()),
    "gamma.png": png_gamma(20.0),
    "gamma_grey.png": png_gamma(20.0, "L"),
    "gamma_palette.png": png_gamma(8.0, "P"),
    "gamma_alpha.png": png_gamma(20.0, "RGBA"),
    "pq.png": with_chunks(saved(MUTED, "PNG"), (b"cICP", bytes([9, 16, 0, 1]))),
    "hlg.png": with_chunks(saved(SHOWN, "PNG"), (b"cICP", bytes([9, 18, 0, 1]))),
    "linear.png": with_chunks(saved(SHOWN, "PNG"), (b"cICP", bytes([1, 8, 0, 1]))),
    "gamma_and_srgb.png": with_chunks(
        saved(SHOWN, "PNG"), (b"sRGB", b"\0"), (b"gAMA", (5000).to_bytes(4, "big"))
    ),
    "gamma_and_profile.png": with_chunks(
        saved(inverted(SHOWN), "PNG", icc_profile=NEGATIVE_TABLE),
        (b"gAMA", (5000).to_bytes(4, "big")),
    ),
}


@pytest.fixture(scope="session")
def in_chromium(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image.Image]:
    """What Chromium shows of each file."""
    folder: Path = tmp_path_factory.mktemp("colours")
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    drawn = chromium_shows_each([folder / name for name in FILES])
    return {
        name: Image.fromarray(each)
        for name, each in zip(FILES, drawn, strict=True)
        if each is not None
    }


@pytest.mark.parametrize("name", FILES)
def test_what_chromium_shows_is_seen(name: str, in_chromium: dict[str, Image.Image]) -> None:
    """A picture hidden behind its colour profile would be shown to all and seen by nobody here."""
    batches, told = seen(FILES[name])
    assert told == []
    assert apart(batches, in_chromium[name]) <= 16


@pytest.mark.parametrize("name", ["negative.jpeg", "gamma.png", "pq.png", "cmyk_profile.jpeg"])
def test_what_is_shown_without_the_profile_is_seen_too(name: str) -> None:
    """Programs that know nothing of profiles would show a picture that nobody saw."""
    batches, _ = seen(FILES[name])
    with Image.open(io.BytesIO(FILES[name])) as plain:
        assert apart(batches, plain.convert("RGB")) <= 16
    assert len({batch.stream for batch in batches}) == 2


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_a_profile_that_changes_nothing_costs_nothing(form: str) -> None:
    """Nearly every photograph of a phone would be hashed twice."""
    p3 = icc.matrix_profile((0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060), SRGB)
    for profile in (p3, SRGB_CURVE):
        (batch,), told = seen(saved(SHOWN, form, icc_profile=profile))
        assert (batch.stream, told) == (0, [])


def test_a_tiff_is_shown_as_its_profile_says() -> None:
    """The negative of a listed picture would pass in a TIFF."""
    batches, _ = seen(saved(inverted(SHOWN), "TIFF", icc_profile=NEGATIVE_TABLE))
    assert apart(batches, SHOWN) <= 10
    assert apart(batches, inverted(SHOWN)) <= 10


def test_a_profile_that_browsers_may_follow_and_we_cannot_is_told() -> None:
    """A profile made so that one library follows it and ours does not would hide a picture."""
    profile = NEGATIVE_TABLE.replace(b"mft1", b"mftX")
    _, told = seen(saved(SHOWN, "JPEG", icc_profile=profile))
    assert told == [VerdictReason.UNSEEN_MEDIA]
