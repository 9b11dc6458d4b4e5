"""Videos, through PyAV: demuxed and decoded from start to end, a frame at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import av
import av.container
import av.error
import av.logging
import av.video.stream

from hashmatch.errors import MediaError
from hashmatch.hashing.frames import FrameBatch
from hashmatch.media import luma
from hashmatch.media.formats import Format, missing_bytes, unseen_media
from hashmatch.media.source import SeekableReader, Source, StreamReader
from hashmatch.media.tally import DecodeLimits, Tally
from hashmatch.model.verdicts import VerdictReason
from hashmatch.sampling import Sampler

__all__ = ["frames"]

# Bytes FFmpeg may read to find out what is in a file before the first frame is decoded: its
# default of 5 MB would make every slow upload wait for that much.
_PROBE_BYTES: Final = 500_000

# Read at a time; small, so that a slow upload is decoded as it arrives.
_READ_BYTES: Final = 32_768

# Edit lists are followed, as players and transcoders do: what is screened is what is shown. (Phones
# trim by edit list alone; of 68 ordinary clips, one shows half of its frames, another a quarter.)
_CONTAINER_OPTIONS: Final = {"probesize": str(_PROBE_BYTES)}

# A demuxer that meets damage skips to the next thing it understands and says so nowhere but in its
# log. Measured: 0 lines of this level over 68 ordinary clips of 24 makes, at least one for every
# Matroska file that lost frames that way.
av.logging.set_level(av.logging.ERROR)
# Else the damage of a file would not be told again when the same file comes again.
av.logging.set_skip_repeated(False)


@dataclass(slots=True)
class _Track:
    """One video stream on its way through the decoder."""

    stream: av.video.stream.VideoStream
    sampler: Sampler[av.VideoFrame]
    start_ms: float
    frame_ms: float
    only_dts: bool  # The container has no presentation times; those of its frames are guesses.
    packets: int = 0
    frames: int = 0
    last_ms: int = 0


def frames(
    source: Source, video_format: Format, limits: DecodeLimits, max_gap_ms: int, tally: Tally
) -> Iterator[FrameBatch]:
    """Yields the chosen frames of every video stream, as they are decoded, and fills ``tally``.

    A streamable format is read while it arrives. Errors of single frames are counted and decoding
    goes on; raises `MediaError` if the media cannot be opened at all.
    """
    tally.format = video_format.name
    reader = StreamReader(source) if video_format.streamable else SeekableReader(source)
    try:
        with (
            av.logging.Capture() as log,
            av.open(
                reader,
                "r",
                format=video_format.decoder_name,
                options=_CONTAINER_OPTIONS,
                buffer_size=_READ_BYTES,
                metadata_errors="replace",
            ) as container,
        ):
            yield from _decode(container, limits, max_gap_ms, tally, log)
    except av.error.EOFError:
        tally.add_reason(VerdictReason.NO_FRAMES, "the demuxer finds nothing in it")
    except av.error.FFmpegError as error:
        tally.add_reason(
            VerdictReason.CORRUPT, f"the {video_format.name} demuxer failed ({error.strerror})"
        )
    missing = missing_bytes(source, video_format)
    if missing is not None:
        # What is missing is the cause of whatever else went wrong.
        tally.reasons[:] = [r for r in tally.reasons if r.code is not VerdictReason.CORRUPT]
        tally.add_reason(VerdictReason.TRUNCATED, missing)
    unseen = unseen_media(source, video_format)
    if unseen is not None:
        tally.add_reason(VerdictReason.UNSEEN_MEDIA, unseen)


def _decode(
    container: av.container.InputContainer,
    limits: DecodeLimits,
    max_gap_ms: int,
    tally: Tally,
    log: list[tuple[int, str, str]],
) -> Iterator[FrameBatch]:
    tracks = {
        stream.index: _open_track(stream, container, limits, max_gap_ms)
        for stream in container.streams.video
    }
    if not tracks:
        tally.add_reason(VerdictReason.UNSUPPORTED, "there is no video in it")
        return
    _describe(container, next(iter(tracks.values())), tally)
    tally.streams = len(tracks)
    if tally.duration_header_ms > limits.max_duration_ms:
        raise MediaError(
            VerdictReason.DURATION_LIMIT,
            f"lasts {tally.duration_header_ms} ms by its header, "
            f"{limits.max_duration_ms} ms are allowed",
        )
    try:
        for packet in container.demux([track.stream for track in tracks.values()]):
            track = tracks[packet.stream_index]
            track.packets += packet.size > 0
            if packet.is_corrupt:
                tally.frames_failed += 1
            for frame in _frames_of(packet, tally):
                yield from _take(track, frame, limits, tally)
            if log:
                tally.add_reason(VerdictReason.CORRUPT, f"{log[0][1]} reports damage")
                log.clear()  # A hostile file could fill memory with it.
    except av.error.FFmpegError as error:
        tally.add_reason(VerdictReason.CORRUPT, f"reading it failed ({error.strerror})")
        for track in tracks.values():
            for frame in _frames_of(None, tally, track):
                yield from _take(track, frame, limits, tally)
    for track in tracks.values():
        for pts_ms, frame in track.sampler.finish():
            yield from luma.from_video_frame(frame, pts_ms)
        _check_track(track, tally)
    if tally.frames_failed:
        tally.add_reason(
            VerdictReason.CORRUPT, f"{tally.frames_failed} frames could not be decoded"
        )


def _open_track(
    stream: av.video.stream.VideoStream,
    container: av.container.InputContainer,
    limits: DecodeLimits,
    max_gap_ms: int,
) -> _Track:
    context = stream.codec_context
    if context is None:
        raise MediaError(VerdictReason.UNSUPPORTED, "no decoder for one of its video streams")
    if context.width * context.height > limits.max_frame_pixels:
        raise MediaError(
            VerdictReason.FRAME_SIZE_LIMIT,
            f"{context.width} x {context.height} pixels, "
            f"{limits.max_frame_pixels} pixels are allowed",
        )
    # One thread: workers are the unit of parallel work. "explode" turns damage that the decoder
    # would paint over into an error that is counted.
    context.thread_count = 1
    context.options = {"max_pixels": str(limits.max_frame_pixels), "err_detect": "explode"}
    rate = stream.average_rate or stream.base_rate
    return _Track(
        stream,
        Sampler(max_gap_ms),
        start_ms=(container.start_time or 0) / 1000,
        frame_ms=float(1000 / rate) if rate else 0.0,
        only_dts=container.format.name == "avi",
    )


def _describe(container: av.container.InputContainer, track: _Track, tally: Tally) -> None:
    context = track.stream.codec_context
    tally.format = f"{tally.format}/{context.name}"
    tally.width, tally.height = context.width, context.height
    durations = [
        float(stream.duration * stream.time_base * 1000)
        for stream in container.streams.video
        if stream.duration and stream.time_base
    ]
    if container.duration:
        durations.append(container.duration / 1000)
    tally.duration_header_ms = max(0, round(max(durations, default=0)))  # Headers may lie.


def _frames_of(
    packet: av.Packet[Any] | None, tally: Tally, track: _Track | None = None
) -> list[av.VideoFrame]:
    """The frames that a packet completes; those left in the decoder for no packet."""
    try:
        decoded = packet.decode() if packet is not None else track.stream.decode(None)  # type: ignore[union-attr]
    except av.error.EOFError:
        return []
    except (av.error.FFmpegError, ValueError):
        tally.frames_failed += 1
        return []
    return [frame for frame in decoded if isinstance(frame, av.VideoFrame)]


def _take(
    track: _Track, frame: av.VideoFrame, limits: DecodeLimits, tally: Tally
) -> Iterator[FrameBatch]:
    if frame.is_corrupt:
        tally.frames_failed += 1
    pts_ms = _pts_ms(track, frame)
    if abs(pts_ms) > limits.max_duration_ms:  # Below zero only in a crafted file.
        raise MediaError(
            VerdictReason.DURATION_LIMIT, f"lasts longer than {limits.max_duration_ms} ms"
        )
    tally.saw_frame(pts_ms, round(track.frame_ms))
    track.frames += 1
    track.last_ms = pts_ms
    for chosen_ms, chosen in track.sampler.offer(pts_ms, frame):
        yield from luma.from_video_frame(chosen, chosen_ms)


def _pts_ms(track: _Track, frame: av.VideoFrame) -> int:
    """Presentation time from the start of the media; where the file gives none, what the frame
    rate says.
    """
    stamp = frame.dts if track.only_dts or frame.pts is None else frame.pts
    if stamp is None or not frame.time_base:
        return track.last_ms + round(track.frame_ms) if track.frames else 0
    return round(float(stamp * frame.time_base) * 1000 - track.start_ms)


def _check_track(track: _Track, tally: Tally) -> None:
    """Holds what was decoded against what the header promised."""
    tally.largest_gap_ms = max(tally.largest_gap_ms, track.sampler.largest_gap_ms)
    if not track.frames and not tally.frames_failed:
        tally.add_reason(VerdictReason.NO_FRAMES, "a video stream without a frame")
    expected = _listed_packets(track.stream)
    if track.packets < expected:
        tally.add_reason(
            VerdictReason.TRUNCATED,
            f"{track.packets} of the {expected} frames that its header lists",
        )


def _listed_packets(stream: av.video.stream.VideoStream) -> int:
    """How many frames the header lists; 0 if it does not say.

    MP4's own number counts those that its edit list leaves out; the demuxer's index does not.
    """
    if "mov" in stream.container.format.name:
        return len(stream.index_entries)
    return stream.frames
