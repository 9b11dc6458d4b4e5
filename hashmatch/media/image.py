"""Still and animated images, through Pillow."""

from __future__ import annotations

import functools
import io
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageSequence

from hashmatch.errors import MediaError
from hashmatch.hashing.frames import FrameBatch
from hashmatch.media import apng, avif, colour, embedded, faults, gif, luma
from hashmatch.media.completeness import damaged_chunk, missing_bytes
from hashmatch.media.embedded import Unseen
from hashmatch.media.faults import Damaged
from hashmatch.media.formats import Family, Format, sniff
from hashmatch.media.likeness import Seen, cells
from hashmatch.media.source import SeekableReader, Source
from hashmatch.media.tally import Tally
from hashmatch.model.records import DecodeLimits
from hashmatch.model.verdicts import Part, VerdictReason

__all__ = ["STREAMS_APART", "frames"]

# Between the numbers of the streams of one file, so that they meet no number of a film's.
STREAMS_APART: Final = 1 << 20
# Pictures within a file's own which are looked at: cameras put up to three there.
_MOST_WITHIN: Final = 32
# And between those of one picture in other colours.
RENDERINGS_APART: Final = 1 << 10

# PDQ's reference makes larger images this small first, so lists made with it match.
# Source: ThreatExchange, pdq/cpp/hashing (downsampling to 512 x 512 before hashing).
_PDQ_SIZE: Final = (512, 512)

# Animations that give a frame next to no time show it this long. Source: what browsers do.
_NEXT_TO_NO_MS: Final = 10
_DEFAULT_FRAME_MS: Final = 100

# What these formats have several of are pages, not moments: every one is looked at.
_PAGED = frozenset({"jpeg", "tiff"})
_PAGE_MS: Final = 1000

# What turns a picture upright, by its EXIF orientation. Source: EXIF 2.32, tag 0x0112.
_ORIENTATION_TAG: Final = 0x0112
# Source: TIFF 6.0, section 8.
_BITS_TAG: Final = 258
_PHOTOMETRIC_TAG: Final = 262
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Levels of 255 between the dark and the bright of a picture: below the first there is nothing but
# noise, beyond the second nothing is too flat.
_NO_CONTRAST: Final = 8
_FULL_CONTRAST: Final = 160

_TRANSPARENT_MODES = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})


def frames(
    source: Source, image_format: Format, limits: DecodeLimits, tally: Tally, *, stream: int = 0
) -> Iterator[FrameBatch]:
    """Yields all frames of an image, one batch for each frame and ground, and fills ``tally``.

    The pictures beside the first one have streams of their own, `STREAMS_APART` from each other.
    Raises `MediaError` if the image cannot be decoded to its end.
    """
    tally.format = image_format.name
    _check_structure(source, image_format, tally)
    seen = Seen()
    number = 0
    waiting = list(_pictures(source, image_format))
    of_file = len(waiting)
    while waiting:
        picture = waiting.pop(0)
        if isinstance(picture, Unseen):
            tally.add_reason(VerdictReason.UNSEEN_MEDIA, str(picture))
            continue
        if number == of_file + _MOST_WITHIN:
            tally.add_reason(
                VerdictReason.UNSEEN_MEDIA, f"all but {_MOST_WITHIN} of the pictures within it"
            )
            break
        within: list[Source | Unseen] = []
        shown = stream + number * STREAMS_APART
        is_own = number < of_file
        batches = (
            _decoded(picture, image_format, limits, tally, shown, within)
            if is_own
            else _within(picture, limits, tally, shown, within)
        )
        for batch in batches:
            if number and seen.has(batch.part, batch.luma[0]):
                continue
            seen.add(batch.part, batch.luma[0])
            yield batch
        number += 1
        waiting += within
    tally.saw_every_frame()


