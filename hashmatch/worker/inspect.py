"""One media: bytes in, `Signals` and a tally out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.channel import Done, Job
from hashmatch.errors import MediaError
from hashmatch.hashing import pdq
from hashmatch.hashing.frames import FrameBatch, hash_frames
from hashmatch.media import image, video
from hashmatch.media.formats import Family, sniff
from hashmatch.media.source import Source
from hashmatch.media.tally import DecodeLimits, Tally
from hashmatch.model.records import Reason
from hashmatch.model.signals import MAX_SIGNALS, Signals
from hashmatch.model.verdicts import Part, VerdictReason
from hashmatch.sampling import Thinner

__all__ = ["inspect", "summary"]

_SHOWN_DETAIL: Final = 200


def inspect(source: Source, job: Job, emit: Callable[[list[Signals], Tally], None]) -> Done:
    """Decodes and hashes a media; ``emit`` gets the signals of each frame as it is
    hashed, and the tally so far (see `summary`).

    Whatever is wrong with the media ends up among the reasons, never as an exception. ``emit`` and
    ``source`` stop it by raising what is no ``Exception``.
    """
    tally = Tally()
    thinner = Thinner(job.min_change_bits, job.max_gap_ms)
    looks = any(not kind.exact for kind in job.kinds)
    emitted = 0
    try:
        for batch in _batches(source, job, tally):
            # Most frames look like the one before: one plain hash says so, the rest of the work is
            # for those that do not.
            if not looks or not thinner.keep(int(batch.pts_ms[0]), _glance(batch, tally)):
                continue
            hashed = hash_frames(batch, job.kinds, turns=job.turns)
            emitted += max(len(each) for each in hashed)
            if emitted > MAX_SIGNALS:
                raise MediaError(VerdictReason.SIGNALS_LIMIT, f"more than {MAX_SIGNALS} hashes")
            emit(hashed, tally)
    except MediaError as error:
        tally.add_reason(error.code, error.detail)
    except Exception as error:
        # FFmpeg, PyAV and Pillow raise much that they do not promise, for files that are crafted
        # or only unusual. Whatever it is, not all of the media was looked at.
        tally.add_reason(
            VerdictReason.CORRUPT, f"decoding it failed unexpectedly ({type(error).__name__})"
        )
    if not tally.reasons and 0 < tally.frames_hashed == tally.frames_flat:
        tally.add_reason(
            VerdictReason.ALL_FRAMES_FLAT,
            f"all {tally.frames_hashed} frames have a quality below {pdq.MIN_QUALITY} of 100",
        )
    return summary(tally)


def summary(tally: Tally) -> Done:
    """A tally as the parent is told it."""
    reasons = tuple(
        Reason(reason.code, _printable(reason.detail)[:_SHOWN_DETAIL]) for reason in tally.reasons
    )
    return Done(tally.media_info(), tally.coverage(), reasons)


def _batches(source: Source, job: Job, tally: Tally) -> Iterator[FrameBatch]:
    if not source.read_at(0, 1):
        raise MediaError(VerdictReason.EMPTY, "the file has no bytes")
    media_format = sniff(source)
    if media_format is None:
        raise MediaError(VerdictReason.UNSUPPORTED, "no image or video format that is known here")
    limits = DecodeLimits(job.max_duration_ms, job.max_frame_pixels)
    gap_ms = 1 if job.min_change_bits else job.max_gap_ms  # What is alike is thinned out later.
    if media_format.family is Family.IMAGE:
        return image.frames(source, media_format, limits, gap_ms, tally)
    return video.frames(source, media_format, limits, gap_ms, tally)


def _glance(batch: FrameBatch, tally: Tally) -> npt.NDArray[np.uint8]:
    """The plain hash of a frame, which is counted: uint8 ``[32]``."""
    digests, quality = pdq.digest(batch.luma, gain=batch.gain)
    if batch.part is Part.FULL:
        tally.frames_hashed += 1
        tally.frames_flat += int(quality[0] < pdq.MIN_QUALITY)
    plain: npt.NDArray[np.uint8] = digests[0]
    return plain


def _printable(text: Iterable[str]) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
