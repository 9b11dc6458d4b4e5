"""Which packets are decoded: as few as may be, and no stretch of a media unseen."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hashmatch.engine.sampling.packets import Doubt, PacketChooser, PacketRole


@dataclass(frozen=True)
class Packet:
    """A packet of a made-up stream. A frame of one that is not ``kept`` is left out by the decoder
    unless it is an entry; one that is ``hidden`` is never shown.
    """

    pts_ms: int
    access: PacketRole = PacketRole.SKIPPABLE
    kept: bool = True
    hidden: bool = False
    size: int = 1000


class Decoder:
    """Gives frames in the order of their times, ``delay`` packets late, as real ones do."""

    def __init__(self, chooser: PacketChooser[Packet], delay: int) -> None:
        self.chooser, self.delay = chooser, delay
        self.inside: list[int] = []
        self.sent: list[Packet] = []
        self.shown: list[int] = []

    def take(self) -> None:
        while (due := self.chooser.due()) is not None:
            if due.left_out:
                assert due.packet.access is PacketRole.ENTRY
                self.flush()
            self.sent.append(due.packet)
            if (due.packet.kept or due.packet.access is PacketRole.ENTRY) and not due.packet.hidden:
                self.inside.append(due.packet.pts_ms)
            while len(self.inside) > self.delay:
                self.show()

    def show(self) -> None:
        pts_ms = min(self.inside)
        self.inside.remove(pts_ms)
        self.shown.append(pts_ms)
        self.chooser.shown(pts_ms)

    def flush(self) -> None:
        while self.inside:
            self.show()


def decode(
    packets: list[Packet], max_gap_ms: int = 1000, *, delay: int = 0, lasts_ms: int = 0
) -> Decoder:
    """Has a stream decoded as it is chosen. Raises `Doubt`."""
    chooser: PacketChooser[Packet] = PacketChooser(max_gap_ms)
    decoder = Decoder(chooser, delay)
    for packet in packets:
        chooser.offer(packet.pts_ms, packet, packet.size, packet.access, hidden=packet.hidden)
        decoder.take()
    chooser.end(max((each.pts_ms for each in packets), default=0) + lasts_ms)
    decoder.take()
    decoder.flush()
    chooser.check()
    return decoder


def stream(
    seconds: float, each_ms: int = 40, keys: tuple[float, ...] = (0.0,), kept: int = 1
) -> list[Packet]:
    """A stream with entries at ``keys`` (seconds), every ``kept``-th frame referred to."""
    times = range(0, round(seconds * 1000), each_ms)
    entries = {round(key * 1000) for key in keys}
    return [
        Packet(
            pts_ms,
            PacketRole.ENTRY if pts_ms in entries else PacketRole.SKIPPABLE,
            number % kept == 0,
        )
        for number, pts_ms in enumerate(times)
    ]


packets = st.lists(
    st.builds(
        Packet,
        pts_ms=st.integers(0, 400),
        access=st.sampled_from([PacketRole.SKIPPABLE] * 4 + [PacketRole.ENTRY, PacketRole.NEEDED]),
        kept=st.booleans(),
        hidden=st.sampled_from([False] * 9 + [True]),
        size=st.sampled_from([1000] * 9 + [1 << 24]),
    ),
    max_size=60,
)
in_order = packets.map(lambda some: sorted(some, key=lambda each: each.pts_ms))
gaps = st.integers(1, 300)
delays = st.integers(0, 4)


@given(st.one_of(packets, in_order), gaps, delays, st.integers(0, 50))
@settings(deadline=None, max_examples=500)
@example(
    [Packet(0, PacketRole.ENTRY), *(Packet(i, kept=False) for i in range(1, 400, 10))], 100, 0, 1
)
def test_no_stretch_goes_unseen_or_there_is_doubt(
    some: list[Packet], max_gap_ms: int, delay: int, lasts_ms: int
) -> None:
    """A prohibited second could lie where nothing was decoded, and the upload be passed."""
    try:
        decoder = decode(some, max_gap_ms, delay=delay, lasts_ms=lasts_ms)
    except Doubt:
        return
    shown = decoder.shown
    assert shown == sorted(shown)
    visible = sorted(each.pts_ms for each in some if not each.hidden)
    if not visible:
        return
    assert shown
    for pts_ms in visible:
        assert min(abs(pts_ms - each) for each in shown) <= max_gap_ms
    for before, after in itertools.pairwise(shown):
        between = [pts_ms for pts_ms in visible if before < pts_ms < after]
        assert after - before <= max_gap_ms or not between


@given(in_order, gaps, delays)
@settings(deadline=None)
def test_what_is_decoded_refers_to_nothing_that_was_left_out(
    some: list[Packet], max_gap_ms: int, delay: int
) -> None:
    """The decoder would paint what nobody is shown."""
    try:
        sent = decode(some, max_gap_ms, delay=delay).sent
    except Doubt:
        return
    places = {id(packet): place for place, packet in enumerate(some)}
    for before, after in itertools.pairwise(sent):
        skipped = some[places[id(before)] + 1 : places[id(after)]]
        assert not skipped or after.access is PacketRole.ENTRY
        assert all(each.access is not PacketRole.NEEDED for each in skipped)


def test_entries_a_second_apart_are_all_that_is_decoded() -> None:
    """An upload of ordinary make would cost as much as one with a key frame in a minute."""
    keys = tuple(float(second) for second in range(10))
    assert [each.pts_ms for each in decode(stream(10, keys=keys)).sent] == list(
        range(0, 10_000, 1000)
    )


def test_between_distant_entries_only_what_it_takes_is_decoded() -> None:
    """Every frame of a two-second group would be decoded, where half of them will do."""
    sent = [each.pts_ms for each in decode(stream(6, keys=(0.0, 2.0, 4.0)), lasts_ms=40).sent]
    assert sent == [
        *range(0, 1001, 40),
        *range(2000, 3001, 40),
        *range(4000, 5001, 40),
    ]


def test_one_entry_in_a_minute_means_that_all_is_decoded() -> None:
    """The uploader could hide content by placing key frames."""
    decoder = decode(stream(60, kept=2), delay=2, lasts_ms=40)
    last_ms = decoder.sent[-1].pts_ms
    assert 59_000 <= last_ms <= 59_200  # What is left of it comes out at the end.
    assert [each.pts_ms for each in decoder.sent] == list(range(0, last_ms + 1, 40))
    assert decoder.shown == list(range(0, last_ms + 1, 80))


def test_of_entries_alone_not_all_are_decoded() -> None:
    """An upload of key frames alone would cost several times as much as any other."""
    packets = [Packet(pts_ms, PacketRole.ENTRY) for pts_ms in range(0, 10_000, 40)]
    sent = [each.pts_ms for each in decode(packets).sent]
    assert sent == list(range(0, 9_900, 280))[: len(sent)]
    assert len(sent) == 36


def test_frames_that_nothing_refers_to_for_too_long_raise_doubt() -> None:
    """The decoder leaves such frames out: five seconds could pass unseen."""
    with pytest.raises(Doubt):
        decode([Packet(0, PacketRole.ENTRY), *(Packet(i * 40, kept=False) for i in range(1, 125))])
    with pytest.raises(Doubt):
        decode(
            [
                Packet(0, PacketRole.ENTRY),
                *(Packet(i * 40, kept=False) for i in range(1, 125)),
                Packet(5000, PacketRole.ENTRY),
            ]
        )


def test_frames_that_come_late_raise_doubt() -> None:
    """What a file puts behind a leap of its times would be taken for seen."""
    first = [Packet(0, PacketRole.ENTRY), *(Packet(40 * i) for i in range(1, 25)), Packet(2440)]
    with pytest.raises(Doubt):
        decode([*first, *(Packet(1450 + 39 * i) for i in range(25))])
    # Where there is no such stretch, none is missed.
    decode([*first[:-1], Packet(1600), *(Packet(1000 + 40 * i) for i in range(14))])


def test_a_needed_packet_is_decoded_and_what_comes_before_it() -> None:
    """Parameter sets in a packet that is left out would change what a key frame shows."""
    packets = stream(3, keys=(0.0, 1.0, 2.0))
    packets[5] = Packet(packets[5].pts_ms, PacketRole.NEEDED)
    sent = [each.pts_ms for each in decode(packets).sent]
    assert sent == [*range(0, 201, 40), 1000, 2000]


def test_frames_before_an_entry_that_was_jumped_to_are_left_out() -> None:
    """The decoder would fail on frames that refer to what it never got."""
    packets = stream(3, keys=(0.0, 1.0, 2.0))
    at = packets.index(Packet(1000, PacketRole.ENTRY))
    # An open group of pictures: two of its frames are shown before its first.
    before = [replace(each, access=PacketRole.LEADING) for each in packets[at - 2 : at]]
    packets[at - 2 : at + 1] = [packets[at], *before]
    assert [each.pts_ms for each in decode(packets).sent] == [0, 1000, 2000]


def test_only_by_the_streams_own_word_is_a_frame_one_that_comes_before() -> None:
    """The container could have the frame left out that a scene begins with, and we would see all
    that follows as changes of another.
    """
    packets = stream(3, keys=(0.0, 1.0, 2.0))
    at = packets.index(Packet(1000, PacketRole.ENTRY))
    packets[at + 1] = replace(packets[at + 1], pts_ms=980)
    with pytest.raises(Doubt):
        decode(packets)


def test_a_last_frame_that_is_shown_for_long_is_decoded() -> None:
    """A minute of a still picture could follow a second of something else."""
    packets = stream(1.08, keys=(0.0,))
    assert decode(packets, lasts_ms=40).sent[-1].pts_ms < 200
    assert decode(packets, lasts_ms=60_000).sent[-1].pts_ms == 1040
    # The decoder leaves out a frame that no other refers to, also when it is sent.
    packets[-1] = replace(packets[-1], kept=False)
    assert decode(packets, lasts_ms=40).sent
    with pytest.raises(Doubt):
        decode(packets, lasts_ms=60_000)


def test_more_frames_than_a_screen_shows_are_not_passed_over() -> None:
    """Times close together would hide any number of frames."""
    packets = [Packet(0, PacketRole.ENTRY), *(Packet(1 + i // 10) for i in range(5000))]
    packets.append(Packet(900, PacketRole.ENTRY))
    assert len(decode(packets).sent) > 4800


def test_waiting_packets_are_bounded_in_bytes() -> None:
    """A worker could be filled with packets that nobody decodes."""
    packets = [Packet(0, PacketRole.ENTRY), *(Packet(i, size=1 << 20) for i in range(1, 101))]
    assert 101 - len(decode(packets).sent) <= 33


def test_hidden_packets_are_no_gap() -> None:
    """A clip that was trimmed by its container alone would be decoded twice over."""
    packets = [Packet(-400 + i * 40, PacketRole.NEEDED, hidden=True) for i in range(10)]
    packets[0] = Packet(-400, PacketRole.NEEDED, hidden=True)
    packets += stream(2, keys=())
    assert decode(packets).shown[0] == 0
