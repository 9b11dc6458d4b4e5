"""Videos, through PyAV: taken apart from start to end, and decoded as far as needed."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

import av
import av.container
import av.error
import av.logging

from hashmatch.decoding.media import boxes, ebml, flv, riff
from hashmatch.decoding.media.announced import Announced
from hashmatch.decoding.media.attached import embedded
from hashmatch.decoding.media.completeness import is_segment, missing_bytes, scrambled, unseen_media
from hashmatch.decoding.media.consumers import (
    Consumer,
    Sound,
    consumers_of,
    log_names,
    name_left_out,
)
from hashmatch.decoding.media.formats import Format
from hashmatch.decoding.media.late import LateStream, check_late, shown_streams
from hashmatch.decoding.media.opening import measure_hidden, opened
from hashmatch.decoding.media.source import SeekableReader, Source, StreamReader
from hashmatch.decoding.media.subtitles import Subtitles, is_text
from hashmatch.decoding.media.tally import Tally
from hashmatch.decoding.media.track import Track
from hashmatch.engine.hashing.frames import FrameBatch
from hashmatch.engine.sampling.looks import Plan
from hashmatch.engine.sampling.packets import Doubt, Lost, NoKeyFrame
from hashmatch.model.records import DecodeLimits
from hashmatch.model.verdicts import VerdictReason

__all__ = ["frames"]

# Added to the number of a stream, of what its edit list leaves out.
_UNEDITED: Final = 1 << 26
# Numbers of the pictures beside the tracks, as if they were streams.
_EMBEDDED: Final = 512

# A demuxer that meets damage skips to the next thing it understands and says so nowhere but in its
# log. Measured: 0 lines of this level over 68 ordinary clips of 24 makes, at least one for every
# Matroska file that lost frames that way.
av.logging.set_level(av.logging.ERROR)
# Else the damage of a file would not be told again when the same file comes again.
av.logging.set_skip_repeated(False)

# One frame of twelve may be lost where those beside it come out: FFmpeg drops some at the start of
# H.264 in fragments whose delay is not said. The share is chosen, not measured.
_MOST_LOST: Final = 12

# dav1d, of messages beside a frame (dynamic range, Dolby Vision) that do not end as they should.
_METADATA: Final = "Malformed ITU-T T.35 metadata"


def frames(
    source: Source,
    video_format: Format,
    limits: DecodeLimits,
    tally: Tally,
    *,
    max_gap_ms: int,
    seed: int,
    found_ms: int = 0,
) -> Iterator[FrameBatch]:
    """Yields frames of every video stream, as they are decoded, and fills ``tally``.

    With ``max_gap_ms`` 0 every frame; else as few as are cheap to decode, but no stretch longer
    than that without one, and the frames shown at instants that ``seed`` (`Job.seed`) decides, as
    densely as ``found_ms`` (`Density.found_ms`) asks for. Where that cannot be promised, all is
    decoded from the start again, and frames come a second time. A streamable format is read while
    it arrives. Errors of single frames are counted and decoding goes on; raises `MediaError` if the
    file cannot be opened at all.
    """
    tally.format = video_format.name
    as_uploaded = all_of_it = source  # Of FLV, the first film and all of them.
    if video_format.name == "mov" and is_segment(source):
        tally.add_reason(
            VerdictReason.UNSUPPORTED, "a segment of a film, without the header that goes before it"
        )
        return
    if video_format.name == "matroska":
        source = ebml.in_order(source)
    elif video_format.name == "mov":
        source = boxes.as_plain(source)
    elif video_format.name == "flv":
        as_uploaded = source = flv.FirstFilm(source)
    announced = _announced(source, video_format)
    plan = Plan(max_gap_ms, found_ms, seed)
    yield from _sampled(source, video_format, limits, tally, plan, announced)
    if video_format.name == "mov":
        boxes.fragments(source, announced)
    missing = missing_bytes(as_uploaded, video_format)
    if missing is None:
        yield from _left_out(source, video_format, limits, tally, plan, announced)
    else:
        # What is missing is the cause of whatever else went wrong.
        tally.reasons[:] = [r for r in tally.reasons if r.code is not VerdictReason.CORRUPT]
        tally.add_reason(VerdictReason.TRUNCATED, missing)
    if video_format.name == "matroska":
        ebml.check_index(all_of_it, announced)
    yield from _rest(source, video_format, limits, tally, announced)
    if tally.sound_alone and not tally.frames_decoded:
        tally.add_reason(VerdictReason.NO_PICTURE, "sound alone")
    unseen = unseen_media(all_of_it if video_format.name == "flv" else source, video_format)
    if unseen is not None:
        tally.add_reason(VerdictReason.UNSEEN_MEDIA, unseen)


def _sampled(
    source: Source,
    video_format: Format,
    limits: DecodeLimits,
    tally: Tally,
    plan: Plan,
    announced: Announced,
    *,
    edited: bool = True,
) -> Iterator[FrameBatch]:
    """Frames as ``plan`` says; where that cannot keep its promise, every frame from the start."""
    every_frame = not plan.max_gap_ms
    was_in_doubt = lost = False
    while True:
        try:
            if edited and announced.uneven and plan.max_gap_ms:
                raise Doubt("frames that are shown longer than they last")
            yield from _open(source, video_format, limits, tally, plan, announced, edited=edited)
            break
        except NoKeyFrame:  # None while ``needs_key`` is false, and no other while all is decoded.
            plan = plan._replace(needs_key=False)
        except LateStream as late:
            plan = plan._replace(probe_bytes=late.probe_bytes)
        except Doubt as doubt:
            every_frame = was_in_doubt = True
            lost = isinstance(doubt, Lost)
            plan = plan._replace(max_gap_ms=0)
        tally.begin_anew()
    # Only then: two fields may come as two packets and go as one frame.
    lost_much = tally.frames_lost * _MOST_LOST > tally.frames_decoded
    if tally.frames_lost and was_in_doubt and (lost_much or lost):
        tally.add_reason(
            VerdictReason.CORRUPT, f"{tally.frames_lost} frames did not come out of the decoder"
        )
    if every_frame:
        tally.saw_every_frame()


def _left_out(
    source: Source,
    video_format: Format,
    limits: DecodeLimits,
    tally: Tally,
    plan: Plan,
    announced: Announced,
) -> Iterator[FrameBatch]:
    """The film without its edit list, if that leaves out much; and whether all frames that are
    listed came.
    """
    # An entry is what is shown of it: nobody is to be accused by what its edit list leaves out.
    if not plan.max_gap_ms:
        return
    measure_hidden(source, video_format, announced)
    if not any(track.hides_much for track in announced.tracks):
        return
    again = Tally(costs=tally.costs)
    batches = _sampled(source, video_format, limits, again, plan, announced, edited=False)
    yield from (replace(batch, stream=batch.stream + _UNEDITED) for batch in batches)
    tally.frames_decoded += again.frames_decoded
    tally.promised(again.longest_unseen_ms, again.seen_permille, again.miss_per_million)
    for reason in again.reasons:
        tally.add_reason(reason.code, f"without its edit list: {reason.detail}")
    measure_hidden(source, video_format, announced)
    if any(track.hides_much for track in announced.tracks):
        announced.name("frames that the header lists and the demuxer leaves out")


def _announced(source: Source, video_format: Format) -> Announced:
    """What the file's structure says beside what FFmpeg reads of it."""
    if video_format.name == "mov":
        return boxes.header(source)
    if video_format.name == "matroska":
        return ebml.header(source)
    if video_format.name == "avi":
        return Announced(repeats=functools.partial(riff.empty_chunks, source))
    return Announced()


