"""Every picture of an AVIF file: its still, its sequence, and the items beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hashmatch.decoding.media import stills
from hashmatch.decoding.media.extents import mp4_boxes
from hashmatch.decoding.media.formats import track_handlers
from hashmatch.decoding.media.source import PatchedSource, Source
from hashmatch.decoding.media.stills import Still
from hashmatch.decoding.media.unseen import Unseen

__all__ = ["clean_aperture", "pictures"]

_BRAND_AT: Final = 8


def pictures(source: Source) -> Iterator[Source | Still | Unseen]:
    """The file as its sequence, its first still, and the pictures beside that; and what of it
    cannot be looked at.
    """
    sets = stills.sets(source)
    # A primary item may be named and not be there, beside a sequence.
    has_still = bool(sets) and sets[0].primary in sets[0].kinds
    for kind, start, end in mp4_boxes(source):
        if kind == b"moov" and b"pict" in track_handlers(source, start, end):
            yield PatchedSource(source, {_BRAND_AT: b"avis"})
            break
    else:
        if not has_still:
            yield source
    for number, found in enumerate(sets):
        if found.primary in found.kinds:
            # Decoders of whole files know of the first set alone.
            whole = PatchedSource(source, {_BRAND_AT: b"avif"}) if number == 0 else None
            yield Still(source, found, found.primary, whole)
        yield from stills.others(source, found)


def clean_aperture(source: Source, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the part of the primary item that is to be shown, if it is not
    all. ``size`` is width and height.
    """
    sets = stills.sets(source)
    if not sets:
        return None
    items = sets[0]
    content = items.property_of(items.primary, b"clap")
    return None if content is None else stills.aperture(content, size)