def _within(
    source: Source, limits: DecodeLimits, tally: Tally, stream: int, within: list[Source | Unseen]
) -> Iterator[FrameBatch]:
    """A picture within another; what is wrong with it is told as what was not seen."""
    own = Tally()
    own_format = sniff(source)
    if own_format is None or own_format.family is not Family.IMAGE:
        tally.add_reason(VerdictReason.UNSEEN_MEDIA, "a preview of no known format")
        return
    missing = missing_bytes(source, own_format)
    if missing is not None:
        own.add_reason(VerdictReason.TRUNCATED, missing)
    try:
        yield from _decoded(source, own_format, limits, own, stream, within)
    except MediaError as error:
        own.add_reason(error.code, error.detail)
    tally.frames_decoded += own.frames_decoded
    for reason in own.reasons:
        tally.add_reason(
            VerdictReason.UNSEEN_MEDIA, f"a picture within it cannot be seen: {reason.detail}"
        )


def _pictures(source: Source, image_format: Format) -> Iterator[Source | Unseen]:
    """The file, as it would be if each of its pictures was the first."""
    if image_format.name == "avif":
        yield from avif.pictures(source)
    else:
        yield source


def _pictures_within(
    source: Source, image_format: Format, image: Image.Image
) -> Iterator[Source | Unseen]:
    """Previews and what comes behind, of an image that is open."""
    if image_format.name == "tiff":
        yield from embedded.of_tiff(source)
    else:
        exif = image.info.get("exif")
        yield from embedded.of_exif(exif if isinstance(exif, bytes) else b"")
    yield from embedded.of_photoshop(image.info.get("photoshop"))
    yield from embedded.behind(source, image_format)


