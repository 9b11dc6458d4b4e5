"""Every picture of an AVIF file: its still, its sequence, and the items beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hashmatch.media import heif
from hashmatch.media.embedded import Unseen
from hashmatch.media.formats import mp4_boxes, track_handlers
from hashmatch.media.source import PatchedSource, Source

__all__ = ["MOST", "pictures", "primary"]

# Pictures beside the first which are looked at: files of phones and cameras have up to five.
MOST: Final = 16

_BRAND_AT: Final = 8


def primary(source: Source) -> tuple[heif.Items, int]:
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
    items, sets = primary(source)
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
            yield PatchedSource(source, {_BRAND_AT: b"avif", items.primary_at: number})
        else:
            coding = items.kinds[other].decode("ascii", "replace")
            yield Unseen(f"a picture beside the first ({coding!a})")
