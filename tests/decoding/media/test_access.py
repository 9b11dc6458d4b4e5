"""Where a decoder can begin, by the stream's own word."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.decoding.media.access import Classifier
from hashmatch.engine.sampling.packets import PacketRole


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


def classifier(codec: str, *, sized: bool = True) -> Classifier:
    """Of a stream that knows no parameter sets."""
    extradata = {"h264": AVCC, "hevc": HVCC}[codec] if sized else b""
    stream: Any = Stream(codec, extradata)
    return Classifier(stream)


def access(kinds: list[int], codec: str = "h264", *, sized: bool = True) -> PacketRole:
    """What may be done with a packet of such units."""
    return classifier(codec, sized=sized).access(units(kinds, codec=codec, sized=sized))


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize(
    ("codec", "kinds", "expected", "without"),
    [
        ("h264", [5], PacketRole.ENTRY, True),
        ("h264", [9, 6, 5, 5, 5], PacketRole.ENTRY, True),  # In slices.
        ("h264", [9, 7, 8, 5], PacketRole.ENTRY, False),  # Parameter sets that are not known.
        ("h264", [1], PacketRole.SKIPPABLE, True),
        ("h264", [9, 6, 1, 1, 12], PacketRole.SKIPPABLE, True),
        # The second field of an IDR picture may refer to the first.
        ("h264", [5, 1], PacketRole.SKIPPABLE, True),
        ("h264", [8, 1], PacketRole.SKIPPABLE, False),
        ("h264", [7], PacketRole.NEEDED, False),
        ("h264", [20, 1], PacketRole.SKIPPABLE, False),  # Of an extension: nothing is known of it.
        ("hevc", [19], PacketRole.ENTRY, True),
        ("hevc", [35, 32, 33, 34, 39, 20], PacketRole.ENTRY, False),
        ("hevc", [21], PacketRole.ENTRY, True),
        ("hevc", [1], PacketRole.SKIPPABLE, True),
        ("hevc", [0, 40], PacketRole.SKIPPABLE, True),
        ("hevc", [8], PacketRole.LEADING, True),
        ("hevc", [34, 1], PacketRole.SKIPPABLE, False),
        ("hevc", [48, 1], PacketRole.SKIPPABLE, False),
    ],
)
def test_the_types_of_units_tell(
    codec: str, kinds: list[int], expected: PacketRole, without: bool, sized: bool
) -> None:
    """A packet would be left out that changes what others show, or be begun at that cannot."""
    packet = units(kinds, codec=codec, sized=sized)
    classify = classifier(codec, sized=sized)
    assert classify.access(packet) is expected
    assert classify.can_do_without(packet) == without


@pytest.mark.parametrize("sized", [True, False])
def test_known_parameter_sets_may_come_again(sized: bool) -> None:
    """Streams that repeat theirs with every key frame, as broadcasts do, would cost twice."""
    classify = classifier("h264", sized=sized)
    first = units([7, 8, 5], codec="h264", sized=sized)
    classify.given(first)
    assert classify.can_do_without(first)
    other = bytes(first).replace(b"\x68\x80payload", b"\x68\x80another")
    assert other != bytes(first)
    assert not classify.can_do_without(av.Packet(other))
    assert not classify.can_do_without(units([8, 5], codec="h264", sized=sized))
    classify.given(units([1], codec="h264", sized=sized))
    assert classify.can_do_without(first)


def test_units_that_another_parser_would_find_are_not_left_out() -> None:
    """Parameter sets inside a unit of another type would be missed, where FFmpeg finds them."""
    inside = b"\x06\x05\x00\x00\x01\x68\x80payload"
    packet = av.Packet(
        len(inside).to_bytes(4, "big") + inside + bytes(units([1], codec="h264", sized=True))
    )
    assert not classifier("h264").can_do_without(packet)
    plain = bytes(units([1, 1], codec="h264", sized=True))
    assert classifier("h264").can_do_without(av.Packet(plain))
    for odd in (plain + b"\x00", plain[:-1], plain + b"\x00\x00\x00\x05\x01"):
        assert not classifier("h264").can_do_without(av.Packet(odd))


@given(st.binary(max_size=60), st.sampled_from(["h264", "hevc"]), st.booleans())
def test_no_crafted_packet_breaks_it(data: bytes, codec: str, sized: bool) -> None:
    """A file could end the worker with a size that points nowhere."""
    classify, packet = classifier(codec, sized=sized), av.Packet(data)
    assert classify.access(packet) in PacketRole
    classify.given(packet)
    assert classify.can_do_without(packet) in (True, False)


def test_a_packet_without_a_picture_is_decoded() -> None:
    """What nobody understands could matter."""
    assert access([]) is PacketRole.NEEDED
    assert access([6]) is PacketRole.NEEDED


def test_other_codecs() -> None:
    """A codec whose packets are not understood would be decoded in part."""
    key, other = av.Packet(b"x"), av.Packet(b"x")
    key.is_keyframe = True

    def accesses(*made: Any, **options: Any) -> tuple[PacketRole, PacketRole]:
        stream: Any = Stream(*made, **options)
        classify = Classifier(stream)
        assert classify.can_do_without(other)
        return classify.access(key), classify.access(other)

    for name in ("vp8", "vp9", "libdav1d"):
        assert accesses(name) == (PacketRole.ENTRY, PacketRole.SKIPPABLE)
    assert accesses("mpeg4") == (PacketRole.NEEDED, PacketRole.NEEDED)
    assert accesses("prores", intra_only=True) == (PacketRole.ENTRY, PacketRole.ENTRY)


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
        classify = Classifier(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        entries = [classify.access(packet) is PacketRole.ENTRY for packet in packets]
        assert entries == [packet.is_keyframe for packet in packets]
        assert sum(entries) >= 3
        classify.given(packets[0])
        assert all(map(classify.can_do_without, packets))
