"""What a decoder is allowed, and what it counted."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field, fields
from typing import Final

from hashmatch.model.records import ALL_MISSED, NOT_KNOWN_MS, Coverage, MediaInfo, Reason
from hashmatch.model.verdicts import VerdictReason

__all__ = ["Costs", "Tally"]


@dataclass(slots=True)
class Costs:
    """Where the time of a media went, in seconds: reading it and taking it apart, decoding,
    making luma of frames, hashing.
    """

    demux_s: float = 0.0
    decode_s: float = 0.0
    scale_s: float = 0.0
    hash_s: float = 0.0


# Counts that add up.
_SUMS: Final = (
    "frames_decoded",
    "frames_hashed",
    "frames_flat",
    "frames_plain",
    "frames_failed",
    "frames_lost",
    "streams",
)


@dataclass(slots=True)
class Tally:
    """Counts while decoding, so that nothing that was not seen is forgotten.

    ``longest_unseen_ms``, ``seen_permille`` and ``miss_per_million`` are those of `Coverage`, and
    promise nothing until whoever chose the frames says otherwise at the end of the media.
    """

    format: str = ""
    width: int = 0
    height: int = 0
    duration_header_ms: int = 0
    frames_decoded: int = 0
    frames_hashed: int = 0
    frames_flat: int = 0
    frames_plain: int = (
        0  # Of those, the ones that `is_plain` says show nothing; not counted once one is not flat.
    )
    frames_failed: int = 0
    frames_lost: int = 0  # Went into the decoder, and did not come out.
    largest_gap_ms: int = 0
    streams: int = 0
    sound_alone: bool = False
    longest_unseen_ms: int = NOT_KNOWN_MS
    seen_permille: int = 0
    miss_per_million: int = ALL_MISSED
    first_ms: int | None = None
    end_ms: int = 0
    # Of an image: its sequence is to be looked at as a film, as the decoder of images refuses it.
    refused_sequence: bool = False
    reasons: list[Reason] = field(default_factory=list)
    costs: Costs = field(default_factory=Costs)

    def begin_anew(self) -> None:
        """Forgets all counts but the costs, as the media is decoded again from its start."""
        fresh = Tally(format=self.format, costs=self.costs)
        for each in fields(self):
            setattr(self, each.name, getattr(fresh, each.name))

    def joined(self, other: Tally) -> Tally:
        """The counts of two readings of one file together; the size is that of the first which
        has one.
        """
        both = Tally(
            format="+".join(filter(None, (self.format, other.format))),
            width=self.width or other.width,
            height=self.height or other.height,
            first_ms=min(
                (each.first_ms for each in (self, other) if each.first_ms is not None),
                default=None,
            ),
            refused_sequence=other.refused_sequence,
            costs=Costs(
                *(a + b for a, b in zip(astuple(self.costs), astuple(other.costs), strict=True))
            ),
        )
        for name in _SUMS:
            setattr(both, name, getattr(self, name) + getattr(other, name))
        for name in ("duration_header_ms", "largest_gap_ms", "end_ms"):
            setattr(both, name, max(getattr(self, name), getattr(other, name)))
        looked_at = [each for each in (self, other) if each.format]
        if all(each.longest_unseen_ms != NOT_KNOWN_MS for each in looked_at):
            for each in looked_at:
                both.promised(each.longest_unseen_ms, each.seen_permille, each.miss_per_million)
        for reason in (*self.reasons, *other.reasons):
            both.add_reason(reason.code, reason.detail)
        return both

    def add_reason(self, code: VerdictReason, detail: str) -> None:
        """Adds why coverage is not complete; each reason once."""
        if all(reason.code is not code for reason in self.reasons):
            self.reasons.append(Reason(code, detail))

    def saw_time(self, pts_ms: int, end_ms: int) -> None:
        """A frame is there, decoded or not, that is shown from ``pts_ms`` until ``end_ms``."""
        if self.first_ms is None or pts_ms < self.first_ms:
            self.first_ms = pts_ms
        self.end_ms = max(self.end_ms, end_ms)

    def saw_every_frame(self) -> None:
        """All frames of the media were decoded and looked at, to its end."""
        self.longest_unseen_ms, self.seen_permille, self.miss_per_million = 0, 1000, 0

    def promised(self, longest_unseen_ms: int, seen_permille: int, miss_per_million: int) -> None:
        """What was looked at of a stream, see `Coverage`: the least of all streams counts."""
        first = self.longest_unseen_ms == NOT_KNOWN_MS
        self.longest_unseen_ms = max(0 if first else self.longest_unseen_ms, longest_unseen_ms)
        self.seen_permille = min(1000 if first else self.seen_permille, seen_permille)
        self.miss_per_million = max(0 if first else self.miss_per_million, miss_per_million)

    def coverage(self) -> Coverage:
        """The counts as the record that is kept; complete if no reason speaks against it, and
        without promises if one does.
        """
        counted = Coverage(
            complete=not self.reasons,
            duration_content_ms=max(0, self.end_ms - (self.first_ms or 0)),
            frames_decoded=self.frames_decoded,
            frames_hashed=self.frames_hashed,
            frames_flat=self.frames_flat,
            frames_failed=self.frames_failed,
            largest_gap_ms=self.largest_gap_ms,
            streams=self.streams,
            longest_unseen_ms=self.longest_unseen_ms,
            seen_permille=self.seen_permille,
            miss_per_million=self.miss_per_million,
        )
        return counted.broken_off() if self.reasons else counted

    def media_info(self) -> MediaInfo:
        """What was learnt of the media; its size and hash are the receiver's to say."""
        return MediaInfo(
            format=self.format,
            width=self.width,
            height=self.height,
            duration_header_ms=self.duration_header_ms,
        )
