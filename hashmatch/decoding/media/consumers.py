"""What becomes of the streams of a container: who takes the packets of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import av
import av.container
from av.stream import Disposition

from hashmatch.decoding.media.announced import Announced
from hashmatch.decoding.media.attached import AttachedPicture
from hashmatch.decoding.media.subtitles import Subtitles, is_font
from hashmatch.decoding.media.tally import Tally
from hashmatch.decoding.media.track import Track
from hashmatch.engine.hashing.frames import FrameBatch
from hashmatch.engine.sampling.looks import Plan
from hashmatch.errors import MediaError
from hashmatch.model.records import DecodeLimits
from hashmatch.model.verdicts import VerdictReason

__all__ = ["Consumer", "Sound", "consumers_of", "log_names", "name_left_out"]


def consumers_of(
    container: av.container.InputContainer,
    limits: DecodeLimits,
    tally: Tally,
    plan: Plan,
    announced: Announced,
) -> dict[int, Consumer]:
    """By the number of the stream; fills in what the header says."""
    streams = container.streams.video
    if not streams:
        return {}
    _describe(container, tally)
    tally.streams = len(streams)
    if len(container.streams) > limits.max_streams:
        raise MediaError(
            VerdictReason.STREAMS_LIMIT,
            f"{len(container.streams)} streams, {limits.max_streams} are allowed",
        )
    if tally.duration_header_ms > limits.max_duration_ms:
        raise MediaError(
            VerdictReason.DURATION_LIMIT,
            f"lasts {tally.duration_header_ms} ms by its header, "
            f"{limits.max_duration_ms} ms are allowed",
        )
    films = [each for each in streams if not each.disposition & Disposition.attached_pic]
    hidden = _encrypted(films, announced, by_id="mov" in container.format.name)
    if hidden:
        tally.add_reason(VerdictReason.UNSEEN_MEDIA, "an encrypted track")
    name_left_out(container, announced)
    consumers: dict[int, Consumer] = {}
    for stream in streams:
        if stream.disposition & Disposition.attached_pic:
            consumers[stream.index] = AttachedPicture(stream.index, limits, tally)
        elif stream.index in hidden:
            consumers[stream.index] = _Undecoded(stream)
        else:
            consumers[stream.index] = Track(stream, container, limits, tally, plan, announced)
    start_ms = (container.start_time or 0) / 1000
    for subtitle in container.streams.subtitles:
        consumers[subtitle.index] = Subtitles(
            subtitle, start_ms, limits, tally, are_text=announced.subtitles_are_text
        )
    for sound in container.streams.audio:
        consumers[sound.index] = Sound(sound, start_ms)
    _check_fonts(container, tally)
    return consumers


def name_left_out(container: av.container.InputContainer, announced: Announced) -> None:
    """Names tracks of an MP4 that are listed, and that the demuxer does not give."""
    listed = {track.number for track in announced.tracks}
    if "mov" in container.format.name and listed - {stream.id for stream in container.streams}:
        announced.name("a track that the demuxer leaves out")


def _encrypted(films: list[Any], announced: Announced, *, by_id: bool) -> set[int]:
    """Numbers of the streams whose frames are cipher text. Where streams cannot be told from each
    other, those of all.
    """
    numbers = {track.number for track in announced.tracks if track.encrypted}
    if not numbers:
        return set()
    if by_id:
        return {stream.index for stream in films if stream.id in numbers}
    if len(films) != len(announced.tracks):
        return {stream.index for stream in films}
    return {
        stream.index
        for stream, track in zip(films, announced.tracks, strict=True)
        if track.encrypted
    }


def _check_fonts(container: av.container.InputContainer, tally: Tally) -> None:
    """The letters of a font that comes with subtitles are shapes that an uploader can draw."""
    styled = any(
        stream.codec_context is not None and stream.codec_context.name in ("ass", "ssa")
        for stream in container.streams.subtitles
    )
    fonts = any(is_font(each.mimetype or "") for each in container.streams.attachments)
    if styled and fonts:
        tally.add_reason(VerdictReason.UNSEEN_MEDIA, "a font of its own for subtitles")


def log_names(stream: Any) -> tuple[str, ...]:
    """As FFmpeg's log names the decoder of a stream, and its parser."""
    context = getattr(stream, "codec_context", None)
    return () if context is None else (context.name, context.codec.canonical_name)


class _Undecoded:
    """A stream that is not decoded: the tally says so, or it is none of pictures."""

    def __init__(self, stream: Any) -> None:
        self._names = log_names(stream)

    def passes_over(self, name: str) -> bool:
        """True if FFmpeg's log names the parser so: what is not decoded may be damaged."""
        return name in self._names

    def feed(self, packet: av.Packet[Any]) -> Iterable[FrameBatch]:  # noqa: ARG002
        return ()

    def finish(self) -> Iterator[FrameBatch]:
        yield from ()

    def salvage(self) -> Iterator[FrameBatch]:
        yield from ()


class Sound(_Undecoded):
    """A stream of sound, of which only its end matters: players show the last frame until then,
    whatever the header says of how long the media lasts.
    """

    def __init__(self, stream: Any, start_ms: float) -> None:
        super().__init__(stream)
        self.end_ms = 0.0
        self._tick_ms = float((stream.time_base or 0) * 1000)
        self._start_ms = start_ms

    def feed(self, packet: av.Packet[Any]) -> Iterable[FrameBatch]:
        """Gives nothing; remembers when the packet ends."""
        if packet.pts is not None and not packet.is_discard:
            end_ms = (packet.pts + (packet.duration or 0)) * self._tick_ms - self._start_ms
            self.end_ms = max(self.end_ms, end_ms)
        return ()


Consumer = Track | AttachedPicture | Subtitles | _Undecoded


def _describe(container: av.container.InputContainer, tally: Tally) -> None:
    streams = container.streams.video
    context = streams[0].codec_context
    if context is not None:
        tally.format = f"{tally.format.partition('/')[0]}/{context.name}"
        tally.width, tally.height = context.width, context.height
    durations = [
        float(stream.duration * stream.time_base * 1000)
        for stream in streams
        if stream.duration and stream.time_base
    ]
    if container.duration:
        durations.append(container.duration / 1000)
    tally.duration_header_ms = max(0, round(max(durations, default=0)))  # Headers may lie.
