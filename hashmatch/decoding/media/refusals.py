"""Why an image is refused: what is cut, what nothing here decodes, and what is damaged."""

from __future__ import annotations

from typing import Final

from PIL import UnidentifiedImageError

from hashmatch.decoding.media import tiff
from hashmatch.decoding.media.extents import LOSSY_JPEG, jpeg_frame, picture_end
from hashmatch.decoding.media.formats import Format
from hashmatch.decoding.media.source import Source
from hashmatch.model.verdicts import VerdictReason

__all__ = ["why"]

# How the rows of a TIFF that is decoded may be packed: not at all, as a fax, LZW, JPEG, deflate, in
# run lengths, LZMA, Zstandard. Source: TIFF 6.0, section 3 and its supplements; libtiff.
_PACKINGS: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000})
_REFUSES: Final = ("unsupported", "unknown", "not supported", "not available", "cannot handle")
# Formats whose header Pillow refuses only if it is of a kind that it does not decode.
_MANY_KINDS: Final = frozenset(
    b"bmp blp dds dib fits ftex gbr ico icns im jpeg2000 msp pcx pixar psd sgi spider sun tga tiff "
    b"xbm xpm".decode().split()
)
# And what it raises then.
_OF_KINDS: Final = (UnidentifiedImageError, NotImplementedError, KeyError)


def why(source: Source, image_format: Format, error: Exception) -> tuple[VerdictReason, str]:
    """The reason for an image that its decoder refuses with ``error``, and the reason in words."""
    name = image_format.name
    if "truncated" in str(error):
        return VerdictReason.TRUNCATED, "the image ends before its last row"
    missing = _missing(source, name)
    if missing is not None:
        return VerdictReason.TRUNCATED, missing
    refused = any(word in str(error).lower() for word in _REFUSES)
    if name == "jpeg":
        kind = _kind_of_jpeg(source)
        if kind is not None:
            return VerdictReason.UNSUPPORTED, kind
    elif name == "tiff" and (packing := _uncommon_packing(source)) is not None:
        return VerdictReason.UNSUPPORTED, f"a TIFF that is packed in an uncommon way ({packing})"
    elif name in _MANY_KINDS and (refused or isinstance(error, _OF_KINDS)):
        return VerdictReason.UNSUPPORTED, f"a kind of {name} that nothing here decodes"
    return VerdictReason.CORRUPT, f"the {name} decoder failed ({type(error).__name__})"


def _missing(source: Source, name: str) -> str | None:
    if name == "jpeg" and picture_end(source, name) is None:
        return "the file ends before the end of the image"
    if name == "tiff":
        return tiff.missing(source)
    if name == "bmp":
        head = source.read_at(0, 38)
        rows = int.from_bytes(head[10:14], "little")
        if head[14] >= 40:  # How long they are; 0 if it does not say.
            rows += int.from_bytes(head[34:38], "little")
        if rows > source.total():
            return f"its rows end at byte {rows}, the file at byte {source.total()}"
    return None


def _uncommon_packing(source: Source) -> int | None:
    """The number of the way in which a page is packed that nothing here unpacks."""
    for directory in tiff.directories(source):
        if directory.has_picture and directory.compression not in _PACKINGS:
            return directory.compression
    return None


def _kind_of_jpeg(source: Source) -> str | None:
    """What is unusual in how a JPEG is coded; None if nothing is."""
    found = jpeg_frame(source)
    if found is None:
        return None
    marker, bits = found
    if bits != 8:
        return f"JPEG with {bits} bits of a sample"
    return None if marker in LOSSY_JPEG else "JPEG that is coded in an uncommon way"
