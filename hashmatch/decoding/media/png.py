"""What of a PNG is damaged, and what of that is of no account to who shows it.

Source: Portable Network Graphics (third edition), 5.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from hashmatch.decoding.media.extents import png_chunks
from hashmatch.decoding.media.source import BytesSource, PatchedSource, Source
from hashmatch.decoding.media.unseen import Unseen

__all__ = ["MOST_PROFILE", "damaged", "missing", "pictures"]

# Bytes of a colour profile that is followed, unpacked.
MOST_PROFILE: Final = 1 << 24

_READ_BYTES: Final = 1 << 16
# Of a name, with the zero behind it. Then comes how what follows is packed. Source: 11.3.2.3.
_NAME_BYTES: Final = 80
_DEFLATED: Final = b"\0"
# Of an animation.
_OF_FRAMES: Final = frozenset({b"acTL", b"fcTL", b"fdAT"})
# Ancillary, and said of what colours look like.
_OF_COLOUR: Final = frozenset({b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP"})
_END: Final = bytes(4) + b"IEND\xae\x42\x60\x82"
_TEXTS: Final = frozenset({b"tEXt", b"zTXt", b"iTXt"})
# Bytes of one that is packed, and of all, below which no limit of Pillow's (1 MiB of one, 64 MiB of
# all) can be reached: deflate makes 1,032 bytes of one at most.
_MOST_PACKED: Final = 1000
_MOST_TEXT: Final = 60_000
_MOST_FACTOR: Final = 1032  # Of deflate.
_ANCILLARY: Final = 0x20  # Of the first letter of a name.
_NAME_OF_NO_USE: Final = b"hmXx"  # Ancillary, private, not to be copied.


def _unfit(source: Source) -> Iterator[tuple[bytes, int, int, int]]:
    """(kind, start of content, length, right sum) of each chunk that does not fit its check sum."""
    for kind, start, length in png_chunks(source):
        check = zlib.crc32(kind)
        for offset in range(0, length, _READ_BYTES):
            some = source.read_at(start + offset, min(_READ_BYTES, length - offset))
            if not some:
                return  # It is cut there.
            check = zlib.crc32(some, check)
        if source.read_at(start + length, 4) != check.to_bytes(4, "big"):
            yield kind, start, length, check


def damaged(source: Source) -> str | None:
    """Says in a sentence which part that nobody can do without is damaged: a decoder does not
    always look. None if there is none, or if a check sum alone is wrong.
    """
    for kind, start, _, _ in _unfit(source):
        if kind in _OF_FRAMES or (
            kind == b"IDAT" and not _has_all_rows(source, list(png_chunks(source)))
        ):
            return f"the chunk at byte {start - 8} does not fit its check sum"
    kinds = {kind for kind, _, _ in png_chunks(source)}
    if b"fdAT" in kinds and b"fcTL" not in kinds:
        return "frames of an animation of which nothing says where they go"
    return None


def pictures(source: Source) -> Iterator[Source | Unseen]:
    """The file as programs take it that look at check sums, without those ancillary chunks that do
    not fit theirs; and, if those are of colours, as programs do that do not look. Of the others the
    sums are mended: what they hold is what is shown, wherever anything is.
    """
    source = _together(_with_end(source))
    mended = _long_texts(source) | _unpacked_by_nobody(source)
    if _has_long_profile(source):
        yield Unseen("a colour profile that is too large to be followed")
    left_out: dict[int, bytes] = {}
    of_colours = False
    for kind, start, length, check in _unfit(source):
        if kind in _OF_FRAMES or start - 4 in mended:
            continue
        if not kind[0] & _ANCILLARY or kind in _OF_COLOUR:
            mended[start + length] = check.to_bytes(4, "big")
        else:
            mended |= _renamed(source, start, length)
        if kind in _OF_COLOUR:
            left_out |= _renamed(source, start, length)
            of_colours = True
    yield PatchedSource(source, mended | left_out) if mended else source
    if of_colours:
        yield PatchedSource(source, mended)


def _with_end(source: Source) -> Source:
    """The file with an end, if it has none though all its rows are there."""
    chunks = list(png_chunks(source))
    if (chunks and chunks[-1][0] == b"IEND") or missing(source) is not None:
        return source
    size = source.total()
    whole = [8, *(start + length + 4 for _, start, length in chunks)]
    end = max(each for each in whole if each <= size)
    kept = source.read_at(0, end)
    if chunks and chunks[-1][0] == b"IDAT" and end < size:
        rows = source.read_at(chunks[-1][1], chunks[-1][2])
        check = zlib.crc32(b"IDAT" + rows)
        kept += len(rows).to_bytes(4, "big") + b"IDAT" + rows + check.to_bytes(4, "big")
    return BytesSource(kept + _END)


def _together(source: Source) -> Source:
    """The file with its rows in one piece, if others of its chunks lie between them: what Pillow
    takes for their end is none to browsers.
    """
    chunks = list(png_chunks(source))
    of_rows = [at for at, (kind, _, _) in enumerate(chunks) if kind == b"IDAT"]
    if not of_rows or of_rows[-1] - of_rows[0] == len(of_rows) - 1:
        return source
    if any(kind in _OF_FRAMES for kind, _, _ in chunks):
        return source
    before, rows, behind = [source.read_at(0, 8)], list[bytes](), list[bytes]()
    for at, (kind, start, length) in enumerate(chunks):
        part = rows if kind == b"IDAT" else before if at < of_rows[0] else behind
        part.append(source.read_at(start - 8, length + 12))
    return BytesSource(b"".join(before + rows + behind))


def _long_texts(source: Source) -> dict[int, bytes]:
    """Patches that hide texts, if there are such as have Pillow refuse the picture beside them."""
    texts = [each for each in png_chunks(source) if each[0] in _TEXTS]
    packed = max((length for kind, _, length in texts if kind != b"tEXt"), default=0)
    if packed <= _MOST_PACKED and sum(length for _, _, length in texts) <= _MOST_TEXT:
        return {}
    patches: dict[int, bytes] = {}
    for _, start, length in texts:
        patches |= _renamed(source, start, length)
    return patches


def _unpacked_by_nobody(source: Source) -> dict[int, bytes]:
    """Patches that hide what viewers do without and Pillow refuses the picture for: chunks that are
    packed in an unknown way, profiles that are too long, and the head of an animation without
    frames.
    """
    patches: dict[int, bytes] = {}
    has_frames = any(kind == b"fcTL" for kind, _, _ in png_chunks(source))
    for kind, start, length in png_chunks(source):
        if kind in (b"iCCP", b"zTXt"):
            _, _, packed = source.read_at(start, min(length, _NAME_BYTES + 1)).partition(b"\0")
            is_hidden = packed[:1] not in (b"", _DEFLATED)
        else:
            is_hidden = kind == b"acTL" and not has_frames
        if is_hidden or (kind == b"iCCP" and _is_long_profile(source, start, length)):
            patches |= _renamed(source, start, length)
    return patches


def _has_long_profile(source: Source) -> bool:
    return any(
        kind == b"iCCP" and _is_long_profile(source, start, length)
        for kind, start, length in png_chunks(source)
    )


def _is_long_profile(source: Source, start: int, length: int) -> bool:
    if length <= MOST_PROFILE // _MOST_FACTOR:
        return False
    content = source.read_at(start, length)
    _, _, packed = content.partition(b"\0")
    try:
        return len(zlib.decompressobj().decompress(packed[1:], MOST_PROFILE + 1)) > MOST_PROFILE
    except zlib.error:
        return False


def _renamed(source: Source, start: int, length: int) -> dict[int, bytes]:
    """Patches that turn a chunk into one that nothing knows."""
    check = zlib.crc32(_NAME_OF_NO_USE)
    for offset in range(0, length, _READ_BYTES):
        size = min(_READ_BYTES, length - offset)
        check = zlib.crc32(source.read_at(start + offset, size), check)
    return {start - 4: _NAME_OF_NO_USE, start + length: check.to_bytes(4, "big")}


def missing(source: Source) -> str | None:
    """Says in a sentence what is missing at its end; None if nothing is, or only what nobody needs
    who shows its one picture.
    """
    chunks = list(png_chunks(source))
    if chunks and chunks[-1][0] == b"IEND":
        return None
    if any(kind in _OF_FRAMES for kind, _, _ in chunks) or not _has_all_rows(source, chunks):
        return "the file ends before its IEND chunk"
    return None


def _has_all_rows(source: Source, chunks: list[tuple[bytes, int, int]]) -> bool:
    rows = zlib.decompressobj()
    try:
        for kind, start, length in chunks:
            if kind != b"IDAT":
                continue
            for offset in range(0, length, _READ_BYTES):
                data = source.read_at(start + offset, min(_READ_BYTES, length - offset))
                while data and not rows.eof:
                    rows.decompress(data, _READ_BYTES)
                    data = rows.unconsumed_tail
    except zlib.error:
        return False
    return rows.eof
