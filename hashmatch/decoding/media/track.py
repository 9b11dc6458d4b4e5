"""One video stream on its way through its decoder: packets in, the frames to look at out."""

from __future__ import annotations

import itertools
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import av
import av.container
import av.error
import av.video.stream

from hashmatch.decoding.media import luma
from hashmatch.decoding.media.access import Classifier
from hashmatch.decoding.media.announced import Announced, VideoTrack
from hashmatch.decoding.media.codecs import DECODERS
from hashmatch.decoding.media.layers import Layers
from hashmatch.decoding.media.lead_in import LEAD_IN, LeadIn
from hashmatch.decoding.media.side_data import beside
from hashmatch.decoding.media.tally import Tally
from hashmatch.engine.hashing.frames import FrameBatch
from hashmatch.engine.sampling.looks import Looks, Plan, Stretch
from hashmatch.engine.sampling.packets import Doubt, Due, NoKeyFrame, PacketChooser, PacketRole
from hashmatch.errors import MediaError
from hashmatch.model.records import DecodeLimits
from hashmatch.model.verdicts import VerdictReason

__all__ = ["Track"]

# Containers that have no presentation times; what FFmpeg makes of those of their frames is a guess.
_TIMELESS = frozenset({"avi"})

# Formats that end anywhere: of a recording that was broken off, the last frame is not whole.
_ENDLESS = frozenset({
    "av1", "dv", "h264", "hevc", "ivf", "m4v", "mpeg", "mpegts", "mpegvideo", "mxf", "obu", "vc1",
    "vvc", "yuv4mpegpipe",
})  # fmt: skip
# Formats whose packets have numbers: one that is missing marks the frame as damaged, whether it is
# or not. Where files were put together, none is.
_NUMBERED = frozenset({"mpegts", "mpeg"})

_MS_A_SECOND: Final = 1000

# Of frames that follow each other faster than this part of the gap, some are not looked at: it is
# scenes that are sought. Shorter ones are found at secret instants.
_LOOK_PART: Final = 5

# What a container may put beside a packet that changes how all that follow are decoded.
_RECONFIGURES: Final = ("new_extradata", "param_change")

# Decoders that are told once, when they are opened, which frames to leave out.
_TOLD_ONCE: Final = frozenset({"libdav1d"})


