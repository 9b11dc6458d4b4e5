"""AVI by its chunks: what its demuxer leaves out."""

from __future__ import annotations

from hashmatch.decoding.media.source import Source

__all__ = ["empty_chunks"]

_HEAD_BYTES = 8
_READ_BYTES = 65_536
# Chunks that hold others, behind four bytes that say what.
_LISTS = (b"RIFF", b"LIST")


def empty_chunks(source: Source, stream: int) -> int:
    """The number of chunks without bytes among those of a stream of pictures: each repeats the
    frame before it, counts as a frame in the header, and never leaves the demuxer. Waits for the
    end of the source. Source: Microsoft, "AVI RIFF File Reference" (stream data chunks).
    """
    names = (b"%02ddc" % stream, b"%02ddb" % stream)
    empty, at, data, data_at = 0, 0, b"", 0
    while True:
        if not data_at <= at <= data_at + len(data) - _HEAD_BYTES:
            data, data_at = source.read_at(at, _READ_BYTES), at
            if len(data) < _HEAD_BYTES:
                return empty
        name = data[at - data_at : at - data_at + 4]
        size = int.from_bytes(data[at - data_at + 4 : at - data_at + _HEAD_BYTES], "little")
        if name in _LISTS:
            at += _HEAD_BYTES + 4
        else:
            empty += name in names and not size
            at += _HEAD_BYTES + size + size % 2