def _rest(
    source: Source, video_format: Format, limits: DecodeLimits, tally: Tally, announced: Announced
) -> Iterator[FrameBatch]:
    """What the structure says when all of the file is there."""
    if video_format.name == "matroska":
        ebml.rest(source, announced)
    elif video_format.name == "mpegts":
        unseen = scrambled(source)
        if unseen:
            announced.name(unseen)
    for number, picture in enumerate(announced.pictures):
        yield from embedded(picture, _EMBEDDED + number, limits, tally)
    for unseen in announced.unseen:
        tally.add_reason(VerdictReason.UNSEEN_MEDIA, unseen)


def _open(
    source: Source,
    video_format: Format,
    limits: DecodeLimits,
    tally: Tally,
    plan: Plan,
    announced: Announced,
    *,
    edited: bool = True,
) -> Iterator[FrameBatch]:
    reader = StreamReader(source) if video_format.streamable else SeekableReader(source)
    began = time.perf_counter()
    try:
        with (
            av.logging.Capture() as log,
            opened(
                reader,
                video_format,
                cheaply=plan.max_gap_ms > 0,
                edited=edited,
                probe_bytes=plan.probe_bytes,
            ) as container,
        ):
            tally.costs.demux_s += time.perf_counter() - began
            shown = shown_streams(container)
            tracks = consumers_of(container, limits, tally, plan, announced)
            if not any(isinstance(each, Track) for each in tracks.values()):
                tally.saw_every_frame()  # What is attached is an image, and looked at as one.
            if tracks:
                yield from _decode(container, tracks, shown, tally, log, plan)
                by_number = {track.number: track for track in announced.tracks}
                for number, track in tracks.items():
                    listed = by_number.get(container.streams[number].id)
                    if isinstance(track, Track) and listed is not None:
                        track.tell(listed)
            elif container.streams.audio:
                tally.sound_alone = True
                name_left_out(container, announced)
                for subtitle in container.streams.subtitles:
                    if not is_text(subtitle):
                        announced.name("subtitles beside sound")
                _pass_over(container, shown, plan, tally)
            else:
                tally.add_reason(VerdictReason.UNSUPPORTED, "there is no video in it")
    except MemoryError:
        raise
    except av.error.EOFError:
        tally.add_reason(VerdictReason.NO_FRAMES, "the demuxer finds nothing in it")
    except av.error.FFmpegError as error:
        tally.add_reason(
            VerdictReason.CORRUPT, f"the {video_format.name} demuxer failed ({error.strerror})"
        )