class Track:
    """A stream that is decoded as `engine.sampling.packets` chooses, or as a whole.

    ``max_gap_ms`` 0: as a whole, every frame. Else `Doubt` is raised where that might show more.
    """

    def __init__(
        self,
        stream: av.video.stream.VideoStream,
        container: av.container.InputContainer,
        limits: DecodeLimits,
        tally: Tally,
        plan: Plan,
        announced: Announced,
    ) -> None:
        """``announced``: what the file's structure says. Raises `MediaError` if its frames are too
        large, or nothing decodes them; `Doubt` if its times cannot be trusted.
        """
        context = stream.codec_context
        if context is None:
            raise MediaError(VerdictReason.UNSUPPORTED, "no decoder for one of its video streams")
        if context.name not in DECODERS:
            raise MediaError(VerdictReason.UNSUPPORTED, f"{context.name} is not decoded here")
        if context.width * context.height > limits.max_frame_pixels:
            raise MediaError(
                VerdictReason.FRAME_SIZE_LIMIT,
                f"{context.width} x {context.height} pixels, "
                f"{limits.max_frame_pixels} pixels are allowed",
            )
        self._look_ms = plan.max_gap_ms // _LOOK_PART
        self._looked_ms: int | None = None
        self._passed: tuple[av.VideoFrame, int] | None = None  # The newest, if not looked at.
        self._only_dts = container.format.name in _TIMELESS
        self._chooser: PacketChooser[av.Packet[Any]] | None = None
        self._classifier = Classifier(stream)
        self._lead_in: LeadIn | None = None
        if plan.needs_key and LeadIn.is_for(context.name):
            self._lead_in = LeadIn(stream, limits.max_frame_pixels)
        if plan.max_gap_ms:
            if self._only_dts:
                raise Doubt("no presentation times")
            self._chooser = PacketChooser(plan.max_gap_ms, self._number_ahead)
            # What no frame refers to is left out by the decoder itself, but for what is wanted.
            self._leaves_out = context.name not in _TOLD_ONCE
            self._skips = self._leaves_out
            context.skip_frame = "NONREF" if self._leaves_out else "DEFAULT"
        # "explode" turns damage that the decoder would paint over into an error that is counted.
        context.options = {"max_pixels": str(limits.max_frame_pixels), "err_detect": "explode"}
        # FFmpeg's own threads log, which PyAV hands to Python: both may wait for ever.
        context.thread_count = 1
        rate = stream.average_rate or stream.base_rate
        self._stream, self._context, self._announced = stream, context, announced
        self._crops = announced.crops
        self._layers = Layers(stream, tally)
        self._decoder = self._layers.decoder or stream
        if self._layers.decoder is not None and plan.max_gap_ms:
            raise Doubt("alpha planes have key frames of their own")
        self._limits, self._tally = limits, tally
        self._start_ms = (container.start_time or 0) / 1000
        self._frame_ms = float(_MS_A_SECOND / rate) if rate else 0.0
        # Of frames that are drained PyAV says another time base, but their stamps are the stream's.
        self._tick_ms = float((stream.time_base or 0) * _MS_A_SECOND)
        # The newest duration in ticks, and what `_lasts_ms` says of it.
        self._lasts: tuple[int | None, int] = 0, round(min(self._frame_ms, limits.max_duration_ms))
        self._packets = self._hidden = self._frames = self._failed = self._last_ms = 0
        self._forgiven = 0
        self.in_lead_in = False  # The newest packet is before all that a decoder can begin at.
        self._first_damage: int | None = None  # Packets by then.
        self._damage = ""
        self._ends_anywhere = container.format.name in _ENDLESS
        self._is_numbered = container.format.name in _NUMBERED
        # When the last frame goes: players show it for as long as there is sound.
        self._end_ms = round((container.duration or 0) / 1000)
        self._jumped_to: int | None = None  # Stamp of the entry, until its frame comes out.
        self._sync_size = 0  # Bytes of the newest packet that the decoder began at.
        self._looks = Looks(plan, stream.index, self._header_ms(container))
        # Where frames that are shown lie in the file, if it can leave out some.
        self._places = array("q") if "mov" in container.format.name else None

    def feed(self, packet: av.Packet[Any]) -> Iterable[FrameBatch]:
        """Takes the next packet; gives frames that come out by now."""
        if not packet.size:
            return ()
        self._packets += 1
        for kind, content in beside(packet):
            self._layers.check_beside(kind, content)
            if kind in _RECONFIGURES and self._chooser is not None:
                raise Doubt("another configuration of the decoder")
        self._layers.check(packet)
        if packet.is_corrupt and not self._is_numbered:
            self._fail()
        hidden = bool(packet.is_discard)
        self._hidden += hidden
        if self._places is not None and not hidden and packet.pos is not None:
            self._places.append(packet.pos)
        access = self._classifier.access(packet)
        if self._lead_in is None:
            return self._feed(packet, access, hidden=hidden)
        self.in_lead_in = self._lead_in.takes(packet, access)
        lenient = self._leniently(self._lead_in.frames())
        if self.in_lead_in:
            return lenient
        if self._lead_in.is_over:
            self._forgiven += self._lead_in.packets
            self._lead_in = None
        return itertools.chain(lenient, self._feed(packet, access, hidden=hidden))

    def _feed(
        self, packet: av.Packet[Any], access: PacketRole, *, hidden: bool
    ) -> Iterable[FrameBatch]:
        if self._chooser is None:
            return self._decode(packet)
        if packet.pts is None or not self._tick_ms:
            raise Doubt("a packet without a time")
        exact_ms = self._exact_ms(packet.pts)
        pts_ms = round(exact_ms)
        end_ms = pts_ms + self._lasts_ms(packet.duration)
        if hidden:
            access = PacketRole.NEEDED
        else:
            self._check_duration(pts_ms)
            self._tally.saw_time(pts_ms, end_ms)
            self._looks.shown(exact_ms)
        self._end_ms = max(self._end_ms, end_ms)
        self._chooser.offer(pts_ms, packet, packet.size, access, hidden=hidden)
        due = self._chooser.due()
        return () if due is None else self._decode_due(due)

    def finish(self) -> Iterator[FrameBatch]:
        """Yields what is left when no more packets come. Raises `NoKeyFrame` if no packet was one
        that a decoder can begin at.
        """
        if self._lead_in is not None:
            if self._packets and not self._lead_in.has_begun:
                raise NoKeyFrame("no key frame")
            yield from self._leniently(self._lead_in.finish())
        if self._chooser is None:
            yield from self._decode(None)
            self._tell_damage()
            self._count_lost()
        else:
            self._looks.end(self._end_ms)
            self._chooser.end(self._end_ms)
            yield from self._decode_due(self._chooser.due())
            yield from self._drain()
            self._chooser.check()
            self._tally.promised(*self._looks.promise())
        if not self._frames and not self._tally.frames_failed and not self.lists_nothing:
            self._tally.add_reason(VerdictReason.NO_FRAMES, "a video stream without a frame")
        expected = _listed_packets(self._stream)
        if self._packets < expected:
            expected -= self._announced.repeats(self._stream.index)
        if self._packets < expected:
            self._tally.add_reason(
                VerdictReason.TRUNCATED,
                f"{self._packets} of the {expected} frames that its header lists",
            )

    @property
    def lists_nothing(self) -> bool:
        """True if the header lists the track without a frame, and none came."""
        return not self._packets and any(
            track.number == self._stream.id and track.samples == 0
            for track in self._announced.tracks
        )

    def lasts_until(self, end_ms: float) -> None:
        """Something that is played with it ends then: the last frame is shown as long."""
        self._end_ms = max(self._end_ms, round(min(end_ms, self._limits.max_duration_ms)))

    def tell(self, announced: VideoTrack) -> None:
        """Writes down how many frames the demuxer gave to be shown."""
        # The most of all: an image beside a film can have the number of its track.
        announced.shown = max(announced.shown or 0, self._packets - self._hidden)
        announced.frame_ms = self._frame_ms
        announced.places.update(self._places or ())

    def passes_over(self, name: str) -> bool:
        """True if FFmpeg's log names the decoder or the parser of this stream so, and nothing that
        they find fault with matters by now.
        """
        return self.in_lead_in and self.is_decoder(name)

    def is_decoder(self, name: str) -> bool:
        """True if FFmpeg's log names the decoder or the parser of this stream so."""
        return name in (self._context.name, self._context.codec.canonical_name)

    def damaged(self, detail: str, by: str = "") -> None:
        """The newest packet is damaged, or what was read since the one before it; ``by``: as
        FFmpeg's log names what reports it, if it is not the decoder of the stream.
        """
        of_decoder = not by or self.is_decoder(by)
        if of_decoder and self._lead_in is not None and self._lead_in.forgives():
            return
        if self._first_damage is None:
            self._first_damage, self._damage = self._packets, detail

    def _tell_damage(self) -> None:
        if self._first_damage is None:
            return
        # A parser reads one packet ahead.
        if self._ends_anywhere and self._first_damage >= self._packets - 1 > 0:
            self._tally.add_reason(VerdictReason.TRUNCATED, "its last frame is not whole")
        elif self._failed:
            detail = f"{self._failed} frames could not be decoded"
            self._tally.add_reason(VerdictReason.CORRUPT, detail)
        else:
            self._tally.add_reason(VerdictReason.CORRUPT, self._damage)

    def salvage(self) -> Iterator[FrameBatch]:
        """Yields what is still in the decoder, when reading has failed."""
        yield from self._decode(None)

    def _leniently(self, shown: Iterable[av.VideoFrame]) -> Iterator[FrameBatch]:
        """Frames of the start that most viewers leave out, or show damaged."""
        for frame in shown:
            pts_ms = self._pts_ms(frame)
            self._check_duration(pts_ms)
            self._tally.frames_decoded += 1
            for batch in self._luma(frame, pts_ms):
                yield replace(batch, stream=batch.stream + LEAD_IN)

    def _decode_due(self, due: Due[av.Packet[Any]] | None) -> Iterator[FrameBatch]:
        assert self._chooser is not None
        while due is not None:
            if due.left_out:
                if not all(map(self._classifier.can_do_without, due.left_out)):
                    raise Doubt("what was left out changes what follows")
                yield from self._drain()
                self._context.flush_buffers()
                self._jumped_to = due.packet.pts
            self._classifier.given(due.packet)
            self._leave_out_unless_wanted(due.packet)
            if due.packet.is_keyframe:
                self._sync_size = due.packet.size
            yield from self._decode(due.packet)
            due = self._chooser.due()

    def _number_ahead(self, waiting: Sequence[av.Packet[Any]], entry: av.Packet[Any] | None) -> int:
        stretch = Stretch(
            [self._exact_ms(packet.pts or 0) for packet in waiting],  # All that wait have one.
            [packet.size for packet in waiting],
            self._sync_size,
            None if entry is None or entry.pts is None else self._exact_ms(entry.pts),
            self._classifier.may_lead,
        )
        return self._looks.number_ahead(stretch)

    def _leave_out_unless_wanted(self, packet: av.Packet[Any]) -> None:
        if self._leaves_out and packet.pts is not None:
            frame_ms = self._exact_ms(packet.pts)
            decodes = self._looks.decodes(frame_ms, packet.size, self._sync_size)
            if decodes == self._skips:  # To set it takes as long as all else that is done here.
                self._skips = not decodes
                self._context.skip_frame = "DEFAULT" if decodes else "NONREF"

    def _drain(self) -> list[FrameBatch]:
        """What is left before a stretch that is not decoded: up to there, all was looked at."""
        batches = self._decode(None)
        if self._passed is not None:
            batches += self._batches(*self._passed)
        return batches

    def _decode(self, packet: av.Packet[Any] | None) -> list[FrameBatch]:
        """The frames that a packet completes; for none, those left in the decoder."""
        began = time.perf_counter()
        try:
            decoded = self._decoder.decode(packet)
        except av.error.EOFError:
            return []
        except MemoryError:
            raise
        except (av.error.FFmpegError, ValueError):
            self._fail()
            return []
        finally:
            self._tally.costs.decode_s += time.perf_counter() - began
        batches: list[FrameBatch] = []
        for frame in decoded:
            if isinstance(frame, av.VideoFrame):
                batches += self._look(frame)
        return batches

    def _look(self, frame: av.VideoFrame) -> list[FrameBatch]:
        if frame.is_corrupt:
            self._fail()
        if self._jumped_to is not None:
            if frame.pts != self._jumped_to or not frame.key_frame:
                raise Doubt("what was jumped to is no key frame")
            self._jumped_to = None
        pts_ms = self._pts_ms(frame)
        self._check_duration(pts_ms)
        if self._chooser is None:
            self._tally.saw_time(pts_ms, pts_ms + self._lasts_ms(frame.duration))
        else:
            self._chooser.shown(pts_ms)
        self._tally.frames_decoded += 1
        self._frames += 1
        self._last_ms = pts_ms
        before, self._passed = self._passed, None
        batches: list[FrameBatch] = []
        if before is not None and (
            # Short after the one looked at, but shown for long; or at a secret instant.
            pts_ms - before[1] >= self._look_ms or self._is_wanted(before[0])
        ):
            batches = self._batches(*before)
        soon = self._looked_ms is not None and 0 <= pts_ms - self._looked_ms < self._look_ms
        if soon and not self._is_wanted(frame):
            self._passed = frame, pts_ms
            return batches
        return batches + self._batches(frame, pts_ms)

    def _batches(self, frame: av.VideoFrame, pts_ms: int) -> list[FrameBatch]:
        self._looked_ms, self._passed = pts_ms, None
        drawn: bool | None = None
        if self._chooser is not None and frame.pts is not None:
            drawn = self._looks.may_want(self._exact_ms(frame.pts))
        began = time.perf_counter()
        if frame.pts is not None:
            self._looks.looked(self._exact_ms(frame.pts))
        batches = self._luma(frame, pts_ms, drawn)
        self._tally.costs.scale_s += time.perf_counter() - began
        return batches

    def _luma(
        self, frame: av.VideoFrame, pts_ms: int, drawn: bool | None = None
    ) -> list[FrameBatch]:
        return luma.from_video_frame(
            frame,
            pts_ms,
            stream=self._stream.index,
            crops=self._crops,
            drawn=drawn,
            tell=self._tell_unseen,
        )

    def _tell_unseen(self, what: str) -> None:
        self._tally.add_reason(VerdictReason.UNSEEN_MEDIA, what)

    def _is_wanted(self, frame: av.VideoFrame) -> bool:
        return frame.pts is not None and self._looks.wants(self._exact_ms(frame.pts))

    def _fail(self) -> None:
        """Counts a frame that the decoder could not give."""
        if self._chooser is not None:
            raise Doubt("a frame could not be decoded")
        if self._lead_in is not None and self._lead_in.forgives():
            self._forgiven += 1
            return
        self._failed += 1
        self._tally.frames_failed += 1
        self.damaged("")

    def _count_lost(self) -> None:
        """Where H.264 does not say how far its frames are out of order, FFmpeg's decoder finds it
        out by dropping those that come too late, without a word.
        """
        lost = self._packets - self._hidden - self._frames - self._failed
        lost -= self._forgiven + (self._lead_in.packets if self._lead_in is not None else 0)
        if self._context.name == "h264":
            self._tally.frames_lost += max(0, lost)
        elif lost > self._packets / 2 + 1:  # Of two fields that come as two packets half are lost.
            self._tally.add_reason(
                VerdictReason.CORRUPT, f"{lost} packets that no frame came out of"
            )

    def _lasts_ms(self, duration: int | None) -> int:
        if duration != self._lasts[0]:  # Nearly all frames of a stream last as long.
            lasts_ms = max(self._frame_ms, (duration or 0) * self._tick_ms)
            # A file may say anything.
            self._lasts = duration, round(min(lasts_ms, self._limits.max_duration_ms))
        return self._lasts[1]

    def _check_duration(self, pts_ms: int) -> None:
        if abs(pts_ms) > self._limits.max_duration_ms:  # Below zero only in a crafted file.
            raise MediaError(
                VerdictReason.DURATION_LIMIT,
                f"lasts longer than {self._limits.max_duration_ms} ms",
            )

    def _pts_ms(self, frame: av.VideoFrame) -> int:
        """Presentation time from the start of the media; where the file gives none, what the
        frame rate says.
        """
        stamp = frame.dts if self._only_dts or frame.pts is None else frame.pts
        if stamp is None or not self._tick_ms:
            return self._last_ms + round(self._frame_ms) if self._frames else 0
        return self._ms(stamp)

    def _ms(self, stamp: int) -> int:
        return round(self._exact_ms(stamp))

    def _exact_ms(self, stamp: int) -> float:
        return stamp * self._tick_ms - self._start_ms

    def _header_ms(self, container: av.container.InputContainer) -> float:
        """How long the stream lasts by its header or the container's; 0 if neither says."""
        stated_ms = ((self._stream.duration or 0) * self._tick_ms, (container.duration or 0) / 1000)
        return min((each for each in stated_ms if each > 0), default=0.0)


def _listed_packets(stream: av.video.stream.VideoStream) -> int:
    """How many frames the header lists; 0 if it does not say.

    MP4's own number counts those that its edit list leaves out; the demuxer's index does not.
    """
    if "mov" in stream.container.format.name:
        return len(stream.index_entries)
    return stream.frames
