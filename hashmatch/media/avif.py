"""Every picture of an AVIF file: its still, its sequence, and the items beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hashmatch.media import heif
from hashmatch.media.embedded import Unseen
from hashmatch.media.extents import mp4_boxes
from hashmatch.media.formats import track_handlers
from hashmatch.media.source import PatchedSource, Source

__all__ = ["MOST", "clean_aperture", "pictures"]

# Pictures beside the first which are looked at: files of phones and cameras have up to five.
MOST: Final = 16

_BRAND_AT: Final = 8


def _primary(source: Source) -> tuple[heif.Items, int]:
    """The items of a file, and how many sets of them it has."""
    found, sets = heif.Items(), 0
    for kind, start, end in mp4_boxes(source):
        if kind == b"meta" and end is not None and heif.handler(source, start) == b"pict":
            sets += 1
            if sets == 1:
                found = heif.items(source, start, end)
    return found, sets


def pictures(source: Source) -> Iterator[Source | Unseen]:
    """The file as it would be if each of its pictures in turn was its first; and what of it cannot
    be looked at so.
    """
    items, sets = _primary(source)
    for kind, start, end in mp4_boxes(source):
        if kind == b"moov" and b"pict" in track_handlers(source, start, end):
            yield PatchedSource(source, {_BRAND_AT: b"avis"})
            break
    else:
        if items.primary is None:
            yield source
    if items.primary is not None:
        yield PatchedSource(source, {_BRAND_AT: b"avif"})
    if sets > 1:
        yield Unseen("a second set of items")
    if items.damaged:
        yield Unseen("items behind the first 4 MiB of their list")
    others = items.others()
    if len(others) > MOST:
        yield Unseen(f"all but {MOST} of {len(others)} pictures beside the first")
    for other in others[:MOST]:
        if items.is_avif(other):
            number = other.to_bytes(items.primary_bytes, "big")
            # No longer the thumbnail of another: those are never decoded.
            free = dict.fromkeys(items.references_at.get(other, ()), b"cdsc")
            yield PatchedSource(source, {_BRAND_AT: b"avif", items.primary_at: number, **free})
        else:
            coding = items.kinds[other].decode("ascii", "replace")
            yield Unseen(f"a picture beside the first ({coding!a})")


def clean_aperture(source: Source, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the part of the primary item that is to be shown, if it is not
    all. ``size`` is width and height. Source: ISO/IEC 14496-12, 12.1.4.
    """
    items, _ = _primary(source)
    content = items.property_of(items.primary, b"clap")
    if content is None or len(content) < 32:
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
