"""Camera raws are seen by the pictures that cameras put into them; without, they are told of."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from hashmatch.decoding.media import formats
from hashmatch.decoding.media.source import BytesSource
from hashmatch.engine.hashing import pdq
from hashmatch.model.verdicts import VerdictReason
from tests.decoding.media.test_image import bits, codes, frames, saved
from tests.support import picture

SMALL = Image.fromarray(picture(41, 96, 64))
SHOWN = SMALL.resize((1024, 680))
OTHER = Image.fromarray(picture(42, 96, 64))
LARGE, SLIGHT = (saved(each, "JPEG", quality=85) for each in (SHOWN, SMALL))
UNSEEN, TRUNCATED = VerdictReason.UNSEEN_MEDIA, VerdictReason.TRUNCATED
MOSAIC = 32803


def of_tiff(
    preview: bytes,
    magic: bytes = b"II*\0",
    photometric: int = MOSAIC,
    sensor: bytes = bytes(5000),
    side: int = 4000,
) -> bytes:
    """A raw like a TIFF: a small picture without codes, a preview, and a mosaic below it."""
    rows = np.asarray(OTHER).tobytes()
    sensor_at, rows_at = 8 + len(preview), 8 + len(preview) + len(sensor)
    at = rows_at + len(rows)
    tags = [
        (254, 1), (256, side), (257, side // 2), (258, 16), (259, 1), (262, photometric),
        (273, sensor_at), (277, 1), (278, side // 2), (279, len(sensor)),
    ]  # fmt: skip
    below = directory(tags)
    tags = [
        (254, 1), (256, 96), (257, 64), (258, 8), (259, 1), (262, 2), (273, rows_at), (277, 3),
        (278, 64), (279, len(rows)), (330, at),
    ]  # fmt: skip
    first = at + len(below)
    return magic + struct.pack("<I", first) + preview + sensor + rows + below + directory(tags)


def directory(tags: list[tuple[int, int]]) -> bytes:
    """A directory of a TIFF whose values are all numbers of four bytes."""
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<H", len(tags)) + entries + bytes(4)


def raf(preview: bytes) -> bytes:
    """Of Fujifilm: the places of its parts are in its header."""
    head = b"FUJIFILMCCD-RAW 0201".ljust(84, b"\0")
    sensor_at = 148 + len(preview)
    head += struct.pack(">6I", 148, len(preview), sensor_at, 0, sensor_at, 400)
    return head.ljust(148, b"\0") + preview + bytes(400)


def box(kind: bytes, *content: bytes) -> bytes:
    """A box of ISO/IEC 14496-12."""
    data = b"".join(content)
    return struct.pack(">I", 8 + len(data)) + kind + data


def cr3(preview: bytes, entry: bytes = b"CRAW") -> bytes:
    """Of Canon: a preview in a box of its own, tracks of Canon's samples."""
    described = box(b"stsd", bytes(4), b"\0\0\0\1", box(entry, bytes(90)))
    handler = box(b"hdlr", bytes(8), b"vide", bytes(12))
    track = box(b"trak", box(b"mdia", handler, box(b"minf", box(b"stbl", described))))
    shown = box(b"uuid", bytes(16), box(b"PRVW", bytes(16), preview))
    brand = box(b"ftyp", b"crx \0\0\0\1crx isom")
    return brand + box(b"moov", track) + shown + box(b"mdat", bytes(400))


RAWS: dict[str, Callable[[bytes], bytes]] = {
    "like a tiff": of_tiff,
    # Of Canon's, the sensor's rows are a JPEG without loss.
    "cr2": lambda preview: of_tiff(
        b"CR\2\0" + preview, photometric=1, sensor=b"\xff\xd8\xff\xc3\0\x0b\x0e" + bytes(4993)
    ),
    "orf": lambda preview: of_tiff(preview, b"IIRO"),
    "rw2": lambda preview: of_tiff(preview, b"IIU\0"),
    "raf": raf,
    "cr3": cr3,
}


def is_seen(data: bytes, wanted: Image.Image) -> bool:
    """True if one of the pictures that are seen of a file is a picture."""
    own = pdq.digest(np.asarray(wanted.convert("L"), np.float32)[None])[0][0]
    return any(bits(pdq.digest(each.luma)[0][0], own) <= 20 for each in frames(data)[0])


@pytest.mark.parametrize("name", RAWS)
def test_a_raw_is_seen_by_its_preview(name: str) -> None:
    """Every raw of a camera would be held; one with a preview of stamp size would pass by it."""
    large, small = RAWS[name](LARGE), RAWS[name](SLIGHT)
    assert codes(frames(large)[1]) == []
    assert is_seen(large, SMALL)
    assert codes(frames(small)[1]) == [UNSEEN]
    assert is_seen(small, SMALL)
    assert codes(frames(RAWS[name](b""))[1]) == [UNSEEN]
    told = codes(frames(large[: len(large) // 2])[1])
    assert told
    assert set(told) <= {TRUNCATED, UNSEEN}


def test_a_preview_as_large_as_the_raw_is_enough() -> None:
    """Small sensors, and raws that were made smaller, have no larger one."""
    assert codes(frames(of_tiff(SLIGHT, side=96))[1]) == []


def test_other_pictures_of_a_raw_are_seen() -> None:
    """File managers show what is no JPEG, too."""
    assert is_seen(of_tiff(LARGE), OTHER)
    assert is_seen(of_tiff(LARGE + saved(OTHER, "JPEG")), OTHER)


def test_rows_of_a_sensor_are_no_pictures() -> None:
    """Each tile of a mosaic that is packed with loss would be taken for a picture."""
    tiles = saved(OTHER, "JPEG") * 20
    assert codes(frames(of_tiff(LARGE, photometric=34892, sensor=tiles))[1]) == []
    # Where nothing says that they are, those that are too many are told of.
    assert codes(frames(of_tiff(LARGE + tiles))[1]) == [UNSEEN]


def test_a_film_is_no_raw() -> None:
    """A player shows what a track has that is none of Canon's."""
    _, tally = frames(cr3(LARGE))
    assert tally.format == "cr3"
    readings = [each.name for each in formats.readings(BytesSource(cr3(LARGE, b"avc1")))]
    assert "mov" in readings


def test_what_begins_like_pictures_for_ever_is_no_trap() -> None:
    """A crafted raw could keep a worker busy."""
    _, tally = frames(of_tiff(LARGE + b"\xff\xd8\xff\xe0\0\4ab" * 200_000))
    assert codes(tally) == [UNSEEN]
