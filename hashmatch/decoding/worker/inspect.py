"""One media: bytes in, `Signals` and a tally out."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hashmatch.decoding.channel import Done, Job
from hashmatch.decoding.media import faults, image, video
from hashmatch.decoding.media.elsewhere import film_within
from hashmatch.decoding.media.formats import Family, Format, readings
from hashmatch.decoding.media.heif import without_items
from hashmatch.decoding.media.source import PartSource, Source
from hashmatch.decoding.media.tally import Tally
from hashmatch.engine.hashing import pdq, steady
from hashmatch.engine.hashing.fleeting import FleetingFrames
from hashmatch.engine.hashing.frames import FrameBatch, hash_frames
from hashmatch.engine.sampling.densities import MAX_GAP_MS
from hashmatch.engine.sampling.frames import Chosen, FrameChooser, Why
from hashmatch.engine.sampling.insets import Inset, InsetFinder
from hashmatch.engine.sampling.views import ContentFinder
from hashmatch.errors import MediaError
from hashmatch.model.records import Reason
from hashmatch.model.signals import MAX_SIGNALS, Signals
from hashmatch.model.verdicts import Kind, Part, VerdictReason

__all__ = ["Emit", "Observe", "inspect", "summary"]

Emit = Callable[[list[Signals], Tally], None]
Observe = Callable[[Chosen[FrameBatch]], None]

_SHOWN_DETAIL: Final = 200

# Squares are hashed this often: of an entry, which has four frames a second and more, they would be
# most of the index; of an upload whose picture changes all the time, most of the work.
_ENTRY_PATCHES_MS: Final = 700
_UPLOAD_PATCHES_MS: Final = 300

# Parts of each side that are cut off a flat frame of an entry, to find it where an upload's is.
_CUTS: Final = (0.01, 0.02, 0.03)

# And insets are sought in frames of an upload that are so far apart.
_INSETS_MS: Final = 300


def _ignore(chosen: Chosen[FrameBatch]) -> None:
    """Nobody looks on."""


def inspect(source: Source, job: Job, emit: Emit, observe: Observe = _ignore) -> Done:
    """Decodes and hashes a media; ``emit`` gets the signals of each frame as it is
    hashed, and the tally so far (see `summary`).

    ``observe`` sees every frame that is kept. Whatever is wrong with the media ends up among the
    reasons, never as an exception. ``emit`` and ``source`` stop it by raising what is no
    ``Exception``.
    """
    total, outside = Tally(), Tally()
    with _told(outside):
        if not source.read_at(0, 1):
            raise MediaError(VerdictReason.EMPTY, "the file has no bytes")
        first, film_at = "", None
        for media_format in readings(source):
            first = first or media_format.name
            film_at = film_at or media_format.start or None
            total = _inspect_as(source, media_format, job, total, emit, observe)
            if total.refused_sequence:
                # What libavif refuses, other players show.
                film = Format("mov", Family.VIDEO, "mov")
                total = _inspect_as(source, film, job, total, emit, observe)
        if not total.format and not total.reasons:
            raise MediaError(
                VerdictReason.UNSUPPORTED, "no image or video format that is known here"
            )
        within = film_within(source, first, film_at)
        if within is not None:
            total.add_reason(VerdictReason.UNSEEN_MEDIA, f"to other programs it is {within}")
    total = total.joined(outside)
    # Frames of one colour, and bars, show nothing that could be prohibited.
    obscure = total.frames_flat - total.frames_plain
    if not total.reasons and obscure and total.frames_hashed == total.frames_flat:
        total.add_reason(
            VerdictReason.ALL_FRAMES_FLAT,
            f"{obscure} of {total.frames_hashed} frames have too little in them to be told from "
            f"others, the rest show one colour or bars",
        )
    return summary(total)


def _inspect_as(
    source: Source,
    media_format: Format,
    job: Job,
    before: Tally,
    emit: Emit,
    observe: Observe,
) -> Tally:
    """Looks at a file as one of its formats; returns what was counted with ``before``."""
    tally = Tally()

    def emit_joined(signals: list[Signals], so_far: Tally) -> None:
        emit(signals, before.joined(so_far) if before.format or before.reasons else so_far)

    hasher = _Hasher(job, tally, emit_joined, observe)
    with _told(tally):
        for batch in _batches(source, media_format, job, tally):
            if tally.frames_decoded > job.limits.max_frames:
                raise MediaError(
                    VerdictReason.FRAMES_LIMIT, f"more than {job.limits.max_frames} frames"
                )
            hasher.look(batch)
        hasher.finish()
    return before.joined(tally)


@contextlib.contextmanager
def _told(tally: Tally) -> Iterator[None]:
    """Whatever goes wrong within becomes a reason of ``tally``, and ends what is within."""
    try:
        yield
    except MediaError as error:
        tally.add_reason(error.code, error.detail)
    except MemoryError:
        tally.add_reason(VerdictReason.MEMORY_LIMIT, "decoding it takes more memory than allowed")
    except PermissionError:
        # Nothing that decodes opens a file; the kernel has refused it.
        tally.add_reason(VerdictReason.SANDBOX_VIOLATION, "decoding it tried to open a file")
    except Exception as error:
        # Whatever it is, not all of the media was looked at.
        name = type(error).__name__
        if faults.is_of_decoder(error):
            tally.add_reason(VerdictReason.CORRUPT, f"decoding it failed unexpectedly ({name})")
        else:
            # The media may be sound: to call it corrupt would have its sender blamed, or try again
            # and again.
            tally.add_reason(VerdictReason.WORKER_FAULT, f"{name} in {faults.raised_in(error)}")


@dataclass(slots=True)
class _Shown:
    """One stream on one ground, as far as it has come."""

    chooser: FrameChooser[FrameBatch]
    finder: ContentFinder = field(default_factory=ContentFinder)
    insets: InsetFinder = field(default_factory=InsetFinder)
    sought_ms: int | None = None  # When an inset was sought last.
    gain: float = 1.0  # Of the luma of its frames.
    patched_ms: int | None = None  # When its squares were hashed last.
    fleeting: FleetingFrames = field(default_factory=FleetingFrames)
    # The newest frame since whose squares were not: they are, where the next comes late.
    left_out: Chosen[FrameBatch] | None = None


class _Hasher:
    """Hashes what is to be kept of each stream, on each ground."""

    def __init__(self, job: Job, tally: Tally, emit: Emit, observe: Observe) -> None:
        self._job, self._tally = job, tally
        self._emit, self._observe = emit, observe
        self._least_quality = _least_quality(job)
        self._looks = any(not kind.exact for kind in job.kinds)
        self._whole_kinds = frozenset(job.kinds) - {Kind.PDQ_PATCH}
        self._shown: dict[tuple[int, Part], _Shown] = {}
        self._emitted = 0
        # By stream and time: frames that were hashed, those that are flat as far as is known, and
        # grounds that are not.
        self._hashed: set[tuple[int, int]] = set()
        self._flat: set[tuple[int, int]] = set()
        self._rich_on_white: set[tuple[int, int]] = set()
        # Those that are flat and show more than a colour or bars, on some ground.
        self._obscure: set[tuple[int, int]] = set()
        # Readings of flat hashes are of use as long as no frame is rich.
        self._is_rich = False

    def look(self, batch: FrameBatch) -> None:
        """Most frames look like the one before: a sketch says so, the rest of the work is for
        those that do not.
        """
        if not self._looks:
            return
        began = time.perf_counter()
        key = batch.stream, batch.part
        if key not in self._shown:
            self._shown[key] = _Shown(FrameChooser(self._job.density, _sketch))
        shown = self._shown[key]
        chosen = shown.chooser.offer(int(batch.pts_ms[0]), batch, drawn=batch.drawn)
        self._tally.largest_gap_ms = max(self._tally.largest_gap_ms, shown.chooser.largest_gap_ms)
        self._tally.costs.hash_s += time.perf_counter() - began
        self._hash(shown, chosen)

    def finish(self) -> None:
        """The last frame of each."""
        for shown in self._shown.values():
            self._hash(shown, shown.chooser.finish())
            began = time.perf_counter()
            last = self._patches_left_out(shown)
            last += self._of_insets(shown, shown.insets.finish())
            self._tally.costs.hash_s += time.perf_counter() - began
            if last:
                self._emit(list(Signals.concatenate(last)), self._tally)

    def _hash(self, shown: _Shown, chosen: list[Chosen[FrameBatch]]) -> None:
        for each in chosen:
            began = time.perf_counter()
            frame = each.frame
            hashed = self._whole(frame)
            # The views of a frame that was kept beside another are those of that one.
            has_views = each.why is not Why.BESIDE
            if has_views:
                hashed += self._patches(shown, each)
                for box in shown.finder.boxes(frame.luma[0]):
                    within = frame.content(*box)
                    hashed += self._whole(within)
                if self._job.density.every_frame:
                    hashed += self._cut(frame, hashed)
            if hashed or has_views:  # Of a frame beside another, patches alone are none.
                self._count(frame, each.pts_ms, hashed)
            if has_views:
                hashed += self._insets(shown, each)
            self._tally.costs.hash_s += time.perf_counter() - began
            hashed = list(Signals.concatenate(hashed))  # So that each kind is searched once.
            self._emitted += max(map(len, hashed), default=0)
            if self._emitted > MAX_SIGNALS:
                raise MediaError(VerdictReason.SIGNALS_LIMIT, f"more than {MAX_SIGNALS} hashes")
            self._observe(each)
            self._emit(hashed, self._tally)

    def _whole(self, frame: FrameBatch) -> list[Signals]:
        """The hashes of a frame, or of a part, as a whole."""
        turns = self._job.turns
        readings = turns and not self._is_rich
        hashed = hash_frames(frame, self._whole_kinds, turns=turns, readings=readings)
        self._is_rich |= any((each.quality > steady.MOST_QUALITY).any() for each in hashed)
        return hashed

    def _cut(self, frame: FrameBatch, hashed: list[Signals]) -> list[Signals]:
        """What is left of a flat frame of an entry when a little of each side is cut off. Squares
        find rich ones; the hash of one with little in it is another as soon as that moves.
        """
        whole = [each for each in hashed if each.kind is Kind.PDQ][:1]
        if not whole or whole[0].quality[0] >= pdq.MIN_QUALITY or frame.is_plain():
            return []
        height, width = frame.luma.shape[1:]
        cuts = [(round(part * height), round(part * width)) for part in _CUTS]
        parts = [frame.content(down, height - down, aside, width - aside) for down, aside in cuts]
        cut = [hash_frames(each, [Kind.PDQ], turns=False) for each in parts]
        return [signals for each in cut for signals in each]

    def _count(self, frame: FrameBatch, pts_ms: int, hashed: list[Signals]) -> None:
        """A frame counts once, and as flat only if it is so on every ground: a drawing in black
        is nothing before black, and all there is before white.
        """
        whole = [each for each in hashed if each.kind is not Kind.PDQ_PATCH] or hashed
        richest = max((int(each.quality.max()) for each in whole if len(each)), default=0)
        moment = frame.stream, pts_ms
        is_flat = richest < self._least_quality
        if frame.part is Part.FULL:
            self._hashed.add(moment)
            if is_flat and moment not in self._rich_on_white:
                self._flat.add(moment)
        elif not is_flat:
            self._rich_on_white.add(moment)
            self._flat.discard(moment)
        # Where one frame is not flat, nobody asks what the others are.
        if len(self._flat) == len(self._hashed) and is_flat and not frame.is_plain():
            self._obscure.add(moment)
        self._tally.frames_hashed, self._tally.frames_flat = len(self._hashed), len(self._flat)
        self._tally.frames_plain = len(self._flat - self._obscure)

    def _insets(self, shown: _Shown, each: Chosen[FrameBatch]) -> list[Signals]:
        """Those found with this frame. Of uploads alone: lists have the pictures themselves."""
        if not self._job.turns or Kind.PDQ not in self._job.kinds:
            return []
        if shown.sought_ms is not None and abs(each.pts_ms - shown.sought_ms) < _INSETS_MS:
            return []
        shown.sought_ms, shown.gain = each.pts_ms, each.frame.gain
        return self._of_insets(shown, shown.insets.offer(each.pts_ms, each.frame.luma[0]))

    def _of_insets(self, shown: _Shown, insets: list[Inset]) -> list[Signals]:
        hashed = []
        # Those of one rectangle follow each other.
        for _, each in itertools.groupby(insets, lambda inset: inset.luma.shape):
            some = list(each)
            luma = np.concatenate([inset.luma for inset in some])
            times = np.array([inset.pts_ms for inset in some], np.int64)
            batch = FrameBatch(luma, times, Part.INSET, shown.gain)
            hashed += hash_frames(batch, self._whole_kinds, turns=self._job.turns)
        return hashed

    def _patches(self, shown: _Shown, each: Chosen[FrameBatch]) -> list[Signals]:
        """Squares of a frame, unless those before were of just now, and it shows them too."""
        if Kind.PDQ_PATCH not in self._job.kinds:
            return []
        is_entry = self._job.density.every_frame
        gap_ms = _ENTRY_PATCHES_MS if is_entry else _UPLOAD_PATCHES_MS
        since_ms = gap_ms if shown.patched_ms is None else abs(each.pts_ms - shown.patched_ms)
        fleeting = shown.fleeting.offer(each.frame) if is_entry else []
        if since_ms < gap_ms:
            shown.left_out = each
            return fleeting
        late = since_ms > MAX_GAP_MS
        hashed = self._patches_left_out(shown) if late else []
        shown.patched_ms, shown.left_out = each.pts_ms, None
        return hashed + hash_frames(each.frame, (Kind.PDQ_PATCH,), turns=self._job.turns)

    def _patches_left_out(self, shown: _Shown) -> list[Signals]:
        if shown.left_out is None:
            return []
        frame, shown.left_out = shown.left_out.frame, None
        return hash_frames(frame, (Kind.PDQ_PATCH,), turns=self._job.turns)


def _least_quality(job: Job) -> int:
    """What a hash has to have to be compared: other kinds than PDQ are not where a frame is flat,
    and readings of it are of uploads alone.
    """
    if Kind.PDQ not in job.kinds or Kind.PHASH in job.kinds:
        return pdq.MIN_QUALITY
    return min(steady.READING_QUALITIES) if job.turns else steady.STEADY_QUALITY


def _sketch(batch: FrameBatch) -> int:
    digests, _ = pdq.of_reduced(batch.grids(), turns=1)
    return int.from_bytes(digests[0, 0].tobytes())


def summary(tally: Tally) -> Done:
    """A tally as the parent is told it."""
    reasons = tuple(
        Reason(reason.code, _printable(reason.detail)[:_SHOWN_DETAIL]) for reason in tally.reasons
    )
    return Done(tally.media_info(), tally.coverage(), reasons)


def _batches(source: Source, media_format: Format, job: Job, tally: Tally) -> Iterator[FrameBatch]:
    limits = job.limits
    if media_format.start:
        source = PartSource(source, media_format.start)
    if media_format.family is Family.IMAGE:
        return image.frames(source, media_format, limits, tally)
    if media_format.family is Family.NOBODY:
        raise MediaError(
            VerdictReason.UNSUPPORTED, f"nothing here decodes the {media_format.name} format"
        )
    if media_format.name == "mov" and not media_format.streamable:
        source = without_items(source)
    gap_ms = 0 if job.density.every_frame else job.density.max_gap_ms
    return video.frames(
        source,
        media_format,
        limits,
        tally,
        max_gap_ms=gap_ms,
        seed=job.seed,
        found_ms=job.density.found_ms,
    )


def _printable(text: Iterable[str]) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
