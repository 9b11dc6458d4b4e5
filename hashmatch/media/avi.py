"""What the chunks of an AVI say, beside what the demuxer reads of them."""

from __future__ import annotations

import re
from typing import Final

from hashmatch.media.source import Source

__all__ = ["empty_frames"]

_READ_BYTES: Final = 65_536
# Beyond so many, the rest is not counted: a file of empty chunks could keep a worker busy.
_MOST_CHUNKS: Final = 1 << 18
# Of a stream, its pictures: compressed, or not. Source: Microsoft, AVI RIFF File Reference.
_FRAMES: Final = re.compile(rb"([0-9]{2})d[bc]")
_HEAD_BYTES: Final = 8
_KIND_BYTES: Final = 4


def empty_frames(source: Source, stream: int) -> int:
    """The number of frames of a stream that have no bytes: there the picture before goes on. Files
    list them beside the others, and no demuxer gives them.
    """
    found = at = block_at = 0
    block = b""
    name = b"%02d" % stream
    for _ in range(_MOST_CHUNKS):
        if not block_at <= at <= block_at + len(block) - _HEAD_BYTES:
            block_at, block = at, source.read_at(at, _READ_BYTES)
        head = block[at - block_at : at - block_at + _HEAD_BYTES]
        if len(head) < _HEAD_BYTES:
            break
        kind, size = head[:_KIND_BYTES], int.from_bytes(head[_KIND_BYTES:], "little")
        at += _HEAD_BYTES
        if kind in (b"RIFF", b"LIST"):
            at += _KIND_BYTES  # What lies within comes next.
            continue
        frames = _FRAMES.fullmatch(kind)
        found += frames is not None and frames[1] == name and size == 0
        at += size + size % 2
    return found
