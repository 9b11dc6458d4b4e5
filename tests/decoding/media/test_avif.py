"""Every picture of an AVIF: items beside the first, grids, and parts that are cut out."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashmatch.model.verdicts import VerdictReason
from tests.decoding.media.test_colour import apart, saved, seen
from tests.support import box, boxes, picture
from tests.viewers import chromium_shows_each

SHOWN = Image.fromarray(picture(31, 128, 128))
OTHER = Image.fromarray(picture(32, 128, 128))


def inner(data: bytes, kind: bytes) -> bytes:
    """The content of a box, wherever it is."""
    at = data.index(kind)
    return data[at + 4 : at - 4 + int.from_bytes(data[at - 4 : at], "big")]


def still(
    pictures: list[Image.Image],
    *,
    grid: tuple[int, int] | None = None,
    references: tuple[tuple[bytes, int, tuple[int, ...]], ...] = (),
    brand: bytes = b"avif",
    more: bytes = b"",
) -> bytes:
    """Each picture as an item, from 1; with ``grid`` (rows and columns) item 99 puts them together
    and is the first. ``more`` is a property of the first item.
    """
    coded = [saved(each, "AVIF", quality=90) for each in pictures]
    payloads = [boxes(each)[b"mdat"][8:] for each in coded]
    numbers = list(range(1, len(pictures) + 1))
    kinds = [b"av01"] * len(pictures)
    ispe = [box(b"ispe", inner(each, b"ispe")) for each in coded]
    shared = box(b"pixi", inner(coded[0], b"pixi")) + box(b"av1C", inner(coded[0], b"av1C"))
    properties = shared + b"".join(ispe)
    listed = [[1, 2, 3 + i] for i in range(len(pictures))]
    if grid is not None:
        rows, columns = grid
        size = columns * pictures[0].width, rows * pictures[0].height
        numbers, kinds = [*numbers, 99], [*kinds, b"grid"]
        payloads.append(struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size))
        properties += box(b"ispe", struct.pack(">III", 0, *size))
        listed.append([1, 3 + len(pictures)])
        references = (*references, (b"dimg", 99, tuple(numbers[:-1])))
    first = 99 if grid else 1
    if more:
        # Essential, as what changes a picture has to be.
        listed[numbers.index(first)].append(0x80 | (3 + len(pictures) + bool(grid)))
        properties += more
    infos = b"".join(
        box(b"infe", struct.pack(">BxxxHH4sx", 2, number, 0, kind))
        for number, kind in zip(numbers, kinds, strict=True)
    )
    associated = struct.pack(">II", 0, len(numbers)) + b"".join(
        struct.pack(">HB", number, len(each)) + bytes(each)
        for number, each in zip(numbers, listed, strict=True)
    )
    related = b"".join(
        box(kind, struct.pack(f">HH{len(to)}H", of, len(to), *to)) for kind, of, to in references
    )

    def meta(start: int) -> bytes:
        places = b""
        for number, payload in zip(numbers, payloads, strict=True):
            places += struct.pack(">HHHII", number, 0, 1, start, len(payload))
            start += len(payload)
        return box(
            b"meta",
            bytes(4)
            + box(b"hdlr", bytes(8) + b"pict" + bytes(13))
            + box(b"pitm", struct.pack(">IH", 0, first))
            + box(b"iloc", struct.pack(">IBBH", 0, 0x44, 0, len(numbers)) + places)
            + box(b"iinf", struct.pack(">IH", 0, len(numbers)) + infos)
            + (box(b"iref", bytes(4) + related) if related else b"")
            + box(b"iprp", box(b"ipco", properties) + box(b"ipma", associated)),
        )

    head = box(b"ftyp", brand + bytes(4) + b"avifmif1miaf")
    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", b"".join(payloads))


def tiles(made: Image.Image) -> list[Image.Image]:
    """A picture of 128 x 128 pixels in four."""
    return [made.crop((x, y, x + 64, y + 64)) for y in (0, 64) for x in (0, 64)]


@pytest.mark.parametrize("brand", [b"avif", b"mif1", b"isom"])
def test_a_grid_is_put_together(brand: bytes) -> None:
    """A picture cut into tiles would be looked at tile by tile, and match nothing."""
    batches, told = seen(still(tiles(SHOWN), grid=(2, 2), brand=brand))
    assert (len(batches), told) == (1, [])
    assert apart(batches, SHOWN) <= 10


@pytest.mark.parametrize(
    "references", [(), ((b"thmb", 2, (1,)),), ((b"auxl", 2, (1,)),), ((b"cdsc", 2, (1,)),)]
)
def test_items_beside_the_first_are_seen(
    references: tuple[tuple[bytes, int, tuple[int, ...]], ...],
) -> None:
    """Programs that show thumbnails, alternatives or collections would show what nobody saw."""
    batches, told = seen(still([SHOWN, OTHER], references=references))
    assert told == []
    assert apart(batches, SHOWN) <= 10
    assert apart(batches, OTHER) <= 10


def test_items_that_nothing_decodes_are_told() -> None:
    """A second picture in another coding would pass unseen."""
    data = still([SHOWN, OTHER])
    at = data.index(b"av01", data.index(b"av01") + 4)
    for kind in (b"unci", b"hvc1"):
        batches, told = seen(data[:at] + kind + data[at + 4 :])
        assert told == [VerdictReason.UNSEEN_MEDIA]
        assert apart(batches, SHOWN) <= 10


@pytest.mark.parametrize("place", [(0, 0), (64, 64), (20, 40)])
def test_a_clean_aperture_is_seen_and_so_is_the_whole(
    place: tuple[int, int], tmp_path: Path
) -> None:
    """A listed picture in the corner of another is all that some programs show."""
    whole = OTHER.resize((128, 128))
    whole.paste(SHOWN.resize((64, 64)), place)
    content = struct.pack(
        ">4IiIiI", 64, 1, 64, 1, 2 * place[0] + 64 - 128, 2, 2 * place[1] + 64 - 128, 2
    )
    data = still([whole], more=box(b"clap", content))
    (tmp_path / "shown.avif").write_bytes(data)
    (theirs,) = chromium_shows_each([tmp_path / "shown.avif"])
    assert theirs is not None
    batches, told = seen(data)
    assert told == []
    assert apart(batches, SHOWN) <= 16
    assert apart(batches, whole) <= 10
    assert apart(batches, Image.fromarray(np.asarray(theirs))) <= 16