def _decoded(
    source: Source,
    image_format: Format,
    limits: DecodeLimits,
    tally: Tally,
    stream: int,
    within: list[Source | Unseen],
) -> Iterator[FrameBatch]:
    """Yields the frames of one picture of a file, and adds to ``within`` what more it has."""
    # Pillow makes room for a frame when it opens the file or seeks, before it is loaded.
    Image.MAX_IMAGE_PIXELS = limits.max_frame_pixels
    try:
        with (
            # What a warning says is counted or raised below, but for one.
            warnings.catch_warnings(action="ignore"),
            warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning),
            Image.open(
                io.BufferedReader(SeekableReader(source)), formats=[image_format.decoder_name]
            ) as image,
        ):
            if not tally.streams:
                tally.width, tally.height = image.size
            tally.streams += 1
            pts_ms = 0
            profiles = colour.profiles(source, image_format)
            for frame, lasts_ms in _frames(source, image_format, image, limits, tally):
                tally.frames_decoded += 1
                tally.saw_time(pts_ms, lasts_ms)
                if pts_ms > limits.max_duration_ms:
                    raise MediaError(
                        VerdictReason.DURATION_LIMIT,
                        f"lasts longer than {limits.max_duration_ms} ms",
                    )
                began = time.perf_counter()
                batches = list(_batches(frame, profiles, pts_ms, stream, tally))
                tally.costs.scale_s += time.perf_counter() - began
                yield from batches
                pts_ms += lasts_ms
            within += _pictures_within(source, image_format, image)
    except (MediaError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaError(
            VerdictReason.FRAME_SIZE_LIMIT,
            f"more than the {limits.max_frame_pixels} pixels that are allowed",
        ) from error
    except Exception as error:
        if not faults.is_of_decoder(error):
            raise
        # Pillow raises a dozen types for files it cannot read; each means the same here.
        tally.frames_failed += 1
        if tally.reasons:
            return  # What is wrong with its structure is the cause.
        if "truncated" in str(error):
            tally.add_reason(VerdictReason.TRUNCATED, "the image ends before its last row")
        else:
            tally.add_reason(
                VerdictReason.CORRUPT,
                f"the {image_format.name} decoder failed ({type(error).__name__})",
            )


def _frames(
    source: Source, image_format: Format, image: Image.Image, limits: DecodeLimits, tally: Tally
) -> Iterator[tuple[Image.Image, int]]:
    """Yields each frame or page of an image that is open, decoded, and how long it is shown."""
    composed = _composed(source, image_format, limits, tally)
    if composed is not None:
        began = time.perf_counter()
        for frame, shown_ms in composed:
            tally.costs.decode_s += time.perf_counter() - began
            is_grey = image.mode in ("1", "L", "LA", "I;16")  # A profile is of grey then.
            is_opaque = frame.getchannel("A").getextrema() == (255, 255)
            if is_grey and image_format.name == "png":
                shown = frame.convert("L" if is_opaque else "LA")
            else:
                shown = frame.convert("RGB") if is_opaque else frame
            shown.info = {k: v for k, v in image.info.items() if k != "transparency"}
            yield shown, shown_ms
            began = time.perf_counter()
        return
    crop = avif.clean_aperture(source, image.size) if image_format.name == "avif" else None
    for frame in ImageSequence.Iterator(image):
        if frame.width * frame.height > limits.max_frame_pixels:
            raise Image.DecompressionBombError
        began = time.perf_counter()
        frame.load()
        tally.costs.decode_s += time.perf_counter() - began
        if crop is not None:
            # Programs differ in whether they follow it.
            yield frame.crop(crop), 0
        yield frame, _lasts_ms(frame, _PAGE_MS if image_format.name in _PAGED else 0)


def _composed(
    source: Source, image_format: Format, limits: DecodeLimits, tally: Tally
) -> Iterator[tuple[Image.Image, int]] | None:
    """The frames of those animations that Pillow composes in ways of its own."""
    if image_format.name == "gif":
        drawn = gif.pictures(source, limits.max_frame_pixels)
        return ((each, 0 if lasts_ms is None else _at_least(lasts_ms)) for each, lasts_ms in drawn)
    animation = apng.read(source) if image_format.name == "png" else None
    if animation is None:
        return None
    if animation.stated > len(animation.frames):
        tally.add_reason(
            VerdictReason.TRUNCATED,
            f"{len(animation.frames)} of the {animation.stated} frames that its header lists",
        )
    frames = animation.pictures(source, limits.max_frame_pixels)
    return ((each, _at_least(shown_ms)) for each, shown_ms in frames)


def _at_least(shown_ms: int) -> int:
    return shown_ms if shown_ms > _NEXT_TO_NO_MS else _DEFAULT_FRAME_MS


def _check_structure(source: Source, image_format: Format, tally: Tally) -> None:
    missing = missing_bytes(source, image_format)
    if missing is not None:
        tally.add_reason(VerdictReason.TRUNCATED, missing)
        return
    damaged = damaged_chunk(source, image_format)
    if damaged is not None:
        tally.add_reason(VerdictReason.CORRUPT, damaged)


def _lasts_ms(frame: Image.Image, page_ms: int) -> int:
    """How long a frame is shown, or a page looked at; 0 for the only one."""
    if not getattr(frame, "is_animated", False):
        return 0
    return page_ms or _at_least(int(frame.info.get("duration") or 0))


def _orientation(image: Image.Image) -> int:
    """As EXIF says; upright where it says nothing or is damaged, as browsers take it."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # Pillow raises a dozen types here too.
        return 1


def _batches(
    image: Image.Image, profiles: list[bytes], pts_ms: int, stream: int, tally: Tally
) -> Iterator[FrameBatch]:
    """An image of any mode as luma, turned as its EXIF orientation says; each way in which its
    colours are shown on a stream of its own.
    """
    turn = _UPRIGHT.get(_orientation(image))
    if turn is not None:
        # Pillow's own copy keeps what the image says of its colours.
        image = image.transpose(turn)
    times = np.array([pts_ms], np.int64)
    has_alpha = image.mode in _TRANSPARENT_MODES or "transparency" in image.info
    colours = _to_rgba(image) if has_alpha else _to_rgb(image)
    shown, doubtful = colour.renderings(image, colours, profiles)
    if doubtful:
        tally.add_reason(VerdictReason.UNSEEN_MEDIA, "a colour profile that cannot be followed")
    seen = Seen()
    for number, each in enumerate(shown):
        for batch in _on_grounds(each, times, stream + number * RENDERINGS_APART):
            if number and seen.has(batch.part, batch.luma[0]):
                continue
            if len(shown) > 1:
                seen.add(batch.part, batch.luma[0])
            yield batch if each is colours else _stretched(batch)


def _stretched(batch: FrameBatch) -> FrameBatch:
    """With a gain that makes up for the contrast that a profile took: what is dim on a screen is
    still seen there, and would be too flat to be found.
    """
    darkest, brightest = np.percentile(cells(batch.luma[0]), (1, 99))
    contrast = float(brightest - darkest)
    if not _NO_CONTRAST < contrast < _FULL_CONTRAST:
        return batch
    return replace(batch, gain=_FULL_CONTRAST / contrast)


def _on_grounds(
    picture: Image.Image, times: npt.NDArray[np.int64], stream: int
) -> Iterator[FrameBatch]:
    if picture.mode != "RGBA":
        yield _batch(picture, times, Part.FULL, stream)
        return
    for part, rgb in luma.from_rgba(np.asarray(picture)).items():
        yield _batch(Image.fromarray(rgb), times, part, stream)


def _batch(rgb: Image.Image, times: npt.NDArray[np.int64], part: Part, stream: int) -> FrameBatch:
    full = np.asarray(rgb.convert("L"))[None]
    colours = functools.partial(_colours, rgb)
    if rgb.width > _PDQ_SIZE[0] or rgb.height > _PDQ_SIZE[1]:
        rgb = rgb.copy()
        rgb.thumbnail(_PDQ_SIZE)
    shown = luma.from_rgb(np.asarray(rgb))[None]
    return FrameBatch(shown, times, part, full_luma=full, stream=stream, colours=colours)


def _colours(rgb: Image.Image) -> list[npt.NDArray[np.uint8]]:
    return [np.asarray(each) for each in rgb.convert("RGB").split()]


def _to_rgba(image: Image.Image) -> Image.Image:
    if not _is_deep_grey(image):
        return image.convert("RGBA")
    rgba = _from_deep_grey(image).convert("RGBA")
    opaque = np.asarray(image) != image.info["transparency"]  # One level is transparent.
    rgba.putalpha(Image.fromarray(opaque.astype(np.uint8) * np.uint8(255)))
    return rgba


def _is_deep_grey(image: Image.Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode without transparency to 8-bit RGB, the same whatever Pillow's defaults are."""
    if _is_deep_grey(image):
        return _from_deep_grey(image)
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        if converted is None:
            raise Damaged("no conversion from LAB")
        return converted
    return image.convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, or floating point: Pillow's own conversion would clip it at 255.

    The full scale is taken to be the smallest of 1 (floating point only), 255 and 65,535 that
    holds every value. Of a TIFF whose zero is white, which Pillow leaves as it is, the negative.
    """
    values = np.nan_to_num(np.asarray(image, np.float32))
    brightest = float(values.max(initial=0))
    tags = getattr(image, "tag_v2", {})
    if image.mode.startswith("I;16") and tags.get(_BITS_TAG) == (12,):
        scale = 255 / 4095
    elif image.mode == "F" and brightest <= 1:
        scale = 255.0
    elif image.mode.startswith("I;16") or brightest > 255:
        scale = 255 / 65535
    else:
        scale = 1.0
    grey = np.clip(np.rint(values * np.float32(scale)), 0, 255).astype(np.uint8)
    if tags.get(_PHOTOMETRIC_TAG) == 0:
        grey = 255 - grey
    return Image.fromarray(grey).convert("RGB")
