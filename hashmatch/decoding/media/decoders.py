"""One image file, opened by the decoder of its format."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Final

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from hashmatch.decoding.media import bmp, by_ffmpeg, floats, ico, jxl, png, tiff
from hashmatch.decoding.media.extents import LOSSLESS_JPEG, LOSSY_JPEG, jpeg_frame, jpeg_segments
from hashmatch.decoding.media.faults import Damaged
from hashmatch.decoding.media.formats import Format
from hashmatch.decoding.media.source import SeekableReader, Source

__all__ = ["in_another_way", "opened", "pages_by_others"]

# Decoders of FFmpeg's that decode some of what Pillow refuses: deep and lossless JPEG, floating
# point in TIFF, any masks in BMP.
_CODECS: Final = {
    "jpeg": "mjpeg",
    "tiff": "tiff",
    "bmp": "bmp",
    "tga": "targa",
    "pcx": "pcx",
    "sgi": "sgi",
    "jpeg2000": "jpeg2000",
    "dds": "dds",
    "psd": "psd",
    "sun": "sunrast",
    "xbm": "xbm",
    "xpm": "xpm",
    "fits": "fits",
    "pcd": "photocd",
}
# Of these FFmpeg and Pillow differ in what they show of the same levels: normal maps, the dark and
# the bright of a telescope's, and the largest picture of a PhotoCD or that of 768 x 512 pixels.
_SHOWN_IN_TWO_WAYS: Final = frozenset({"dds", "fits", "pcd"})
_OF_LIGHT: Final = frozenset({"exr", "hdr"})
_GREY_FLOATS: Final = b"Pf"  # A PFM of one channel.

# Where a JPEG has its colour profile.
_APP2: Final = 0xE2
_IN_JPEG: Final = b"ICC_PROFILE\0"


@contextlib.contextmanager
def opened(source: Source, image_format: Format, most_pixels: int) -> Iterator[Image.Image]:
    """An image, to be loaded frame by frame. Raises whatever its decoder does."""
    PngImagePlugin.MAX_TEXT_CHUNK = png.MOST_PROFILE  # It holds a profile for a text.
    if image_format.name == "jxl":
        yield jxl.picture(source, most_pixels)
    elif image_format.name == "ico":
        yield ico.picture(source, most_pixels)
    elif image_format.name == "gif":
        # Composed elsewhere; this is what the file says beside its frames, if Pillow reads it.
        image = Image.new("P", (1, 1))
        with contextlib.suppress(UnidentifiedImageError):
            image = Image.open(_file(source), formats=["GIF"])
        with image:
            yield image
    elif image_format.name == "bmp" and (shown := _uncommon_bmp(source, most_pixels)):
        yield shown
    elif image_format.codec in _OF_LIGHT:
        yield floats.picture(source, image_format.codec, most_pixels)
    elif image_format.codec == "pfm" and source.read_at(0, 2) == _GREY_FLOATS:
        # FFmpeg makes all that is above 1 white.
        with Image.open(_file(source), formats=["PPM"]) as image:
            yield image
    elif image_format.codec:
        yield by_ffmpeg.picture(source, image_format.codec, most_pixels)
    else:
        with Image.open(_file(source), formats=[image_format.decoder_name]) as image:
            yield image


def in_another_way(source: Source, image_format: Format, most_pixels: int) -> Image.Image | None:
    """A picture as another decoder shows it, where programs differ; None if it shows none."""
    if image_format.name in _SHOWN_IN_TWO_WAYS:
        with contextlib.suppress(Damaged):
            return by_ffmpeg.picture(source, _CODECS[image_format.name], most_pixels)
    return None


def _uncommon_bmp(source: Source, most_pixels: int) -> Image.Image | None:
    """One that Pillow shows otherwise than browsers; None if there is no need, or it is damaged."""
    if bmp.is_uncommon(source):
        with contextlib.suppress(Damaged):
            return bmp.picture(source, most_pixels)
    return None


def _file(source: Source) -> io.BufferedReader:
    return io.BufferedReader(SeekableReader(source))


def pages_by_others(
    source: Source, image_format: Format, most_pixels: int, first: int
) -> Iterator[Image.Image]:
    """The pages of an image from number ``first`` on, where Pillow refuses it; nothing if there is
    no other decoder. Raises `Damaged` if that refuses it too.
    """
    if image_format.name not in _CODECS:
        return
    if image_format.name == "tiff":
        chained = [each for each in tiff.directories(source) if each.chained]
        rest = chained[first : tiff.MOST]
        if not all(each.is_plain for each in rest):
            return
        pages = [each.alone(source) for each in rest]
    elif image_format.name == "jpeg" and not _is_for_ffmpeg(source):
        return
    else:
        # What an MPO has behind its first picture is found there, see `embedded.behind`.
        pages = [source] if image_format.name == "jpeg" else [source][first:]
    for page in pages:
        shown = _by_another(page, image_format, most_pixels)
        profile = _profile(page, image_format)
        if profile:
            shown.info["icc_profile"] = profile
        yield shown


def _is_for_ffmpeg(source: Source) -> bool:
    """True for a JPEG with Huffman codes of 8 or 12 bits, or one without loss."""
    marker, bits = jpeg_frame(source) or (0, 0)
    return bits in (8, 12) if marker in LOSSY_JPEG else marker == LOSSLESS_JPEG


def _by_another(source: Source, image_format: Format, most_pixels: int) -> Image.Image:
    if image_format.name == "bmp":
        with contextlib.suppress(Damaged):
            return bmp.picture(source, most_pixels)
    return by_ffmpeg.picture(source, _CODECS[image_format.name], most_pixels)


def _profile(source: Source, image_format: Format) -> bytes:
    """The ICC profile of a file that Pillow does not open; empty if it has none."""
    if image_format.name == "tiff":
        return tiff.profile(source)
    if image_format.name != "jpeg":
        return b""
    # Source: ICC.1:2022, B.4: parts, each with its number.
    parts = [
        source.read_at(start, length)
        for marker, start, length in jpeg_segments(source)
        if marker == _APP2
    ]
    return b"".join(part[14:] for part in parts if part.startswith(_IN_JPEG))