def _decode(
    container: av.container.InputContainer,
    tracks: dict[int, Consumer],
    shown: frozenset[int],
    tally: Tally,
    log: list[tuple[int, str, str]],
    plan: Plan,
) -> Iterator[FrameBatch]:
    subtitles = [each for each in tracks.values() if isinstance(each, Subtitles)]
    cheaply = plan.max_gap_ms > 0
    consumer: Consumer | None = None
    # What decoders said to find out what is in the file, they say again.
    names = {name for stream in container.streams for name in log_names(stream)}
    log[:] = [each for each in log if each[1] not in names]
    try:
        for packet, consumer in _packets(container, tracks, tally):
            if batches := consumer.feed(packet):
                yield from _with(subtitles, batches)
            if log:
                _hear(log, consumer, tally, cheaply=cheaply)
        if log:  # Of what is behind the last packet.
            _hear(log, consumer, tally, cheaply=cheaply)
    except MemoryError:
        raise
    except av.error.FFmpegError as error:
        if cheaply:
            raise Doubt(error.strerror) from error
        tally.add_reason(VerdictReason.CORRUPT, f"reading it failed ({error.strerror})")
        for track in tracks.values():
            yield from _with(subtitles, track.salvage())
    check_late(container, shown, plan.probe_bytes, tally)
    yield from _with(subtitles, _finish(tracks.values(), tally))
    log.clear()  # What decoders say at the end, they have said by what came out.


def _hear(
    log: list[tuple[int, str, str]], consumer: Consumer | None, tally: Tally, *, cheaply: bool
) -> None:
    """What was logged while a packet was read and decoded: damage, wherever it matters."""
    said, log[:] = list(log), []  # A hostile file could fill memory with it.
    if consumer is not None:
        said = [each for each in said if not consumer.passes_over(each[1])]
    if any(_METADATA in each[2] for each in said):
        # The frame is whole; players that read more than dav1d could show it in other colours.
        tally.add_reason(VerdictReason.UNSEEN_MEDIA, "metadata of a frame that cannot be read")
        said = [each for each in said if _METADATA not in each[2]]
    if not said:
        return
    if isinstance(consumer, Track):
        if cheaply:
            raise Doubt(said[0][2])
        by = next((each[1] for each in said if not consumer.is_decoder(each[1])), said[0][1])
        consumer.damaged(f"{by} reports damage", by)
    elif cheaply:
        raise Doubt(said[0][2])
    else:
        tally.add_reason(VerdictReason.CORRUPT, f"{said[0][1]} reports damage")


def _pass_over(
    container: av.container.InputContainer, shown: frozenset[int], plan: Plan, tally: Tally
) -> None:
    """Reads a file to its end in which no stream of pictures has begun by now."""
    with contextlib.suppress(av.error.FFmpegError, IndexError):
        for _ in container.demux():
            pass
    check_late(container, shown, plan.probe_bytes, tally)


def _finish(consumers: Iterable[Consumer], tally: Tally) -> Iterator[FrameBatch]:
    """What is left of all when no more packets come."""
    consumers = list(consumers)
    sound_ms = max((each.end_ms for each in consumers if isinstance(each, Sound)), default=0)
    for each in consumers:
        if isinstance(each, Track):
            each.lasts_until(sound_ms)
        yield from each.finish()
    films = [each for each in consumers if isinstance(each, Track)]
    if films and all(each.lists_nothing for each in films):
        tally.add_reason(VerdictReason.NO_FRAMES, "a film without a frame")


def _with(subtitles: list[Subtitles], batches: Iterable[FrameBatch]) -> Iterator[FrameBatch]:
    """Batches, each followed by itself with the subtitles of its moment."""
    for batch in batches:
        yield batch
        for each in subtitles:
            yield from each.over(batch)


def _packets(
    container: av.container.InputContainer, tracks: dict[int, Consumer], tally: Tally
) -> Iterator[tuple[av.Packet[Any], Consumer]]:
    began = time.perf_counter()
    streams = container.streams
    # PyAV ends with an empty packet for each stream, and stumbles over one that has begun since it
    # opened the file: `check_late` finds those.
    with contextlib.suppress(IndexError):
        for packet in container.demux([*streams.video, *streams.subtitles, *streams.audio]):
            tally.costs.demux_s += time.perf_counter() - began
            # That for an end says no stream.
            if packet.size and (consumer := tracks.get(packet.stream_index)) is not None:
                yield packet, consumer
            began = time.perf_counter()
