"""Which packets of a video stream are decoded, so that what is looked at costs little.

A decoder can begin at an *entry*: a packet whose frame refers to no other. Where entries lie close
together nothing else is decoded. Where they do not, what lies between is, as far as it takes, and
the decoder leaves out the frames that no other refers to. Where entries lie is the uploader's
choice: it changes what a media costs, never what is seen of it.
"""

from __future__ import annotations

import enum
import heapq
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

__all__ = ["PacketRole", "Doubt", "Due", "Lost", "NoKeyFrame", "PacketChooser"]

Packet = TypeVar("Packet")

# Entries nearer to what was decoded than this part of the gap are not decoded for their own sake:
# of a video of entries alone, most would be decoded for nothing.
_ENTRY_PART: Final = 4

# More packets a second than any screen shows: their times are not to be trusted with what is seen.
_MAX_RATE: Final = 120
_MAX_WAITING_BYTES: Final = 32 << 20
_MAX_UNSEEN: Final = 100_000


class PacketRole(enum.Enum):
    """What may be done with a packet."""

    SKIPPABLE = enum.auto()  # Left out, if a decoder jumps to an entry after it.
    ENTRY = enum.auto()  # Jumped to.
    LEADING = enum.auto()  # Shown before the entry that it follows; no later frame refers to it.
    NEEDED = enum.auto()  # Always decoded.


class Doubt(Exception):
    """The cheap way cannot promise that nothing is missed: decode all. Never leaves floor 2."""


class Lost(Doubt):
    """A frame that should have come out of the decoder did not, or may not."""


class NoKeyFrame(Doubt):
    """No packet of a stream is called a key frame: its first one is where decoders begin."""


class Due(NamedTuple, Generic[Packet]):
    """A packet to decode now, after those that are ``left_out``."""

    packet: Packet
    left_out: Sequence[Packet]


class _Waiting(NamedTuple, Generic[Packet]):
    pts_ms: int
    packet: Packet
    size: int


# Gets packets that could be left out, and the entry after them (None at the end of the stream).
# Returns the number of packets, from the first on, that are decoded all the same.
Ahead = Callable[[Sequence[Packet], Packet | None], int]


