"""Films that show something else than their frames: made by script, box by box."""

from __future__ import annotations

import io
import math
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from hashmatch.decoding.channel import Done, Job
from hashmatch.decoding.media import luma
from hashmatch.decoding.media.source import BytesSource
from hashmatch.decoding.worker.inspect import inspect
from hashmatch.engine.hashing import pdq
from hashmatch.engine.sampling import densities
from hashmatch.model.records import DecodeLimits
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind

Picture = npt.NDArray[np.uint8]

JOB = Job(
    (Kind.PDQ,),
    True,
    densities.UPLOAD,
    DecodeLimits(max_duration_ms=3_600_000, max_frame_pixels=1 << 24),
    seed=1,
)


def textured(seed: int, width: int = 320, height: int = 240) -> Picture:
    """Grey waves uint8 ``[height, width]``, within the limited range."""
    rng = np.random.default_rng(seed)
    y = np.linspace(0, 2 * np.pi, height)[:, None]
    x = np.linspace(0, 2 * np.pi, width)[None, :]
    waves = np.zeros((height, width))
    for _ in range(30):
        rows, columns = rng.uniform(-7, 7, 2)
        wave = np.sin(rows * y + columns * x + rng.uniform(0, 2 * np.pi))
        waves += wave / (1 + np.hypot(rows, columns))
    waves -= waves.min()
    made: Picture = np.rint(waves / waves.max() * 219 + 16).astype(np.uint8)
    return made


def grey_frame(plane: Picture, alpha: Picture | None = None) -> av.VideoFrame:
    """A colourless frame of limited luma, with transparency or without."""
    height, width = plane.shape
    frame = av.VideoFrame(width, height, "yuv420p" if alpha is None else "yuva420p")
    for number, each in enumerate(frame.planes):
        rows = np.full((each.height, each.line_size), 128, np.uint8)
        if number in (0, 3):
            rows[:, :width] = plane if number == 0 or alpha is None else alpha
        each.update(rows.tobytes())
    return frame


def film(
    planes: list[Picture],
    form: str = "mp4",
    codec: str = "libx264",
    *,
    alpha: list[Picture] | None = None,
    rate: int = 5,
    more: Callable[[Any], list[Any]] | None = None,
    container_options: dict[str, str] | None = None,
    change: Callable[[bytes], bytes] | None = None,
    **options: str,
) -> bytes:
    """A film of these planes; ``more`` adds streams to the container and returns their packets,
    and ``change`` is done to the bytes of each packet of the film.
    """
    with tempfile.NamedTemporaryFile() as file:
        with av.open(file.name, "w", format=form, options=container_options or {}) as output:
            stream: Any = output.add_stream(codec, rate=rate, options={"g": "5", **options})
            stream.height, stream.width = planes[0].shape
            stream.pix_fmt = "yuv420p" if alpha is None else "yuva420p"
            stream.bit_rate = 2_000_000
            beside = more(output) if more else []
            packets = []
            for number, plane in enumerate(planes):
                frame = grey_frame(plane, alpha[number] if alpha else None)
                frame.pts = number
                packets += stream.encode(frame)
            packets += stream.encode()
            if change is not None:
                packets = [_changed_packet(packet, change) for packet in packets]
            for packet in [*packets[:1], *beside, *packets[1:]]:
                output.mux(packet)
        return file.read()


def _changed_packet(packet: Any, change: Callable[[bytes], bytes]) -> Any:
    made: Any = av.Packet(change(bytes(packet)))
    made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
    made.stream, made.is_keyframe = packet.stream, packet.is_keyframe
    return made


def nal_unit(header: bytes, content: bytes) -> bytes:
    """A unit of H.264 or HEVC behind a start code, its content kept from looking like one."""
    kept, zeros = bytearray(header), 0
    for each in content:
        if zeros == 2 and each <= 3:
            kept.append(3)
            zeros = 0
        kept.append(each)
        zeros = zeros + 1 if each == 0 else 0
    return b"\0\0\0\1" + bytes(kept)


