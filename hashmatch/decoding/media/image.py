"""Still and animated images, through Pillow."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from typing import Final

from PIL import Image, ImageSequence

from hashmatch.decoding.media import (
    apng,
    avif,
    coded,
    colour,
    decoders,
    embedded,
    faults,
    floats,
    gif,
    pictures,
    raw,
    refusals,
    renderings,
    stills,
)
from hashmatch.decoding.media.completeness import damaged_chunk, missing_bytes
from hashmatch.decoding.media.extents import mp4_boxes
from hashmatch.decoding.media.faults import Damaged
from hashmatch.decoding.media.formats import Family, Format, sniff
from hashmatch.decoding.media.likeness import Seen
from hashmatch.decoding.media.source import Source
from hashmatch.decoding.media.stills import Still
from hashmatch.decoding.media.tally import Tally
from hashmatch.decoding.media.unseen import Unseen
from hashmatch.engine.hashing.frames import FrameBatch
from hashmatch.errors import MediaError
from hashmatch.model.records import DecodeLimits, Reason
from hashmatch.model.verdicts import VerdictReason

__all__ = ["STREAMS_APART", "frames"]

# Between the numbers of the streams of one file, so that they meet no number of a film's.
STREAMS_APART: Final = 1 << 20
# Pictures within a file's own which are looked at: cameras put up to three there.
_MOST_WITHIN: Final = 32
# And between those of the parts of one picture that are cut out.
_CUTS_APART: Final = 1 << 16

# Animations that give a frame next to no time show it this long. Source: what browsers do.
_NEXT_TO_NO_MS: Final = 10
_DEFAULT_FRAME_MS: Final = 100

# What these formats have several of are pages, not moments: every one is looked at.
_PAGED = frozenset({"dcx", "jpeg", "tiff"})
_PAGE_MS: Final = 1000


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
    waiting: list[Source | Still | Unseen] = list(pictures.of_file(source, image_format))
    is_raw = raw.is_raw(source, image_format.name)
    of_file = 0 if is_raw else len(waiting)  # Of a raw they are files of their own.
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
        if isinstance(picture, Still):
            batches = _item(picture, image_format, limits, tally, shown, within)
        elif is_own and image_format.name == "avif":
            batches = _sequence(picture, image_format, limits, tally, shown, within)
        elif is_own:
            batches = _decoded(picture, image_format, limits, tally, shown, within)
        else:
            batches = _within(picture, limits, tally, shown, within)
        for batch in batches:
            if number and seen.has(batch.part, batch.luma[0]):
                continue
            seen.add(batch.part, batch.luma[0])
            yield batch
        number += 1
        waiting += within
    if not number and not tally.reasons and not is_raw:
        tally.add_reason(VerdictReason.CORRUPT, "there is no picture in it")
    tally.saw_every_frame()


def _item(
    still: Still,
    image_format: Format,
    limits: DecodeLimits,
    tally: Tally,
    stream: int,
    within: list[Source | Unseen],
) -> Iterator[FrameBatch]:
    """One of the pictures of a file of items: by the decoder that viewers have for the whole file,
    and where that refuses it, as some are stricter than others, by its parts.
    """
    failed: list[Reason] = []
    if still.as_file is not None:
        tried = Tally()
        yield from _decoded(still.as_file, image_format, limits, tried, stream, within)
        if not tried.reasons:
            _count(tried, tally)
            return
        failed = tried.reasons
    tried = Tally()
    is_first = not tally.streams
    try:
        yield from _of_parts(still, limits, tried, stream, within)
    except MediaError as error:
        tried.add_reason(error.code, error.detail)
    except MemoryError:
        raise
    except Exception as error:
        if not faults.is_of_decoder(error):
            raise
        tried.frames_failed += 1
        detail = str(error) if isinstance(error, Damaged) else type(error).__name__
        tried.add_reason(VerdictReason.CORRUPT, f"a picture of it cannot be decoded ({detail})")
    _count(tried, tally)
    for unseen in still.unseen:
        tally.add_reason(VerdictReason.UNSEEN_MEDIA, unseen)
    for reason in (failed or tried.reasons) if tried.reasons else ():
        if is_first:
            if not tally.reasons:  # What is wrong with its structure is the cause.
                tally.add_reason(reason.code, reason.detail)
        else:
            tally.add_reason(
                VerdictReason.UNSEEN_MEDIA, f"a picture beside the first: {reason.detail}"
            )


def _sequence(
    source: Source,
    image_format: Format,
    limits: DecodeLimits,
    tally: Tally,
    stream: int,
    within: list[Source | Unseen],
) -> Iterator[FrameBatch]:
    """The sequence of an AVIF; if its decoder refuses it, it is left to that of films."""
    reasons, tally.reasons = tally.reasons, []
    yield from _decoded(source, image_format, limits, tally, stream, within)
    has_film = any(kind == b"moov" for kind, _, _ in mp4_boxes(source))
    if has_film and tally.frames_failed and not tally.frames_decoded:
        tally.refused_sequence, tally.frames_failed = True, 0
        tally.reasons = reasons
    else:
        tally.reasons = reasons + tally.reasons


def _count(tried: Tally, tally: Tally) -> None:
    if not tally.streams:
        tally.width, tally.height = tried.width, tried.height
    tally.streams += max(1, tried.streams)
    tally.frames_decoded += tried.frames_decoded
    tally.frames_failed += tried.frames_failed
    tally.costs.decode_s += tried.costs.decode_s
    tally.costs.scale_s += tried.costs.scale_s
    tally.saw_time(0, 0)


def _of_parts(
    still: Still, limits: DecodeLimits, tally: Tally, stream: int, within: list[Source | Unseen]
) -> Iterator[FrameBatch]:
    began = time.perf_counter()
    for number, image in enumerate(still.pictures(limits.max_frame_pixels)):
        tally.costs.decode_s += time.perf_counter() - began
        began = time.perf_counter()
        if number == 0:
            tally.width, tally.height = image.size
            tally.frames_decoded += 1
        profiles = colour.of_codes(*image.info.get(coded.CODES, ()))
        batches = list(renderings.batches(image, profiles, 0, stream + number * _CUTS_APART, tally))
        tally.costs.scale_s += time.perf_counter() - began
        yield from batches
        within += embedded.of_exif(image.info.get(stills.EXIF, b""))
        began = time.perf_counter()


def _within(
    source: Source, limits: DecodeLimits, tally: Tally, stream: int, within: list[Source | Unseen]
) -> Iterator[FrameBatch]:
    """A picture within another; what is wrong with it is told as what was not seen."""
    own = Tally()
    own_format = sniff(source)
    if own_format is None:
        return  # What begins like no picture is shown by nobody.
    if own_format.family is not Family.IMAGE:
        tally.add_reason(VerdictReason.UNSEEN_MEDIA, "a preview of no known format")
        return
    missing = missing_bytes(source, own_format)
    if missing is not None:
        own.add_reason(VerdictReason.TRUNCATED, missing)
    try:
        yield from _decoded(source, own_format, limits, own, stream, within)
    except MediaError as error:
        own.add_reason(error.code, error.detail)
    if not tally.streams:
        tally.width, tally.height, tally.streams = own.width, own.height, own.streams
        tally.saw_time(0, 0)
    tally.frames_decoded += own.frames_decoded
    for reason in own.reasons:
        tally.add_reason(
            VerdictReason.UNSEEN_MEDIA, f"a picture within it cannot be seen: {reason.detail}"
        )


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
    pages = 0
    try:
        with (
            # What a warning says is counted or raised below, but for one.
            warnings.catch_warnings(action="ignore"),
            warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning),
            decoders.opened(source, image_format, limits.max_frame_pixels) as image,
        ):
            if not tally.streams:
                tally.width, tally.height = image.size
            tally.streams += 1
            profiles = colour.profiles(source, image_format)
            pts_ms = 0
            for frame, lasts_ms in _frames(source, image_format, image, limits, tally):
                yield from _shown(frame, profiles, pts_ms, lasts_ms, stream, limits, tally)
                pts_ms += lasts_ms
                pages += 1
            if faults.DAMAGED in image.info and not tally.reasons:
                tally.add_reason(*image.info[faults.DAMAGED])
            within += pictures.within(source, image_format, image)
    except (MediaError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaError(VerdictReason.FRAME_SIZE_LIMIT, _too_large(limits)) from error
    except Exception as error:
        if not faults.is_of_decoder(error):
            raise
        # Pillow raises a dozen types for files it cannot read; each means the same here.
        yield from _refused(source, image_format, limits, tally, stream, within, error, pages)


def _shown(
    frame: Image.Image,
    profiles: list[bytes],
    pts_ms: int,
    lasts_ms: int,
    stream: int,
    limits: DecodeLimits,
    tally: Tally,
) -> Iterator[FrameBatch]:
    """Counts a frame, and yields it as it is shown. Raises `MediaError` if it comes too late."""
    tally.frames_decoded += 1
    tally.saw_time(pts_ms, pts_ms + lasts_ms)
    if pts_ms > limits.max_duration_ms:
        raise MediaError(
            VerdictReason.DURATION_LIMIT, f"lasts longer than {limits.max_duration_ms} ms"
        )
    began = time.perf_counter()
    batches = list(renderings.batches(frame, profiles, pts_ms, stream, tally))
    tally.costs.scale_s += time.perf_counter() - began
    yield from batches


def _refused(
    source: Source,
    image_format: Format,
    limits: DecodeLimits,
    tally: Tally,
    stream: int,
    within: list[Source | Unseen],
    error: Exception,
    first: int,
) -> Iterator[FrameBatch]:
    """The pages from number ``first`` on of an image that Pillow refuses with ``error``, by another
    decoder; or, if there is none that shows them, why it is refused.
    """
    code, detail = refusals.why(source, image_format, error)
    number = first
    # Of a damaged TIFF the other decoder shows what it has without a word.
    may_be_whole = code is VerdictReason.UNSUPPORTED or (
        code is not VerdictReason.TRUNCATED and image_format.name != "tiff"
    )
    if may_be_whole and not tally.reasons:
        try:
            most = limits.max_frame_pixels
            for page in decoders.pages_by_others(source, image_format, most, first):
                if not tally.streams:
                    tally.width, tally.height = page.size
                    tally.streams = 1
                profiles = colour.profiles(source, image_format)
                time_ms = number * _PAGE_MS
                yield from _shown(page, profiles, time_ms, 0, stream, limits, tally)
                number += 1
                if number == first + 1:
                    within += pictures.within(source, image_format, page)
        except Image.DecompressionBombError:
            code, detail = VerdictReason.FRAME_SIZE_LIMIT, _too_large(limits)
        except Exception as another:
            if not faults.is_of_decoder(another):
                raise
        else:
            if number > first:
                return
    tally.frames_failed += 1
    if not tally.reasons:  # Else what is wrong with its structure is the cause.
        tally.add_reason(code, detail)


def _too_large(limits: DecodeLimits) -> str:
    return f"more than the {limits.max_frame_pixels} pixels that are allowed"


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
    for frame in _pages(image):
        if frame.width * frame.height > limits.max_frame_pixels:
            raise Image.DecompressionBombError
        began = time.perf_counter()
        frame.load()
        tally.costs.decode_s += time.perf_counter() - began
        if crop is not None:
            # Programs differ in whether they follow it.
            yield frame.crop(crop), 0
        yield frame, _lasts_ms(frame, _PAGE_MS if image_format.name in _PAGED else 0)
        if image_format.name == "psd":
            break  # What follows are layers: see `psd.pictures`.
    for other in image.info.pop(floats.OTHERS, ()):
        yield other, 0
    another = decoders.in_another_way(source, image_format, limits.max_frame_pixels)
    if another is not None:
        yield another, 0


def _pages(image: Image.Image) -> Iterator[Image.Image]:
    """Each frame; the image itself, where Pillow says that there is not even a first."""
    number = -1
    for number, frame in enumerate(ImageSequence.Iterator(image)):  # noqa: B007
        yield frame
    if number < 0:
        yield image


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
    if not animation.is_sound and not tally.reasons:
        tally.add_reason(
            VerdictReason.CORRUPT, "an animation whose chunks are out of order or missing"
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