class PacketChooser(Generic[Packet]):
    """Chooses the packets of one stream, as they come.

    After each `offer`, and after `end`, call `due` until it has none; tell `shown` of every frame
    that comes out. What is left out is told, so that it can be looked into. What is promised:
    between two frames that come out, one after the other and further than ``max_gap_ms`` apart,
    there is no other; and none is further than that from one that comes out. If the decoder leaves
    out too much, or times do not rise, `Doubt` is raised. Holds packets of ``max_gap_ms`` at most,
    and 32 MiB; the newest one is held until the next comes, so that it is known until when its
    frame is shown.
    """

    def __init__(self, max_gap_ms: int, ahead: Ahead[Packet] | None = None) -> None:
        """``max_gap_ms`` is at least 1. ``ahead`` is asked before packets are left out."""
        self._max_gap_ms = max_gap_ms
        self._ahead = ahead
        self._ended = False
        self._max_waiting = max(1, _MAX_RATE * max_gap_ms // 1000)
        self._waiting: deque[_Waiting[Packet]] = deque()
        self._waiting_bytes = 0
        self._needed = 0  # So many of those that wait are decoded whatever comes.
        self._entry: _Waiting[Packet] | None = None
        self._reached_ms: int | None = None  # Frames up to here have come out or are sure to.
        self._horizon_ms = 0
        self._jumped_ms: int | None = None
        self._shown_ms: int | None = None
        self._recent: deque[int] = deque()  # Times shown: of the newest gap, and one before it.
        self._unseen: list[int] = []  # Times of packets whose frames have not come out; a heap.

    def offer(
        self, pts_ms: int, packet: Packet, size: int, access: PacketRole, *, hidden: bool = False
    ) -> None:
        """Takes the next packet in the order of decoding; ``size`` in bytes.

        ``hidden``: it is decoded, but by the media's own word not shown.
        """
        if not hidden:
            heapq.heappush(self._unseen, pts_ms)
            if self._shown_ms is not None and pts_ms < self._shown_ms:
                self._check_late(pts_ms)
        if len(self._unseen) > _MAX_UNSEEN:
            raise Doubt("nothing comes out")
        if self._jumped_ms is not None and pts_ms < self._jumped_ms:
            if access is not PacketRole.LEADING:
                raise Doubt("shown before an entry, and decoded after it")
            return  # It may refer to what was left out.
        waiting = _Waiting(pts_ms, packet, size)
        self._horizon_ms = max(self._horizon_ms, pts_ms)
        if access is PacketRole.ENTRY and self._is_far(pts_ms):
            self._entry = waiting
            return
        self._waiting.append(waiting)
        self._waiting_bytes += size
        if access is PacketRole.NEEDED:
            self._needed = len(self._waiting)

    def due(self) -> Due[Packet] | None:
        """The next packet to decode, if one must be by now."""
        entry = self._entry
        if entry is not None and (not self._waiting or self._may_jump(entry)):
            left_out = [waiting.packet for waiting in self._waiting]
            self._needed = self._number_ahead(left_out, entry.packet)
        if entry is not None and (not self._waiting or self._may_jump(entry)):
            self._waiting.clear()
            self._waiting_bytes = self._needed = 0
            self._entry = None
            self._reached_ms = max(entry.pts_ms, self._reached_ms or entry.pts_ms)
            if left_out:
                self._jumped_ms = entry.pts_ms
            return Due(entry.packet, left_out)
        if not self._waiting or not (entry is not None or self._must_go_on()):
            return None
        if entry is None and len(self._waiting) == 1 and not self._ended:
            return None
        waiting = self._waiting.popleft()
        self._waiting_bytes -= waiting.size
        self._needed = max(0, self._needed - 1)
        return Due(waiting.packet, ())

    def shown(self, pts_ms: int) -> None:
        """A frame came out. Raises `Doubt` if one before it should have."""
        if self._shown_ms is not None and pts_ms < self._shown_ms:
            raise Doubt("times jump back")
        before = self._shown_ms
        while self._unseen and self._unseen[0] <= pts_ms:
            unseen_ms = heapq.heappop(self._unseen)
            if unseen_ms == pts_ms:
                continue
            since_ms = unseen_ms if before is None else before
            if (before is None or unseen_ms > before) and pts_ms - since_ms > self._max_gap_ms:
                raise Lost("a frame did not come out")
        self._shown_ms = pts_ms
        self._recent.append(pts_ms)
        while len(self._recent) > 1 and self._recent[1] <= pts_ms - self._max_gap_ms:
            self._recent.popleft()
        self._reached_ms = max(pts_ms, self._reached_ms or pts_ms)

    def end(self, end_ms: int) -> None:
        """No more packets come; the last frame is shown until ``end_ms``."""
        self._horizon_ms = max(self._horizon_ms, end_ms)
        self._ended = True
        if self._entry is None:
            waiting = [each.packet for each in self._waiting]
            self._needed = max(self._needed, self._number_ahead(waiting, None))

    def check(self) -> None:
        """Once the decoder is empty. Raises `Doubt` if the end was not seen."""
        shown_ms = self._shown_ms
        if self._unseen and (
            shown_ms is None
            or (max(self._unseen) > shown_ms and self._horizon_ms - shown_ms > self._max_gap_ms)
        ):
            raise Lost("the last frames did not come out")

    def _number_ahead(self, waiting: Sequence[Packet], entry: Packet | None) -> int:
        return 0 if self._ahead is None or not waiting else self._ahead(waiting, entry)

    def _check_late(self, pts_ms: int) -> None:
        """A frame that is shown before one that came out already: it may never come out."""
        after = next(shown_ms for shown_ms in self._recent if shown_ms >= pts_ms)
        before = max((shown_ms for shown_ms in self._recent if shown_ms <= pts_ms), default=pts_ms)
        if after - before > self._max_gap_ms or self._recent[-1] - pts_ms > self._max_gap_ms:
            raise Lost("times jump back before a frame has come out")

    def _is_far(self, pts_ms: int) -> bool:
        reached = self._reached_ms
        return reached is None or (pts_ms - reached) * _ENTRY_PART >= self._max_gap_ms

    def _may_jump(self, entry: _Waiting[Packet]) -> bool:
        return (
            not self._needed
            and self._reached_ms is not None
            and entry.pts_ms - self._reached_ms <= self._max_gap_ms
            and len(self._waiting) <= self._max_waiting
        )

    def _must_go_on(self) -> bool:
        return (
            self._needed > 0
            or self._reached_ms is None
            or self._horizon_ms - self._reached_ms > self._max_gap_ms
            or len(self._waiting) > self._max_waiting
            or self._waiting_bytes > _MAX_WAITING_BYTES
        )