def changed(data: bytes, path: tuple[bytes, ...], change: Callable[[bytes], bytes]) -> bytes:
    """An MP4 file with the content of each box at a path changed, and the sizes of those around it.
    Entries of ``stsd`` are boxes too. Samples must lie before what grows.
    """
    made, at = b"", 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        content = data[at + 8 : at + size]
        if kind == path[0]:
            if len(path) == 1:
                content = change(content)
            else:
                skip = {b"stsd": 8, b"avc1": 78}.get(kind, 0)
                content = content[:skip] + changed(content[skip:], path[1:], change)
        made += box(kind, content)
        at += size
    return made


def box(kind: bytes, content: bytes) -> bytes:
    """An MP4 box."""
    return struct.pack(">I4s", len(content) + 8, kind) + content


STBL = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def with_clap(data: bytes, size: tuple[int, int], left: int, top: int) -> bytes:
    """An MP4 that shows a rectangle of its frames: (width, height) from a corner."""

    def add(entry: bytes) -> bytes:
        width, height = struct.unpack_from(">HH", entry, 24)
        across = left * 2 + size[0] - width
        down = top * 2 + size[1] - height
        clap = struct.pack(">IIIIiIiI", size[0], 1, size[1], 1, across, 2, down, 2)
        return entry + box(b"clap", clap)

    return changed(data, (*STBL, b"stsd", b"avc1"), add)


def with_matrix(data: bytes, a: float, b: float, c: float, d: float) -> bytes:
    """An MP4 whose track has this display matrix."""
    numbers = [a, b, 0, c, d, 0, 0, 0]
    raw = struct.pack(">8i", *(round(each * 65536) for each in numbers)) + struct.pack(
        ">i", 1 << 30
    )
    return changed(data, (b"moov", b"trak", b"tkhd"), lambda head: head[:40] + raw + head[76:])


def turned(data: bytes, degrees: float) -> bytes:
    """An MP4 that is shown turned clockwise."""
    angle = math.radians(degrees)
    return with_matrix(data, math.cos(angle), math.sin(angle), -math.sin(angle), math.cos(angle))


