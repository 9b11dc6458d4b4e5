"""The pictures of an image file, and those within and behind it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final

from PIL import Image

from hashmatch.decoding.media import (
    avif,
    dds,
    embedded,
    fits,
    floats,
    ico,
    jpeg2000,
    jxl,
    png,
    pnm,
    psd,
    raw,
    stills,
)
from hashmatch.decoding.media.formats import Format
from hashmatch.decoding.media.source import Source
from hashmatch.decoding.media.stills import Still
from hashmatch.decoding.media.unseen import Unseen

__all__ = ["of_file", "within"]


# Of a file of which every picture is looked at; icons have up to thirty.
_MOST: Final = 256


def of_file(source: Source, image_format: Format) -> Iterator[Source | Still | Unseen]:
    """The file, as it would be if each of its pictures was the first; or the items that it has, or
    the files that its pictures are.
    """
    if raw.is_raw(source, image_format.name):
        yield from raw.pictures(source, image_format.name)
        return
    if image_format.name in _OF_SEVERAL:
        yield from _OF_SEVERAL[image_format.name](source)
        return
    yield source
    if image_format.name == "jxl" and jxl.is_animated(source):
        yield Unseen("frames of an animation in JPEG XL")
    if image_format.name == "jpeg2000" and jpeg2000.codestreams(source) > 1:
        yield Unseen("codestreams behind the first")


def _at_most(most: int, found: Iterator[Source]) -> Iterator[Source | Unseen]:
    yield from itertools.islice(found, most)
    if next(found, None) is not None:
        yield Unseen(f"all but {most} of its pictures")


_OF_SEVERAL: Final[dict[str, Callable[[Source], Iterator[Source | Still | Unseen]]]] = {
    "avif": avif.pictures,
    "dds": lambda source: _at_most(_MOST, dds.pictures(source)),
    "exr": floats.pictures,
    "fits": fits.pictures,
    "heif": stills.pictures,
    "ico": lambda source: _at_most(_MOST, ico.pictures(source)),
    "png": png.pictures,
    "pnm": lambda source: _at_most(_MOST, pnm.pictures(source)),
    "psd": psd.pictures,
}


def within(source: Source, image_format: Format, image: Image.Image) -> Iterator[Source | Unseen]:
    """Previews and what comes behind, of an image that is open."""
    if image_format.name == "tiff":
        yield from embedded.of_tiff(source)
    elif image_format.name == "psd":
        yield from psd.within(source)
    else:
        exif = image.info.get("exif")
        yield from embedded.of_exif(exif if isinstance(exif, bytes) else b"")
    yield from embedded.of_photoshop(image.info.get("photoshop"))
    yield from embedded.behind(source, image_format)
