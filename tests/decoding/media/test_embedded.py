"""Pictures within and behind the picture that a file is: all that some program shows is seen."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hashmatch.model.verdicts import VerdictReason
from tests.decoding.media.test_colour import apart, saved, seen, with_chunks
from tests.decoding.worker.test_inspect import film, near
from tests.decoding.worker.test_inspect import seen as inspected
from tests.support import picture

SHOWN = Image.fromarray(picture(21, 160, 128))
OTHER = Image.fromarray(picture(22, 160, 120))


def exif_with(preview: bytes) -> bytes:
    """EXIF whose second directory is of a preview."""
    first = struct.pack("<H", 0) + struct.pack("<I", 14)
    tags = struct.pack("<HHII", 513, 4, 1, 44) + struct.pack("<HHII", 514, 4, 1, len(preview))
    second = struct.pack("<H", 2) + tags + struct.pack("<I", 0)
    return b"Exif\0\0II*\0\x08\0\0\0" + first + second + preview


def tiff_with(sub: Image.Image) -> bytes:
    """A TIFF of one page, with a picture in a directory of its own (tag 330)."""
    content = b""

    def directory(made: Image.Image, more: list[tuple[int, int]]) -> bytes:
        nonlocal content
        at = 8 + len(content)
        content += made.tobytes()
        tags = [
            (256, made.width), (257, made.height), (258, 8), (259, 1), (262, 1), (273, at),
            (277, 1), (278, made.height), (279, made.width * made.height), *more,
        ]  # fmt: skip
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        return struct.pack("<H", len(tags)) + entries + bytes(4)

    inner = directory(sub.convert("L"), [])
    inner_at = 8 + len(content)
    content += inner
    outer = directory(SHOWN.convert("L"), [(330, inner_at)])
    return b"II*\0" + struct.pack("<I", 8 + len(content)) + content + outer


def ultra_hdr() -> bytes:
    """A photograph with a second picture behind it which Pillow leaves out."""
    file = io.BytesIO()
    SHOWN.save(file, "MPO", save_all=True, append_images=[OTHER], quality=90)
    data = file.getvalue()
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x hdrgm:Version="1.0"/>'
    return data[:2] + b"\xff\xe1" + (len(xmp) + 2).to_bytes(2, "big") + xmp + data[2:]


def photoshop() -> bytes:
    """A JPEG with the preview that Photoshop leaves."""
    thumbnail = bytes(28) + saved(OTHER, "JPEG", quality=90)
    resource = b"8BIM" + struct.pack(">HBBI", 1036, 0, 0, len(thumbnail)) + thumbnail
    segment = b"Photoshop 3.0\0" + resource
    data = saved(SHOWN, "JPEG", quality=90)
    return data[:2] + b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]


PREVIEW = exif_with(saved(OTHER, "JPEG", quality=90))
FILES = {
    **{
        f"exif of {form}": saved(SHOWN, form, exif=PREVIEW)
        for form in ("JPEG", "PNG", "WEBP", "AVIF")
    },
    **{
        f"{form} behind {first}": saved(SHOWN, first) + saved(OTHER, form)
        for first, form in (
            ("JPEG", "JPEG"),
            ("JPEG", "PNG"),
            ("PNG", "JPEG"),
            ("GIF", "WEBP"),
            ("WEBP", "GIF"),
            ("BMP", "PNG"),
        )
    },
    "behind junk": saved(SHOWN, "JPEG") + b"SEFH\xff\xd8\xff\0" * 9 + saved(OTHER, "JPEG"),
    "behind two": saved(SHOWN, "JPEG") + saved(SHOWN, "PNG") + saved(OTHER, "JPEG"),
    "in what is behind": saved(SHOWN, "JPEG") + saved(SHOWN, "JPEG", exif=PREVIEW),
    "gain map": ultra_hdr(),
    "photoshop": photoshop(),
    "sub directory": tiff_with(OTHER),
}


@pytest.mark.parametrize("name", FILES)
def test_it_is_seen(name: str) -> None:
    """A listed picture would be published in a place where file managers and galleries look."""
    batches, told = seen(FILES[name])
    assert told == []
    assert apart(batches, SHOWN) <= 20
    assert apart(batches, OTHER) <= 20


def test_a_preview_of_the_picture_itself_is_hashed_once() -> None:
    """Every photograph of a camera would cost twice."""
    small = SHOWN.resize((80, 64), Image.Resampling.BOX)
    batches, told = seen(saved(SHOWN, "JPEG", exif=exif_with(saved(small, "JPEG", quality=90))))
    assert (len(batches), told) == (1, [])


def test_a_preview_that_begins_like_no_picture_is_no_reason() -> None:
    """Photographs of programs that leave a pointer to nothing would be held."""
    assert seen(saved(SHOWN, "JPEG", exif=exif_with(b"no picture" * 20)))[1] == []


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
@pytest.mark.parametrize("behind", [bytes(5000), b"\xff" * 100, b"vendor's own " * 400, b"\r\n"])
def test_what_is_no_picture_is_no_reason(form: str, behind: bytes) -> None:
    """Files of cameras and editors that pad or append would be held."""
    batches, told = seen(saved(SHOWN, form) + behind)
    assert (len(batches), told) == (1, [])


@pytest.mark.parametrize(
    "data",
    [
        saved(SHOWN, "JPEG", exif=exif_with(saved(OTHER, "JPEG")[:900])),
        saved(SHOWN, "JPEG") + b"RIFF\x40\x50\0\0AVI LIST" + bytes(300),
        saved(SHOWN, "PNG") + saved(OTHER, "PNG")[:-30],
        tiff_with(OTHER).replace(
            struct.pack("<HHII", 259, 4, 1, 1), b"\x03\x01\x04\0\1\0\0\0\7\0\0\0", 1
        ),
    ],
    ids=["cut", "film", "cut behind", "raw"],
)
def test_what_cannot_be_seen_is_told(data: bytes) -> None:
    """A picture that another program decodes would pass unseen."""
    batches, told = seen(data)
    assert told == [VerdictReason.UNSEEN_MEDIA]
    assert apart(batches, SHOWN) <= 20


@pytest.mark.parametrize("between", [b"", b"MotionPhoto_Data", bytes(100)])
@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_the_film_of_a_motion_photo_is_seen(form: str, between: bytes) -> None:
    """A gallery would play a film that nobody saw."""
    digests, done = inspected(saved(SHOWN, form) + between + film(7))
    assert done.reasons == ()
    assert near(digests, SHOWN)
    assert set(inspected(film(7))[0]) <= set(digests)


def test_an_end_for_ever_is_no_trap() -> None:
    """A crafted chain of previews would keep a worker busy."""
    data: Any = saved(SHOWN.resize((32, 32)), "JPEG")
    many = data + b"".join(
        saved(Image.fromarray(picture(seed, 32, 32)), "JPEG") for seed in range(60)
    )
    batches, told = seen(many)
    assert told == [VerdictReason.UNSEEN_MEDIA]
    assert len(batches) <= 33
    assert np.isfinite(batches[0].luma).all()


def test_png_chunks_can_hold_anything_else() -> None:
    """A comment that looks like a picture would be taken for one."""
    data = with_chunks(saved(SHOWN, "PNG"), (b"tEXt", b"a\0" + saved(OTHER, "JPEG")[:200]))
    assert seen(data)[1] == []