def ebml(number: int, content: bytes) -> bytes:
    """An element of Matroska."""
    return (
        number.to_bytes((number.bit_length() + 7) // 8, "big")
        + (1 << 56 | len(content)).to_bytes(8, "big")
        + content
    )


SEGMENT, TRACKS, TRACK, VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0


def with_elements(data: bytes, path: tuple[int, ...], extra: bytes) -> bytes:
    """A Matroska file with elements added at the end of each element at a path."""
    made, at = b"", 0
    while at < len(data):
        width = 9 - data[at].bit_length()
        number = int.from_bytes(data[at : at + width], "big")
        size_width = 9 - data[at + width].bit_length()
        start = at + width + size_width
        size = int.from_bytes(data[at + width : start], "big") & (1 << 7 * size_width) - 1
        end = len(data) if size == (1 << 7 * size_width) - 1 else start + size
        content = data[start:end]
        if path and number == path[0]:
            content = with_elements(content, path[1:], extra)
        made += ebml(number, content)
        at = end
    return made if path else made + extra


def with_pixel_crop(data: bytes, top: int, bottom: int, left: int, right: int) -> bytes:
    """A Matroska file that shows a rectangle of its frames."""
    numbers = {0x54BB: top, 0x54AA: bottom, 0x54CC: left, 0x54DD: right}
    extra = b"".join(ebml(each, value.to_bytes(2, "big")) for each, value in numbers.items())
    return with_elements(data, (SEGMENT, TRACKS, TRACK, VIDEO), extra)


def sup(luma: Picture, alpha: int = 255) -> bytes:
    """A PGS subtitle of 64 levels of grey over a whole screen, for a second, as a file."""
    height, width = luma.shape
    levels = (luma // 4).astype(np.uint8) + 1
    rows = []
    for row in levels:
        starts = np.flatnonzero(np.diff(row, prepend=-1))
        runs = np.diff(starts, append=width)
        line = b""
        for start, run in zip(starts, runs, strict=True):
            level = int(row[start])
            left = int(run)
            while left:
                length = min(left, 0x3FFF)
                if length < 3:
                    line += bytes([level]) * length
                elif length < 64:
                    line += bytes([0, 0x80 | length, level])
                else:
                    line += bytes([0, 0xC0 | length >> 8, length & 255, level])
                left -= length
        rows.append(line + b"\0\0")
    palette = bytes([0, 0]) + b"".join(
        bytes([level + 1, min(235, level * 4 + 2), 128, 128, alpha]) for level in range(64)
    )
    picture = struct.pack(">HH", width, height) + b"".join(rows)
    screen = struct.pack(">HHBHBBBB", width, height, 16, 0, 0x80, 0, 0, 1)
    screen += struct.pack(">HBBHH", 0, 0, 0, 0, 0)
    window = struct.pack(">BBHHHH", 1, 0, 0, 0, width, height)
    gone = struct.pack(">HHBHBBBB", width, height, 16, 1, 0, 0, 0, 0)

    def segment(kind: int, content: bytes, at: int) -> bytes:
        return b"PG" + struct.pack(">IIBH", at, 0, kind, len(content)) + content

    pieces = [picture[at : at + 60_000] for at in range(0, len(picture), 60_000)]
    data = segment(0x16, screen, 0) + segment(0x17, window, 0) + segment(0x14, palette, 0)
    for number, piece in enumerate(pieces):
        flags = (0x80 if number == 0 else 0) | (0x40 if number == len(pieces) - 1 else 0)
        head = struct.pack(">HBB", 0, 0, flags)
        if number == 0:
            head += len(picture).to_bytes(3, "big")
        data += segment(0x15, head + piece, 0)
    data += segment(0x80, b"", 0)
    later = 90_000
    return (
        data + segment(0x16, gone, later) + segment(0x17, window, later) + segment(0x80, b"", later)
    )


def with_subtitles(subtitles: bytes, form: str) -> Callable[[Any], list[Any]]:
    """Adds a track of subtitles from a file of them."""

    def add(output: Any) -> list[Any]:
        with av.open(io.BytesIO(subtitles), "r", format=form) as read:
            stream = output.add_stream_from_template(read.streams.subtitles[0])
            packets = [packet for packet in read.demux() if packet.size]
            for packet in packets:
                packet.stream = stream
        return packets

    return add


def looked_at(data: bytes) -> tuple[npt.NDArray[np.uint8], Done]:
    """All PDQ digests of an upload, and what is told of it."""
    found: list[Signals] = []
    done = inspect(BytesSource(data), JOB, lambda signals, _: found.extend(signals))
    digests = [each.digests for each in found if each.kind is Kind.PDQ]
    return (np.concatenate(digests) if digests else np.zeros((0, 32), np.uint8)), done


def nearest(digests: npt.NDArray[np.uint8], shown: npt.NDArray[Any]) -> int:
    """Bits between what is on a screen, grey or RGB, and the nearest that was hashed."""
    grey = shown if shown.ndim == 2 else luma.from_rgb(shown)
    digest, _ = pdq.digest(np.ascontiguousarray(grey, np.float32)[None])
    return min(np.bitwise_count(digests ^ digest[0]).sum(axis=1).tolist(), default=256)


def reasons(done: Done) -> list[str]:
    """What is told, in words."""
    return [f"{reason.code.name}: {reason.detail}" for reason in done.reasons]


def written(data: bytes, folder: Path, name: str) -> Path:
    """A file for a viewer."""
    path = folder / name
    path.write_bytes(data)
    return path
