"""One picture by a decoder of FFmpeg's, for formats that Pillow lacks and files that it refuses."""

from __future__ import annotations

import av
from av.error import FFmpegError
from PIL import Image

from hashmatch.media.faults import Damaged
from hashmatch.media.source import Source

__all__ = ["picture"]

# No file of one picture that a decoder is handed in one piece is larger.
_MOST_BYTES = 1 << 28
# Told to be strict, these refuse whole pictures too, for what is said beside them.
_TOO_STRICT = frozenset({"tiff"})


def picture(source: Source, codec: str, most_pixels: int) -> Image.Image:
    """The picture of a file in RGB, or RGBA if it has transparency, as it is stored: neither turned
    nor by a colour profile. Raises `Damaged`, and `Image.DecompressionBombError` for more than
    ``most_pixels`` pixels.
    """
    if source.total() > _MOST_BYTES:
        raise Damaged("too large a file for one picture")
    context = av.CodecContext.create(codec, "r")
    context.thread_count = 1
    # By itself a decoder shows what it has of a damaged picture.
    strict = {} if codec in _TOO_STRICT else {"err_detect": "explode"}
    context.options = {"max_pixels": str(most_pixels), **strict}
    packet = av.Packet(source.read_at(0, source.total()))
    try:
        frames = [*context.decode(packet), *context.decode(None)]  # type: ignore[attr-defined]
    except FFmpegError as error:
        raise Damaged(f"FFmpeg does not decode it ({type(error).__name__})") from error
    if not frames or frames[0].is_corrupt:
        raise Damaged("FFmpeg shows no picture of it")
    frame = frames[0]
    if frame.width * frame.height > most_pixels:
        raise Image.DecompressionBombError
    has_alpha = any(each.is_alpha for each in frame.format.components)
    name = "rgba" if has_alpha or frame.format.name == "pal8" else "rgb24"
    # With several threads, some pixels where one's part of a frame ends are wrong now and then.
    return Image.fromarray(frame.reformat(format=name, threads=1).to_ndarray())
