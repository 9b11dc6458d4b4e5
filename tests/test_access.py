"""Where a decoder can begin, by the stream's own word."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.media.access import classifier
from hashmatch.sampling.packets import Access


class Stream:
    """As much of a stream as is asked."""

    def __init__(self, name: str, extradata: bytes = b"", intra_only: bool = False) -> None:
        self.codec_context = self
        self.name, self.extradata, self.intra_only = name, extradata, intra_only
        self.codec = self


AVCC = b"\x01\x64\x00\x1f\xff\xe1\x00\x00"  # Sizes of four bytes.
HVCC = b"\x01" + bytes(20) + b"\x03" + b"\x00"


def units(kinds: list[int], *, codec: str, sized: bool) -> av.Packet[Any]:
    """A packet of NAL units of some types."""
    data = b""
    for kind in kinds:
        unit = bytes([kind << 1, 1] if codec == "hevc" else [kind | 0x60]) + b"\x80payload"
        data += len(unit).to_bytes(4, "big") + unit if sized else b"\x00\x00\x00\x01" + unit
    return av.Packet(data)


def access(kinds: list[int], codec: str = "h264", *, sized: bool = True) -> Access:
    """What may be done with a packet of such units."""
    extradata = {"h264": AVCC, "hevc": HVCC}[codec] if sized else b""
    stream: Any = Stream(codec, extradata)
    return classifier(stream)(units(kinds, codec=codec, sized=sized))


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize(
    ("codec", "kinds", "expected"),
    [
        ("h264", [5], Access.ENTRY),
        ("h264", [9, 7, 8, 6, 5, 5, 5], Access.ENTRY),  # With its parameter sets, in slices.
        ("h264", [1], Access.SKIPPABLE),
        ("h264", [9, 6, 1, 1, 12], Access.SKIPPABLE),
        ("h264", [5, 1], Access.SKIPPABLE),  # The second field of an IDR picture may refer to it.
        ("h264", [8, 1], Access.NEEDED),  # What later pictures are decoded by.
        ("h264", [7], Access.NEEDED),
        ("h264", [20, 1], Access.NEEDED),  # Of an extension: nothing is known of it.
        ("hevc", [19], Access.ENTRY),
        ("hevc", [35, 32, 33, 34, 39, 20], Access.ENTRY),
        ("hevc", [21], Access.ENTRY),
        ("hevc", [1], Access.SKIPPABLE),
        ("hevc", [0, 40], Access.SKIPPABLE),
        ("hevc", [34, 1], Access.NEEDED),
        ("hevc", [48, 1], Access.NEEDED),
    ],
)
def test_the_types_of_units_tell(
    codec: str, kinds: list[int], expected: Access, sized: bool
) -> None:
    """A packet would be left out that changes what others show, or be begun at that cannot."""
    assert access(kinds, codec, sized=sized) is expected


@given(st.binary(max_size=60), st.sampled_from(["h264", "hevc"]), st.booleans())
def test_no_crafted_packet_breaks_it(data: bytes, codec: str, sized: bool) -> None:
    """A file could end the worker with a size that points nowhere."""
    extradata = {"h264": AVCC, "hevc": HVCC}[codec] if sized else b""
    stream: Any = Stream(codec, extradata)
    assert classifier(stream)(av.Packet(data)) in Access


def test_a_packet_without_a_picture_is_decoded() -> None:
    """What nobody understands could matter."""
    assert access([]) is Access.NEEDED
    assert access([6]) is Access.NEEDED


def test_other_codecs() -> None:
    """A codec whose packets are not understood would be decoded in part."""
    key, other = av.Packet(b"x"), av.Packet(b"x")
    key.is_keyframe = True
    for name in ("vp8", "vp9", "libdav1d"):
        classify = classifier(Stream(name))  # type: ignore[arg-type]
        assert (classify(key), classify(other)) == (Access.ENTRY, Access.SKIPPABLE)
    classify = classifier(Stream("mpeg4"))  # type: ignore[arg-type]
    assert (classify(key), classify(other)) == (Access.NEEDED, Access.NEEDED)
    classify = classifier(Stream("prores", intra_only=True))  # type: ignore[arg-type]
    assert classify(other) is Access.ENTRY


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_real_encoders_agree_with_the_container(container: str, codec: str) -> None:
    """Honest uploads would cost as much as those of long groups of pictures."""
    file = io.BytesIO()
    options = {"g": "10", "bf": "2", "x265-params": "log-level=none"}
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=10, options=options)
        stream.width, stream.height = 96, 64
        for seed in range(35):
            noise = np.random.default_rng(seed // 5).integers(0, 255, (64, 96, 3), np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(noise)))
        output.mux(stream.encode())
    file.seek(0)
    with av.open(file, "r") as source:
        classify = classifier(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        entries = [classify(packet) is Access.ENTRY for packet in packets]
        assert entries == [packet.is_keyframe for packet in packets]
        assert sum(entries) >= 3
        assert Access.NEEDED not in map(classify, packets)
