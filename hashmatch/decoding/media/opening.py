"""Videos as containers: how FFmpeg's demuxers are opened, and what they leave out."""

from __future__ import annotations

import contextlib
from typing import Final

import av
import av.container
import av.error
import av.logging

from hashmatch.decoding.media.announced import Announced
from hashmatch.decoding.media.formats import Format
from hashmatch.decoding.media.source import SeekableReader, Source, StreamReader

__all__ = ["measure_hidden", "opened"]

# Bytes FFmpeg may read to find out what is in a file before the first frame is decoded: its
# default of 5 MB would make every slow upload wait for that much.
_PROBE_BYTES: Final = 500_000

# Read at a time; small, so that a slow upload is decoded as it arrives.
_READ_BYTES: Final = 32_768

# Edit lists are followed, as players and transcoders do: what is screened is what is shown. (Phones
# trim by edit list alone; of 68 ordinary clips, one shows half of its frames, another a quarter.)
# Whatever a file refers to stays unopened: no protocol is allowed.
_CLOSED: Final = {"protocol_whitelist": "none"}
_CONTAINER_OPTIONS: Final = {**_CLOSED, "probesize": str(_PROBE_BYTES)}

# Microseconds of media that it may read for that, where a stream begins late: all that there are.
_PROBE_ALL_US: Final = 1 << 48

# To find out what is in a file FFmpeg decodes a frame, or up to twenty, and throws them away: a
# ninth of all the work on 10 s of 720p. The header of an MP4 says all that is needed, but for the
# delay of H.264 in fragments. Where the stream does not say it either, some frames are lost at its
# start; if that leaves a gap, all is decoded anew, and then FFmpeg may find out what it likes.
_TRUSTED_HEADER: Final = {**_CLOSED, "probesize": str(_READ_BYTES), "skip_frame": "all"}


def opened(
    reader: StreamReader | SeekableReader,
    video_format: Format,
    *,
    cheaply: bool,
    edited: bool,
    probe_bytes: int = 0,
) -> av.container.InputContainer:
    """A file, open in the one format that it has; with its edit list followed if ``edited``.
    Streams that begin within ``probe_bytes`` are found, if there are any.
    """
    options = _TRUSTED_HEADER if cheaply and video_format.name == "mov" else _CONTAINER_OPTIONS
    if probe_bytes:
        options = options | {"probesize": str(probe_bytes), "analyzeduration": str(_PROBE_ALL_US)}
    return av.open(
        reader,
        "r",
        format=video_format.decoder_name,
        options=options if edited else options | {"ignore_editlist": "1"},
        buffer_size=_READ_BYTES,
        metadata_errors="replace",
    )


def measure_hidden(source: Source, video_format: Format, announced: Announced) -> None:
    """Finds out how long the frames last that were left out; nothing is decoded for it."""
    tracks = {track.number: track for track in announced.tracks if track.may_hide}
    for track in announced.tracks:
        track.hidden_ms = 0.0
    if not tracks:
        return
    shown_at: dict[int, list[tuple[float, bool]]] = {number: [] for number in tracks}
    ends_ms = dict.fromkeys(tracks, 0.0)
    with (
        # What is damaged was told of before.
        contextlib.suppress(av.error.FFmpegError, IndexError),
        av.logging.Capture(),
        opened(SeekableReader(source), video_format, cheaply=True, edited=False) as container,
    ):
        for packet in container.demux(video=tuple(range(len(container.streams.video)))):
            number = packet.stream.id
            if number not in tracks or not packet.size or packet.pts is None:
                continue
            tick_ms = float((packet.time_base or 0) * 1000)
            at_ms = packet.pts * tick_ms
            shown_at[number].append((at_ms, packet.pos in tracks[number].places))
            ends_ms[number] = max(ends_ms[number], at_ms + (packet.duration or 0) * tick_ms)
    for number, frames_at in shown_at.items():
        frames_at.sort()
        nexts = [*(at_ms for at_ms, _ in frames_at[1:]), ends_ms[number]]
        tracks[number].hidden_ms = sum(
            next_ms - at_ms
            for (at_ms, shown), next_ms in zip(frames_at, nexts, strict=False)
            if not shown
        )
