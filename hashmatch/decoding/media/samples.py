"""Small media of all sorts, made in memory: what a worker decodes before its first upload."""

from __future__ import annotations

import importlib
import io
import pkgutil
from collections.abc import Iterator
from typing import Any, Final

import av
import numpy as np
import pylibjxl
from PIL import Image

from hashmatch.decoding.media import icc

__all__ = ["load_decoders", "samples"]

# Each as Pillow writes it, in modes that are turned to luma in ways of their own.
_IMAGES: Final = (
    ("JPEG", ("RGB", "L", "CMYK")),
    ("PNG", ("RGB", "RGBA", "LA", "P", "1", "I;16")),
    ("GIF", ("P",)),
    ("TIFF", ("RGB", "F", "LAB", "CMYK")),
    ("BMP", ("RGB",)),
    ("WEBP", ("RGB", "RGBA")),
    ("AVIF", ("RGB", "RGBA")),
    ("JPEG2000", ("RGB", "L")),
    ("ICO", ("RGBA",)),
    ("PPM", ("RGB", "L", "1")),
    ("QOI", ("RGB",)),
    ("TGA", ("RGB", "P")),
    ("PCX", ("RGB", "P")),
    ("SGI", ("RGB",)),
    ("DDS", ("RGBA",)),
    ("BLP", ("P",)),
    ("XBM", ("1",)),
    ("MSP", ("1",)),
)
_SIDES: Final = (64, 520)  # The larger is made smaller before it is hashed.
_ORIENTATION: Final = 0x0112


def load_decoders() -> None:
    """All of PyAV, which loads parts of itself when it meets what they are for."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def samples() -> Iterator[bytes]:
    """A video, and images of every format and mode."""
    yield _clip()
    yield from _images()


def _images() -> list[bytes]:
    noise = np.random.default_rng(0).integers(0, 255, (_SIDES[1], _SIDES[1], 3), np.uint8)
    colours = Image.fromarray(noise)
    made = []
    for form, modes in _IMAGES:
        for mode in modes:
            image = (
                colours.convert("L").convert(mode) if mode in ("F", "I;16") else _in(colours, mode)
            )
            side = _SIDES[mode == "L"]
            made.append(_encoded(image.resize((side, side)), form))
    animation: dict[str, Any] = {"save_all": True, "append_images": [colours.resize((64, 64))]}
    small = colours.rotate(90).resize((64, 64))
    made += [_encoded(small, form, **animation) for form in ("GIF", "PNG", "WEBP", "TIFF")]
    profile = icc.matrix_profile(icc.SRGB_PRIMARIES, 1.0)
    for form, mode in (("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGBA")):
        made.append(_encoded(_in(small, mode), form, icc_profile=profile))
    made.append(pylibjxl.JXL(threads=1, pool_size=1).encode(np.array(small), icc=profile))
    made += _refused_by_pillow()
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    made.append(_encoded(colours.resize((64, 64)), "JPEG", exif=exif.tobytes()))
    made.append(_icns(_encoded(colours.resize((128, 128)), "PNG")))
    return made


def _refused_by_pillow() -> list[bytes]:
    """What is decoded in other ways: by FFmpeg, and by what reads BMP here."""
    noise = np.random.default_rng(1).integers(0, 255, (8, 8, 3), np.uint8)
    float_ppm = b"PF\n8 8\n-1.0\n" + (noise.astype("<f4") / 255).tobytes()
    jpeg = bytearray(_encoded(Image.fromarray(noise), "JPEG", subsampling=0))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 1], jpeg[at + 4] = 0xC1, 12
    bmp = bytearray(_encoded(Image.fromarray(noise).convert("L"), "BMP"))
    bmp[28] = 2
    light = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 8 +X 8\n" + noise.tobytes() + bytes(64)
    cards = [b"SIMPLE  = %20s" % b"T", b"BITPIX  = %20d" % 8, b"NAXIS   = %20d" % 2]
    cards += [b"NAXIS1  = %20d" % 8, b"NAXIS2  = %20d" % 8, b"END"]
    fits = b"".join(each.ljust(80) for each in cards).ljust(2880) + noise.tobytes().ljust(2880)
    psd = b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x08\0\0\0\x08\0\x08\0\3" + bytes(14)
    return [float_ppm, bytes(jpeg), bytes(bmp), light, fits, psd + noise.tobytes()]


def _icns(png: bytes) -> bytes:
    """A file with one icon of 128 pixels: Pillow would write all sizes up to 1024, for half a
    second.
    """
    icon = b"ic07" + (8 + len(png)).to_bytes(4, "big") + png
    return b"icns" + (8 + len(icon)).to_bytes(4, "big") + icon


def _in(colours: Image.Image, mode: str) -> Image.Image:
    if mode == "LAB":
        return Image.merge("LAB", colours.split())
    image = colours.convert("RGB" if mode == "RGB" else mode)
    if "A" in mode:
        image.putalpha(128)
    return image


def _encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _clip() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height = 64, 64
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
        for _ in range(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise)))
        container.mux(stream.encode())
    return buffer.getvalue()
