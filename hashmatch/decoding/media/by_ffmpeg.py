"""Single pictures by FFmpeg's decoders: items of image files, and what Pillow lacks or refuses."""

from __future__ import annotations

import av
import av.error
import av.logging
from PIL import Image

from hashmatch.decoding.media.faults import Damaged
from hashmatch.decoding.media.source import Source

__all__ = ["frames", "picture"]

# No file of one picture that a decoder is handed in one piece is larger.
_MOST_BYTES = 1 << 28
# Told to be strict, these refuse whole pictures too, for what is said beside them.
_TOO_STRICT = frozenset({"tiff"})


def frames(
    codec: str, data: bytes, max_pixels: int, *, extradata: bytes = b"", strict: bool = True
) -> list[av.VideoFrame]:
    """The frames of one packet, one at least. By itself a decoder shows what it has of a damaged
    picture; a ``strict`` one refuses it. Raises `Damaged`, and ``MemoryError``.
    """
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, av.VideoCodecContext)
    context.thread_count = 1
    context.options = {"max_pixels": str(max_pixels)}
    if strict:
        context.options = {**context.options, "err_detect": "explode"}
    if extradata:
        context.extradata = extradata
    try:
        with av.logging.Capture():
            decoded = [*context.decode(av.Packet(data)), *context.decode(None)]
    except MemoryError:
        raise
    except av.error.FFmpegError as error:
        raise Damaged(f"the {codec} decoder failed") from error
    if not decoded:
        raise Damaged(f"the {codec} decoder shows no picture")
    return decoded


def picture(source: Source, codec: str, most_pixels: int) -> Image.Image:
    """The picture of a file in RGB, or RGBA if it has transparency, as it is stored: neither turned
    nor by a colour profile. Raises `Damaged`, and `Image.DecompressionBombError` for more than
    ``most_pixels`` pixels.
    """
    if source.total() > _MOST_BYTES:
        raise Damaged("too large a file for one picture")
    data = source.read_at(0, source.total())
    frame = frames(codec, data, most_pixels, strict=codec not in _TOO_STRICT)[0]
    if frame.is_corrupt:
        raise Damaged(f"the {codec} decoder calls its picture damaged")
    if frame.width * frame.height > most_pixels:
        raise Image.DecompressionBombError
    has_alpha = any(each.is_alpha for each in frame.format.components)
    name = "rgba" if has_alpha or frame.format.name == "pal8" else "rgb24"
    # With several threads, some pixels where one's part of a frame ends are wrong now and then.
    return Image.fromarray(frame.reformat(format=name, threads=1).to_ndarray())
